"""Metrics by kind of sentence: cIoU, gIoU, share of sentences with IoU >= 0.5, and the oracle's cIoU.

    python evaluate.py --data val --weights ../weights/flowseg-nano [--run run/last.pt] [--scenes 100] [--out val.json]

Masks are made as at inference: best query, refined logits, bilinear to the image's size, above zero.
Without --run the exported model.safetensors is evaluated.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import batched
from data import KINDS, Prompt, Scenes, sam_pixels, siglip_pixels
from flowseg import FlowSeg, load_config, load_weights
from flowseg.whole import upsample


def load(weights: Path, run: str | None) -> FlowSeg:
    if run:
        state = torch.load(run, weights_only=True)
        model = FlowSeg(state["config"])
        model.load_state_dict(state["average"])
    else:
        model = FlowSeg(load_config(weights / "config.json"))
        model.load_state_dict(load_weights(weights / "model.safetensors"))
    return model.eval()


def pad(rows: list[list[int]]) -> torch.Tensor:
    T = max(map(len, rows))
    return torch.tensor([row + [0] * (T - len(row)) for row in rows])


@torch.no_grad()
def answer(model: FlowSeg, prompt: Prompt, image: np.ndarray, texts: list[str]) -> dict[str, torch.Tensor]:
    """All sentences about one image -> scores [N, Q], query [N], logits [N, h, w], masks [N, Q, h, w], S, C, valid"""
    look = model.look(siglip_pixels(image[None], model.config["siglip"]["image"]), sam_pixels(image[None]))
    ids = [prompt.after(text) for text in texts]
    tokens = pad(ids)[None]
    N, T = tokens.shape[1:]
    last = torch.tensor([[len(t) - 1 for t in ids]])
    span = torch.tensor([[prompt.span(t) for t in ids]])
    states, prefix = batched.read(model, look.rows, torch.tensor(prompt.before), tokens)
    S, C, valid = batched.conditions(model, states[-1][:, prefix:].unflatten(1, (N, T)), last, span)
    p = batched.decode(model, look, S, C, valid)[-1]
    scores = model.classify(p)[0].softmax(-1)[..., 0]
    query = scores.argmax(-1)
    masks = torch.einsum("nqc,chw->nqhw", p.embedding[0], look.mask_features[0])
    chosen = masks[torch.arange(N), query]
    logits = model.segmentor.boundary_refiner(chosen[None], look.mask_features)[0]
    return {"scores": scores, "query": query, "logits": logits, "masks": masks, "S": S[0], "C": C[0], "valid": valid[0]}


def evaluate(model: FlowSeg, prompt: Prompt, scenes: Scenes, count: int) -> list[dict]:
    """One row a sentence: kind, text, intersection, union, and the same of the best candidate"""
    rows = []
    for i in range(min(count, len(scenes))):
        sentences, ids = scenes.sentences[i], torch.from_numpy(np.array(scenes.ids[i]))
        out = answer(model, prompt, np.array(scenes.images[i]), [s["text"] for s in sentences])
        chosen = upsample(out["logits"], ids.shape) > 0
        for n, s in enumerate(sentences):
            truth = ids == s["target"] + 1
            every = upsample(out["masks"][n], ids.shape) > 0
            I, U = (every & truth).sum((1, 2)), (every | truth).sum((1, 2)).clamp(min=1)
            best = int((I / U).argmax())
            rows.append({
                "scene": i, "kind": s["kind"], "text": s["text"], "target": s["target"],
                "I": int((chosen[n] & truth).sum()), "U": int((chosen[n] | truth).sum()),
                "bestI": int(I[best]), "bestU": int(U[best]), "score": float(out["scores"][n].max()),
            })
    return rows


def summary(rows: list[dict]) -> dict:
    def of(part: list[dict]) -> dict:
        I, U = np.array([r["I"] for r in part]), np.array([r["U"] for r in part])
        bI, bU = np.array([r["bestI"] for r in part]), np.array([r["bestU"] for r in part])
        iou = np.where(U > 0, I / np.maximum(U, 1), 1)
        return {"sentences": len(part), "cIoU": round(float(I.sum() / U.sum()), 4), "gIoU": round(float(iou.mean()), 4),
                "IoU>=0.5": round(float((iou >= 0.5).mean()), 4), "oracle cIoU": round(float(bI.sum() / bU.sum()), 4)}

    table = {"all": of(rows)}
    for kind in KINDS:
        if part := [r for r in rows if r["kind"] == kind]:
            table[kind] = of(part)
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
    rows = evaluate(model, Prompt(weights, model.config), Scenes(args.data), args.scenes)
    table = summary(rows)
    for kind, r in table.items():
        print(f"{kind:10}", "  ".join(f"{k} {v}" for k, v in r.items()))
    if args.out:
        Path(args.out).write_text(json.dumps(table, indent=2) + "\n")
        Path(args.out).with_suffix(".rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
