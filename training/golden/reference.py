"""FlowSeg's own parts and the whole model, from the PyTorch reference in training/flowseg.

crosscheck.py holds that reference against transformers wherever transformers has the part.
"""

import torch
from torch.nn.functional import interpolate

from ..flowseg import FlowSeg
from ..flowseg.boundary import BoundaryRefiner
from ..flowseg.connector import Connector, Projector, space_to_depth
from ..flowseg.decoder import Decoder
from ..flowseg.matching import ClassPredictor
from .golden import Float64Throughout, Golden, layer_outputs, load_weights
from .segmentor import blocked, decoder_inputs, first, last, note_masks

SOURCE = "training/flowseg, float64"
SIDES = [(4, 4), (8, 8), (16, 16)]


class Exactly(Float64Throughout):
    """Float64 for what the reference makes from nothing, too (arange + 0.5, ones)."""

    def __enter__(self):
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *error):
        torch.set_default_dtype(torch.float32)
        return super().__exit__(*error)


# Between the encoders and the segmentor


def connector(small: dict) -> Golden:
    c = small["connector"]
    golden = Golden(
        "connector", SOURCE,
        "tap2, tap3, tap4 are the streams after SAM's layers 2, 3, 4; f8, f16, f32 the pixel decoder's maps.",
    )  # fmt: skip
    taps = [golden.input(f"tap{i}", [8, 8, 32], "H W C") for i in small["sam"]["connectorLayers"]]
    module = load_weights(Connector(small["sam"]["hidden"], c["hidden"], c["channels"]), "seg_connector.")
    with Exactly():
        for name, x in zip(("f8", "f16", "f32"), module([t[None] for t in taps])):
            golden.add(name, x[0], "H W C")
    return golden


def projectors(small: dict) -> Golden:
    H, d, C = small["llm"]["hidden"], small["head"]["hidden"], small["sam"]["hidden"]
    golden = Golden(
        "projectors", SOURCE,
        "visual = visual_projector(siglip); tokens = space-to-depth of sam, seg = seg_projector(tokens); "
        "llm = llm_projector(states).",
    )  # fmt: skip
    siglip = golden.input("siglip", [16, small["siglip"]["hidden"]], "N C")
    sam = golden.input("sam", [8, 8, C], "H W C")
    states = golden.input("states", [7, H], "T C")
    with Exactly():
        tokens = space_to_depth(sam[None])[0].flatten(0, 1)
        golden.add("visual", load_weights(Projector(siglip.shape[1], H), "visual_projector.")(siglip), "N C")
        golden.add("tokens", tokens, "N C")
        golden.add("seg", load_weights(Projector(4 * C, H), "seg_projector.")(tokens), "N C")
        golden.add("llm", load_weights(Projector(H, d), "llm_projector.")(states), "T C")
    return golden


# Decoder with the flow

FLOW = (
    "Transformer decoder with the flow: C = condition, S = s. After layer l: query.l (un-normed), condition.l, mask.l, "
    "class.l (logits of phrase and background), inside it visual.l (Q_vis), semantic.l (Q_sem), gate.l; blocked.l is "
    "the attention mask layer l starts from, before rows that are blocked everywhere are opened."
)


def watch_decoder(decoder: Decoder) -> dict[str, list]:
    """The intermediate results of each layer, filled when the decoder runs."""
    layers = decoder.decoder.layers
    return dict(
        layer=layer_outputs(layers, keep=lambda out: out),
        visual=layer_outputs([layer.cross_attn_layer_norm for layer in layers]),
        semantic=layer_outputs([layer.semantic_attn for layer in layers]),
    )


def note_decoder(golden: Golden, seen: dict, predictions, mask_features, classes, sides):
    """mask_features [d, H, W], classes one [Q, 2] a prediction"""
    masks = [torch.einsum("qc,chw->qhw", p.embedding[0, 0], mask_features) for p in predictions]
    for i, ((Q, C, gate), visual, semantic) in enumerate(zip(seen["layer"], seen["visual"], seen["semantic"]), 1):
        golden.add(f"visual.{i}", visual[0], "Q C")
        golden.add(f"semantic.{i}", semantic[0], "Q C")
        golden.add(f"gate.{i}", gate[0], "Q C")
        golden.add(f"query.{i}", Q[0, 0], "Q C")
        golden.add(f"condition.{i}", C[0], "K C")
    for i, (mask, logits) in enumerate(zip(masks, classes)):
        golden.add(f"mask.{i}", mask, "Q H W")
        golden.add(f"class.{i}", logits, f"Q {logits.shape[1]}" if logits.shape[1] == 2 else "Q P+1")
    golden.fact("gateMeans", [float(f"{float(gate.mean()):.9g}") for _, _, gate in seen["layer"]])
    note_masks(golden, masks, sides)


