"""The words of a language model: greedy generation by transformers, with the states that C and S are taken from."""

import torch
from transformers import Phi3ForCausalLM, Qwen3ForCausalLM

from .golden import Float64Throughout, Golden, load_weights
from .language import config_of

MODELS = {"qwen3": Qwen3ForCausalLM, "phi3": Phi3ForCausalLM}
PREFIX, TEXT, TOKENS = 20, 17, 48
# Float32 must not decide between two tokens: the least lead of the likeliest over the next
LEAD = 1e-3


def words(c: dict) -> Golden:
    golden = Golden(
        f"{c['type']}-words", f"transformers {MODELS[c['type']].__name__}.generate, float64, greedy",
        f"{PREFIX} rows before, {TEXT} rows of text, then {TOKENS} tokens; `states` are those of the text's rows and of all "
        "tokens but the last, after the final norm.",
    )  # fmt: skip
    embeds = golden.input("embeds", [PREFIX + TEXT, c["hidden"]], "T C")
    with Float64Throughout():
        model = MODELS[c["type"]](config_of(c, cache=True))
    # A tied head is one parameter under the name of the embedding
    load_weights(model, "llm.")
    model.generation_config.pad_token_id = 0
    with Float64Throughout():
        out = model.generate(
            inputs_embeds=embeds[None], max_new_tokens=TOKENS, do_sample=False, num_beams=1, eos_token_id=None,
            output_scores=True, output_hidden_states=True, return_dict_in_generate=True, use_cache=True,
        )  # fmt: skip
    leads = [float(top[0] - top[1]) for top in (score[0].topk(2).values for score in out.scores)]
    assert min(leads) > LEAD, f"{golden.name}: a lead of {min(leads):.1e} is too little"
    states = torch.cat([step[-1][0] for step in out.hidden_states])
    golden.fact("prefix", PREFIX)
    golden.fact("ids", out.sequences[0].tolist())
    golden.fact("leastLead", min(leads))
    golden.add("states", states[PREFIX:], "T C")
    golden.add("logits", torch.stack([score[0] for score in out.scores]), "T V")
    return golden


def qwen3_words(small: dict) -> Golden:
    return words(small["llm"])


def phi3_words(small: dict) -> Golden:
    return words(small["phi3"])


FILES = [qwen3_words, phi3_words]
