"""Whether an image looks like the world that a checkpoint knows: how far what the language model reads of it lies from
what it read of training's images.

    python world.py --data train2 --val val2 --test test2 style2 --weights WEIGHTS

An image's features are the mean and the spread of its rows (SigLIP's and SAM's apart). Along the main axes of training's
features, each scaled to unit variance, distance is the root mean square; what is left over counts as one more axis.
WEIGHTS/world.json gets mean, axes and scales, and the threshold that all but one in a hundred of validation's images stay
below. Prints how many images of each kind are told to be foreign.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from asks import AskScenes
from data import sam_pixels, siglip_pixels
from evaluate import load

AXES, INSIDE = 24, 0.99


@torch.no_grad()
def features(model, scenes: AskScenes, most: int) -> np.ndarray:
    """[n, 4 H]: mean and spread over SigLIP's rows, then over SAM's"""
    side, sam = model.config["siglip"]["image"], model.config["sam"]
    tokens, out = (sam["image"] // sam["patch"] // 2) ** 2, []
    for at in range(0, min(len(scenes), most), 8):
        images = np.array(scenes.images[at : min(at + 8, most)])
        rows = model.rows(model.segmentor.encoder(sam_pixels(images)), siglip_pixels(images, side)).float()
        parts = [rows[:, :-tokens], rows[:, -tokens:]]
        out.append(torch.cat([f for p in parts for f in (p.mean(1), p.std(1))], 1).numpy())
    return np.concatenate(out).astype(np.float64)


def fit(x: np.ndarray) -> dict:
    mean = x.mean(0)
    _, s, axes = np.linalg.svd(x - mean, full_matrices=False)
    k = min(AXES, len(s))
    scale = s[:k] / np.sqrt(len(x))
    rest = x - mean - (x - mean) @ axes[:k].T @ axes[:k]
    return {"mean": mean, "axes": axes[:k], "scale": scale, "rest": float(np.sqrt((rest**2).sum(1).mean()))}


def distance(x: np.ndarray, world: dict) -> np.ndarray:
    y = (x - world["mean"]) @ world["axes"].T
    rest = np.sqrt((((x - world["mean"]) - y @ world["axes"]) ** 2).sum(1)) / world["rest"]
    return np.sqrt(((y / world["scale"]) ** 2).mean(1) + rest**2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--val", required=True)
    parser.add_argument("--test", nargs="*", default=[])
    parser.add_argument("--weights", required=True)
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
    world = fit(x[own(kinds)])
    x, kinds = known(args.val)
    world["threshold"] = float(np.quantile(distance(x[own(kinds)], world), INSIDE))
    for folder in (args.val, *args.test):
        x, kinds = known(folder)
        told = distance(x, world) > world["threshold"]
        by = {k: [bool(t) for t, kind in zip(told, kinds) if kind == k] for k in sorted(set(kinds))}
        print(folder, {k: f"{sum(v)}/{len(v)}" for k, v in by.items()})
    saved = {k: np.round(v, 6).tolist() if isinstance(v, np.ndarray) else v for k, v in world.items()}
    (Path(args.weights) / "world.json").write_text(json.dumps(saved) + "\n")


if __name__ == "__main__":
    main()
