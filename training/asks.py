"""Batches of asks (src/scenes/asks): phrases for none, one or several objects, lists, regions, questions, descriptions.

A batch is of one mode, so that its prompts are about as long: all workers take the same one. Frequencies are below.
"""

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import (KINDS, MOST_COUNTED, MOST_MENTIONS, MOST_OBJECTS, SIZE, Batch, Loader, Scenes, sam_pixels,
                  siglip_pixels)
from prompts import REGION, Asked, Prompts

FOREIGN = re.compile(rb'"foreign":"(\w+)"}\s*$')
POINTS = 256
POINT_RADIUS, SCRIBBLE_RADIUS = 4, 2  # pixels: 10 and 5 of 640
# Modes of a batch: the share of batches, and the kinds of question with their shares. Asks with masks come first.
MODES = {
    "phrases": (0.60, {"phrase": 1.0}),
    "regions": (0.15, {"region": 0.5, "chat": 0.5}),
    "lists": (0.25, {"categories": 0.4, "grounded": 0.2, "chat": 0.4}),
}
SHARE_OF_SENTENCES = 0.6  # of phrases: those of one object in plain words
SENTENCES = KINDS | {"relation": 5.0, "ordinal": 6.0}  # how often each kind of them is chosen
WEIGHTS = {  # how often each kind of ask is chosen among those of its task
    "wording": 4.0, "other-one": 1.0,
    "absent-category": 1.5, "absent-attribute": 1.5, "absent-word": 5.0, "absent-unknown": 1.8, "absent-gibberish": 0.8,
    "absent-question": 0.3, "absent-several": 0.8,
    "several-category": 2.4, "several-attribute": 2.4, "several-group": 1.6, "several-place": 2.4,
    "several-relation": 2.4, "several-negation": 2.0, "several-fact": 1.0, "several-all": 0.3,
    "point": 1.0, "box": 1.0, "scribble": 1.0, "mask": 1.0, "nothing": 0.6,
    "count": 1.5, "colour": 1.0, "pattern": 1.0, "there": 1.2, "beside": 1.2, "place": 0.8, "foreign": 0.2,
}


@dataclass
class AskBatch(Batch):
    """Batch's fields have zeros where they make no sense. N asks an image, of which the first `masked` have masks."""

    masked: int  #       asks with masks
    rows_at: Tensor  #   [B, N, K] index of each row of C in the tokens
    valid: Tensor  #     [B, N, K]
    member: Tensor  #    [B, N, K, P] 1 where a row is of a phrase
    wanted: Tensor  #    [B, N, P, M] 1 for the object ids that a phrase means
    columns: Tensor  #   [B, N, P] which phrases there are
    points: Tensor  #    [B, R, POINTS, 2] where regions are sampled, in cells
    region_at: Tensor  # [R of all, 4] image, region of the image, ask and token of each row of a region
    look_at: Tensor  #   [B, N, L] tokens that should point at objects, 0 if there are none
    look_to: Tensor  #   [B, N, L, M] 1 for these objects
    said: Tensor  #      [B, N, 2] the answer's ids, [begin, end), that are learnt; empty for most
    is_one: Tensor  #    [B, N] asks for at most one object: whatever tells of objects' facts holds for them
    maps: Tensor  #      [B, ..] levels and mask features of each image if they are frozen, else empty


def pixels_of(gesture: dict) -> np.ndarray:
    """[SIZE, SIZE] bool: what a gesture covers (src/scenes/asks/gestures.ts has the same)"""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    if "runs" in gesture:
        runs = np.array(gesture["runs"])
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(SIZE, SIZE)
    if "box" in gesture:
        x0, y0, x1, y1 = gesture["box"]
        return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    points = gesture["scribble"] if "scribble" in gesture else [gesture["point"]]
    radius = SCRIBBLE_RADIUS if "scribble" in gesture else POINT_RADIUS
    inside = np.zeros((SIZE, SIZE), bool)
    for a, b in zip([points[0], *points], points):
        dx, dy = b[0] - a[0], b[1] - a[1]
        along = ((x - a[0]) * dx + (y - a[1]) * dy) / max(dx * dx + dy * dy, 1)
        t = along.clip(0, 1)
        inside |= np.hypot(x - a[0] - t * dx, y - a[1] - t * dy) <= radius
    return inside


