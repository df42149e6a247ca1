"""Scenes from disk and what training needs of them: pixels for both encoders, labels by object, prompts.

A folder holds images.u8 [n, 256, 256, 3], ids.u8 [n, 256, 256] (0 is background, i + 1 is object i) and
scenes.jsonl, one scene a line with its objects and sentences {text, kind, target, mentions}: a mention
{end, objects} says which objects the first `end` characters have named, `counted` which objects an ordinal
counts, the last being the target. rows.py adds rows.f16 and maps.f16.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

SIZE = 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "brown", "black"]
PATTERNS = ["plain", "striped", "dotted"]
SIZES = ["small", "medium", "large"]
KINDS = {  # how often training asks for one of each kind: more often what is harder
    "category": 1.0, "colour": 1.0, "size": 1.5, "pattern": 1.0, "place": 2.0, "relation": 3.5, "ordinal": 3.5,
    "negation": 3.0, "reasoning": 1.5,
}
MOST_OBJECTS = 10
MOST_MENTIONS = 2
MOST_COUNTED = 4


class Scenes:
    """One folder. Facts of objects are [n, MOST_OBJECTS + 1, ..] with row 0 for the background."""

    def __init__(self, folder: str | Path, categories: list[str] | None = None):
        folder = Path(folder)
        lines = [without_asks(json.loads(line)) for line in (folder / "scenes.jsonl").open()]
        n = len(lines)
        self.images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(n, SIZE, SIZE, 3))
        self.ids = np.memmap(folder / "ids.u8", np.uint8, "r", shape=(n, SIZE, SIZE))
        written = lambda name: np.memmap(folder / name, np.float16, "r").reshape(n, -1) if (folder / name).exists() else None
        self.rows, self.maps = written("rows.f16"), written("maps.f16")
        self.objects = [line["objects"] for line in lines]
        self.sentences = [line["sentences"] for line in lines]
        self.categories = categories or sorted({o["category"] for scene in self.objects for o in scene})
        index = {name: i + 1 for i, name in enumerate(self.categories)}

        self.labels = torch.zeros(n, MOST_OBJECTS + 1, 4, dtype=torch.long)  # category, colour, pattern, size
        self.boxes = torch.zeros(n, MOST_OBJECTS + 1, 4)  # centre x, y, width, height in 0..1
        for i, scene in enumerate(self.objects):
            for k, o in enumerate(scene):
                self.labels[i, k + 1] = torch.tensor([
                    index.get(o["category"], 0),
                    COLOURS.index(o["colour"]) + 1 if o["colour"] else 0,
                    PATTERNS.index(o["pattern"]) + 1 if o["pattern"] else 0,
                    SIZES.index(o["size"]) + 1,
                ])
                x0, y0, x1, y1 = o["box"]
                self.boxes[i, k + 1] = torch.tensor([x0 + x1, y0 + y1, 2 * (x1 - x0), 2 * (y1 - y0)]) / (2 * SIZE)

    def seen(self, i: int, side: int) -> tuple[Tensor, Tensor]:
        """The image for SigLIP [1, 3, side, side] and for SAM [1, 3, SIZE, SIZE]"""
        image = self.images[i][None]
        return siglip_pixels(image, side), sam_pixels(image)

    def __len__(self) -> int:
        return len(self.sentences)


def without_asks(line: dict) -> dict:
    """Those of the second generation are many; asks.py reads them one scene at a time"""
    return {k: v for k, v in line.items() if k != "asks"}


def sam_pixels(images: np.ndarray) -> Tensor:
    """[B, H, W, 3] u8 -> [B, 3, H, W]; scenes have SAM's side, so nothing is resized or padded"""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def siglip_pixels(images: np.ndarray, side: int) -> Tensor:
    """[B, H, W, 3] u8 -> [B, 3, side, side] by Pillow's bilinear"""
    small = np.stack([np.asarray(Image.fromarray(i).resize((side, side), Image.BILINEAR)) for i in images])
    return (torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


class Prompt:
    """Section 5 of the paper's scaffold: header, image, line feed, question, answer up to <SEG>."""

    def __init__(self, folder: str | Path, config: dict):
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.template, self.answer = config["prompt"]["template"], config["prompt"]["answer"]
        self.line = "\n" if config["compat"] == "aaai" else ""
        self.seg, self.open, self.close = (self.tokenizer.token_to_id(t) for t in ("<SEG>", "<p>", "</p>"))
        self.before = self.encode("<|im_start|>user\n")

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def after(self, phrase: str) -> list[int]:
        """Everything behind the image, ending with <SEG>; pieces are encoded one by one"""
        question = self.template.replace("{phrase}", f"<p>{phrase.strip().lower()}</p>")
        ids = self.encode(f"{self.line}{question}<|im_end|>\n<|im_start|>assistant\n")
        answer = self.encode(self.answer)
        return ids + answer[: answer.index(self.seg) + 1]

    def span(self, ids: list[int]) -> tuple[int, int]:
        return ids.index(self.open), ids.index(self.close)

    def ends(self, phrase: str, ids: list[int], mentions: list[dict]) -> list[int]:
        """Index in `ids` (of after(phrase)) of the token that ends each mention"""
        lengths = [len(self.tokenizer.decode([i])) for i in ids[ids.index(self.open) + 1 : ids.index(self.close)]]
        assert sum(lengths) == len(phrase), phrase
        reached = np.cumsum(lengths)
        return [ids.index(self.open) + 1 + int((reached >= m["end"]).argmax()) for m in mentions]


@dataclass
class Batch:
    semantic: Tensor  #  [B, 3, 128, 128]; empty with rows
    pixels: Tensor  #    [B, 3, 256, 256]; empty with rows
    rows: Tensor  #      [B, V * H] if frozen, else empty
    ids: Tensor  #       [B, 256, 256] object ids
    labels: Tensor  #    [B, M, 4]
    boxes: Tensor  #     [B, M, 4]
    tokens: Tensor  #    [B, N, T] padded behind <SEG>
    last: Tensor  #      [B, N] index of <SEG>
    span: Tensor  #      [B, N, 2] of <p> and </p>
    target: Tensor  #    [B, N] object id, 1-based
    end: Tensor  #       [B, N, MOST_MENTIONS] index of a mention's last token, 0 if there is none
    named: Tensor  #     [B, N, MOST_MENTIONS, M] 1 for the ids of its objects
    counted: Tensor  #   [B, N, MOST_COUNTED] object ids one counts on the way, the target's from then on; or zeros


class Loader:
    """Batches from several folders or files (own_data.py); every epoch visits each scene once with `sentences` of its sentences."""

    def __init__(self, folders: list[Scenes], prompt: Prompt, side: int, batch: int, sentences: int, seed: int,
                 rank: int = 0, workers: int = 1, frozen: bool = False):
        self.folders, self.prompt, self.side, self.batch, self.N = folders, prompt, side, batch, sentences
        self.order = np.random.default_rng(seed)  # the same for all workers
        self.rng = np.random.default_rng([seed, rank])
        self.rank, self.workers, self.frozen = rank, workers, frozen
        self.cache: dict[str, list[int]] = {}

    def encoded(self, text: str) -> list[int]:
        if text not in self.cache:
            self.cache[text] = self.prompt.after(text)
        return self.cache[text]

    def __iter__(self):
        where = [(f, i) for f, folder in enumerate(self.folders) for i in range(len(folder))]
        while True:
            order = self.order.permutation(len(where))[self.rank :: self.workers]
            order = order[: len(where) // self.workers]
            for start in range(0, len(order) - self.batch + 1, self.batch):
                yield self.collate([where[k] for k in order[start : start + self.batch]])

    def choose(self, sentences: list[dict]) -> list[dict]:
        """N of them without repetition (unless there are fewer), kinds weighted by KINDS"""
        kinds = [s["kind"] for s in sentences]
        weight = np.array([KINDS.get(k, 1.0) / kinds.count(k) for k in kinds])
        order = (self.rng.exponential(size=len(kinds)) / weight).argsort()  # Efraimidis & Spirakis 2006
        return [sentences[order[i % len(order)]] for i in range(self.N)]

    def collate(self, where: list[tuple[int, int]]) -> Batch:
        ids = np.stack([self.folders[f].ids[i] for f, i in where])
        chosen = [self.choose(self.folders[f].sentences[i]) for f, i in where]
        texts = [[self.encoded(s["text"]) for s in row] for row in chosen]
        T = max(len(t) for row in texts for t in row)
        end = torch.zeros(len(where), self.N, MOST_MENTIONS, dtype=torch.long)
        named = torch.zeros(len(where), self.N, MOST_MENTIONS, MOST_OBJECTS + 1)
        counted = torch.zeros(len(where), self.N, MOST_COUNTED, dtype=torch.long)
        for b, row in enumerate(chosen):
            for n, s in enumerate(row):
                mentions = s.get("mentions", [])
                for m, at in enumerate(self.prompt.ends(s["text"], texts[b][n], mentions)):
                    end[b, n, m] = at
                    named[b, n, m, [o + 1 for o in mentions[m]["objects"]]] = 1
                if order := s.get("counted"):
                    counted[b, n] = torch.tensor([order[min(k, len(order) - 1)] + 1 for k in range(MOST_COUNTED)])
        none = torch.empty(len(where), 0)
        if self.frozen:
            rows, semantic, pixels = np.stack([self.folders[f].rows[i] for f, i in where]), none, none
            rows = torch.from_numpy(rows).float()
        else:
            seen = [self.folders[f].seen(i, self.side) for f, i in where]
            rows, (semantic, pixels) = none, (torch.cat(part) for part in zip(*seen))
        return Batch(
            semantic, pixels, rows, torch.from_numpy(ids),
            torch.stack([self.folders[f].labels[i] for f, i in where]),
            torch.stack([self.folders[f].boxes[i] for f, i in where]),
            torch.tensor([[t + [0] * (T - len(t)) for t in row] for row in texts]),
            torch.tensor([[len(t) - 1 for t in row] for row in texts]),
            torch.tensor([[self.prompt.span(t) for t in row] for row in texts]),
            torch.tensor([[s["target"] + 1 for s in row] for row in chosen]),
            end, named, counted,
        )
