"""What the PyTorch reference says about some images and sentences: the engine is held against this file.

    python reference.py --data val --weights ../weights/flowseg-nano --scenes 8 --sentences 4 --out val8.safetensors

Per pair n: `image.{n}` [256, 256, 3] u8 (once a scene, `scene.{n}` says which), `C.{n}` [K, d], `S.{n}` [d],
`scores.{n}` [Q], `query.{n}`, `logits.{n}` [h, w] after boundary refinement, `mask.{n}` packed bits of the
final mask, row by row, first pixel in the highest bit. Sentences are in the metadata as JSON.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from data import Prompt, Scenes, sam_pixels, siglip_pixels
from evaluate import load
from flowseg.whole import upsample


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--sentences", type=int, default=4)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(Path(args.weights), None)
    prompt, scenes = Prompt(args.weights, model.config), Scenes(args.data)

    tensors, texts = {}, []
    for i in range(args.scenes):
        image = np.array(scenes.images[i])
        tensors[f"image.{i}"] = torch.from_numpy(image)
        with torch.no_grad():
            look = model.look(siglip_pixels(image[None], model.config["siglip"]["image"]), sam_pixels(image[None]))
        for sentence in scenes.sentences[i][: args.sentences]:
            n = len(texts)
            ids = prompt.after(sentence["text"])
            C, S = model.read(look.rows, torch.tensor(prompt.before), torch.tensor(ids), prompt.span(ids))
            out = model.segment(look, C, S)
            mask = upsample(out["logits"], image.shape[:2])[0] > 0
            texts.append({"scene": i, "text": sentence["text"], "ids": ids})
            tensors |= {
                f"C.{n}": C, f"S.{n}": S, f"scores.{n}": out["scores"], f"query.{n}": torch.tensor(out["query"]),
                f"logits.{n}": out["logits"], f"mask.{n}": torch.from_numpy(np.packbits(mask.numpy())),
                f"scene.{n}": torch.tensor(i),
            }
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, args.out,
              metadata={"sentences": json.dumps(texts)})
    print(f"{len(texts)} pairs of {args.scenes} scenes")


if __name__ == "__main__":
    main()
