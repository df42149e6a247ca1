"""Data of one's own for training: the JSON Lines that `flowseg eval` measures on (docs/evaluation.md).

    {"image": "photos/1.jpg", "sentence": "the red mug", "mask": ..., "kind": "colour"}

A mask is the path of a PNG, an RLE of COCO, or COCO's polygons; the last two are read by pycocotools. Images may have any
size: both encoders see them as at inference. The masks of an image are its objects. Objects of a scene don't overlap
and are MOST_OBJECTS at most, so an image may become several scenes. Of an object nothing is known but where it is: its
category is "object". Every pixel outside of them is background: a line with `ignore` is refused, as the loss has no pixels
that count neither way.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from data import MOST_OBJECTS, SIZE, Scenes, sam_pixels, siglip_pixels


def open_data(path: str, categories: list[str] | None = None) -> "Scenes | Lines":
    """A folder of scenes, or a JSON Lines file"""
    return Scenes(path, categories) if Path(path).is_dir() else Lines(path, categories)


def mask_of(value: str | dict | list, folder: Path, height: int, width: int) -> np.ndarray:
    """[height, width] of bool"""
    if isinstance(value, str):
        mask = np.asarray(Image.open(folder / value).convert("RGB")).any(-1)
    else:
        from pycocotools import mask as coco

        if isinstance(value, dict) and isinstance(value["counts"], str):
            mask = coco.decode(value)
        else:  # an RLE of numbers, or polygons: their union
            made = coco.frPyObjects(value, height, width)
            mask = coco.decode(coco.merge(made) if isinstance(value, list) else made)
        mask = mask.astype(bool)
    assert mask.shape == (height, width), f"a mask of {mask.shape} for an image of {(height, width)}"
    return mask


class Lines:
    """One file. Facts of objects as in Scenes."""

    def __init__(self, path: str | Path, categories: list[str] | None = None):
        self.folder = Path(path).parent
        self.categories = categories or ["object"]
        images: dict[str, list[dict]] = {}
        for number, line in enumerate(Path(path).open(encoding="utf-8-sig"), 1):
            if not line.strip():
                continue
            entry = json.loads(line)
            if entry.get("ignore") is not None:
                raise SystemExit(
                    f"{path}, line {number}: training has no pixels that don't count, and would take those of `ignore` as "
                    "background. Leave out the lines that have it, or the field where they may be background."
                )
            images.setdefault(str((self.folder / entry["image"]).resolve()), []).append(entry)

        self.paths, self.masks, self.sentences, boxes = [], [], [], []
        for image, entries in images.items():
            for masks, sentences in self.scenes(image, entries):
                self.paths.append(image)
                self.masks.append(masks)
                self.sentences.append(sentences)
                boxes.append([box_of(mask) for mask in masks])
        self.labels = torch.zeros(len(self), MOST_OBJECTS + 1, 4, dtype=torch.long)
        self.boxes = torch.zeros(len(self), MOST_OBJECTS + 1, 4)
        for i, own in enumerate(boxes):
            self.boxes[i, 1 : len(own) + 1] = torch.tensor(own)
            if "object" in self.categories:
                self.labels[i, 1 : len(own) + 1, 0] = 1 + self.categories.index("object")
        self.ids = Ids(self)
        self.rows = None

    def scenes(self, image: str, entries: list[dict]) -> list[tuple[list[np.ndarray], list[dict]]]:
        """Each mask, on SAM's square, goes to the first scene where it has room -> masks, sentences"""
        size = ImageOps.exif_transpose(Image.open(image)).size
        small = scaled(size)
        made: list[tuple[list[np.ndarray], list[dict]]] = []
        for entry in entries:
            mask = Image.fromarray(mask_of(entry["mask"], self.folder, size[1], size[0]))
            square = np.zeros((SIZE, SIZE), bool)
            square[: small[1], : small[0]] = np.asarray(mask.resize(small, Image.NEAREST))
            if not square.any():
                continue  # nothing is left to learn
            sentence = {"text": entry["sentence"], "kind": entry.get("kind") or "own"}
            for masks, sentences in made:
                same = [k for k, other in enumerate(masks) if (other == square).all()]
                if not same and (len(masks) == MOST_OBJECTS or any((other & square).any() for other in masks)):
                    continue
                if not same:
                    masks.append(square)
                sentences.append(sentence | {"target": same[0] if same else len(masks) - 1})
                break
            else:
                made.append(([square], [sentence | {"target": 0}]))
        return made

    def seen(self, i: int, side: int) -> tuple[Tensor, Tensor]:
        """The image for SigLIP [1, 3, side, side], squashed, and for SAM [1, 3, SIZE, SIZE], padded with zeros"""
        image = ImageOps.exif_transpose(Image.open(self.paths[i])).convert("RGB")
        width, height = scaled(image.size)
        pixels = torch.zeros(1, 3, SIZE, SIZE)
        small = np.asarray(image.resize((width, height), Image.BILINEAR))
        pixels[:, :, :height, :width] = sam_pixels(small[None])
        return siglip_pixels(np.asarray(image)[None], side), pixels

    def __len__(self) -> int:
        return len(self.sentences)


class Ids:
    """ids[i] is [SIZE, SIZE]: 0 is background, k + 1 is object k"""

    def __init__(self, lines: Lines):
        self.lines = lines

    def __getitem__(self, i: int) -> np.ndarray:
        ids = np.zeros((SIZE, SIZE), np.uint8)
        for k, mask in enumerate(self.lines.masks[i]):
            ids[mask] = k + 1
        return ids


def scaled(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height once the longer side is SIZE, as SAM's image processor rounds"""
    scale = SIZE / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def box_of(mask: np.ndarray) -> list[float]:
    """Centre x, y, width, height in 0..1"""
    ys, xs = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    x0, x1, y0, y1 = xs[0], xs[-1] + 1, ys[0], ys[-1] + 1
    return [(x0 + x1) / 2 / SIZE, (y0 + y1) / 2 / SIZE, (x1 - x0) / SIZE, (y1 - y0) / SIZE]
