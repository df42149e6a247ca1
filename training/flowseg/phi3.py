"""Phi-3 is Qwen3's trunk with fused projections and without q/k norms."""

from torch import Tensor, nn
from torch.nn import functional as F

from . import qwen3


class Attention(qwen3.Attention):
    def project(self, H: int, eps: float) -> None:
        self.qkv_proj = nn.Linear(H, (self.heads + 2 * self.kv_heads) * self.d, bias=False)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        B, N, _ = x.shape
        rows = self.qkv_proj(x).view(B, N, self.heads + 2 * self.kv_heads, self.d)
        return rows.split([self.heads, self.kv_heads, self.kv_heads], 2)


class Mlp(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.gate_up_proj = nn.Linear(c["hidden"], 2 * c["mlp"], bias=False)
        self.down_proj = nn.Linear(c["mlp"], c["hidden"], bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


class Layer(qwen3.Layer):
    attention, feed_forward = Attention, Mlp


class Trunk(qwen3.Trunk):
    layer = Layer


class Phi3(qwen3.Qwen3):
    trunk = Trunk
