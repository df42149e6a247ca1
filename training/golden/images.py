"""Preparing images: Pillow's resize, and the image processors of SigLIP and SAM (transformers)."""

import numpy as np
import torch
from PIL import Image
from transformers import SamImageProcessor, SiglipImageProcessor

from .golden import Golden

BILINEAR = Image.Resampling.BILINEAR


def resize(_small: dict) -> Golden:
    golden = Golden(
        "resize", "Pillow, Image.resize with BILINEAR",
        "Bytes of `image` resized; entry HxW. Rounded to bytes after each pass, so compare with rtol 1e-9: no byte differs.",
    )  # fmt: skip
    image = Image.fromarray(golden.image("image", [61, 97, 3]))
    # Rows first, as Pillow's resize was until 13, which begins with the columns where that is less work
    for h, w in ((1, 1), (7, 200), (122, 31), (61, 40), (30, 97), (97, 97), (183, 291), (60, 60)):
        golden.add(f"{h}x{w}", torch.from_numpy(np.array(image.resize((w, 61), BILINEAR).resize((w, h), BILINEAR))), "H W C")
    return golden


def preprocess(small: dict) -> Golden:
    golden = Golden(
        "preprocess", "transformers SiglipImageProcessor and SamImageProcessor with resample bilinear",
        "From 8-bit images to what the encoders read: *.siglip squashed to the square, *.sam with its longest side at "
        "the square's, the rest zero after normalisation; facts say its size inside the square, [height, width].",
    )  # fmt: skip
    side, square = small["siglip"]["image"], small["sam"]["image"]
    siglip = SiglipImageProcessor(size=dict(height=side, width=side), resample=BILINEAR)
    sam = SamImageProcessor(
        size=dict(longest_edge=square), pad_size=dict(height=square, width=square), resample=BILINEAR
    )
    for name, shape in dict(wide=[47, 83, 3], tall=[211, 150, 3], tiny=[3, 2, 3], square=[128, 128, 3]).items():
        image = Image.fromarray(golden.image(name, shape))
        for branch, processor in (("siglip", siglip), ("sam", sam)):
            out = processor(image, return_tensors="pt", input_data_format="channels_last")
            golden.add(f"{name}.{branch}", out["pixel_values"][0].permute(1, 2, 0), "H W C")
        golden.fact(f"{name}.scaledSize", out["reshaped_input_sizes"][0].tolist())
    return golden


FILES = [resize, preprocess]
