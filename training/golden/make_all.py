"""Makes the golden files, or checks that the committed ones are still what this code makes.

    python -m training.golden.make_all               all files
    python -m training.golden.make_all sam-small     one file, or several
    python -m training.golden.make_all --check       compare with the committed files, write nothing
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import torch

from . import bases, images, language, lists, prompts, reference, regions, segmentor, vision, words, world
from .counter import counter_tensor, stream_seed, weight_tensor
from .golden import FOLDER

RTOL = 1e-7  # of --check: another processor adds in another order; values have 9 digits


def small_config() -> dict:
    """small.json, with the Phi-3 variant and the channels of F8, F16, F32 beside it."""
    small = json.loads((FOLDER / "small.json").read_text())
    small["phi3"] = json.loads((FOLDER / "small-phi3.json").read_text())["llm"]
    by_tap = small["connector"]["channels"]
    small["features"] = [by_tap[0] // 4, by_tap[1], by_tap[2] * 4]  # after the shuffles
    return small


def counter_text() -> str:
    """Bits of some values, so that the TypeScript generator can be held against this one."""
    streams, weights = [], []
    for name, shape, scale, offset in (
        ("input.x", [5], 1.0, 0.0), ("input.été", [3, 1000003], 1.0, 0.0), ("input.scaled", [1000], 0.3, 2.0)
    ):  # fmt: skip
        x = counter_tensor(name, shape, scale, offset).ravel()
        at = sorted({i for i in (0, 1, 2, 3, 4, 255, 256, 999, 65536, 1048575, 1048576, x.size - 1) if i < x.size})
        known = dict(name=name, seed=stream_seed(name), shape=shape, scale=scale, offset=offset)
        streams.append(known | dict(at=at, bits=bits(x, at)))
    for name, shape in (
        ("segmentor.class_predictor.logit_scale", [1]),
        ("segmentor.boundary_refiner.alpha", [1]),
        ("segmentor.pixel_decoder.encoder.layers.0.self_attn.sampling_offsets.bias", [96]),
        ("segmentor.pixel_decoder.level_embed", [3, 64]),
        ("segmentor.decoder.queries_features.weight", [12, 64]),
        ("segmentor.encoder.layers.1.attn.rel_pos_h", [15, 16]),
        ("segmentor.encoder.pos_embed", [1, 8, 8, 32]),
        ("llm.model.embed_tokens.weight", [515, 64]),
        ("segmentor.encoder.patch_embed.projection.weight", [32, 3, 16, 16]),
        ("segmentor.decoder.decoder.layers.0.cross_attn.in_proj_bias", [192]),
        ("llm.model.layers.0.input_layernorm.weight", [64]),
        ("llm.model.layers.0.mlp.up_proj.weight", [128, 64]),
    ):
        for dtype in ("f32", "bf16"):
            x = weight_tensor(name, shape, dtype).ravel()
            at = sorted({0, min(1, x.size - 1), x.size // 2, x.size - 1})
            weights.append(dict(name=name, shape=shape, dtype=dtype, at=at, bits=bits(x, at)))
    rows = [
        f'  "{key}": [\n' + ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in table) + "\n  ]"
        for key, table in (("streams", streams), ("weights", weights))
    ]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def bits(x: np.ndarray, at: list[int]) -> list[int]:
    return [int(b) for b in np.ascontiguousarray(x).view(np.uint32)[at]]


def difference(made: dict, kept: dict) -> float:
    """Largest relative difference of two golden files; infinite if anything but numbers of entries differs."""
    if any(made[key] != kept[key] for key in made if key != "entries"):
        return math.inf
    if made["entries"].keys() != kept["entries"].keys():
        return math.inf
    worst = 0.0
    for name, a in made["entries"].items():
        b = kept["entries"][name]
        if a["shape"] != b["shape"] or a["layout"] != b["layout"]:
            return math.inf
        norm = b["norm"] or 1.0
        rms = norm / math.sqrt(math.prod(b["shape"]))
        worst = max(worst, abs(a["norm"] - b["norm"]) / norm)
        worst = max(worst, *(abs(x - y) / norm for x, y in zip(a["probes"], b["probes"], strict=True)))
        worst = max(worst, *(abs(x - y) / rms for x, y in zip(a["values"], b["values"], strict=True)))
    return worst


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", help="golden files, without .json; all if none is given")
    arguments.add_argument("--check", action="store_true", help="compare with the committed files")
    arguments = arguments.parse_args()

    torch.set_num_threads(1)  # one order of addition, so that files are remade byte for byte
    torch.set_grad_enabled(False)
    small, failed = small_config(), False

    if not arguments.names:
        path = FOLDER / "counter.json"
        if arguments.check:
            failed |= path.read_text() != counter_text()
        else:
            path.write_text(counter_text())

    rooms = [images, vision, language, words, segmentor, reference, world, regions, lists, prompts, bases]
    for make in [make for room in rooms for make in room.FILES]:
        name = make.__name__.replace("_", "-")
        if arguments.names and name not in arguments.names:
            continue
        start = time.time()
        golden = make(small)
        text, path = golden.text(), FOLDER / f"{name}.json"
        assert golden.name == name
        if arguments.check:
            kept = path.read_text()
            worst = 0.0 if kept == text else difference(json.loads(text), json.loads(kept))
            failed |= worst > RTOL
            verdict = "same bytes" if kept == text else f"differs by {worst:.1e}" + ("" if worst <= RTOL else "  WRONG")
        else:
            path.write_text(text)
            verdict = f"{len(golden.entries)} entries, {len(text) / 1024:.0f} KB"
        print(f"{name:22} {verdict}  ({time.time() - start:.1f} s)", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
