"""The paper in miniature: what each part of the flow adds, with everything before the decoder frozen.

    python miniature.py FOLDER --train train --test test --weights ../weights/flowseg-nano [--steps 1500] [--seeds 3]

Encoders and language model are a checkpoint's; what they say of each image and sentence is written once (1.2 MB an
image). Then the decoder is trained from random weights, four times for each seed: without the flow (baseline), with
semantic refinement (+SR), with condition refreshing as well (+CR), and with boundary refinement (+BAR). All four begin
with the same numbers and see the same batches. Two trainings run at a time, a core each; each is skipped where its
answers are there already. FOLDER gets miniature.json and miniature.md.
"""

import argparse
import json
import math
import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import batched
import fast
from data import KINDS, MOST_OBJECTS, SIZE, Prompt, Scenes, sam_pixels, siglip_pixels
from evaluate import load, pad
from flowseg import FlowSeg, load_config
from flowseg.whole import upsample
from losses import segmentation

MOST_SENTENCES, MOST_ROWS = 24, 24
VARIANTS = {  # flow of the decoder, boundary refinement
    "baseline": ({"refines": False, "refreshes": False}, False),
    "+SR": ({"refines": True, "refreshes": False}, False),
    "+SR +CR": ({"refines": True, "refreshes": True}, False),
    "+SR +CR +BAR": ({"refines": True, "refreshes": True}, True),
}
PAPER = {  # cIoU; of the failures of the baseline
    "baseline": (82.4, 4.6), "+SR": (82.9, None), "+SR +CR": (83.9, None), "+SR +CR +BAR": (84.2, 49.2), "oracle": (91, None),
}
TRAINED = ("segmentor.decoder", "segmentor.class_predictor", "segmentor.boundary_refiner", "bg_embeds")


# ---- What is frozen, written once


@torch.no_grad()
def write(model: FlowSeg, prompt: Prompt, scenes: Scenes, folder: Path, most: int) -> None:
    """maps.f16 [n, ..] levels and mask features of each image; S.f16, C.f16 and rows.json of its sentences"""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "rows.json").exists():
        return
    n, rows, before = min(len(scenes), most), [], torch.tensor(prompt.before)
    maps = S_all = C_all = None
    rng = np.random.default_rng(5)
    for i in range(n):
        image = np.array(scenes.images[i])[None]
        look = model.look(siglip_pixels(image, model.config["siglip"]["image"]), sam_pixels(image))
        flat = torch.cat([*(l.flatten() for l in look.levels), look.mask_features.flatten()]).half().numpy()
        sentences = scenes.sentences[i]
        if len(sentences) > MOST_SENTENCES:
            weight = np.array([KINDS[s["kind"]] for s in sentences])
            order = (rng.exponential(size=len(sentences)) / weight).argsort()[:MOST_SENTENCES]
            sentences = [sentences[k] for k in sorted(order)]
        d = model.config["head"]["hidden"]
        if maps is None:
            maps = np.memmap(folder / "maps.f16", np.float16, "w+", shape=(n, len(flat)))
            S_all = np.memmap(folder / "S.f16", np.float16, "w+", shape=(n, MOST_SENTENCES, d))
            C_all = np.memmap(folder / "C.f16", np.float16, "w+", shape=(n, MOST_SENTENCES, MOST_ROWS, d))
        maps[i] = flat
        line = []
        if sentences:
            ids = [prompt.after(s["text"]) for s in sentences]
            tokens = pad(ids)[None]
            states, prefix = batched.read(model, look.rows, before, tokens)
            final = states[-1][:, prefix:].unflatten(1, tokens.shape[1:])
            spans = torch.tensor([[prompt.span(t) for t in ids]])
            S, C, valid = batched.conditions(model, final, torch.tensor([[len(t) - 1 for t in ids]]), spans)
            K = min(C.shape[2], MOST_ROWS)
            S_all[i, : len(ids)], C_all[i, : len(ids), :K] = S[0].numpy(), C[0, :, :K].numpy()
            line = [{"kind": s["kind"], "target": s["target"], "rows": min(int(v.sum()), MOST_ROWS)}
                    for s, v in zip(sentences, valid[0])]
        rows.append(line)
    (folder / "rows.json").write_text(json.dumps(rows))


