"""Writes the answers of the PyTorch reference about scenes, which the engine is compared with.

    python reference.py --data test --weights ../weights/flowseg-nano --out answers.jsonl [--scenes 8]
    python reference.py --data test --weights ../weights/flowseg-nano --out queries.json --jpeg FOLDER --scenes 6

Each line is one of `flowseg eval --dump`: {scene, sentence, kind, query, score, iou, runs}, the mask as lengths
of runs, zeros first. Sentences go one by one through the plain reference, nothing shared or reordered;
tools/agreement.mjs compares two such files, test/e2e/nano.test.ts the engine with a few of the lines.
With --jpeg the pixels are those of FOLDER/0.jpg, FOLDER/1.jpg and so on, as Pillow decodes them, and a list of the chosen
queries is written for each scene.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data import Prompt, Scenes, sam_pixels, siglip_pixels
from evaluate import load
from flowseg.whole import upsample


def runs(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[0], mask.ravel().astype(np.int8)])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(flat)), [mask.size]])
    return np.diff(edges).tolist()


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--scenes", type=int, default=10**9)
    parser.add_argument("--out", required=True)
    parser.add_argument("--jpeg")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(Path(args.weights), None)
    prompt, scenes = Prompt(args.weights, model.config), Scenes(args.data)
    before = torch.tensor(prompt.before)

    lines = []
    for i in range(min(args.scenes, len(scenes))):
        ids = np.array(scenes.ids[i])
        jpeg = args.jpeg and Image.open(Path(args.jpeg) / f"{i}.jpg").convert("RGB")
        image = np.array(jpeg or scenes.images[i])
        look = model.look(siglip_pixels(image[None], model.config["siglip"]["image"]), sam_pixels(image[None]))
        for s in scenes.sentences[i]:
            after = prompt.after(s["text"])
            C, S = model.read(look.rows, before, torch.tensor(after), prompt.span(after))
            out = model.segment(look, C, S)
            mask = (upsample(out["logits"], ids.shape)[0] > 0).numpy()
            truth = ids == s["target"] + 1
            lines.append({"scene": i, "sentence": s["text"], "kind": s["kind"], "query": out["query"],
                          "score": round(float(out["scores"].max()), 6),
                          "iou": round(float((mask & truth).sum() / (mask | truth).sum()), 6), "runs": runs(mask)})
    compact = lambda value: json.dumps(value, separators=(",", ":"))
    if args.jpeg:
        queries = [[line["query"] for line in lines if line["scene"] == i] for i in range(lines[-1]["scene"] + 1)]
        Path(args.out).write_text("[\n  " + ",\n  ".join(map(compact, queries)) + "\n]\n")
    else:
        Path(args.out).write_text("".join(compact(line) + "\n" for line in lines))
    print(f"{len(lines)} sentences about {lines[-1]['scene'] + 1} scenes")


if __name__ == "__main__":
    main()
