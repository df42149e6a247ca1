"""The training forward: many sentences an image, with what they share computed once.

The language model runs once an image over [header, image rows, sentence 1, sentence 2, ..]: a sentence
sees the prefix and itself, and its positions restart behind the prefix, so each row equals the row of a
pass of its own. The decoder takes the N sentences of an image as N batches of queries over one image.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from flowseg import FlowSeg
from flowseg.whole import Look


def packed_mask(prefix: int, N: int, T: int) -> tuple[Tensor, Tensor]:
    """-> mask [1, 1, L, L] (True attends) and positions [L], L = prefix + N*T"""
    L = prefix + N * T
    causal = torch.ones(L, L, dtype=torch.bool).tril()
    owner = torch.cat([torch.full((prefix,), -1), torch.arange(N).repeat_interleave(T)])
    mask = causal & ((owner[None, :] == -1) | (owner[None, :] == owner[:, None]))
    positions = torch.cat([torch.arange(prefix), (prefix + torch.arange(T)).repeat(N)])
    return mask[None, None], positions


def read(model: FlowSeg, rows: Tensor, before: Tensor, tokens: Tensor) -> tuple[list[Tensor], int]:
    """rows [B, V, H], before [n], tokens [B, N, T] -> hidden states [B, L, H] of every layer, prefix length"""
    B, N, T = tokens.shape
    embed = model.llm.model.embed_tokens
    x = torch.cat([embed(before).expand(B, -1, -1), rows, embed(tokens.view(B, N * T))], 1)
    prefix = x.shape[1] - N * T
    mask, positions = packed_mask(prefix, N, T)

    # Whole tiles of 32 rows multiply much faster; the rows added see only themselves and are cut off again
    L, extra = x.shape[1], -x.shape[1] % 32
    mask = F.pad(mask, (0, extra, 0, extra)) | torch.eye(L + extra, dtype=torch.bool)
    states = model.llm(F.pad(x, (0, 0, 0, extra)), F.pad(positions, (0, extra)), mask)
    return [state[:, :L] for state in states], prefix


def conditions(model: FlowSeg, states: Tensor, last: Tensor, span: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """states [B, N, T, H], last [B, N], span [B, N, 2] -> S [B, N, d], C [B, N, K, d], valid [B, N, K]"""
    B, N, T, H = states.shape
    K = int((span[..., 1] - span[..., 0]).max()) + 1
    at = span[..., :1] + torch.arange(K)
    valid = at <= span[..., 1:]
    C = states.gather(2, at.clamp(max=T - 1).unsqueeze(-1).expand(B, N, K, H))
    S = states.gather(2, last[..., None, None].expand(B, N, 1, H))
    out = model.llm_projector(torch.cat([C, S], 2)).float()
    return out[:, :, -1], out[:, :, :-1], valid


def decode(model: FlowSeg, look: Look, S: Tensor, C: Tensor, valid: Tensor):
    return model.segmentor.decoder(look.levels, look.shapes, look.mask_features, S, C, valid)
