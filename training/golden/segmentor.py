"""Mask2Former's pixel decoder and transformer decoder (transformers): the segmentor without FlowSeg's additions."""

import torch
from torch.nn.functional import interpolate
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerPixelDecoder,
    Mask2FormerSinePositionEmbedding,
    Mask2FormerTransformerModule,
)

from .golden import Float64Throughout, Golden, layer_outputs, load_weights


def mask2former_config(c: dict) -> Mask2FormerConfig:
    return Mask2FormerConfig(
        feature_size=c["hidden"], mask_feature_size=c["hidden"], hidden_dim=c["hidden"],
        num_attention_heads=c["heads"], encoder_layers=c["pixelLayers"], encoder_feedforward_dim=c["pixelMlp"],
        decoder_layers=c["decoderLayers"] + 1, dim_feedforward=c["decoderMlp"], num_queries=c["queries"],
        dropout=0.0, feature_strides=[8, 16, 32], common_stride=4, pre_norm=False,
    )  # fmt: skip


TRUE = dict(
    hidden=256, heads=8, queries=200, pixelLayers=2, pixelMlp=1024, decoderLayers=1, decoderMlp=2048
)


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels-first image into the modules."""
    return x.permute(2, 0, 1)[None]


def last(x: torch.Tensor) -> torch.Tensor:
    """[1, C, H, W] to [H, W, C]."""
    return x[0].permute(1, 2, 0)


# Pixel decoder


def pixel_decoder_model(c: dict, channels: list[int], dtype: str = "f32") -> Mask2FormerPixelDecoder:
    module = Mask2FormerPixelDecoder(mask2former_config(c), feature_channels=channels)
    return load_weights(module, "segmentor.pixel_decoder.", dtype)


def run_pixel_decoder(golden: Golden, c: dict, channels: list[int], sides: list[tuple[int, int]]) -> Golden:
    names = ("f8", "f16", "f32")
    features = [golden.input(n, [h, w, ch], "H W C") for n, (h, w), ch in zip(names, sides, channels)]
    model = pixel_decoder_model(c, channels, golden.weights)
    layers = layer_outputs(model.encoder.layers)
    model.encoder.register_forward_pre_hook(
        lambda _m, _a, kw: golden.add("projected", kw["inputs_embeds"][0], "N C"), with_kwargs=True
    )
    with Float64Throughout():
        out = model([first(f) for f in features])
    for i, x in enumerate(layers, 1):
        golden.add(f"layer.{i}", x[0], "N C")
    golden.add("maskFeatures", last(out.mask_features), "H W C")
    return golden


PIXEL = (
    "Deformable encoder and FPN. N runs over the levels of stride 32, 16, 8 in this order, row-major within each; "
    "`projected` is the input of the first layer, the last layer is P0 | P1 | P2."
)


def pixel_decoder_small(small: dict) -> Golden:
    golden = Golden("pixel-decoder-small", "transformers Mask2FormerPixelDecoder, float64", PIXEL)
    return run_pixel_decoder(golden, small["head"], small["features"], [(16, 16), (8, 8), (4, 4)])


def pixel_decoder_wide(small: dict) -> Golden:
    golden = Golden("pixel-decoder-wide", "transformers Mask2FormerPixelDecoder, float64", PIXEL + " Maps are not square.")
    return run_pixel_decoder(golden, small["head"], small["features"], [(12, 20), (6, 10), (3, 5)])


def pixel_decoder_true(_small: dict) -> Golden:
    about = PIXEL + " True width (256, 8 heads, MLP 1024) and sizes, two layers of the six."
    golden = Golden("pixel-decoder-true", "transformers Mask2FormerPixelDecoder, float64", about, weights="bf16")
    return run_pixel_decoder(golden, TRUE, [512, 1024, 2048], [(128, 128), (64, 64), (32, 32)])


def sine(_small: dict) -> Golden:
    golden = Golden(
        "sine", "transformers Mask2FormerSinePositionEmbedding, float64",
        "The sine position embedding alone: entry CxHxW for C channels of an H x W map. No weights, no inputs.",
    )  # fmt: skip
    for c, h, w in ((64, 4, 4), (64, 3, 5), (256, 32, 32)):
        module = Mask2FormerSinePositionEmbedding(c // 2, normalize=True)
        with Float64Throughout():
            golden.add(f"{c}x{h}x{w}", last(module(torch.Size([1, c, h, w]), "cpu", torch.float64)), "H W C")
    return golden


# Transformer decoder


def decoder_model(c: dict, dtype: str = "f32") -> Mask2FormerTransformerModule:
    return load_weights(Mask2FormerTransformerModule(c["hidden"], mask2former_config(c)), "segmentor.decoder.", dtype)


def decoder_inputs(golden: Golden, d: int, sides: list[tuple[int, int]], offset: float = 0.0, scale: float = 1.0):
    """P0 (stride 32), P1, P2, the mask features and the segmentation embedding S."""
    levels = [golden.input(f"p{i}", [h, w, d], "H W C") for i, (h, w) in enumerate(sides)]
    mask_features = golden.input("maskFeatures", [*sides[2], d], "H W C", scale, offset)
    return levels, mask_features, golden.input("s", [d], "C")


def blocked(mask_logits: torch.Tensor, side) -> tuple[torch.Tensor, float]:
    """[Q, H, W] logits to [Q, N], 1 where attention is blocked; and the smallest |logit| relative to their rms."""
    small = interpolate(mask_logits[None], size=side, mode="bilinear", align_corners=False)[0].flatten(1)
    return (small < 0).double(), float(small.abs().min() / small.square().mean().sqrt())


def note_masks(golden: Golden, masks: list[torch.Tensor], sides):
    """Records the attention masks of layers 1.. and facts about them.

    A logit near zero could fall on the other side in float32 and change everything after it, so a case whose
    smallest one is within reach of rounding is refused: choose another stream.
    """
    rows, margins = [], []
    for i, mask in enumerate(masks[:-1]):
        block, margin = blocked(mask, sides[i % 3])
        golden.add(f"blocked.{i + 1}", block, "Q N")
        rows.append(int((block.mean(1) == 1).sum()))
        margins.append(float(f"{margin:.2g}"))
    golden.fact("fullyBlockedRows", rows)
    golden.fact("smallestLogitOverRms", margins)
    assert min(margins) > 3e-6, f"{golden.name}: a mask logit is within rounding of the threshold ({margins})"


def run_decoder(golden: Golden, c: dict, levels, mask_features, s, sides) -> Golden:
    model = decoder_model(c, golden.weights)
    model.queries_features.weight += s
    with Float64Throughout():
        out = model([first(x) for x in levels], first(mask_features), output_hidden_states=True)
    for i, q in enumerate(out.hidden_states):
        golden.add(f"query.{i}", q[:, 0], "Q C")
    masks = [m[0] for m in out.masks_queries_logits]
    for i, mask in enumerate(masks):
        golden.add(f"mask.{i}", mask, "Q H W")
    golden.add("normed", out.intermediate_hidden_states[-1][:, 0], "Q C")
    note_masks(golden, masks, sides)
    return golden


DECODER = (
    "Transformer decoder without the flow (X-SAM's baseline); s is added to every row of queries_features. query.l and "
    "mask.l are the un-normed queries and the mask logits after layer l (0: before the first), blocked.l the "
    "attention mask layer l starts from (1 = blocked, before rows that are blocked everywhere are opened), normed the "
    "last queries after decoder.layernorm."
)
BASELINE = "transformers Mask2FormerTransformerModule, float64"


def decoder_small(small: dict) -> Golden:
    golden, sides = Golden("decoder-small", BASELINE, DECODER), [(4, 4), (8, 8), (16, 16)]
    return run_decoder(golden, small["head"], *decoder_inputs(golden, small["head"]["hidden"], sides), sides)


def decoder_blocked(small: dict) -> Golden:
    about = DECODER + " The mask features have an offset, so that many rows are blocked everywhere."
    golden, sides = Golden("decoder-blocked", BASELINE, about), [(4, 4), (8, 8), (16, 16)]
    inputs = decoder_inputs(golden, small["head"]["hidden"], sides, offset=2.0)
    return run_decoder(golden, small["head"], *inputs, sides)


def decoder_wide(small: dict) -> Golden:
    golden, sides = Golden("decoder-wide", BASELINE, DECODER + " Maps are not square."), [(3, 5), (6, 10), (12, 20)]
    return run_decoder(golden, small["head"], *decoder_inputs(golden, small["head"]["hidden"], sides), sides)


def decoder_true(_small: dict) -> Golden:
    about = DECODER + " True width (256, 8 heads, MLP 2048, 200 queries) and sizes, one layer of the nine."
    golden, sides = Golden("decoder-true", BASELINE, about, weights="bf16"), [(32, 32), (64, 64), (128, 128)]
    return run_decoder(golden, TRUE, *decoder_inputs(golden, 256, sides), sides)


FILES = [
    sine, pixel_decoder_small, pixel_decoder_wide, pixel_decoder_true,
    decoder_small, decoder_blocked, decoder_wide, decoder_true,
]  # fmt: skip
