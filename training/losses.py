"""The losses of training: the paper's losses, and dense help that never enters inference.

The help: every image token should know its object (category, colour, pattern, size, box), at SAM's taps
and among the language model's rows; the words of a sentence should know what they have named so far, <SEG> its
target, and in an order the upper layers count up to it; and the decoder first learns to segment
from an oracle's S, made of the target's facts, which the language model's S is then drawn to.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data import COLOURS, MOST_COUNTED, MOST_OBJECTS, PATTERNS, SIZES, Batch
from flowseg import FlowSeg
from flowseg.decoder import Prediction
from flowseg.pixel_decoder import sine_positions

BACKGROUND_WEIGHT, POINTS, MATCH_POINTS = 0.1, 1024, 256
OUTLINE = 8


# ---- Masks


def sample_points(batch: Batch, n: int) -> Tensor:
    """[B, n, 2] in 0..1: a third anywhere, the others around objects (so that rims are seen often)"""
    B = len(batch.ids)
    uniform = torch.rand(B, n // 3, 2)
    count = (batch.boxes[..., 2] > 0).sum(1)
    pick = (torch.rand(B, n - n // 3) * count[:, None]).long() + 1
    box = batch.boxes.gather(1, pick[..., None].expand(-1, -1, 4))
    near = box[..., :2] + (torch.rand(B, pick.shape[1], 2) - 0.5) * (box[..., 2:] * 1.15 + 0.03)
    return torch.cat([uniform, near.clamp(0, 0.9999)], 1)


def ids_at(ids: Tensor, points: Tensor) -> Tensor:
    """[B, n] object ids at the points"""
    at = (points * ids.shape[-1]).long()
    return ids.flatten(1).gather(1, at[..., 1] * ids.shape[-1] + at[..., 0]).long()


def at_points(maps: Tensor, points: Tensor) -> Tensor:
    """maps [B, C, H, W] bilinear at [B, n, 2] -> [B, C, n]; as after upsampling with align_corners false"""
    return F.grid_sample(maps.float(), 2 * points[:, None] - 1, mode="bilinear", padding_mode="border",
                         align_corners=False)[:, :, 0]


def mask_losses(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """logits, truth [.., n] -> mean BCE, mean dice"""
    bce = F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits))
    p = logits.sigmoid()
    dice = 1 - (2 * (p * truth).sum(-1) + 1) / (p.sum(-1) + truth.sum(-1) + 1)
    return bce, dice.mean()


def segmentation(model: FlowSeg, batch: Batch, mask_features: Tensor, predictions: list[Prediction],
                 target: Tensor, refine: bool) -> dict[str, Tensor]:
    """One mask a sentence, so Hungarian matching is an argmin over queries. target [B, N] ids."""
    B, N = target.shape
    E = torch.stack([p.embedding for p in predictions]).float()  #          [D, B, N, q, d]
    classes = torch.stack([model.classify(p) for p in predictions])  #     [D, B, N, q, 2]
    D, q, d = E.shape[0], E.shape[3], E.shape[4]
    points = sample_points(batch, POINTS)
    features = at_points(mask_features, points)  #                         [B, d, n]
    truth = (ids_at(batch.ids, points)[:, None] == target[..., None]).float()  # [B, N, n]

    # 1. Match on a subset of the points
    with torch.no_grad():
        some = torch.randperm(POINTS)[:MATCH_POINTS]
        few, t = features[:, :, some], truth[:, :, some]
        x = torch.matmul(E.transpose(0, 1).reshape(B, D * N * q, d), few).view(B, D, N, q, -1).float()
        n = len(some)
        overlap = lambda v: (v * t[:, None, :, None]).sum(-1)
        bce = (F.softplus(x).sum(-1) - overlap(x)) / n
        p = x.sigmoid()
        dice = 1 - (2 * overlap(p) + 1) / (p.sum(-1) + t.sum(-1)[:, None, :, None] + 1)
        phrase = classes.softmax(-1)[..., 0].transpose(0, 1)
        best = (5 * bce + 5 * dice - 2 * phrase).argmin(-1).transpose(0, 1)  # [D, B, N]

    # 2. Class: the matched query is the phrase, the others are background
    label = torch.ones(D, B, N, q, dtype=torch.long).scatter(-1, best[..., None], 0)
    weight = torch.tensor([1.0, BACKGROUND_WEIGHT])
    losses = {"class": D * F.cross_entropy(classes.reshape(-1, 2), label.reshape(-1), weight)}

    # 3. Masks of the matched queries, at all points
    matched = E.gather(3, best[..., None, None].expand(D, B, N, 1, d)).squeeze(3)  # [D, B, N, d]
    logits = torch.einsum("kbnd,bdp->kbnp", matched, features.float())
    bce, dice = mask_losses(logits, truth)
    losses |= {"bce": D * bce, "dice": D * dice}

    # 4. Boundary refinement of the last layer's matched masks
    if refine:
        raw = torch.einsum("bnd,bdhw->bnhw", matched[-1], mask_features.float())
        refined = model.segmentor.boundary_refiner(raw, mask_features)
        bce, dice = mask_losses(at_points(refined, points), truth)
        losses |= {"rim": bce + dice}

    with torch.no_grad():  # how often the query chosen at inference gives a good mask on these points
        chosen = classes[-1].softmax(-1)[..., 0].argmax(-1)
        e = E[-1].gather(2, chosen[..., None, None].expand(B, N, 1, d)).squeeze(2)
        p, t = torch.einsum("bnd,bdp->bnp", e, features.float()) > 0, truth > 0
        losses["iou"] = ((p & t).sum(-1) / (p | t).sum(-1).clamp(min=1)).mean()
        p = logits[-1] > 0
        losses["oracle"] = ((p & t).sum(-1) / (p | t).sum(-1).clamp(min=1)).mean()
    return losses


# ---- Dense help


class Facts(nn.Module):
    """A linear reading of an object's facts from a feature vector."""

    def __init__(self, C: int, categories: int):
        super().__init__()
        self.sizes = [categories + 1, len(COLOURS) + 1, len(PATTERNS) + 1, len(SIZES) + 1, 4]
        self.linear = nn.Linear(C, sum(self.sizes))
        self.outline = nn.Linear(C, OUTLINE * OUTLINE)

    def loss(self, x: Tensor, labels: Tensor, boxes: Tensor, outline: Tensor | None = None,
             background: float = 0.3) -> tuple[Tensor, Tensor]:
        """x [.., C], labels [.., 4], boxes [.., 4], outline [.., OUTLINE^2] -> loss, accuracy of the
        category on objects"""
        out = self.linear(x).float().flatten(0, -2).split(self.sizes, -1)
        labels, boxes = labels.reshape(-1, 4), boxes.reshape(-1, 4)
        is_object = (labels[:, 0] > 0).float()
        weight = is_object + background * (1 - is_object)
        weight = weight / weight.sum().clamp(min=1)
        loss = sum((F.cross_entropy(out[k], labels[:, k], reduction="none") * weight).sum() for k in range(4))
        box = (F.smooth_l1_loss(out[4], boxes, beta=0.05, reduction="none").sum(-1) * is_object).sum()
        right = ((out[0].argmax(-1) == labels[:, 0]).float() * is_object).sum() / is_object.sum().clamp(min=1)
        loss = loss + 8 * box / is_object.sum().clamp(min=1)
        if outline is not None:
            wrong = F.binary_cross_entropy_with_logits(
                self.outline(x).float().flatten(0, -2), outline.reshape(len(labels), -1), reduction="none").mean(-1)
            loss = loss + 2 * (wrong * is_object).sum() / is_object.sum().clamp(min=1)
        return loss, right.detach()


