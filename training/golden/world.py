"""The distance of an image from those of training, by the functions of training/flowseg/world.py."""

import torch

from ..flowseg import FlowSeg
from ..flowseg.world import distance, features_of
from .golden import Golden, load_weights
from .reference import SOURCE, Exactly
from .segmentor import first


def world(small: dict) -> Golden:
    golden = Golden(
        "world", SOURCE,
        "features: mean and standard deviation of each channel of the image's rows, SigLIP's, then SAM's. distance: how "
        "far the features are from `mean` along the `axes`, in `scale`, and beside them, in facts.rest.",
    )  # fmt: skip
    model = load_weights(FlowSeg(small), "")
    F, K = 4 * small["llm"]["hidden"], 5
    known = dict(
        mean=golden.input("mean", [F], "F", 0.5, 0.2),
        axes=golden.input("axes", [K, F], "K F", 0.1),
        scale=golden.input("scale", [K], "K", 0.2, 0.5),
    )
    known = {name: x.numpy() for name, x in known.items()} | dict(rest=6.5)
    golden.fact("rest", known["rest"])
    for name, scale in (("faint", 0.1), ("plain", 1.0), ("harsh", 4.0)):
        semantic = golden.input(f"{name}.semantic", [small["siglip"]["image"]] * 2 + [3], "H W C", scale)
        pixels = golden.input(f"{name}.pixels", [small["sam"]["image"]] * 2 + [3], "H W C", scale)
        with Exactly():
            rows = model.look(first(semantic), first(pixels)).rows
            siglip = (small["siglip"]["image"] // small["siglip"]["patch"]) ** 2
            x = features_of(rows, siglip)
        golden.add(f"{name}.features", x[0], "F")
        golden.add(f"{name}.distance", torch.from_numpy(distance(x.numpy(), known)), "1")
    return golden


FILES = [world]
