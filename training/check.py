"""Our modules against the transformers library's, with the same random weights: differences are rounding.

    python check.py ../weights/flowseg-nano/config.json

The decoder is compared with the flow switched off (gates at 1, refreshing at 0), where it must be Mask2Former's.
"""

import sys

import torch
from transformers import Mask2FormerConfig, Qwen3Config, Qwen3Model, SamVisionConfig, SiglipVisionConfig
from transformers import SiglipVisionModel
from transformers.models.mask2former.modeling_mask2former import Mask2FormerPixelDecoder, Mask2FormerTransformerModule
from transformers.models.sam.modeling_sam import SamVisionEncoder

from flowseg import FlowSeg, load_config


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """largest difference over the largest value"""
    return float((a - b).abs().max() / b.abs().max())


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    c = load_config(sys.argv[1])
    model = FlowSeg(c).eval()
    for p in model.parameters():
        p += 0.03 * torch.randn_like(p)

    # 1. SAM: every layer
    s = c["sam"]
    theirs = SamVisionEncoder(SamVisionConfig(
        hidden_size=s["hidden"], num_hidden_layers=s["layers"], num_attention_heads=s["heads"], image_size=s["image"],
        patch_size=s["patch"], window_size=s["window"], global_attn_indexes=s["globalLayers"], mlp_dim=s["mlp"],
        output_channels=32, layer_norm_eps=s["eps"], attn_implementation="eager")).eval()
    theirs.load_state_dict(model.segmentor.encoder.state_dict(), strict=False)
    x = torch.randn(2, 3, s["image"], s["image"])
    expected = theirs(x, output_hidden_states=True).hidden_states[1:]
    print("sam", max(difference(a, b) for a, b in zip(model.segmentor.encoder(x), expected)))

    # 2. SigLIP: hidden_states[-2]
    s = c["siglip"]
    theirs = SiglipVisionModel(SiglipVisionConfig(
        hidden_size=s["hidden"], intermediate_size=s["mlp"], num_hidden_layers=s["layers"], image_size=s["image"],
        num_attention_heads=s["heads"], patch_size=s["patch"], layer_norm_eps=s["eps"])).eval()
    theirs.load_state_dict(model.vision_encoder.state_dict(), strict=False)
    x = torch.randn(2, 3, s["image"], s["image"])
    print("siglip", difference(model.vision_encoder(x), theirs(x, output_hidden_states=True).hidden_states[-2]))

    # 3. Qwen3
    s = c["llm"]
    theirs = Qwen3Model(Qwen3Config(
        vocab_size=s["vocab"], hidden_size=s["hidden"], intermediate_size=s["mlp"], num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"], num_key_value_heads=s["kvHeads"], head_dim=s["headDim"], rms_norm_eps=s["eps"],
        rope_theta=s["ropeTheta"])).eval()
    theirs.load_state_dict(model.llm.model.state_dict())
    x = torch.randn(1, 50, s["hidden"])
    causal = torch.ones(50, 50, dtype=torch.bool).tril()[None, None]
    print("qwen3", difference(model.llm(x, torch.arange(50), causal)[-1], theirs(inputs_embeds=x).last_hidden_state))

    # 4. Pixel decoder
    s, ch, grid = c["head"], c["connector"]["channels"], c["sam"]["image"] // c["sam"]["patch"]
    settings = Mask2FormerConfig(
        feature_size=s["hidden"], mask_feature_size=s["hidden"], hidden_dim=s["hidden"], num_queries=s["queries"],
        encoder_feedforward_dim=s["pixelMlp"], encoder_layers=s["pixelLayers"], decoder_layers=s["decoderLayers"] + 1,
        num_attention_heads=s["heads"], dropout=0.0, dim_feedforward=s["decoderMlp"], feature_strides=[4, 8, 16, 32])
    channels = [4 * ch[2], ch[1], ch[0] // 4]
    theirs = Mask2FormerPixelDecoder(settings, feature_channels=channels[::-1]).eval()
    theirs.load_state_dict(model.segmentor.pixel_decoder.state_dict(), strict=False)
    shapes = [(grid // 2, grid // 2), (grid, grid), (2 * grid, 2 * grid)]
    maps = [torch.randn(1, n, *shape) for n, shape in zip(channels, shapes)]
    expected = theirs(maps[::-1])
    levels, features = model.segmentor.pixel_decoder(maps)
    print("pixel decoder", difference(features, expected.mask_features), max(
        difference(a.transpose(1, 2).view_as(b), b) for a, b in zip(levels, expected.multi_scale_features)))

    # 5. Transformer decoder without the flow
    S = torch.randn(s["hidden"])
    theirs = Mask2FormerTransformerModule(in_features=s["hidden"], config=settings).eval()
    theirs.load_state_dict(model.segmentor.decoder.state_dict(), strict=False)
    theirs.queries_features.weight += S
    for layer in model.segmentor.decoder.decoder.layers:
        layer.semantic_gate.weight.zero_()
        layer.semantic_gate.bias.fill_(30.0)
        layer.condition_attn.out_proj.weight.zero_()
        layer.condition_attn.out_proj.bias.zero_()
    ours = model.segmentor.decoder(levels, shapes, features, S[None, None], torch.randn(1, 1, 5, s["hidden"]))
    expected = theirs(list(expected.multi_scale_features), expected.mask_features).masks_queries_logits
    print("decoder", max(
        difference(torch.einsum("qc,chw->qhw", p.embedding[0, 0], features[0]), e[0]) for p, e in zip(ours, expected)))


if __name__ == "__main__":
    main()
