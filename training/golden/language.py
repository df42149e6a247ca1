"""The language models: Qwen3 and Phi-3 (transformers), from input embeddings to the final norm."""

from transformers import Phi3Config, Phi3Model, Qwen3Config, Qwen3Model

from .golden import Float64Throughout, Golden, layer_outputs, load_weights

TYPES = {"qwen3": (Qwen3Config, Qwen3Model), "phi3": (Phi3Config, Phi3Model)}


def config_of(c: dict, cache: bool = False):
    Config, _ = TYPES[c["type"]]
    return Config(
        hidden_size=c["hidden"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
        num_key_value_heads=c["kvHeads"], head_dim=c["headDim"], intermediate_size=c["mlp"],
        vocab_size=c["vocab"], rope_theta=c["ropeTheta"], rms_norm_eps=c["eps"],
        tie_word_embeddings=c["tied"], sliding_window=c.get("window"), pad_token_id=None, bos_token_id=None, eos_token_id=None,
        attn_implementation="sdpa", use_cache=cache,
    )  # fmt: skip


def language_model(c: dict, dtype: str = "f32", unused=lambda name: name):
    _, Model = TYPES[c["type"]]
    with Float64Throughout():  # RoPE's frequencies are computed here
        model = Model(config_of(c))
    return load_weights(model, "llm.model.", dtype, unused)


def network(c: dict, name: str | None = None) -> Golden:
    golden = Golden(
        name or f"{c['type']}-small", f"transformers {TYPES[c['type']][1].__name__}, float64",
        "From input embeddings: the stream after each layer, then the output of the final norm. Causal, positions 0..36.",
    )  # fmt: skip
    embeds = golden.input("embeds", [37, c["hidden"]], "T C")
    model = language_model(c)
    hidden = layer_outputs(model.layers)
    with Float64Throughout():
        out = model(inputs_embeds=embeds[None]).last_hidden_state
    for i, x in enumerate(hidden, 1):
        golden.add(f"hidden.{i}", x[0], "T C")
    golden.add("output", out[0], "T C")
    return golden


def layer(c: dict, about: str) -> Golden:
    golden = Golden(
        f"{c['type']}-layer", f"transformers {TYPES[c['type']][1].__name__}, float64",
        f"Layer 0 at the true width ({about}), causal, positions 0..159; before the final norm.", weights="bf16",
    )  # fmt: skip
    x = golden.input("x", [160, c["hidden"]], "T C")
    model = language_model(c, "bf16", lambda name: name if name.startswith("layers.") else None)
    hidden = layer_outputs(model.layers)
    with Float64Throughout():
        model(inputs_embeds=x[None])
    golden.add("y", hidden[0][0], "T C")
    return golden


def qwen3_small(small: dict) -> Golden:
    return network(small["llm"])


def phi3_small(small: dict) -> Golden:
    return network(small["phi3"])


def phi3_window(small: dict) -> Golden:
    golden = network(small["phi3"] | dict(window=9), "phi3-window")
    golden.about += " A query sees 9 keys, its own included."
    return golden


def qwen3_layer(_small: dict) -> Golden:
    c = dict(type="qwen3", hidden=2560, layers=1, heads=32, kvHeads=8, headDim=128, mlp=9728, vocab=8, tied=True)
    return layer(c | dict(ropeTheta=5e6, eps=1e-6), "Qwen3-4B-Instruct-2507: 2560, 32/8 heads of 128, MLP 9728, theta 5e6")


def phi3_layer(_small: dict) -> Golden:
    c = dict(type="phi3", hidden=3072, layers=1, heads=32, kvHeads=32, headDim=96, mlp=8192, vocab=8, tied=False)
    return layer(c | dict(ropeTheta=1e4, eps=1e-5), "Phi-3-mini: 3072, 32 heads of 96, MLP 8192, theta 1e4")


FILES = [qwen3_small, phi3_small, phi3_window, qwen3_layer, phi3_layer]
