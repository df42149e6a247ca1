"""Write what the language model reads of every image, once: FOLDER/rows.f16 [n, V, H], float16.

    python rows.py --data train0 val --weights ../weights/flowseg-nano [--maps]

With the image encoders frozen, the language model trains on these rows alone. With --maps, what the decoder reads is
written as well: FOLDER/maps.f16 [n, ..], levels and mask features, 1.2 MB an image.
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
    parser.add_argument("--maps", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(Path(args.weights), None)
    side = model.config["siglip"]["image"]

    for folder in map(Path, args.data):
        scenes, begin = Scenes(folder), time.time()
        files: dict[str, np.memmap] = {}
        for at in range(0, len(scenes), args.batch):
            images = np.array(scenes.images[at : at + args.batch])
            with torch.autocast("cpu", torch.bfloat16, enabled=fast.has_bfloat16()):
                taps = model.segmentor.encoder(sam_pixels(images))
                parts = {"rows": model.rows(taps, siglip_pixels(images, side))}
                if args.maps:
                    levels, _, features = model.maps(taps)
                    parts["maps"] = torch.cat([*(l.flatten(1) for l in levels), features.flatten(1)], 1)
            for name, x in parts.items():
                if name not in files:
                    shape = (len(scenes), *x.shape[1:])
                    files[name] = np.memmap(folder / f"{name}.tmp", np.float16, "w+", shape=shape)
                files[name][at : at + args.batch] = x.float().numpy()
            if at % 800 == 0:
                print(folder, at, f"{(at + args.batch) / (time.time() - begin):.1f} images/s", flush=True)
        for name in files:
            (folder / f"{name}.tmp").rename(folder / f"{name}.f16")


if __name__ == "__main__":
    main()