@dataclass
class Frozen:
    """A folder of `write`, with the scenes that it is of."""

    scenes: Scenes
    maps: np.ndarray
    S: np.ndarray
    C: np.ndarray
    rows: list[list[dict]]
    shapes: list[tuple[int, int]]
    d: int

    @staticmethod
    def open(scenes: Scenes, folder: Path, config: dict) -> "Frozen":
        rows, d = json.loads((folder / "rows.json").read_text()), config["head"]["hidden"]
        n, side = len(rows), config["sam"]["image"] // config["sam"]["patch"]
        read = lambda name, *shape: np.memmap(folder / name, np.float16, "r").reshape(n, *shape)
        shapes = [(side // 2,) * 2, (side,) * 2, (2 * side,) * 2]
        return Frozen(scenes, read("maps.f16", -1), read("S.f16", MOST_SENTENCES, d),
                      read("C.f16", MOST_SENTENCES, MOST_ROWS, d), rows, shapes, d)

    def image(self, i: list[int]) -> tuple[list[Tensor], Tensor]:
        """levels and mask features of images"""
        flat = torch.from_numpy(np.stack([self.maps[k] for k in i])).float()
        sizes = [h * w * self.d for h, w in self.shapes]
        *levels, features = flat.split([*sizes, flat.shape[1] - sum(sizes)], 1)
        side = self.shapes[-1]
        return [l.reshape(len(i), -1, self.d) for l in levels], features.reshape(len(i), self.d, *side)

    def sentences(self, i: list[int], pick: list[list[int]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """S [B, N, d], C [B, N, K, d], valid [B, N, K], target [B, N] object ids of some sentences of each image"""
        S = torch.from_numpy(np.stack([self.S[k][p] for k, p in zip(i, pick)])).float()
        C = torch.from_numpy(np.stack([self.C[k][p] for k, p in zip(i, pick)])).float()
        count = torch.tensor([[self.rows[k][s]["rows"] for s in p] for k, p in zip(i, pick)])
        target = torch.tensor([[self.rows[k][s]["target"] + 1 for s in p] for k, p in zip(i, pick)])
        return S, C, torch.arange(MOST_ROWS) < count[..., None], target


@dataclass
class Truth:
    """The parts of a batch that losses.segmentation reads."""

    ids: Tensor
    boxes: Tensor


# ---- Training and answers


def train(job: tuple) -> None:
    folder, data, weights, variant, seed, steps, batch, sentences, rate = job
    out = folder / f"{variant.replace(' ', '')}-{seed}.jsonl"
    if out.exists():
        return
    torch.set_num_threads(1)
    fast.enable()
    config = load_config(weights / "config.json")
    flow, is_refined = VARIANTS[variant]
    config["flow"] = config["flow"] | flow
    torch.manual_seed(seed)
    model = FlowSeg(config)  # the same numbers for all variants of a seed
    frozen = {k: v for k, v in load_file(weights / "model.safetensors").items() if not k.startswith(TRAINED)}
    model.load_state_dict(frozen, strict=False)
    parameters = [p for n, p in model.named_parameters() if n.startswith(TRAINED)]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
    scenes = Scenes(data[0])
    these = Frozen.open(scenes, folder / "train", config)
    rng = np.random.default_rng([seed, 9])
    usable = [i for i, row in enumerate(these.rows) if row]
    for step in range(steps):
        torch.manual_seed(100_000 * seed + step)  # points of the losses
        i = rng.choice(usable, batch, replace=False).tolist()
        pick = [rng.choice(len(these.rows[k]), sentences, replace=len(these.rows[k]) < sentences).tolist() for k in i]
        levels, features = these.image(i)
        S, C, valid, target = these.sentences(i, pick)
        predictions = model.segmentor.decoder(levels, these.shapes, features, S, C, valid)
        truth = Truth(torch.from_numpy(np.stack([scenes.ids[k] for k in i])), torch.stack([scenes.boxes[k] for k in i]))
        losses = segmentation(model, truth, features, predictions, target, is_refined and step >= steps // 2)
        deep = len(predictions)
        total = (2 * losses["class"] + 5 * losses["bce"] + 5 * losses["dice"]) / deep + 5 * losses.get("rim", 0)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        if step % 100 == 99 or step + 1 == steps:
            print(f"{variant} {seed}: step {step + 1}, iou {float(losses['iou']):.3f}", flush=True)
    lines = answers(model, Scenes(data[1]), folder / "test", is_refined)
    out.with_suffix(".tmp").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out.with_suffix(".tmp").rename(out)


@torch.no_grad()
def answers(model: FlowSeg, scenes: Scenes, folder: Path, is_refined: bool) -> list[dict]:
    """A line a sentence of the test split: kind, intersection and union of the answer and of the best candidate"""
    these, lines = Frozen.open(scenes, folder, model.config), []
    for i, row in enumerate(these.rows):
        if not row:
            continue
        levels, features = these.image([i])
        S, C, valid, target = these.sentences([i], [list(range(len(row)))])
        p = model.segmentor.decoder(levels, these.shapes, features, S, C, valid)[-1]
        query = model.classify(p)[0].softmax(-1)[..., 0].argmax(-1)
        masks = torch.einsum("nqc,chw->nqhw", p.embedding[0], features[0])
        chosen = masks[torch.arange(len(row)), query]
        if is_refined:
            chosen = model.segmentor.boundary_refiner(chosen[None], features)[0]
        ids = torch.from_numpy(np.array(scenes.ids[i]))
        chosen = upsample(chosen, (SIZE, SIZE)) > 0
        for n, s in enumerate(row):
            truth = ids == s["target"] + 1
            every = upsample(masks[n], (SIZE, SIZE)) > 0
            I, U = (every & truth).sum((1, 2)), (every | truth).sum((1, 2)).clamp(min=1)
            best = int((I / U).argmax())
            lines.append({"kind": s["kind"], "I": int((chosen[n] & truth).sum()), "U": int((chosen[n] | truth).sum()),
                          "bestI": int(I[best]), "bestU": int(U[best])})
    return lines


# ---- The table


def figures(lines: list[dict], failed: np.ndarray) -> dict[str, float]:
    I, U, bI, bU = (np.array([line[k] for line in lines]) for k in ("I", "U", "bestI", "bestU"))
    iou = I / np.maximum(U, 1)
    out = {"cIoU": I.sum() / U.sum(), "gIoU": iou.mean(), "oracle": bI.sum() / bU.sum(),
           "failures": I[failed].sum() / max(U[failed].sum(), 1), "rescued": (iou[failed] >= 0.5).mean() if failed.any() else 0}
    for kind in KINDS:
        of = np.array([line["kind"] == kind for line in lines])
        if of.any():
            out[kind] = I[of].sum() / U[of].sum()
    return {k: 100 * float(v) for k, v in out.items()}


def table(folder: Path, seeds: list[int]) -> dict[str, dict[str, tuple[float, float]]]:
    read = lambda variant, seed: [
        json.loads(line) for line in (folder / f"{variant.replace(' ', '')}-{seed}.jsonl").open()]
    every: dict[str, list[dict[str, float]]] = {v: [] for v in VARIANTS}
    for seed in seeds:
        base = read("baseline", seed)
        failed = np.array([line["I"] < 0.5 * line["U"] for line in base])
        for variant in VARIANTS:
            every[variant].append(figures(read(variant, seed), failed))
    return {v: {k: (float(np.mean([r[k] for r in rows])), float(np.std([r[k] for r in rows], ddof=min(1, len(rows) - 1))))
                for k in rows[0]} for v, rows in every.items()}


def markdown(result: dict, seeds: int, steps: int) -> str:
    keys = list(next(iter(result.values())))
    show = lambda pair: f"{pair[0]:.1f} ± {pair[1]:.1f}"
    first = ["cIoU", "gIoU", "oracle", "failures", "rescued"]
    lines = [f"Mean and standard deviation over {seeds} seeds, {steps} steps each, in percent. `failures`: cIoU on the "
             "sentences that the baseline of the same seed cuts out with IoU < 0.5; `rescued`: those with IoU >= 0.5 now.",
             "", "| decoder | " + " | ".join(first) + " | paper: cIoU | paper: failures |", "|---" * (len(first) + 3) + "|"]
    for v, row in result.items():
        cIoU, failures = PAPER[v]
        lines.append(f"| {v} | " + " | ".join(show(row[k]) for k in first) + f" | {cIoU} | {failures or '–'} |")
    kinds = [k for k in keys if k not in first]
    lines += ["", "cIoU by kind of sentence:", "", "| decoder | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    lines += [f"| {v} | " + " | ".join(show(row[k]) for k in kinds) + " |" for v, row in result.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=12)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    folder, weights = Path(args.folder), Path(args.weights)
    torch.set_num_threads(1)
    model = load(weights, None)
    prompt = Prompt(weights, model.config)
    write(model, prompt, Scenes(args.train), folder / "train", args.images)
    write(model, prompt, Scenes(args.test), folder / "test", 10**9)
    seeds = list(range(1, args.seeds + 1))
    jobs = [(folder, (args.train, args.test), weights, v, seed, args.steps, args.batch, args.sentences, args.rate)
            for seed in seeds for v in VARIANTS]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        pool.map(train, jobs, chunksize=1)
    result = table(folder, seeds)
    (folder / "miniature.json").write_text(json.dumps(result, indent=2) + "\n")
    text = markdown(result, len(seeds), args.steps)
    (folder / "miniature.md").write_text(text)
    print(text)


assert MOST_OBJECTS + 1 <= 255, "ids are bytes"
if __name__ == "__main__":
    main()
