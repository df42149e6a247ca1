"""Regions that a user points at: masks on the model's canvas (Pillow), the sampler (grid_sample), and X-SAM's answers.

What X-SAM draws at random, the points of a region, is spread evenly here, as in the engine (spec of the tasks, 4.3).
"""

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity, grid_sample, interpolate

from ..flowseg import FlowSeg
from .golden import Golden, layer_outputs, load_weights
from .reference import ORIGINAL, SCALED, Exactly
from .segmentor import first

POINTS = 256
ROWS = dict(aaai=1, main=64)
BOUND = dict(aaai=500.0, main=50.0)


def framed(mask: np.ndarray, scaled) -> np.ndarray:
    """A mask of the image on the part of the canvas that holds it, 0 or 1."""
    h, w = scaled
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((w, h), Image.Resampling.NEAREST)) // 255


def brought_back(frame: np.ndarray, size) -> np.ndarray:
    """As X-SAM brings prompts back: PyTorch's nearest, in float32."""
    return interpolate(torch.from_numpy(frame.astype(np.float32))[None, None], size, mode="nearest")[0, 0].numpy()


def points_of(frame: np.ndarray, canvas: int) -> torch.Tensor:
    """[256, 2], (x, y) from 0 to 1 on the canvas."""
    pixels = np.argwhere(frame)
    n = len(pixels)
    chosen = [(2 * i + 1) * n // (2 * POINTS) if n > POINTS else i % n for i in range(POINTS)]
    return torch.from_numpy(pixels[chosen][:, ::-1].copy()).double() / canvas


def sampled(tokens: torch.Tensor, points: torch.Tensor, compat: str) -> torch.Tensor:
    """tokens [side, side, H] -> [1 or 64, H]"""
    grid = (2 * points - 1)[None, None]
    values = grid_sample(tokens.permute(2, 0, 1)[None], grid, mode="bilinear", align_corners=True)[0, :, 0].T
    if compat == "aaai":
        return values.max(0, keepdim=True).values
    return values.reshape(64, POINTS // 64, -1).mean(1)


# Masks and the sampler

SIZES = [(60, 80), (948, 1290), (97, 61), (33, 500)]
CANVAS, SIDE, WIDTH = 256, 8, 20


def scaled_size(size, canvas: int):
    s = canvas / max(size)
    return tuple(max(1, int(n * s + 0.5)) for n in size)


def regions(_small: dict) -> Golden:
    golden = Golden(
        "regions", "Pillow resize NEAREST, torch interpolate and grid_sample, float64",
        "Regions on a canvas of 256: mask.<h>x<w> is inside where its input is above the level in `facts`; frame, on the "
        "part of the canvas that holds the image, 0 or 1; back, at the image's size again; aaai and main, the rows of "
        "the sampler from the map `tokens`.",
    )  # fmt: skip
    tokens = golden.input("tokens", [SIDE, SIDE, WIDTH], "H W C")
    for (h, w), level in zip(SIZES, (0.0, 0.9999, 0.99, 0.95), strict=True):
        name = f"{h}x{w}"
        mask = golden.input(f"mask.{name}", [h, w], "H W").numpy() > level
        frame = framed(mask, scaled_size((h, w), CANVAS))
        assert frame.any()
        golden.fact(f"level.{name}", level)
        golden.fact(f"scaled.{name}", scaled_size((h, w), CANVAS))
        golden.fact(f"pixels.{name}", int(frame.sum()))
        golden.add(f"frame.{name}", torch.from_numpy(frame), "H W")
        golden.add(f"back.{name}", torch.from_numpy(brought_back(frame, (h, w))), "H W")
        for compat in ROWS:
            golden.add(f"{compat}.{name}", sampled(tokens, points_of(frame, CANVAS), compat), "N C")
    return golden


# The whole

ABOUT = (
    "X-SAM with regions, no flow and no BAR: point (20.5, 31.5) is a disc, box [30, 10, 61, 47] filled. The sequence is "
    "before, the image rows, after with a region's rows at each run of -300. For the box alone (one) and for both (both): "
    "the regions' rows, projected columns, S, class logits, mask logits; facts have the scores, the query that the box "
    "means by overlaps of boxes and of masks, and the pairs (query, region, score) by score."
)
POINT, BOX = (20, 31), (30, 10, 61, 47)
BEFORE, SEGMENT, BETWEEN, AFTER = [3, 141, 59], [10, 88], [300, 7], [45, 200, 512]
P, END = 513, 514


def drawn():
    h, w = ORIGINAL
    y, x = np.mgrid[:h, :w]
    radius = max(1.0, 10 * max(ORIGINAL) / 640)
    disc = (x - POINT[0]) ** 2 + (y - POINT[1]) ** 2 <= radius**2
    x0, y0, x1, y1 = BOX
    return disc, (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    def box(m):
        ys, xs = np.nonzero(m)
        return (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else (0, 0, 0, 0)

    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = box(a), box(b)
    both = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
    return both / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both)


def run_regions(golden: Golden, small: dict, compat: str) -> Golden:
    model = load_weights(FlowSeg(small), "")
    for layer in model.segmentor.decoder.decoder.layers:  # the flow, switched off
        layer.semantic_gate.weight.zero_(), layer.semantic_gate.bias.fill_(1e3)
        layer.condition_attn.out_proj.weight.zero_(), layer.condition_attn.out_proj.bias.zero_()
    semantic = golden.input("semantic", [small["siglip"]["image"]] * 2 + [3], "H W C")
    canvas = small["sam"]["image"]
    pixels = golden.input("pixels", [canvas] * 2 + [3], "H W C")
    for name, value in dict(before=BEFORE, scaledSize=SCALED, imageSize=ORIGINAL, compat=compat).items():
        golden.fact(name, value)
    disc, box = drawn()
    frames = dict(disc=framed(disc, SCALED), box=framed(box, SCALED))
    for name, frame in frames.items():
        golden.add(f"frame.{name}", torch.from_numpy(frame), "H W")
    prompt = brought_back(frames["box"], ORIGINAL) > 0

    predictions = layer_outputs([model.segmentor.decoder], keep=lambda out: out)
    with Exactly():
        look = model.look(first(semantic), first(pixels))
        side = canvas // small["sam"]["patch"] // 2
        tokens = look.rows[0, -side * side :].reshape(side, side, -1)
        rows = {name: sampled(tokens, points_of(frame, canvas), compat) for name, frame in frames.items()}
        for name, x in rows.items():
            golden.add(f"rows.{name}", x, "N C")
        for name, used in dict(one=["box"], both=["disc", "box"]).items():
            # 1. The sequence
            n, after, spans = ROWS[compat], list(SEGMENT), []
            for k in range(len(used)):
                after += BETWEEN if k else []
                spans.append((len(after), len(after) + n + 2))
                after += [P, *[-300] * n, END]
            after += AFTER
            golden.fact(f"after.{name}", after)
            golden.fact(f"spans.{name}", spans)
            embed = model.llm.model.embed_tokens
            ids = torch.tensor(after)
            x = embed(ids.clamp(min=0))
            x[ids == -300] = torch.cat([rows[region] for region in used])
            x = torch.cat([embed(torch.tensor(BEFORE)), look.rows[0], x])[None]
            N, start = x.shape[1], x.shape[1] - len(after)
            causal = torch.ones(N, N, dtype=torch.bool).tril()[None, None]
            state = model.llm_projector(model.llm(x, torch.arange(N), causal)[-1][0])
            columns = torch.stack([state[start + a : start + b].mean(0) for a, b in spans])
            S = state[-1]

            # 2. The decoder sees S alone
            C = columns[None, None]
            model.segmentor.decoder(look.levels, look.shapes, look.mask_features, S[None, None], C)
            last = predictions[-1][-1]
            classes = torch.cat([columns, model.bg_embeds.weight])
            scale = model.segmentor.class_predictor.logit_scale.exp()
            logits = scale * cosine_similarity(last.output[0, 0][:, None], classes[None], dim=-1)
            logits = logits.clamp(-BOUND[compat], BOUND[compat])
            masks = torch.einsum("qc,chw->qhw", last.embedding[0, 0], look.mask_features[0])
            full = interpolate(masks[None], (canvas, canvas), mode="bilinear", align_corners=False)
            full = interpolate(full[..., : SCALED[0], : SCALED[1]], ORIGINAL, mode="bilinear", align_corners=False)[0]

            # 3. Scores
            inside = full > 0
            quality = (full.sigmoid() * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
            scores = logits.softmax(-1)[:, :-1] * quality[:, None]
            for entry, value, layout in (
                ("columns", columns, "K C"), ("s", S, "C"), ("class", logits, "Q K"), ("mask", masks, "Q H W"),
                ("quality", quality, "Q"), ("scores", scores, "Q K"),
            ):  # fmt: skip
                golden.add(f"{entry}.{name}", value, layout)
            # The N most probable pairs, by score
            K, probable = len(used), logits.softmax(-1)[:, :-1].flatten().sort(descending=True, stable=True).indices[: len(scores)]
            pairs = sorted(probable.tolist(), key=lambda i: -float(scores.flatten()[i]))
            top = scores.flatten()[pairs]
            assert (top[:-1] - top[1:])[:4].min() > 1e-6, f"{golden.name}: two scores are within rounding of each other"
            golden.fact(f"pairs.{name}", [[i // K, i % K, float(f"{float(t):.6g}")] for i, t in zip(pairs, top)])
            if name == "one":
                keep = [q for q in range(len(scores)) if scores[q, 0] >= 0.5 or scores[q, 0] == scores.max()]
                assert (scores - 0.5).abs().min() > 1e-5, f"{golden.name}: a score is within rounding of 0.5"
                by_box = {q: box_iou(inside[q].numpy(), prompt) for q in keep}
                both = {q: (inside[q].numpy() & prompt).sum() for q in keep}
                by_mask = {q: both[q] / (inside[q].numpy() | prompt).sum() for q in keep}
                golden.fact("keep", keep)
                golden.fact("overlaps.boxes", [float(f"{by_box[q]:.6g}") for q in keep])
                golden.fact("overlaps.masks", [float(f"{by_mask[q]:.6g}") for q in keep])
                overlaps = by_box if compat == "aaai" else by_mask
                golden.fact("chosen", max(keep, key=lambda q: (overlaps[q], float(scores[q, 0]))))
    return golden


def regions_qwen3(small: dict) -> Golden:
    return run_regions(Golden("regions-qwen3", "training/flowseg, float64", ABOUT), small, "main")


def regions_phi3(small: dict) -> Golden:
    return run_regions(Golden("regions-phi3", "training/flowseg, float64", ABOUT), small | dict(llm=small["phi3"]), "aaai")


FILES = [regions, regions_qwen3, regions_phi3]