def sample_points(inside: np.ndarray, side: int, n: int = POINTS) -> np.ndarray:
    """[n, 2] as (x, y) in cells: n of the pixels, evenly in raster order, or all of them over and over"""
    at = np.flatnonzero(inside)
    pick = ((np.arange(n) + 0.5) * len(at) / n).astype(int) if len(at) > n else np.arange(n) % len(at)
    at = at[pick]
    return np.stack([at % SIZE, at // SIZE], -1).astype(np.float32) / SIZE * (side - 1)


def targets_of(ask: dict) -> list[list[int]]:
    """Object indices of each phrase"""
    match ask["task"]:
        case "phrase":
            return [ask["targets"]]
        case "categories":
            return ask["targets"]
        case "region":
            return [ask["alike"]]
        case "grounded":
            return [[t] for t in ask["targets"]]
    return []


class Lines:
    """Asks of each scene, read from the file when they are needed: ten thousand scenes have a gigabyte of them."""

    def __init__(self, path: Path, offsets: list[int]):
        self.path, self.offsets, self.file = path, offsets, None

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, i: int) -> list[dict]:
        """Sentences of one object, which are phrases as well, then all other asks"""
        if self.file is None:
            self.file = self.path.open("rb")
        self.file.seek(self.offsets[i])
        line = json.loads(self.file.readline())
        plain = [s | {"task": "phrase", "targets": [s["target"]]} for s in line["sentences"]]
        return plain + line.get("asks", [])


class AskScenes(Scenes):
    """A folder of the second generation; or of the first, whose sentences are all that is asked."""

    def __init__(self, folder: str | Path, categories: list[str] | None = None):
        super().__init__(folder, categories)
        path, offsets, at = Path(folder) / "scenes.jsonl", [], 0
        self.foreign: list[str | None] = []
        with path.open("rb") as file:
            for line in file:
                offsets.append(at)
                at += len(line)
                found = FOREIGN.search(line[-80:])  # the last field of a line
                self.foreign.append(found.group(1).decode() if found else None)
        self.asks = self.sentences = Lines(path, offsets)


class AskLoader(Loader):
    """Batches of asks: every epoch visits each scene once."""

    def __init__(self, folders: list[AskScenes], prompt: Prompts, side: int, batch: int, sentences: int, seed: int,
                 rank: int = 0, workers: int = 1, frozen: bool = False, cells: int = 16):
        super().__init__(folders, prompt, side, batch, sentences, seed, rank, workers, frozen)
        self.cells = cells  # of a side of SAM's map
        self.maps = False  # whether frozen images come with what the decoder reads
        self.modes = np.random.default_rng([seed, 77])  # the same for all workers

    def __iter__(self):
        names = list(MODES)
        share = np.array([MODES[m][0] for m in names])
        for where in self.places():
            yield self.collate(where, names[self.modes.choice(len(names), p=share / share.sum())])

    def places(self):
        where = [(f, i) for f, folder in enumerate(self.folders) for i in range(len(folder))]
        while True:
            order = self.order.permutation(len(where))[self.rank :: self.workers]
            order = order[: len(where) // self.workers]
            for start in range(0, len(order) - self.batch + 1, self.batch):
                yield [where[k] for k in order[start : start + self.batch]]

    def some(self, asks: list[dict], n: int, weights: dict) -> list[dict]:
        """n of them without repetition (unless there are fewer), by the weights of their kinds"""
        if not asks or n == 0:
            return []
        kinds = [a["kind"] for a in asks]
        weight = np.array([weights.get(k, 1.0) / kinds.count(k) for k in kinds])
        order = (self.rng.exponential(size=len(kinds)) / weight).argsort()
        return [asks[order[i % len(order)]] for i in range(n)]

    def choose(self, asks: list[dict], mode: str) -> list[dict]:
        if mode == "phrases":
            plain = [a for a in asks if a["kind"] in KINDS]
            other = [a for a in asks if a["task"] == "phrase" and a["kind"] not in KINDS]
            n = round(self.N * SHARE_OF_SENTENCES) if plain and other else self.N * bool(plain)
            chosen = self.some(plain, n, SENTENCES) + self.some(other, self.N - n, WEIGHTS)
            return [chosen[i] for i in self.rng.permutation(len(chosen))]
        n = max(4, self.N // 2)
        shares = MODES[mode][1]
        chosen = []
        for task, share in shares.items():
            count = n - len(chosen) if task == list(shares)[-1] else max(1, round(share * n))
            chosen += self.some([a for a in asks if a["task"] == task], count, WEIGHTS)
        return chosen

    def collate(self, where: list[tuple[int, int]], mode: str = "phrases") -> AskBatch:
        chosen = [self.choose(self.folders[f].asks[i], mode) for f, i in where]
        return self.batch_of(where, chosen)

    def batch_of(self, where: list[tuple[int, int]], chosen: list[list[dict]]) -> AskBatch:
        """Each image has as many asks with masks as the others, then as many without: `chosen` is in that order"""
        B, N, M = len(chosen), len(chosen[0]), MOST_OBJECTS + 1
        asked: list[list[Asked]] = [[self.prompt.of(a) for a in row] for row in chosen]
        T = max(len(a.ids) for row in asked for a in row)
        K = max([sum(e - b for b, e in a.spans) for row in asked for a in row] + [1])
        P = max([len(a.spans) for row in asked for a in row] + [1])
        z = lambda *shape, dtype=torch.long: torch.zeros(*shape, dtype=dtype)
        tokens, last, span = z(B, N, T), z(B, N), z(B, N, 2)
        rows_at, valid, member = z(B, N, K), z(B, N, K, dtype=torch.bool), z(B, N, K, P, dtype=torch.float32)
        wanted, columns = z(B, N, P, M, dtype=torch.float32), z(B, N, P, dtype=torch.bool)
        end, named = z(B, N, MOST_MENTIONS), z(B, N, MOST_MENTIONS, M, dtype=torch.float32)
        counted, target, said = z(B, N, MOST_COUNTED), z(B, N), z(B, N, 2)
        look_at, look_to = z(B, N, P + 1), z(B, N, P + 1, M, dtype=torch.float32)
        is_one = z(B, N, dtype=torch.bool)
        points, region_at = [[] for _ in range(B)], []

        for b, row in enumerate(chosen):
            for n, ask in enumerate(row):
                a, task = asked[b][n], ask["task"]
                tokens[b, n, : len(a.ids)] = torch.tensor([0 if t == REGION else t for t in a.ids])
                last[b, n] = a.seg if a.seg >= 0 else len(a.ids) - 1
                lists = targets_of(ask)
                at = 0
                for p, ((begin, stop), objects) in enumerate(zip(a.spans, lists)):
                    rows_at[b, n, at : at + stop - begin] = torch.arange(begin, stop)
                    member[b, n, at : at + stop - begin, p] = 1
                    at += stop - begin
                    wanted[b, n, p, [o + 1 for o in objects]] = 1
                    columns[b, n, p] = True
                valid[b, n, : max(at, 1)] = True
                if a.spans:
                    span[b, n] = torch.tensor([a.spans[0][0], a.spans[0][1] - 1])
                if task in ("chat", "grounded"):
                    said[b, n] = torch.tensor([a.said, len(a.ids)])

                # The tokens that should point at objects: a name's end at its objects, a phrase's beginning at the next
                # one
                if task == "categories":
                    for p, objects in enumerate(lists):
                        look_at[b, n, p] = a.spans[p][1] - 1
                        look_to[b, n, p, [o + 1 for o in objects]] = 1
                if task == "grounded":
                    for p, objects in enumerate(lists):
                        look_at[b, n, p] = a.spans[p][0]
                        look_to[b, n, p, [o + 1 for o in objects]] = 1
                if task == "chat" and ask.get("targets"):
                    look_at[b, n, 0] = a.said - 1
                    look_to[b, n, 0, [o + 1 for o in ask["targets"]]] = 1

                # Facts of the one object, or of none
                flat = [o for objects in lists for o in objects]
                is_one[b, n] = task in ("phrase", "region") and len(flat) <= 1
                if len(flat) == 1:
                    target[b, n] = flat[0] + 1
                if task == "region":
                    region_at.append([b, len(points[b]), n, a.regions[0]])
                    points[b].append(sample_points(pixels_of(ask["gesture"]), self.cells))
                mentions = ask.get("mentions", [])
                for m, token in enumerate(self.prompt.ends(ask["text"], a.ids, mentions) if mentions else []):
                    end[b, n, m] = token
                    named[b, n, m, [o + 1 for o in mentions[m]["objects"]]] = 1
                if order := ask.get("counted"):
                    counted[b, n] = torch.tensor([order[min(k, len(order) - 1)] + 1 for k in range(MOST_COUNTED)])

        folders = self.folders
        ids = np.stack([folders[f].ids[i] for f, i in where])
        none = torch.empty(B, 0)
        if self.frozen:
            read = lambda name: torch.from_numpy(np.stack([getattr(folders[f], name)[i] for f, i in where])).float()
            rows, semantic, pixels, maps = read("rows"), none, none, read("maps") if self.maps else none
        else:
            images = np.stack([folders[f].images[i] for f, i in where])
            rows, semantic, pixels, maps = none, siglip_pixels(images, self.side), sam_pixels(images), none
        R = max([len(p) for p in points] + [1])
        padded = np.zeros((B, R, POINTS, 2), np.float32)
        for b, p in enumerate(points):
            if p:
                padded[b, : len(p)] = np.stack(p)
        masked = max((n + 1 for row in chosen for n, a in enumerate(row) if a["task"] != "chat"), default=0)
        return AskBatch(
            semantic, pixels, rows, torch.from_numpy(ids),
            torch.stack([folders[f].labels[i] for f, i in where]),
            torch.stack([folders[f].boxes[i] for f, i in where]),
            tokens, last, span, target, end, named, counted,
            masked, rows_at, valid, member, wanted, columns, torch.from_numpy(padded),
            torch.tensor(region_at, dtype=torch.long).view(-1, 4), look_at, look_to, said, is_one, maps,
        )


assert [f.name for f in fields(AskBatch)][: len(fields(Batch))] == [f.name for f in fields(Batch)]
