"""The two image encoders: SigLIP2's vision tower and SAM's ViT (transformers)."""

import torch
from transformers import SamVisionConfig, SiglipVisionConfig, SiglipVisionModel
from transformers.models.sam.modeling_sam import SamVisionEncoder, SamVisionLayer
from transformers.models.siglip.modeling_siglip import SiglipEncoderLayer

from .golden import Float64Throughout, Golden, layer_outputs, load_weights


def siglip_config(c: dict) -> SiglipVisionConfig:
    return SiglipVisionConfig(
        image_size=c["image"], patch_size=c["patch"], hidden_size=c["hidden"], num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"], intermediate_size=c["mlp"], layer_norm_eps=c["eps"],
        hidden_act="gelu_pytorch_tanh", vision_use_head=False, attn_implementation="sdpa",
    )  # fmt: skip


def siglip_model(c: dict, dtype: str = "f32") -> SiglipVisionModel:
    def unused(name):
        return None if "post_layernorm" in name else name

    return load_weights(SiglipVisionModel(siglip_config(c)), "vision_encoder.", dtype, unused)


def siglip_small(small: dict) -> Golden:
    c = small["siglip"]
    golden = Golden(
        "siglip-small", "transformers SiglipVisionModel, float64",
        "The vision tower: embeddings with positions, then the stream after each layer. FlowSeg takes the last but one.",
    )  # fmt: skip
    pixels = golden.input("pixels", [c["image"], c["image"], 3], "H W C")
    with Float64Throughout():
        out = siglip_model(c)(pixels.permute(2, 0, 1)[None], output_hidden_states=True)
    for i, hidden in enumerate(out.hidden_states):
        golden.add("embeddings" if i == 0 else f"hidden.{i}", hidden[0], "N C")
    return golden


def siglip_layer(_small: dict) -> Golden:
    golden = Golden(
        "siglip-layer", "transformers SiglipEncoderLayer, float64",
        "One layer at the true width (1152, 16 heads of 72, MLP 4304) over 27 x 27 tokens; weights of layer 0.",
        weights="bf16",
    )  # fmt: skip
    config = siglip_config(dict(image=384, patch=14, hidden=1152, layers=1, heads=16, mlp=4304, eps=1e-6))
    layer = load_weights(SiglipEncoderLayer(config), "vision_encoder.vision_model.encoder.layers.0.", "bf16")
    x = golden.input("x", [729, 1152], "N C")
    with Float64Throughout():
        y = layer(x[None], attention_mask=None)
    golden.add("y", (y[0] if isinstance(y, tuple) else y)[0], "N C")
    return golden


def sam_config(c: dict) -> SamVisionConfig:
    return SamVisionConfig(
        image_size=c["image"], patch_size=c["patch"], hidden_size=c["hidden"], num_hidden_layers=c["layers"],
        num_attention_heads=c["heads"], mlp_dim=c["mlp"], layer_norm_eps=c["eps"], window_size=c["window"],
        global_attn_indexes=c["globalLayers"], hidden_act="gelu", attn_implementation="sdpa",
    )  # fmt: skip


def sam_model(c: dict, dtype: str = "f32") -> SamVisionEncoder:
    def unused(name):
        return None if name.startswith("neck.") else name

    return load_weights(SamVisionEncoder(sam_config(c)), "segmentor.encoder.", dtype, unused)


def sam_small(small: dict) -> Golden:
    c = small["sam"]
    golden = Golden(
        "sam-small", "transformers SamVisionEncoder, float64",
        "The image encoder: embeddings with positions, then the stream after each layer. Windows of 3 on a grid of 8 "
        "(padded to 9), relative positions, layers 2 and 4 (from 1) global.",
    )  # fmt: skip
    pixels = golden.input("pixels", [c["image"], c["image"], 3], "H W C")
    model = sam_model(c)
    hidden = layer_outputs(model.layers)
    with Float64Throughout():
        image = pixels.permute(2, 0, 1)[None]
        embeddings = model.patch_embed(image) + model.pos_embed
        model(image)
    golden.add("embeddings", embeddings[0], "H W C")
    for i, x in enumerate(hidden, 1):
        golden.add(f"hidden.{i}", x[0], "H W C")
    return golden


def sam_layers(_small: dict) -> Golden:
    golden = Golden(
        "sam-layers", "transformers SamVisionLayer, float64",
        "Two layers at the true width (1024, 16 heads, MLP 4096) on the 64 x 64 grid, each applied to x: "
        "layer 0 in windows of 14 (padded to 70), layer 5 over all 4,096 tokens.",
        weights="bf16",
    )  # fmt: skip
    config = sam_config(
        dict(image=1024, patch=16, hidden=1024, layers=24, heads=16, mlp=4096, eps=1e-6, window=14, globalLayers=[])
    )
    x = golden.input("x", [64, 64, 1024], "H W C")
    for name, i, window in (("windowed", 0, 14), ("global", 5, 0)):
        layer = load_weights(SamVisionLayer(config, window), f"segmentor.encoder.layers.{i}.", "bf16")
        with Float64Throughout(), torch.no_grad():
            golden.add(name, layer(x[None])[0], "H W C")
    return golden


FILES = [siglip_small, siglip_layer, sam_small, sam_layers]
