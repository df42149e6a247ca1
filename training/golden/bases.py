"""Published base models as `transformers` saves them, so small that they are kept, and what their encoders return.

    python -m training.golden.bases       writes test/fixtures/bases, about 260 KB

Each family is saved in another of the layouts that repositories have: whole models with the parts that FlowSeg leaves
out, shards with an index, PyTorch's own file, weights of 32 and 16 bits, tied and untied heads, an embedding with more
rows than tokens. Weights come from streams named as the tensors are in a FlowSeg checkpoint, so that a reader of the
files can tell each tensor from every other. The golden files are computed from the saved files, in float64.
"""

import json
import math
import shutil

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    SamConfig,
    SamModel,
    SiglipConfig,
    SiglipModel,
)

from .counter import weight_tensor
from .golden import FOLDER, Float64Throughout, Golden, layer_outputs

BASES = FOLDER.parent / "bases"
IDS = [5, 77, 200, 254, 130, 9, 256]


def fill(model: torch.nn.Module, renames: dict[str, str], dtype: str = "f32") -> torch.nn.Module:
    """Each tensor from the stream of its name in a FlowSeg checkpoint; those that have none, of their own name."""
    model.eval().requires_grad_(False)
    named = {id(tensor): (name, tensor) for name, tensor in reversed(model.state_dict(keep_vars=True).items())}
    for name, tensor in named.values():  # of shared ones, the first name
        ours = next((new + name.removeprefix(old) for old, new in renames.items() if name.startswith(old)), name)
        tensor.copy_(torch.from_numpy(weight_tensor(ours, tuple(tensor.shape), dtype)))
    return model


def siglip() -> SiglipModel:
    """Vision and text: 30 pixels a side are 3 patches of 8 and a rest of 6."""
    vision = dict(image_size=30, patch_size=8, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
                  intermediate_size=32)  # fmt: skip
    text = dict(vocab_size=32, max_position_embeddings=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=32)  # fmt: skip
    model = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    return fill(model, {"vision_model.": "vision_encoder.vision_model."})


def sam() -> SamModel:
    """Image encoder, prompt encoder and mask decoder; windows of 3 on a grid of 8."""
    vision = dict(image_size=64, patch_size=8, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2.0,
                  window_size=3, global_attn_indexes=[1, 3], output_channels=8, num_pos_feats=4)  # fmt: skip
    prompt = dict(hidden_size=8, image_size=64, patch_size=8, mask_input_channels=4)
    decoder = dict(hidden_size=8, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=8)
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder))
    own = {"vision_encoder.": "segmentor.encoder.", "shared_image_embedding.": "segmentor.shared_image_embedding."}
    return fill(model, own)


def qwen3() -> Qwen3ForCausalLM:
    """Tied, in bfloat16, with 13 rows of its embedding that belong to no token."""
    config = Qwen3Config(
        vocab_size=272, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, rope_theta=1e6, max_position_embeddings=4096, tie_word_embeddings=True,
        bos_token_id=256, eos_token_id=258,
    )  # fmt: skip
    return fill(Qwen3ForCausalLM(config), {"lm_head.": "llm.lm_head.", "model.": "llm.model."}, "bf16").bfloat16()


def phi3() -> Phi3ForCausalLM:
    """Untied, in float16, with as many rows as tokens."""
    config = Phi3Config(
        vocab_size=261, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=4096, sliding_window=2047, pad_token_id=257, bos_token_id=256, eos_token_id=257,
    )  # fmt: skip
    return fill(Phi3ForCausalLM(config), {"": "llm."}).half()


def save_tokenizer(folder, own: list[str], template: str) -> None:
    """Every byte a token, then those of the chat."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in own])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template).save_pretrained(
        folder, save_jinja_files=False
    )


def save() -> None:
    shutil.rmtree(BASES, ignore_errors=True)
    siglip().save_pretrained(BASES / "siglip")
    sam().save_pretrained(BASES / "sam", safe_serialization=False)
    qwen3().save_pretrained(BASES / "qwen3", max_shard_size="9KB")
    phi3().save_pretrained(BASES / "phi3")
    thinking = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    save_tokenizer(BASES / "qwen3", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], thinking)
    save_tokenizer(BASES / "phi3", ["<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"], "")
    for unread in BASES.glob("*/generation_config.json"):
        unread.unlink()
    for unread in BASES.glob("*/special_tokens_map.json"):
        unread.unlink()


def vision(name: str, Model, tower: str, about: str) -> Golden:
    """The stream after each layer of an image encoder."""
    golden = Golden(f"base-{name}", f"transformers {Model.__name__}, from its saved file, float64", about)
    model = Model.from_pretrained(BASES / name).double().eval()
    encoder = getattr(model, tower)
    side = model.config.vision_config.image_size
    pixels = golden.input("pixels", [side, side, 3], "H W C")
    hidden = layer_outputs(encoder.layers if name == "sam" else encoder.encoder.layers)
    with Float64Throughout(), torch.no_grad():
        encoder(pixels.permute(2, 0, 1)[None])
    for i, x in enumerate(hidden, 1):
        golden.add(f"hidden.{i}", x[0], "H W C" if name == "sam" else "N C")
    return golden


def base_siglip(_small: dict) -> Golden:
    return vision("siglip", SiglipModel, "vision_model", "The vision tower of a whole SigLIP; FlowSeg takes the last but one.")


def base_sam(_small: dict) -> Golden:
    return vision("sam", SamModel, "vision_encoder", "The image encoder of a whole SAM, whose neck FlowSeg leaves out.")


def language(name: str, Model, weights: str) -> Golden:
    golden = Golden(
        f"base-{name}", f"transformers {Model.__name__}, from its saved files, float64",
        "From token ids to the output of the final norm.", weights=weights,
    )  # fmt: skip
    golden.fact("ids", IDS)
    model = Model.from_pretrained(BASES / name).double().eval()
    with Float64Throughout(), torch.no_grad():
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config)  # its frequencies, in float64
        golden.add("output", model.model(torch.tensor([IDS])).last_hidden_state[0], "T C")
    return golden


def base_qwen3(_small: dict) -> Golden:
    return language("qwen3", Qwen3ForCausalLM, "bf16")


def base_phi3(_small: dict) -> Golden:
    return language("phi3", Phi3ForCausalLM, "f32")


FILES = [base_siglip, base_sam, base_qwen3, base_phi3]

if __name__ == "__main__":
    save()
    for path in sorted(BASES.glob("*/*")):
        print(f"{path.relative_to(BASES)}: {path.stat().st_size} bytes")
