"""Qwen3's trunk: grouped heads, q/k norm, half-split rotary positions, SwiGLU, no biases."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Kernel


class RmsNorm(nn.Module):
    def __init__(self, C: int, eps: float):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(C))

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        return self.weight * (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


def rotate(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """x [B, h, N, d], positions [N]: halves (x1, x2) turn by position * theta^(-2i/d)"""
    d = x.shape[-1]
    angle = positions.float()[:, None] * theta ** (-torch.arange(0, d, 2, device=x.device).float() / d)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    x1, x2 = x.chunk(2, -1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], -1)


class Attention(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.heads, self.kv_heads, self.d, self.theta = c["heads"], c["kvHeads"], c["headDim"], c["ropeTheta"]
        self.project(c["hidden"], c["eps"])
        self.o_proj = nn.Linear(self.heads * self.d, c["hidden"], bias=False)

    def project(self, H: int, eps: float) -> None:
        self.q_proj = nn.Linear(H, self.heads * self.d, bias=False)
        self.k_proj = nn.Linear(H, self.kv_heads * self.d, bias=False)
        self.v_proj = nn.Linear(H, self.kv_heads * self.d, bias=False)
        self.q_norm, self.k_norm = RmsNorm(self.d, eps), RmsNorm(self.d, eps)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """each [B, N, heads, d]"""
        B, N, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(B, N, self.heads, self.d))
        k = self.k_norm(self.k_proj(x).view(B, N, self.kv_heads, self.d))
        return q, k, self.v_proj(x).view(B, N, self.kv_heads, self.d)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """x [B, N, H], positions [N], mask [B or 1, 1, N, N] bool (True attends), or in its place the whole
        attention as a function of q, k, v [B, h, N, d]"""
        B, N, _ = x.shape
        q, k, v = (t.transpose(1, 2) for t in self.qkv(x))
        q, k = rotate(q, positions, self.theta), rotate(k, positions, self.theta)
        share = self.heads // self.kv_heads
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        v = v.to(q.dtype)
        y = mask(q, k, v) if callable(mask) else Kernel.attend(q, k, v, mask)
        return self.o_proj(y.transpose(1, 2).reshape(B, N, -1))


class Mlp(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        H, I = c["hidden"], c["mlp"]
        self.gate_proj, self.up_proj = nn.Linear(H, I, bias=False), nn.Linear(H, I, bias=False)
        self.down_proj = nn.Linear(I, H, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    attention, feed_forward = Attention, Mlp

    def __init__(self, c: dict):
        super().__init__()
        self.input_layernorm = RmsNorm(c["hidden"], c["eps"])
        self.post_attention_layernorm = RmsNorm(c["hidden"], c["eps"])
        self.self_attn, self.mlp = self.attention(c), self.feed_forward(c)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), positions, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    layer = Layer

    def __init__(self, c: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab"], c["hidden"])
        self.layers = nn.ModuleList(self.layer(c) for _ in range(c["layers"]))
        self.norm = RmsNorm(c["hidden"], c["eps"])
        nn.init.normal_(self.embed_tokens.weight, std=0.02)


class Qwen3(nn.Module):
    trunk = Trunk

    def __init__(self, c: dict):
        super().__init__()
        self.model = self.trunk(c)
        if not c["tied"]:
            self.lm_head = nn.Linear(c["hidden"], c["vocab"], bias=False)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> list[Tensor]:
        """Embedded rows [B, N, H] -> [input of layer 1, .., input of the last layer, normed output]"""
        states = []
        for layer in self.model.layers:
            states.append(x)
            x = layer(x, positions, mask)
        return [*states, self.model.norm(x)]

    def logits(self, x: Tensor) -> Tensor:
        head = self.lm_head if hasattr(self, "lm_head") else self.model.embed_tokens
        return F.linear(x, head.weight)
