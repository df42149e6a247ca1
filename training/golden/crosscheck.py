"""Holds training/flowseg against transformers, part by part, same weights and inputs, in float64.

    python -m training.golden.crosscheck

Both sides compute in float64, so agreement is about 1e-13; anything above 1e-9 is a disagreement.
Also holds the flow against its own definition where transformers has nothing (spec 14, item 8).
"""

import re
import sys

import torch

from ..flowseg import FlowSeg
from .counter import counter_tensor
from .golden import layer_outputs, load_weights, rms_error
from .language import language_model
from .make_all import small_config
from .reference import SIDES, Exactly
from .segmentor import decoder_model, first, pixel_decoder_model
from .vision import sam_model, siglip_model

failed = False


def report(part: str, ours, theirs):
    global failed
    worst = max(rms_error(a, b) for a, b in zip(ours, theirs, strict=True))
    failed |= not worst < 1e-9
    print(f"{part:56} {worst:.1e}{'' if worst < 1e-9 else '   DISAGREES'}")


def random(name: str, shape, scale: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(counter_tensor(f"input.crosscheck.{name}", shape, scale, offset)).double()


def neutralise(decoder):
    """The flow without effect: gates say all visual, nothing flows back (spec 8.2)."""
    for layer in decoder.decoder.layers:
        layer.semantic_gate.weight.zero_()
        layer.semantic_gate.bias.fill_(1000.0)
        layer.condition_attn.out_proj.weight.zero_()
        layer.condition_attn.out_proj.bias.zero_()


def check_encoders(small: dict, model: FlowSeg):
    image = first(random("semantic", [60, 60, 3]))
    theirs = siglip_model(small["siglip"])(image, output_hidden_states=True).hidden_states[-2]
    report("SigLIP, hidden state [-2]", [model.vision_encoder(image)], [theirs])

    image, theirs = first(random("pixels", [128, 128, 3])), sam_model(small["sam"])
    hidden = layer_outputs(theirs.layers)
    theirs(image)
    report("SAM, every layer", model.segmentor.encoder(image), hidden)


def check_language(c: dict, model: FlowSeg):
    x = random("embeds", [2, 37, c["hidden"]])
    theirs = language_model(c)
    hidden = layer_outputs(theirs.layers)
    out = theirs(inputs_embeds=x).last_hidden_state
    causal = torch.ones(37, 37, dtype=torch.bool).tril()[None, None]
    ours = model.llm(x, torch.arange(37), causal)
    report(f"{c['type']}, every layer and the norm", ours[1:], [*hidden[:-1], out])


def check_pixel_decoder(small: dict, model: FlowSeg):
    theirs = pixel_decoder_model(small["head"], small["features"])
    for sides in ([(16, 16), (8, 8), (4, 4)], [(12, 20), (6, 10), (3, 5)]):
        maps = [first(random(f"f{c}", [h, w, c])) for (h, w), c in zip(sides, small["features"])]
        out = theirs(maps)
        levels, mask_features = model.segmentor.pixel_decoder(maps[::-1])
        expected = [x.flatten(2).transpose(1, 2) for x in out.multi_scale_features]
        report(f"pixel decoder, finest level {sides[0]}", [*levels, mask_features], [*expected, out.mask_features])


def check_decoder(small: dict, model: FlowSeg):
    c, decoder = small["head"], model.segmentor.decoder
    d = c["hidden"]
    theirs, s, condition = decoder_model(c), random("s", [d]), random("condition", [5, d])
    theirs.queries_features.weight += s
    for sides in (SIDES, [(3, 5), (6, 10), (12, 20)]):
        for offset in (0.0, 2.0):
            levels = [random(f"p{i}", [h, w, d]) for i, (h, w) in enumerate(sides)]
            mask_features = first(random("maskFeatures", [*sides[2], d], 1.0, offset))
            out = theirs([first(x) for x in levels], mask_features)
            flat = [x.flatten(0, 1)[None] for x in levels]
            predictions = decoder(flat, sides, mask_features, s[None, None], condition[None, None])
            ours = [p.output[0, 0] for p in predictions]
            ours += [torch.einsum("qc,chw->qhw", p.embedding[0, 0], mask_features[0]) for p in predictions]
            expected = [q[:, 0] for q in out.intermediate_hidden_states] + [m[0] for m in out.masks_queries_logits]
            report(f"decoder, flow neutralised, {sides[2]}, offset {offset}", ours, expected)
            phrases = [p.phrase[0, 0] for p in predictions]
            report("  its phrase vector stays the mean of C(0)", phrases, [condition.mean(0)] * len(phrases))


def attend(module, q, k, v):
    """torch's own attention with the reference's packed weights."""
    theirs = torch.nn.MultiheadAttention(q.shape[-1], module.heads, batch_first=True).double()
    theirs.load_state_dict(module.state_dict())
    return theirs(q[None], k[None], v[None])[0][0]


def check_flow(small: dict, model: FlowSeg):
    """One layer written again from the spec's eight steps (8.2), with torch's attention."""
    d, decoder = small["head"]["hidden"], model.segmentor.decoder
    layer, pos = decoder.decoder.layers[1], decoder.queries_embedder.weight
    Q, C, F, Fpos = (random(n, s) for n, s in (("Q", [12, d]), ("C", [5, d]), ("F", [64, d]), ("Fpos", [64, d])))

    Qv = layer.cross_attn_layer_norm(Q + attend(layer.cross_attn, Q + pos, F + Fpos, F))
    Qsem = attend(layer.semantic_attn, Qv + pos, C, C)
    g = torch.sigmoid(layer.semantic_gate(torch.cat([Qv, Qsem], -1)))
    Qf = g * Qv + (1 - g) * Qsem
    split = layer.self_attn
    packed = torch.nn.MultiheadAttention(d, split.heads, batch_first=True).double()
    packed.in_proj_weight.copy_(torch.cat([split.q_proj.weight, split.k_proj.weight, split.v_proj.weight]))
    packed.in_proj_bias.copy_(torch.cat([split.q_proj.bias, split.k_proj.bias, split.v_proj.bias]))
    packed.out_proj.load_state_dict(split.out_proj.state_dict())
    Qs = layer.self_attn_layer_norm(Qf + packed((Qf + pos)[None], (Qf + pos)[None], Qf[None])[0][0])
    Qn = layer.final_layer_norm(Qs + layer.fc2(layer.fc1(Qs).relu()))
    Cn = C + attend(layer.condition_attn, C, Qs + pos, Qs)

    everywhere = torch.ones(1, 1, 12, 64, dtype=torch.bool)
    ours = layer(Q[None, None], pos, (F + Fpos)[None], F[None], everywhere, C[None], None, True)
    report("flow layer: queries, condition, gate", [ours[0][0, 0], ours[1][0], ours[2][0]], [Qn, Cn, g])

    # Two sentences in one batch, one padded, are two sentences alone
    levels = [random(f"p{i}", [h * w, d])[None] for i, (h, w) in enumerate(SIDES)]
    mask_features, s = first(random("maskFeatures", [16, 16, d])), random("ss", [2, d])
    conditions = random("cs", [2, 5, d])
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    both = decoder(levels, SIDES, mask_features, s[None], conditions[None], valid[None])[-1]
    for i, k in enumerate((5, 3)):
        alone = decoder(levels, SIDES, mask_features, s[None, i : i + 1], conditions[None, i : i + 1, :k])[-1]
        report(
            f"flow decoder, sentence {i + 1} of a padded batch = alone",
            [both.output[0, i], both.embedding[0, i], both.phrase[0, i]],
            [alone.output[0, 0], alone.embedding[0, 0], alone.phrase[0, 0]],
        )


def check_boundary(small: dict, model: FlowSeg):
    """BAR pixel by pixel from the spec's formula (8.4)."""
    d, refiner = small["head"]["hidden"], model.segmentor.boundary_refiner
    features, logits = random("barFeatures", [13, 19, d]), random("barLogits", [13, 19], 0.3)
    comp = (features @ refiner.compress.weight[:, :, 0, 0].T + refiner.compress.bias).relu()
    stack = torch.cat([logits[..., None], comp], -1).permute(2, 0, 1)[None]
    r = refiner.refine[2](refiner.refine[0](stack).relu())[0, 0]
    p, band = logits.sigmoid(), torch.zeros(13, 19, dtype=torch.float64)
    for y in range(13):
        for x in range(19):
            window = p[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            band[y, x] = float(window.max() - window.min() > 0.1)
    expected = logits + refiner.alpha * torch.tanh(r) * band
    report("boundary refiner", [refiner(logits[None, None], first(features))[0, 0]], [expected])


def check_connector(small: dict, model: FlowSeg):
    """Shuffles as index formulas (spec 4.4) around the branches as plain matrix products."""
    taps = [random(f"tap{i}", [8, 8, 32]) for i in range(3)]

    def branch(j, x):
        m = model.seg_connector.model[j].model
        norm = torch.nn.functional.layer_norm
        x = norm(x @ m[0].weight[:, :, 0, 0].T, [16], m[1].weight, m[1].bias, 1e-6)
        padded, w = torch.nn.functional.pad(x, (0, 0, 1, 1, 1, 1)), m[2].weight
        x = sum(padded[dy : dy + 8, dx : dx + 8] @ w[:, :, dy, dx].T for dy in range(3) for dx in range(3))
        x = norm(x, [16], m[3].weight, m[3].bias, 1e-6)
        return norm(x @ m[4].weight[:, :, 0, 0].T, [len(m[4].weight)], m[5].weight, m[5].bias, 1e-6)

    a, b, c = (branch(j, x) for j, x in enumerate(taps))
    fine, coarse = torch.empty(16, 16, 16).double(), torch.empty(4, 4, 64).double()
    for y in range(16):
        for x in range(16):
            k = ((x % 2) * 2 + y % 2) * 16
            fine[y, x] = a[y // 2, x // 2, k : k + 16]
    for y in range(8):
        for x in range(8):
            k = ((y % 2) * 2 + x % 2) * 16
            coarse[y // 2, x // 2, k : k + 16] = c[y, x]
    report("connector", [f[0] for f in model.seg_connector([t[None] for t in taps])], [fine, b, coarse])


def check_names(small: dict, model: FlowSeg):
    """Every parameter that transformers' modules have under the same name has the same shape."""
    global failed
    c = small
    theirs = {}
    for prefix, module in (
        ("vision_encoder.", siglip_model(c["siglip"])), ("segmentor.encoder.", sam_model(c["sam"])),
        ("llm.model.", language_model(c["llm"])),
        ("segmentor.pixel_decoder.", pixel_decoder_model(c["head"], c["features"])),
        ("segmentor.decoder.", decoder_model(c["head"])),
    ):  # fmt: skip
        theirs |= {prefix + name: tuple(p.shape) for name, p in module.named_parameters()}
    ours = {name: tuple(p.shape) for name, p in model.named_parameters()}
    wrong = [n for n in theirs if n in ours and ours[n] != theirs[n]]
    missing = sorted(n for n in theirs if n not in ours)
    added = sorted(n for n in ours if n not in theirs)
    failed |= bool(wrong)
    print("shapes that differ:", wrong or "none")
    print("only in transformers:", *summarise(missing), sep="\n  ")
    print("only in training/flowseg:", *summarise(added), sep="\n  ")


def summarise(names):
    return sorted({re.sub(r"\.\d+\.", ".{i}.", n).rsplit(".", 1)[0] for n in names})


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    small = small_config()
    model = load_weights(FlowSeg(small), "")
    phi3 = load_weights(FlowSeg(small | dict(llm=small["phi3"])), "")
    with Exactly():
        check_encoders(small, model)
        check_language(small["llm"], model)
        check_language(small["phi3"], phi3)
        check_pixel_decoder(small, model)
        check_connector(small, model)
        check_flow(small, model)
        check_boundary(small, model)
        neutral = load_weights(FlowSeg(small), "")
        neutralise(neutral.segmentor.decoder)
        check_decoder(small, neutral)
    check_names(small, model)
    sys.exit(failed)


if __name__ == "__main__":
    main()