def run_flow(golden: Golden, small: dict, offset: float = 0.0, positions: bool = True, spans=None) -> Golden:
    c = small["head"]
    d = c["hidden"]
    levels, mask_features, s = decoder_inputs(golden, d, SIDES, offset)
    condition = golden.input("condition", [spans[-1][1] if spans else 5, d], "K C")
    decoder = load_weights(Decoder(c, dict(positions=positions)), "segmentor.decoder.")
    predictor = load_weights(ClassPredictor(), "segmentor.class_predictor.")
    background = load_weights(torch.nn.Embedding(1, d), "bg_embeds.").weight
    seen = watch_decoder(decoder)
    with Exactly():
        flat = [x.flatten(0, 1)[None] for x in levels]
        predictions = decoder(flat, SIDES, first(mask_features), s[None, None], condition[None, None])
        classes = [predictor(p.output, p.phrase, background)[0, 0] for p in predictions]
        if spans:
            rows = [condition, *(C[0] for _, C, _ in seen["layer"])]
            classes = [phrase_logits(p.output[0, 0], C, spans, background, predictor) for p, C in zip(predictions, rows)]
            golden.fact("spans", spans)
        note_decoder(golden, seen, predictions, first(mask_features)[0], classes, SIDES)
    return golden


def flow_small(small: dict) -> Golden:
    return run_flow(Golden("flow-small", SOURCE, FLOW), small)


def flow_blocked(small: dict) -> Golden:
    about = FLOW + " The mask features have an offset, so that many rows are blocked everywhere."
    return run_flow(Golden("flow-blocked", SOURCE, about), small, offset=2.0)


def flow_unplaced(small: dict) -> Golden:
    about = FLOW + " Config flow.positions is false: no Qpos in the flow's two attentions."
    return run_flow(Golden("flow-unplaced", SOURCE, about), small, positions=False)


def phrase_logits(output, C, spans, background, predictor):
    """Cosines with the mean of each phrase's own rows, the background last: [Q, P + 1]."""
    classes = torch.cat([torch.stack([C[begin:end].mean(0) for begin, end in spans]), background])
    cosine = (output @ classes.T) / output.norm(dim=1)[:, None] / classes.norm(dim=1)[None]
    return (predictor.logit_scale.exp() * cosine).clamp(-500, 500)


def flow_phrases(small: dict) -> Golden:
    about = FLOW + " C has the rows of three phrases, facts.spans; class.l has a column for each, then the background."
    return run_flow(Golden("flow-phrases", SOURCE, about), small, spans=[[0, 3], [3, 5], [5, 9]])


# Matching and boundary


def matching(small: dict) -> Golden:
    d = small["head"]["hidden"]
    golden = Golden(
        "matching", SOURCE,
        "Class logits of normed queries against the mean of the condition (first) and bg_embeds (second); score is "
        "the softmax's first entry.",
    )  # fmt: skip
    normed, condition = golden.input("normed", [12, d], "Q C"), golden.input("condition", [5, d], "K C")
    predictor = load_weights(ClassPredictor(), "segmentor.class_predictor.")
    background = load_weights(torch.nn.Embedding(1, d), "bg_embeds.").weight
    with Exactly():
        logits = predictor(normed, condition.mean(0), background)
    golden.add("class", logits, "Q 2")
    golden.add("score", logits.softmax(-1)[:, 0], "Q")
    return golden


def boundary(small: dict) -> Golden:
    d, c = small["head"]["hidden"], small["boundary"]
    golden = Golden(
        "boundary", SOURCE,
        "BAR on one mask. band is 1 where the correction may act. gentle has about as many pixels inside the band as "
        "outside, steep nearly all inside.",
    )  # fmt: skip
    features = golden.input("maskFeatures", [13, 19, d], "H W C")
    module = load_weights(BoundaryRefiner(d, c["compress"], c["hidden"]), "segmentor.boundary_refiner.")
    for name, scale in (("gentle", 0.25), ("steep", 6.0)):
        logits = golden.input(name, [13, 19], "H W", scale)
        with Exactly():
            golden.add(f"{name}.refined", module(logits[None, None], first(features))[0, 0], "H W")
        golden.add(f"{name}.band", band_of(golden, name, logits), "H W")
    return golden