class Point(nn.Module):
    """A token points at the image rows of the objects that are meant so far."""

    def __init__(self, H: int):
        super().__init__()
        self.query, self.key = nn.Linear(H, 64), nn.Linear(H, 64)

    def loss(self, x: Tensor, rows: Tensor, cells: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, n, H] tokens, rows [B, V, H], cells [B, V] object ids, named [B, n, M] 1 for what is meant (none:
        the token doesn't count) -> loss, how often the best row is of an object that is meant"""
        score = torch.einsum("bnc,bvc->bnv", self.query(x), self.key(rows)).float() / 8
        member = F.one_hot(cells.long(), named.shape[-1]).float()  # [B, V, M]
        share = member / member.sum(1, keepdim=True).clamp(min=1)
        truth = torch.einsum("bnm,bvm->bnv", named, share)
        count = named.sum(-1)
        spread = truth / truth.sum(-1, keepdim=True).clamp(min=1e-6)
        counts = (count > 0).float()
        total = counts.sum().clamp(min=1)
        right = (truth > 0).float().gather(2, score.argmax(-1, keepdim=True))[..., 0]
        loss = -(spread * score.log_softmax(-1)).sum(-1)
        return (loss * counts).sum() / total, ((right * counts).sum() / total).detach()


class Help(nn.Module):
    def __init__(self, config: dict, categories: int):
        super().__init__()
        C, H, d = config["sam"]["hidden"], config["llm"]["hidden"], config["head"]["hidden"]
        self.taps = nn.ModuleDict({str(i): Facts(C, categories) for i in (4, config["sam"]["layers"])})
        self.rows, self.s = Facts(H, categories), Facts(d, categories)
        self.close = Facts(H, categories)
        self.point, self.mention = Point(H), Point(H)
        self.count = nn.ModuleList(Point(H) for _ in range(MOST_COUNTED))

        # The oracle: an object's facts -> S and a one-token C
        self.names = nn.ModuleList(nn.Embedding(n, d) for n in self.s.sizes[:4])
        self.oracle = nn.Sequential(nn.Linear(2 * d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.condition = nn.Linear(d, d)
        self.place = nn.Linear(4 + 64, d)

    def prompt(self, labels: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """labels [.., 4], boxes [.., 4] -> S [.., d], C [.., 1, d]"""
        w = 2.0 ** torch.arange(8) * 3.14159
        waves = (boxes[..., None] * w).flatten(-2)
        place = self.place(torch.cat([boxes, waves.sin(), waves.cos()], -1))
        what = sum(e(labels[..., k]) for k, e in enumerate(self.names))
        S = self.oracle(torch.cat([place, what], -1)).float()
        return S, self.condition(S).float().unsqueeze(-2)


def outlines(batch: Batch) -> Tensor:
    """[B, M, OUTLINE^2]: every object's mask on a small grid over its box, a shape as numbers"""
    B, M = batch.boxes.shape[:2]
    g = (torch.arange(OUTLINE) + 0.5) / OUTLINE - 0.5
    grid = torch.stack(torch.meshgrid(g, g, indexing="xy"), -1).view(1, 1, -1, 2)
    points = batch.boxes[:, :, None, :2] + grid * batch.boxes[:, :, None, 2:]
    ids = ids_at(batch.ids, points.clamp(0, 0.9999).flatten(1, 2)).view(B, M, -1)
    return (ids == torch.arange(M)[:, None]).float()


def by_object(table: Tensor, ids: Tensor) -> Tensor:
    """table [B, M, k], ids [B, ..] -> [B, .., k]"""
    B, k = len(table), table.shape[-1]
    flat = ids.reshape(B, -1).long().clamp(max=MOST_OBJECTS)
    return table.gather(1, flat[..., None].expand(-1, -1, k)).view(*ids.shape, k)


def coarser(ids: Tensor) -> Tensor:
    """[B, H, W] -> [B, H/2, W/2]: any object of the four cells"""
    B, H, W = ids.shape
    return ids.view(B, H // 2, 2, W // 2, 2).amax((2, 4))
