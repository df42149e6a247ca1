"""Writes test/fixtures/golden/masks.json: pycocotools on 600 masks and 200 lists of polygons, and Label Studio on 13.

    pip install numpy pillow pycocotools==2.0.11
    pip install --no-deps label-studio-converter==0.0.59
    python -m training.golden.masks            writes the file
    python -m training.golden.masks --check    compares with the committed one

The masks are drawn by whole numbers from `counter.py` and not stored; test/masks/drawn.ts draws the same ones. Those of
the kind `real` are answers of the first flowseg-nano, from test/fixtures/real-masks.json.
"""

import base64
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from .counter import counter_bits, counter_bytes, stream_seed

FOLDER = Path(__file__).resolve().parents[2] / "test/fixtures"
KINDS = "noise empty full pixels line discs rectangles spiral checks comb slope rings real".split()
MASKS, POLYGONS = 600, 200


class Draws:
    """Whole numbers from a stream, one after the other."""

    def __init__(self, name: str):
        self.seed, self.at = stream_seed(name), 0

    def below(self, end: int) -> int:
        self.at += 1
        return int(counter_bits(self.seed, self.at - 1, self.at)[0]) % end


def real_masks() -> list[np.ndarray]:
    masks = []
    for runs in json.loads((FOLDER / "real-masks.json").read_text()):
        bits = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
        masks.append(bits.reshape(256, 256))
    return masks


def draw_mask(n: int, real: list[np.ndarray]) -> np.ndarray:
    """Mask n, [height, width] of 0 and 1."""
    draw, kind = Draws(f"mask.{n}"), KINDS[n % len(KINDS)]
    if kind == "real":
        return real[n // len(KINDS) % len(real)]
    w, h = 1 + draw.below(64), 1 + draw.below(64)
    y, x = np.mgrid[:h, :w]
    mask = np.zeros((h, w), np.uint8)
    if kind == "noise":
        mask = (counter_bytes(f"mask.{n}.noise", [h, w]) < draw.below(256)).astype(np.uint8)
    if kind == "full":
        mask[:] = 1
    if kind == "pixels":
        for _ in range(1 + draw.below(3)):
            mask[draw.below(h), draw.below(w)] = 1
    if kind == "line":
        way, at = draw.below(4), draw.below(max(w, h))
        mask[[y == at % h, x == at % w, x - y == at - h // 2, x + y == at][way]] = 1
    if kind == "discs":
        for _ in range(1 + draw.below(6)):
            cx, cy, r = draw.below(w), draw.below(h), 1 + draw.below(24)
            mask ^= ((x - cx) ** 2 + (y - cy) ** 2 < r * r).astype(np.uint8)
    if kind == "rectangles":
        for i in range(1 + draw.below(8)):
            x0, y0, dx, dy = draw.below(w), draw.below(h), 1 + draw.below(32), 1 + draw.below(32)
            mask[y0 : y0 + dy, x0 : x0 + dx] = 0 if i % 3 == 2 else 1
    if kind == "spiral":
        # A line a pixel wide, from the corner inwards, which never touches itself
        way, (px, py) = [(1, 0), (0, 1), (-1, 0), (0, -1)], (0, 0)
        mask[0, 0] = 1
        for turn in range(w + h):
            dx, dy = way[turn % 4]
            for _ in range((w, h)[turn % 2] - 1 - max(0, turn - 1) // 2 * 2):
                px, py = px + dx, py + dy
                mask[py, px] = 1
    if kind == "checks":
        a, b = 1 + draw.below(8), 1 + draw.below(8)
        mask = ((x // a + y // b) % 2).astype(np.uint8)
    if kind == "comb":
        a, back = 1 + draw.below(5), draw.below(h)
        mask = ((x % (a + 1) < a) | (y == back)).astype(np.uint8)
    if kind == "slope":
        a, b = draw.below(41) - 20, draw.below(41) - 20
        c = a * draw.below(w) + b * draw.below(h)
        mask = (a * x + b * y < c).astype(np.uint8)
    if kind == "rings":
        cx, cy, k = draw.below(w), draw.below(h), 1 + draw.below(200)
        mask = (((x - cx) ** 2 + (y - cy) ** 2) // k % 2).astype(np.uint8)
    return mask


def draw_polygons(n: int) -> tuple[list[list[float]], int, int]:
    """Case n: polygons as COCO lists them, height and width."""
    draw = Draws(f"polygons.{n}")
    w, h = 1 + draw.below(48), 1 + draw.below(48)
    # Sixteenths of a pixel, tenths, or whole ones; some far beyond the image, and some points twice
    step, beyond = [16, 10, 1, 2][n % 4], [0, 8, 0, 400][n // 4 % 4]
    polygons = []
    for _ in range(1 + draw.below(3)):
        points = []
        for _ in range(3 + draw.below(10)):
            points.append([(draw.below(step * (size + 2 * beyond) + 1) - step * beyond) / step for size in (w, h)])
            if draw.below(8) == 0:
                points.append(points[-1])
        polygons.append([value for point in points for value in point])
    return polygons, h, w


def brush_module():
    """Label Studio's brush alone: its package imports much that isn't needed here."""
    file = Path(importlib.util.find_spec("label_studio_converter").submodule_search_locations[0]) / "brush.py"
    spec = importlib.util.spec_from_file_location("brush", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record() -> str:
    real = real_masks()
    masks = []
    for n in range(MASKS):
        rle = coco.encode(np.asfortranarray(draw_mask(n, real)))
        masks.append([int(coco.area(rle)), [int(v) for v in coco.toBbox(rle)], rle["counts"].decode()])
    polygons = []
    for n in range(POLYGONS):
        lists, h, w = draw_polygons(n)
        polygons.append(coco.merge(coco.frPyObjects(lists, h, w))["counts"].decode())

    brush = brush_module()
    brushes = [base64.b64encode(bytes(brush.mask2rle(draw_mask(n, real) * 255))).decode() for n in range(len(KINDS))]

    def rows(table: list) -> str:
        return "[\n" + ",\n".join("    " + json.dumps(row) for row in table) + "\n  ]"

    source = json.dumps([f"{name} {version(name)}" for name in ("pycocotools", "label-studio-converter")])
    kinds = json.dumps(KINDS)
    return (
        f'{{\n  "source": {source},\n  "kinds": {kinds},\n'
        f'  "masks": {rows(masks)},\n  "polygons": {rows(polygons)},\n  "brushes": {rows(brushes)}\n}}\n'
    )


def main():
    path, text = FOLDER / "golden/masks.json", record()
    if "--check" in sys.argv:
        sys.exit(path.read_text() != text)
    path.write_text(text)
    print(f"{path.name}: {MASKS} masks, {POLYGONS} lists of polygons, {len(text) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
