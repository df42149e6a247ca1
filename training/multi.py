"""Losses of asks with none, one or several objects for each of several phrases (asks.py).

A query is matched to each object that a phrase means (Hungarian), and has that phrase's column as its class; all others
are background. An ask that means nothing has no match at all: that is how presence is learnt.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import batched
from asks import AskBatch
from assign import assign
from data import MOST_OBJECTS
from flowseg import FlowSeg
from flowseg.decoder import Prediction
from losses import (MATCH_POINTS, POINTS, Help, Point, at_points, by_object, coarser, ids_at, mask_losses,
                    sample_points)

RIGHT = ("iou", "present_right")  # what segmentation tells besides losses
AMOUNTS = 4  # none, one, two, more
BACKGROUND_WEIGHT = 0.3  # more than for one object of 16 queries: with 0.1, two of four look like four of four


class MoreHelp(Help):
    """Two more heads that never enter inference: how many objects <SEG> means, and where words should look."""

    def __init__(self, config: dict, categories: int):
        super().__init__(config, categories)
        H = config["llm"]["hidden"]
        self.amount = nn.Linear(H, AMOUNTS)
        self.look = Point(H)


# ---- Language model


def read(model: FlowSeg, rows: Tensor, before: Tensor, batch: AskBatch) -> tuple[list[Tensor], int]:
    """batched.read with the rows of regions in their places"""
    embed = model.llm.model.embed_tokens
    B, N, T = batch.tokens.shape
    x = embed(batch.tokens)
    if len(batch.region_at):
        b, r, n, t = batch.region_at.unbind(1)
        sampled = model.sample(rows, batch.points)
        x = x.index_put((b, n, t), sampled[b, r].to(x.dtype))
    x = torch.cat([embed(before).expand(B, -1, -1), rows.to(x.dtype), x.view(B, N * T, -1)], 1)
    prefix = x.shape[1] - N * T
    packed = batched.Packed(prefix, N, T)
    return model.llm(x, packed.positions, packed), prefix


def conditions(model: FlowSeg, final: Tensor, batch: AskBatch, D: int) -> tuple[Tensor, Tensor]:
    """final [B, N, T, H] -> S [B, D, d], C [B, D, K, d] of the first D asks"""
    B, N, T, H = final.shape
    final, at, last = final[:, :D], batch.rows_at[:, :D], batch.last[:, :D]
    C = final.gather(2, at.unsqueeze(-1).expand(*at.shape, H))
    S = final.gather(2, last[..., None, None].expand(B, D, 1, H))
    out = model.llm_projector(torch.cat([C, S], 2)).float()
    return out[:, :, -1], out[:, :, :-1]


def language(model: FlowSeg, help: MoreHelp, batch: AskBatch, spoken: Tensor, states: list[Tensor], prefix: int,
             losses: dict, seen: dict, settles: bool) -> None:
    """Losses on what the language model's rows know, and on what it says. While heads settle, their gradients stay with
    them: new ones are far off, and would shake what they are put on."""
    B, N, T, H = spoken.shape
    final = spoken
    if settles:
        final, states = final.detach(), [s.detach() for s in states]
    cells = coarser(batch.ids[:, 4::8, 4::8]).flatten(1)
    image = slice(prefix - cells.shape[1], prefix)
    at = lambda x, i: x.gather(2, i[..., None].expand(*i.shape, H))
    inner = lambda k: states[k][:, prefix:].unflatten(1, (N, T))
    D = batch.masked
    seg = at(final, batch.last[..., None])[:, :, 0]
    every = batch.wanted.amax(2)  # [B, N, M] whatever any phrase means

    # 1. <SEG>: the facts of the one object or of none, how many they are, where they are
    if D > 0:
        one = batch.is_one[:, :D]
        if one.any():
            labels, boxes = (by_object(t, batch.target[:, :D])[one] for t in (batch.labels, batch.boxes))
            S = model.llm_projector(seg[:, :D][one]).float()
            losses["s"], seen["s_right"] = help.s.loss(S, labels, boxes)
            end = at(final[:, :D], batch.span[:, :D, 1:])[:, :, 0][one]
            losses["end"], _ = help.close.loss(end, labels, boxes)
        amount = every[:, :D].sum(-1).long().clamp(max=AMOUNTS - 1)
        guess = help.amount(seg[:, :D]).float()
        losses["amount"] = F.cross_entropy(guess.flatten(0, 1), amount.flatten())
        seen["amount_right"] = (guess.argmax(-1) == amount).float().mean()
        losses["point"], seen["point_right"] = help.point.loss(seg[:, :D], states[-2][:, image], cells, every[:, :D])

    # 2. Steps on the way, as in train.py; and where names and answers look
    middle = len(model.llm.model.layers) // 2
    if batch.named.any():
        words = at(inner(middle), batch.end).flatten(1, 2)
        losses["mention"], seen["mention_right"] = help.mention.loss(
            words, states[middle][:, image], cells, batch.named.flatten(1, 2))
    if batch.counted.any():
        losses["count"], right = 0, []
        for k, head in enumerate(help.count):
            layer = min(middle + k, len(states) - 1)
            here = at(inner(layer), batch.last[..., None])[:, :, 0]
            nth = F.one_hot(batch.counted[..., k], batch.labels.shape[1]).float()
            nth[..., 0] = 0
            loss, hit = head.loss(here, states[layer][:, image], cells, nth)
            losses["count"] = losses["count"] + loss / len(help.count)
            right.append(hit)
        seen["count_right"] = torch.stack(right).mean()
    if batch.look_to.any():
        words = at(inner(-3), batch.look_at).flatten(1, 2)
        losses["look"], seen["look_right"] = help.look.loss(
            words, states[-3][:, image], cells, batch.look_to.flatten(1, 2))

    # 3. Answers and descriptions, next token by next token
    begin, stop = batch.said[..., 0], batch.said[..., 1]
    place = torch.arange(1, T)
    learnt = (place >= begin[..., None]) & (place < stop[..., None])  # [B, N, T - 1] of predicted tokens
    if learnt.any():
        logits = model.llm.logits(spoken[:, :, :-1][learnt]).float()
        truth = batch.tokens[:, :, 1:][learnt]
        losses["say"] = F.cross_entropy(logits, truth)
        hit = logits.argmax(-1) == truth
        seen["say_right"] = hit.float().mean()
        wrong = torch.zeros(learnt.shape).masked_scatter(learnt, (~hit).float())
        seen["answers_right"] = (wrong.sum(-1) == 0)[learnt.any(-1)].float().mean()


# ---- Decoder


def targets(wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """wanted [B, N, P, M] -> object ids and columns of each target [B, N, G], 0 behind the last, and their number"""
    B, N, P, M = wanted.shape
    flat = wanted[..., 1:].flatten(2)  # [B, N, P * (M - 1)]
    count = flat.sum(-1).long()
    G = max(int(count.max()), 1)
    order = flat.argsort(dim=-1, descending=True, stable=True)[..., :G]
    there = torch.arange(G) < count[..., None]
    return torch.where(there, order % (M - 1) + 1, 0), torch.where(there, order // (M - 1), 0), count


def classify(model: FlowSeg, p: Prediction, columns: Tensor) -> Tensor:
    """[B, N, q, P + 1]; columns of no phrase never win"""
    logits = model.classify(p)
    gone = F.pad(~columns, (0, 1))[:, :, None]
    return logits.masked_fill(gone, -1e4)


def segmentation(model: FlowSeg, batch: AskBatch, mask_features: Tensor, predictions: list[Prediction], D: int,
                 refine: bool) -> dict[str, Tensor]:
    B = len(batch.ids)
    wanted, columns = batch.wanted[:, :D], batch.columns[:, :D]
    object, column, count = targets(wanted)
    G, P = object.shape[-1], columns.shape[-1]
    there = torch.arange(G) < count[..., None]  # [B, D, G]
    E = torch.stack([p.embedding for p in predictions]).float()  #                 [L, B, D, q, d]
    classes = torch.stack([classify(model, p, columns) for p in predictions])  #  [L, B, D, q, P + 1]
    L, q, d = E.shape[0], E.shape[3], E.shape[4]
    points = sample_points(batch, POINTS)
    features = at_points(mask_features, points)  #                                 [B, d, n]
    truth = (ids_at(batch.ids, points)[:, None, None] == object[..., None]).float() * there[..., None]  # [B, D, G, n]

    # 1. Match on a subset of the points
    with torch.no_grad():
        some = torch.randperm(POINTS)[:MATCH_POINTS]
        few, t = features[:, :, some], truth[..., some]
        x = torch.matmul(E.transpose(0, 1).reshape(B, L * D * q, d), few).view(B, L, D, q, -1)
        n = len(some)
        overlap = lambda v: torch.einsum("bldqn,bdgn->bldgq", v, t)
        bce = (F.softplus(x).sum(-1)[:, :, :, None] - overlap(x)) / n
        p = x.sigmoid()
        dice = 1 - (2 * overlap(p) + 1) / (p.sum(-1)[:, :, :, None] + t.sum(-1)[:, None, :, :, None] + 1)
        share = classes.softmax(-1).transpose(0, 1).gather(
            -1, column[:, None, :, None].expand(B, L, D, q, G)).transpose(-1, -2)
        match = assign(5 * bce + 5 * dice - 2 * share, count[:, None].expand(B, L, D)).transpose(0, 1)  # [L, B, D, G]
        match = match.clamp(min=0)

    # 2. Class: a matched query is its phrase, the others are background
    label = torch.full((L, B, D, q + 1), P, dtype=torch.long)
    spot = torch.where(there.expand(L, B, D, G), match, q)  # what isn't there goes to a place behind the queries
    label.scatter_(-1, spot, column.expand(L, B, D, G))
    weight = torch.ones(P + 1)
    weight[P] = BACKGROUND_WEIGHT
    losses = {"class": L * F.cross_entropy(classes.reshape(-1, P + 1), label[..., :q].reshape(-1), weight)}

    # 3. Masks of the matched queries, at all points
    matched = E.gather(3, match[..., None].expand(L, B, D, G, d))  # [L, B, D, G, d]
    logits = torch.einsum("lbmgd,bdn->lbmgn", matched, features.float())
    if there.any():
        bce, dice = mask_losses(logits[:, there], truth[there])
        losses |= {"bce": L * bce, "dice": L * dice}
        if refine:  # 4. Of the last layer's masks of single objects
            first = torch.einsum("bmd,bdhw->bmhw", matched[-1, :, :, 0], mask_features.float())
            refined = model.segmentor.boundary_refiner(first, mask_features)
            bce, dice = mask_losses(at_points(refined, points)[there[:, :, 0]], truth[:, :, 0][there[:, :, 0]])
            losses |= {"rim": bce + dice}

    # The quality of the most probable query of one object, and of the decision on presence
    with torch.no_grad():
        score, chosen = classes[-1, ..., 0].sub(classes[-1, ..., -1]).max(-1)
        single = batch.is_one[:, :D] & (count == 1)
        if single.any():
            e = E[-1].gather(2, chosen[..., None, None].expand(B, D, 1, d)).squeeze(2)
            p, t = torch.einsum("bmd,bdn->bmn", e, features.float()) > 0, truth[:, :, 0] > 0
            iou = (p & t).sum(-1) / (p | t).sum(-1).clamp(min=1)
            losses["iou"] = iou[single].mean()
        plain = batch.is_one[:, :D]
        if plain.any():
            losses["present_right"] = ((score > 0) == (count > 0))[plain].float().mean()
    return losses


def losses_of(model: FlowSeg, help: MoreHelp, batch: AskBatch, before: Tensor, phase: str, w: dict, most: int):
    """As train.losses_of, for phases "read" (language model alone), "decode" (decoder alone) and "tune" (both; and
    the encoders, if images aren't frozen)"""
    losses, seen = {}, {}
    if phase == "decode":
        return weighted(model, decoding(model, help, batch, before, w, most, seen), seen, w)
    if batch.rows.numel() > 0:
        rows = batch.rows.unflatten(1, (-1, model.config["llm"]["hidden"]))
    else:
        taps = model.segmentor.encoder(batch.pixels)
        rows = model.rows(taps, batch.semantic)
    states, prefix = read(model, rows, before, batch)
    final = states[-1][:, prefix:].unflatten(1, batch.tokens.shape[1:])
    language(model, help, batch, final, states, prefix, losses, seen, w.get("settles", False))

    if phase == "tune" and batch.masked > 0:
        D = min(batch.masked, most)
        S, C = conditions(model, final, batch, D)
        maps = written_maps(model, batch) if batch.maps.numel() > 0 else model.maps(taps)
        losses |= judged(model, batch, maps, S, C, D, w["refine"], seen)
    return weighted(model, losses, seen, w)


def decoding(model: FlowSeg, help: MoreHelp, batch: AskBatch, before: Tensor, w: dict, most: int, seen: dict) -> dict:
    """Losses of the decoder and of what leads from the language model to it, with all before them as it is"""
    D = min(batch.masked, most)
    with torch.no_grad():
        states, prefix = read(model, batch.rows.unflatten(1, (-1, model.config["llm"]["hidden"])), before, batch)
        final = states[-1][:, prefix:].unflatten(1, batch.tokens.shape[1:])
    S, C = conditions(model, final, batch, D)
    losses, one = {}, batch.is_one[:, :D]
    if one.any():
        labels, boxes = (by_object(t, batch.target[:, :D])[one] for t in (batch.labels, batch.boxes))
        losses["s"], seen["s_right"] = help.s.loss(S[one], labels, boxes)
    return losses | judged(model, batch, written_maps(model, batch), S, C, D, w["refine"], seen)


def written_maps(model: FlowSeg, batch: AskBatch) -> tuple[list[Tensor], list[tuple[int, int]], Tensor]:
    """FlowSeg.maps of frozen images"""
    side, d = model.config["sam"]["image"] // model.config["sam"]["patch"], model.config["head"]["hidden"]
    shapes = [(side // 2,) * 2, (side,) * 2, (2 * side,) * 2]
    sizes = [y * x * d for y, x in shapes]
    *levels, features = batch.maps.split([*sizes, batch.maps.shape[1] - sum(sizes)], 1)
    return [l.unflatten(1, (-1, d)) for l in levels], shapes, features.unflatten(1, (d, *shapes[-1]))


def judged(model: FlowSeg, batch: AskBatch, maps: tuple, S: Tensor, C: Tensor, D: int, refine: bool, seen: dict) -> dict:
    """Losses of the decoder about the first D asks; adds to `seen` what is right"""
    levels, shapes, features = maps
    predictions = model.segmentor.decoder(levels, shapes, features, S, C, batch.valid[:, :D], batch.member[:, :D])
    losses = segmentation(model, batch, features, predictions, D, refine)
    for name in RIGHT:
        if name in losses:
            seen[name] = losses.pop(name)
    return losses


def weighted(model: FlowSeg, losses: dict, seen: dict, w: dict) -> tuple[Tensor, dict[str, float]]:
    deep = len(model.segmentor.decoder.decoder.layers) + 1
    scale = {"class": 2, "bce": 5, "dice": 5, "rim": 5, "say": 1.0, "amount": 0.5}
    scale |= {k: w["ground"] for k in ("s", "end", "point", "mention", "count", "look")}
    total = 0
    for k, v in losses.items():
        total = total + scale.get(k, 1) * (v / deep if k in ("class", "bce", "dice") else v)
    return total, {k: float(v.detach()) for k, v in (losses | seen).items()}


assert MOST_OBJECTS <= 16, "every object needs a query"
