"""Metrics of everything that a scene can be asked, one for each number that a checkpoint must reach.

    python evaluate_asks.py --data val2 --weights FOLDER [--run run/last.pt] [--scenes 100] [--out val2.json]

Answers are made as the engine makes them: the best query, all queries above `presence.all` with near-duplicates folded,
the query that overlaps most with a gesture, a panoptic map, greedy words.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import batched
import multi
from asks import AskLoader, AskScenes, pixels_of
from data import KINDS, SIZE, sam_pixels, siglip_pixels
from evaluate import load, summary
from flowseg import FlowSeg
from flowseg.whole import Look, upsample
from prompts import Prompts

FAINT = 0.05  # scores below are of no instance
SAME = 0.8  # masks of one object, as in the engine
MOST_WORDS = {"chat": 24, "grounded": 150}


class Answerer:
    """Answers about one image at a time."""

    def __init__(self, model: FlowSeg, prompt: Prompts, scenes: AskScenes):
        self.model, self.prompt, self.scenes = model, prompt, scenes
        self.before = torch.tensor(prompt.before)
        self.loader = AskLoader([scenes], prompt, model.config["siglip"]["image"], 1, 1, 0)

    def look(self, i: int) -> Look:
        image = np.array(self.scenes.images[i])[None]
        return self.model.look(siglip_pixels(image, self.model.config["siglip"]["image"]), sam_pixels(image))

    @torch.no_grad()
    def decode(self, look: Look, i: int, asks: list[dict]) -> tuple[Tensor, Tensor, Tensor]:
        """Class probabilities [N, q, P + 1], mask logits [N, q, h, w], phrases that there are [N, P]"""
        batch = self.loader.batch_of([(0, i)], [asks])
        states, prefix = multi.read(self.model, look.rows, self.before, batch)
        final = states[-1][:, prefix:].unflatten(1, batch.tokens.shape[1:])
        S, C = multi.conditions(self.model, final, batch, batch.masked)
        p = self.model.segmentor.decoder(
            look.levels, look.shapes, look.mask_features, S, C, batch.valid, batch.member)[-1]
        shares = multi.classify(self.model, p, batch.columns).softmax(-1)[0]
        masks = torch.einsum("nqc,chw->nqhw", p.embedding[0], look.mask_features[0])
        return shares, masks, batch.columns[0]

    @torch.no_grad()
    def refined(self, look: Look, logits: Tensor) -> Tensor:
        """[n, h, w] -> [n, SIZE, SIZE] bool"""
        if len(logits) == 0:
            return torch.zeros(0, SIZE, SIZE, dtype=torch.bool)
        return upsample(self.model.segmentor.boundary_refiner(logits[None], look.mask_features)[0], (SIZE, SIZE)) > 0

    @torch.no_grad()
    def say(self, look: Look, questions: list[list[int]], most: int) -> list[list[int]]:
        """Greedy answers, ids without the end of the turn"""
        said: list[list[int]] = [[] for _ in questions]
        done = [False] * len(questions)
        for _ in range(most if questions else 0):
            rows = [q + a for q, a in zip(questions, said)]
            T = max(map(len, rows))
            tokens = torch.tensor([[r + [0] * (T - len(r)) for r in rows]])
            states, prefix = batched.read(self.model, look.rows, self.before, tokens)
            final = states[-1][0, prefix:].unflatten(0, (len(rows), T))
            last = torch.tensor([len(r) - 1 for r in rows])
            best = self.model.llm.logits(final[torch.arange(len(rows)), last]).argmax(-1).tolist()
            for n, token in enumerate(best):
                if done[n] or token == self.prompt.end:
                    done[n] = True
                else:
                    said[n].append(token)
            if all(done):
                break
        return said


# ---- What one scene's answers are worth


def object_of(mask: Tensor, ids: Tensor) -> tuple[int, float]:
    """The object (from 1) that a mask overlaps most, and their IoU; (0, 0) of an empty mask"""
    best = (0, 0.0)
    for k in range(1, int(ids.max()) + 1):
        truth = ids == k
        iou = float((mask & truth).sum() / (mask | truth).sum().clamp(min=1))
        if iou > best[1]:
            best = (k, iou)
    return best


def box_of(mask: Tensor) -> tuple[int, int, int, int]:
    ys, xs = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return (0, 0, 0, 0) if len(ys) == 0 else (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)


def box_overlap(a, b) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, w) * max(0, h)
    area = lambda c: (c[2] - c[0]) * (c[3] - c[1])
    return both / max(area(a) + area(b) - both, 1)


def edge_iou(a: Tensor, b: Tensor, width: int = 2) -> float:
    """IoU of what lies within `width` pixels of the rims of two masks, inside of them (Cheng et al. 2021)"""
    def rim(mask: Tensor) -> Tensor:
        outside = F.pad((~mask).float()[None, None], (width,) * 4, value=1.0)
        return mask & (F.max_pool2d(outside, 2 * width + 1, 1)[0, 0] > 0)
    p, t = rim(a), rim(b)
    return float((p & t).sum() / (p | t).sum().clamp(min=1))


def folded(masks: Tensor) -> list[int]:
    """Of masks, best first, those that are no near-duplicate of one before"""
    kept: list[int] = []
    for i, mask in enumerate(masks):
        same = [float((mask & masks[k]).sum() / (mask | masks[k]).sum().clamp(min=1)) > SAME for k in kept]
        if not any(same) and mask.any():
            kept.append(i)
    return kept


def panoptic(shares: Tensor, logits: Tensor, threshold: float) -> list[tuple[int, Tensor]]:
    """shares [q, P + 1], logits [q, H, W] at the image's size -> class and mask of each segment"""
    s, c = shares[:, :-1].max(-1)
    kept = (s > threshold).nonzero()[:, 0]
    if len(kept) == 0:
        return []
    inside = logits[kept] > 0
    owner = (s[kept, None, None] * logits[kept].sigmoid()).where(inside, 0).argmax(0)
    segments = []
    for n, k in enumerate(kept.tolist()):
        own = (owner == n) & inside[n]
        if inside[n].any() and own.sum() / inside[n].sum() > 0.8:
            segments.append((int(c[k]), own))
    return segments