def band_of(golden: Golden, name: str, logits: torch.Tensor) -> torch.Tensor:
    """1 in the band; refuses a case where rounding could decide."""
    H, W = logits.shape
    p, steps = logits.sigmoid(), torch.empty(H, W, dtype=torch.float64)
    for y in range(H):
        for x in range(W):
            window = p[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            steps[y, x] = window.max() - window.min()
    band = (steps > 0.1).double()
    golden.fact(f"{name}BandShare", round(float(band.mean()), 4))
    assert float((steps - 0.1).abs().min()) > 1e-6, f"{golden.name}: {name} has a step within rounding of 0.1"
    return band


# The whole

BEFORE, AFTER, SPAN = [3, 141, 59], [10, 88, 513, 77, 200, 45, 514, 13, 301, 99, 30, 512], (2, 6)
SCALED, ORIGINAL = (96, 128), (60, 80)  # an image of 60 x 80 fills the upper 96 rows of the square


def run_whole(golden: Golden, small: dict) -> Golden:
    model = load_weights(FlowSeg(small), "")
    semantic = golden.input("semantic", [small["siglip"]["image"]] * 2 + [3], "H W C")
    pixels = golden.input("pixels", [small["sam"]["image"]] * 2 + [3], "H W C")
    before, after = torch.tensor(BEFORE), torch.tensor(AFTER)
    for name, value in dict(before=BEFORE, after=AFTER, span=SPAN, scaledSize=SCALED, imageSize=ORIGINAL).items():
        golden.fact(name, value)

    siglip = layer_outputs([model.vision_encoder])
    states = layer_outputs([model.llm.model.norm])
    seen = watch_decoder(model.segmentor.decoder)
    predictions = layer_outputs([model.segmentor.decoder], keep=lambda out: out)
    with Exactly():
        look = model.look(first(semantic), first(pixels))
        C, S = model.read(look.rows, before, after, SPAN)
        result = model.segment(look, C, S)
        classes = [model.classify(p)[0, 0] for p in predictions[0]]
        full = interpolate(result["logits"][None, None], pixels.shape[:2], mode="bilinear", align_corners=False)
        final = interpolate(full[..., : SCALED[0], : SCALED[1]], ORIGINAL, mode="bilinear", align_corners=False)

    # 1. look
    golden.add("siglip", siglip[0][0], "N C")
    for i, tap in enumerate(look.taps, 1):
        golden.add(f"sam.{i}", tap[0], "H W C")
    golden.add("rows", look.rows[0], "N C")
    golden.add("levels", torch.cat(look.levels, 1)[0], "N C")
    golden.add("maskFeatures", last(look.mask_features), "H W C")

    # 2. read
    golden.add("states", states[-1][0], "T C")
    golden.add("condition.0", C, "K C")
    golden.add("s", S, "C")

    # 3. segment
    note_decoder(golden, seen, predictions[0], look.mask_features[0], classes, look.shapes)
    scores = result["scores"]
    golden.add("score", scores, "Q")
    golden.add("refined", result["logits"], "H W")
    golden.add("final", final[0, 0], "H W")
    top = scores.sort(descending=True).values
    golden.fact("query", int(result["query"]))
    golden.fact("bestScores", [float(f"{float(x):.6g}") for x in top[:2]])
    golden.fact("maskShare", round(float((final > 0).double().mean()), 4))
    assert top[0] - top[1] > 1e-4, f"{golden.name}: two queries are within rounding of each other"
    band_of(golden, "mask", result["masks"][result["query"]])
    return golden


WHOLE = (
    "The whole model. The sequence is before, the image rows (SigLIP's, then SAM's), after; span is the first and last "
    "index of <p> .. </p> in `after`, which ends with <SEG>. `query` is the chosen one, `refined` its mask logits "
    "after BAR, `final` those at imageSize: bilinear to the square, cropped to scaledSize, bilinear to imageSize."
)


def whole_qwen3(small: dict) -> Golden:
    return run_whole(Golden("whole-qwen3", SOURCE, WHOLE), small)


def whole_phi3(small: dict) -> Golden:
    return run_whole(Golden("whole-phi3", SOURCE, WHOLE), small | dict(llm=small["phi3"]))


FILES = [
    connector, projectors, flow_small, flow_blocked, flow_unplaced, flow_phrases, matching, boundary, whole_qwen3, whole_phi3,
]  # fmt: skip
