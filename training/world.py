"""Measures how far an image is from those that a checkpoint was trained on, by the rows that the language model reads.

    python world.py --data train2 --val val2 --test test2 style2 --weights WEIGHTS

An image's features are the mean and the spread of its rows (SigLIP's and SAM's apart). Along the main axes of training's
features, each scaled to unit variance, distance is the root mean square; what is left over counts as one more axis.
Mean, axes and scales become the tensors `world.mean`, `world.axes` and `world.scale` of WEIGHTS/model.safetensors, whose
other tensors stay as they are; `knows.world` of config.json gets the rest, and the threshold that all but one in a hundred
of validation's images stay below. Prints how many images of each kind are told to be foreign.

    python world.py --data train2 --val val2 --weights WEIGHTS --out COPY

writes them into a copy of the folder instead.
"""

import argparse
import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from asks import AskScenes
from data import sam_pixels, siglip_pixels
from evaluate import load
from flowseg.world import AXES, distance, features_of, fit

INSIDE = 0.99


@torch.no_grad()
def features(model, scenes: AskScenes, most: int) -> np.ndarray:
    """[n, 4 H]"""
    side, sam = model.config["siglip"]["image"], model.config["sam"]
    tokens, out = (sam["image"] // sam["patch"] // 2) ** 2, []
    for at in range(0, min(len(scenes), most), 8):
        images = np.array(scenes.images[at : min(at + 8, most)])
        rows = model.rows(model.segmentor.encoder(sam_pixels(images)), siglip_pixels(images, side)).float()
        out.append(features_of(rows, rows.shape[1] - tokens).numpy())
    return np.concatenate(out).astype(np.float64)


def rounded(world: dict) -> dict:
    """As the checkpoint has it: tensors of float32"""
    as_stored = lambda v: v.astype(np.float32).astype(np.float64) if isinstance(v, np.ndarray) else float(f"{v:.9g}")
    return {k: as_stored(v) for k, v in world.items()}


def write(weights: Path, world: dict) -> None:
    """The tensors first, so that a config never promises any that aren't there"""
    path = weights / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata() or {})
    own = {f"world.{k}": torch.tensor(world[k], dtype=torch.float32).contiguous() for k in ("mean", "axes", "scale")}
    if "flowseg.crc32" in metadata:
        checksums = {n: f"{zlib.crc32(t.numpy().tobytes()):08x}" for n, t in own.items()}
        metadata["flowseg.crc32"] = json.dumps(json.loads(metadata["flowseg.crc32"]) | checksums)
    temporary = path.with_suffix(".tmp")
    save_file(load_file(path) | own, temporary, metadata=metadata)
    os.replace(temporary, path)

    path = weights / "config.json"
    config = json.loads(path.read_text())
    axes = len(world["scale"])
    told = {"threshold": world["threshold"], "rest": world["rest"]} | ({} if axes == AXES else {"axes": axes})
    config["knows"] = config.get("knows", {}) | {"world": told}
    path.write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--val", required=True)
    parser.add_argument("--test", nargs="*", default=[])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out")
    parser.add_argument("--most", type=int, default=2000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(Path(args.weights), None)

    def known(folder: str, most: int = 10**9) -> tuple[np.ndarray, list[str]]:
        scenes = AskScenes(folder)
        x = features(model, scenes, most)
        return x, [f or "own" for f in scenes.foreign[: len(x)]]

    x, kinds = known(args.data, args.most)
    own = lambda kinds: np.array([k in ("own", "empty") for k in kinds])
    world = rounded(fit(x[own(kinds)]))
    x, kinds = known(args.val)
    world["threshold"] = float(f"{np.quantile(distance(x[own(kinds)], world), INSIDE):.6g}")
    for folder in (args.val, *args.test):
        x, kinds = known(folder)
        told = distance(x, world) > world["threshold"]
        by = {k: [bool(t) for t, kind in zip(told, kinds) if kind == k] for k in sorted(set(kinds))}
        print(folder, {k: f"{sum(v)}/{len(v)}" for k, v in by.items()})
    weights = Path(args.weights)
    if args.out:
        weights = shutil.copytree(weights, args.out, dirs_exist_ok=True)
    write(Path(weights), world)


if __name__ == "__main__":
    main()