def scene_rows(a: Answerer, i: int, limits: dict) -> list[dict]:
    """One row an ask"""
    scenes, rows = a.scenes, []
    ids, foreign = torch.from_numpy(np.array(scenes.ids[i])), scenes.foreign[i]
    asks, look = scenes.asks[i], a.look(i)
    truth_of = lambda objects: (ids[..., None] == torch.tensor([o + 1 for o in objects] or [999])).any(-1)
    overlap = lambda mask, truth: {"I": int((mask & truth).sum()), "U": int((mask | truth).sum())}

    # 1. Phrases: presence, the best query, all queries
    phrases = [k for k in asks if k["task"] == "phrase"]
    for at in range(0, len(phrases), 32):
        part = phrases[at : at + 32]
        shares, masks, _ = a.decode(look, i, part)
        for n, ask in enumerate(part):
            score = shares[n, :, 0]
            query = int(score.argmax())
            row = {"task": "phrase", "kind": ask["kind"], "text": ask["text"], "score": round(float(score[query]), 5),
                   "targets": len(ask["targets"]), "from": ask.get("from"), "foreign": foreign}
            mask = a.refined(look, masks[n, query : query + 1])[0]
            if len(ask["targets"]) == 1 or ask["kind"] == "wording":
                truth = truth_of(ask["targets"])
                row |= overlap(mask, truth) | {"object": object_of(mask, ids)[0]}
                if ask["kind"] in KINDS:
                    raw = upsample(masks[n, query : query + 1], (SIZE, SIZE))[0] > 0
                    row |= {"edge": edge_iou(mask, truth), "raw edge": edge_iou(raw, truth)}
            if ask["kind"].startswith("several"):
                order = score.argsort(descending=True)
                every = a.refined(look, masks[n, order[score[order] >= FAINT]])
                kept = folded(every)
                row["scores"] = [round(float(score[order[k]]), 4) for k in kept]
                found = [k for k, s in zip(kept, row["scores"]) if s >= limits["all"]]
                union = every[found].any(0) if found else torch.zeros_like(mask)
                both = overlap(union, truth_of(ask["targets"]))
                row |= {"instances": len(found), "allI": both["I"], "allU": both["U"]}
            rows.append(row)

    # 2. Regions: of the queries that are likely enough, the one that overlaps most with the gesture
    regions = [k for k in asks if k["task"] == "region"]
    if regions:
        shares, masks, _ = a.decode(look, i, regions)
        for n, ask in enumerate(regions):
            inside = torch.from_numpy(pixels_of(ask["gesture"]))
            logits = upsample(masks[n], (SIZE, SIZE))
            quality = (logits.sigmoid() * (logits > 0)).sum((1, 2)) / ((logits > 0).sum((1, 2)) + 1e-6)
            score = shares[n, :, 0] * quality
            kept = ((score >= limits["threshold"]) | (score == score.max())).nonzero()[:, 0].tolist()
            box = box_of(inside)
            best = max(kept, key=lambda q: (box_overlap(box_of(logits[q] > 0), box), float(score[q])))
            row = {"task": "region", "kind": ask["kind"], "score": round(float(score.max()), 5)}
            if ask["target"] is not None:
                row |= overlap(a.refined(look, masks[n, best : best + 1])[0], truth_of([ask["target"]]))
            rows.append(row)

    # 3. Lists: panoptic quality
    for ask in (k for k in asks if k["task"] == "categories"):
        shares, masks, _ = a.decode(look, i, [ask])
        segments = panoptic(shares[0], upsample(masks[0], (SIZE, SIZE)), limits["threshold"])
        wanted = [(p, o) for p, objects in enumerate(ask["targets"]) for o in objects]
        hits, used = [], set()
        for p, mask in segments:
            for w, (column, o) in enumerate(wanted):
                both = overlap(mask, truth_of([o]))
                if w not in used and column == p and both["I"] > 0.5 * both["U"]:
                    hits.append(both["I"] / both["U"])
                    used.add(w)
                    break
        rows.append({"task": "categories", "kind": ask["kind"], "TP": len(hits), "sum": sum(hits),
                     "FP": len(segments) - len(hits), "FN": len(wanted) - len(hits)})

    # 4. Questions
    chats = [k for k in asks if k["task"] == "chat"]
    said = a.say(look, [a.prompt.chat(k["text"]).ids for k in chats], MOST_WORDS["chat"])
    for ask, ids_said in zip(chats, said):
        text = a.prompt.tokenizer.decode(ids_said, skip_special_tokens=False)
        rows.append({"task": "chat", "kind": ask["kind"], "text": ask["text"], "answer": ask["answer"], "said": text,
                     "right": text == ask["answer"]})

    # 5. Descriptions: what is said, and what each phrase cuts out
    for ask in (k for k in asks if k["task"] == "grounded"):
        text = a.prompt.tokenizer.decode(a.say(look, [a.prompt.grounded().ids], MOST_WORDS["grounded"])[0],
                                         skip_special_tokens=False)
        row = {"task": "grounded", "kind": "description", "answer": ask["answer"], "said": text, "phrases": 0,
               "right": 0, "objects": len(scenes.objects[i]), "covered": 0}
        spoken = a.prompt.grounded(text)
        if spoken.seg >= 0 and spoken.spans:
            dummy = ask | {"answer": text, "targets": [0] * len(spoken.spans)}
            shares, masks, _ = a.decode(look, i, [dummy])
            names = [part.split("</p>")[0].strip() for part in text.split("<p>")[1:]]
            covered = set()
            for p, name in enumerate(names[: len(spoken.spans)]):
                query = int(shares[0, :, p].argmax())
                o, iou = object_of(a.refined(look, masks[0, query : query + 1])[0], ids)
                is_right = iou >= 0.5 and fits(name, scenes.objects[i][o - 1])
                row["phrases"] += 1
                row["right"] += is_right
                if is_right:
                    covered.add(o)
            row["covered"] = len(covered)
        rows.append(row)
    return rows


