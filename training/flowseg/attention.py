"""Multi-head attention as the checkpoints store it: packed (`in_proj_weight`) or in three parts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """[B, h, N, d], [B, h, M, d], [B, h, M, e] -> [B, h, N, e]; mask is bool (True attends)"""
    e = v.shape[-1]
    v = F.pad(v, (0, q.shape[-1] - e)) if e != q.shape[-1] else v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)[..., :e]


class Kernel:
    """The function that every attention here calls; training replaces it by the fastest one of its machine."""

    attend = staticmethod(attend)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, h*d] -> [B, h, N, d]"""
    B, N, C = x.shape
    return x.view(B, N, heads, C // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, h, N, d] -> [B, N, h*d]"""
    B, h, N, d = x.shape
    return x.transpose(1, 2).reshape(B, N, h * d)


class PackedAttention(nn.Module):
    """q, k, v rows stacked in one matrix, as in torch.nn.MultiheadAttention."""

    def __init__(self, C: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * C, C))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * C))
        self.out_proj = nn.Linear(C, C)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """query [B, N, C], key and value [B, M, C], mask [B, 1, N, M] bool (True attends)"""
        wq, wk, wv = self.in_proj_weight.chunk(3)
        bq, bk, bv = self.in_proj_bias.chunk(3)
        q = split_heads(F.linear(query, wq, bq), self.heads)
        k = split_heads(F.linear(key, wk, bk), self.heads)
        v = split_heads(F.linear(value, wv, bv), self.heads)
        return self.out_proj(join_heads(Kernel.attend(q, k, v, mask)))


class SplitAttention(nn.Module):
    """q_proj, k_proj, v_proj, out_proj, all with bias; no mask."""

    def __init__(self, C: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(C, C), nn.Linear(C, C)
        self.v_proj, self.out_proj = nn.Linear(C, C), nn.Linear(C, C)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q = split_heads(self.q_proj(query), self.heads)
        k = split_heads(self.k_proj(key), self.heads)
        v = split_heads(self.v_proj(value), self.heads)
        return self.out_proj(join_heads(Kernel.attend(q, k, v)))
