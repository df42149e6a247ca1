"""Write what the language model reads of every image, once: FOLDER/rows.f16 [n, V, H], float16.

    python rows.py --data train0 val --weights ../weights/flowseg-nano

With the image encoders frozen, language.py trains on these rows alone.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import fast
from data import Scenes, sam_pixels, siglip_pixels
from evaluate import load


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(Path(args.weights), None)
    side = model.config["siglip"]["image"]

    for folder in map(Path, args.data):
        scenes, out, begin = Scenes(folder), None, time.time()
        for at in range(0, len(scenes), args.batch):
            images = np.array(scenes.images[at : at + args.batch])
            with torch.autocast("cpu", torch.bfloat16, enabled=fast.has_bfloat16()):
                rows = model.rows(model.segmentor.encoder(sam_pixels(images)), siglip_pixels(images, side)).float()
            if out is None:
                out = np.memmap(folder / "rows.tmp", np.float16, "w+", shape=(len(scenes), *rows.shape[1:]))
            out[at : at + args.batch] = rows.numpy()
            if at % 800 == 0:
                print(folder, at, f"{(at + args.batch) / (time.time() - begin):.1f} images/s", flush=True)
        (folder / "rows.tmp").rename(folder / "rows.f16")


if __name__ == "__main__":
    main()