def fits(name: str, o: dict) -> bool:
    """True if a phrase such as "a dotted red star on the left" names the object"""
    words = f" {' '.join(re.findall('[a-z0-9]+', name.lower()))} "
    has = lambda name: f" {name} " in words
    clash = lambda own, all_: own is not None and any(has(w) for w in all_ if w != own)
    colours = ["red", "orange", "yellow", "green", "blue", "purple", "brown", "black"]
    return (has(o["category"]) and not clash(o["colour"], colours)
            and not clash(o["pattern"], ["plain", "striped", "dotted"]))


# ---- Numbers


def auc(positive: list[float], negative: list[float]) -> float:
    """AUC: the share of pairs in which a present one scores above an absent one; ties count half"""
    scores = np.array(positive + negative)
    ranks = np.empty(len(scores))
    order = scores.argsort(kind="stable")
    values, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks[order] = ((ends - counts + ends + 1) / 2)[inverse]
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / max(n * m, 1))


def share(values) -> float | None:
    values = list(values)
    return round(float(np.mean(values)), 4) if values else None


def ciou(rows: list[dict], I: str = "I", U: str = "U") -> float:
    return round(sum(r[I] for r in rows) / max(sum(r[U] for r in rows), 1), 4)


def numbers(rows: list[dict], threshold: float) -> dict:
    """The table of acceptance"""
    of = lambda task: [r for r in rows if r["task"] == task]
    phrases = of("phrase")
    plain = [r for r in phrases if r["kind"] in KINDS]
    absent = [r for r in phrases if r["targets"] == 0]
    present = [r for r in phrases if r["targets"] > 0 and r["kind"] != "wording"]
    table = {"sentences": {k: v for k, v in summary([r | {"bestI": r["I"], "bestU": r["U"]} for r in plain]).items()}}
    table["edges"] = {"refined": share(r["edge"] for r in plain), "without": share(r["raw edge"] for r in plain)}
    table["presence"] = {
        "absent": len(absent), "present": len(present), "threshold": threshold,
        "AUC": round(auc([r["score"] for r in present], [r["score"] for r in absent]), 4),
        "refused": share(r["score"] < threshold for r in absent),
        "kept": share(r["score"] >= threshold for r in present),
        "kept sentences": share(r["score"] >= threshold for r in plain),
        "foreign refused": share(r["score"] < threshold for r in absent if r["foreign"]),
    }
    for kind in sorted({r["kind"] for r in absent}):
        table["presence"][kind] = share(r["score"] < threshold for r in absent if r["kind"] == kind)
    several = [r for r in phrases if r["targets"] > 0 and r["kind"].startswith("several")]
    table["several"] = {
        "phrases": len(several), "cIoU": ciou(several, "allI", "allU"),
        "gIoU": share(r["allI"] / max(r["allU"], 1) for r in several),
        "right number": share(r["instances"] == r["targets"] for r in several),
    }
    first = {(r["scene"], r["text"]): r["object"] for r in plain}
    same = [r["object"] > 0 and r["object"] == first.get((r["scene"], r["from"]))
            for r in phrases if r["kind"] == "wording"]
    wording = [r for r in phrases if r["kind"] == "wording"]
    table["wordings"] = {"wordings": len(wording), "cIoU": ciou(wording), "same object": share(same)}
    regions = of("region")
    table["regions"] = {"regions": len(regions)} | {
        kind: ciou([r for r in regions if r["kind"] == kind]) for kind in ("point", "box", "scribble", "mask")
    } | {"nothing refused": share(r["score"] < threshold for r in regions if r["kind"] == "nothing")}
    for name, kind in (("lists", "list"), ("short lists", "short-list")):
        lists = [r for r in of("categories") if r["kind"] == kind]
        total = lambda k: sum(r[k] for r in lists)
        table[name] = {"lists": len(lists),
                       "PQ": round(total("sum") / max(total("TP") + (total("FP") + total("FN")) / 2, 1), 4)}
    chats = of("chat")
    table["questions"] = {"questions": len(chats), "right": share(r["right"] for r in chats)} | {
        kind: share(r["right"] for r in chats if r["kind"] == kind) for kind in sorted({r["kind"] for r in chats})}
    told = of("grounded")
    sums = {k: sum(r[k] for r in told) for k in ("phrases", "right", "objects", "covered")}
    table["descriptions"] = {"phrases": sums["phrases"], "right": round(sums["right"] / max(sums["phrases"], 1), 4),
                             "objects named": round(sums["covered"] / max(sums["objects"], 1), 4)}
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--run")
    parser.add_argument("--scenes", type=int, default=10**9)
    parser.add_argument("--out", help="write the table as JSON; the rows go beside it as .rows.jsonl")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    weights = Path(args.weights)
    model = load(weights, args.run)
    prompt, scenes = Prompts(weights, model.config), AskScenes(args.data)
    presence = {"threshold": 0.5, "all": 0.6} | json.loads((weights / "config.json").read_text()).get("presence", {})
    answerer = Answerer(model, prompt, scenes)
    rows = [row | {"scene": i} for i in range(min(args.scenes, len(scenes))) for row in scene_rows(answerer, i, presence)]
    table = numbers(rows, presence["threshold"])
    print(json.dumps(table, indent=2))
    if args.out:
        Path(args.out).write_text(json.dumps(table, indent=2) + "\n")
        Path(args.out).with_suffix(".rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
