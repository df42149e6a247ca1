"""SAM's image encoder without its neck: windowed ViT with decomposed relative positions.

The bias q.Rh[y - y'] + q.Rw[x - x'] is folded into the dot product: queries are extended by their
products with the two tables, keys by one-hot rows and columns. Scores stay inside the fused kernel.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Kernel


class Attention(nn.Module):
    def __init__(self, C: int, heads: int, side: int):
        super().__init__()
        self.heads, self.side = heads, side
        self.qkv, self.proj = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, C // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, C // heads))

    def forward(self, x: Tensor) -> Tensor:
        """[B, s, s, C] -> [B, s, s, C]"""
        B, s, _, C = x.shape
        h, d = self.heads, C // self.heads
        q, k, v = self.qkv(x).view(B, s * s, 3, h, d).permute(2, 0, 3, 1, 4)  # each [B, h, s*s, d]

        # Relative positions: table row y - y' + s - 1, with the unscaled query
        at = torch.arange(s, device=x.device)
        rows = self.rel_pos_h[at[:, None] - at[None, :] + s - 1].to(q.dtype)  # [y, y', d]
        cols = self.rel_pos_w[at[:, None] - at[None, :] + s - 1].to(q.dtype)  # [x, x', d]
        grid = q.reshape(B, h, s, s, d)
        bias_h = torch.einsum("bhyxd,yzd->bhyxz", grid, rows).reshape(B, h, s * s, s)
        bias_w = torch.einsum("bhyxd,xzd->bhyxz", grid, cols).reshape(B, h, s * s, s)
        eye = torch.eye(s, dtype=q.dtype, device=x.device)
        where = torch.cat([eye.repeat_interleave(s, 0), eye.repeat(s, 1)], 1).expand(B, h, s * s, 2 * s)

        query = torch.cat([q * d**-0.5, bias_h, bias_w], -1)
        key = torch.cat([k, where], -1)
        y = Kernel.attend(query, key, v, scale=1.0)
        return self.proj(y.transpose(1, 2).reshape(B, s, s, C))


class Mlp(nn.Module):
    def __init__(self, C: int, hidden: int):
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(C, hidden), nn.Linear(hidden, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(F.gelu(self.lin1(x)))


class Layer(nn.Module):
    def __init__(self, c: dict, is_global: bool):
        super().__init__()
        C, grid = c["hidden"], c["image"] // c["patch"]
        self.window = 0 if is_global else c["window"]
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(C, c["eps"]), nn.LayerNorm(C, c["eps"])
        self.attn = Attention(C, c["heads"], grid if is_global else c["window"])
        self.mlp = Mlp(C, c["mlp"])

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer_norm1(x)
        x = x + (self.in_windows(y) if self.window else self.attn(y))
        return x + self.mlp(self.layer_norm2(x))

    def in_windows(self, x: Tensor) -> Tensor:
        """Padding is zeros after the norm and takes part as keys."""
        B, H, W, C = x.shape
        s = self.window
        x = F.pad(x, (0, 0, 0, -W % s, 0, -H % s))
        h, w = x.shape[1] // s, x.shape[2] // s
        x = x.view(B, h, s, w, s, C).transpose(2, 3).reshape(B * h * w, s, s, C)
        x = self.attn(x).view(B, h, w, s, s, C).transpose(2, 3)
        return x.reshape(B, h * s, w * s, C)[:, :H, :W]


class PatchEmbed(nn.Module):
    def __init__(self, C: int, patch: int):
        super().__init__()
        self.projection = nn.Conv2d(3, C, patch, patch)


class Sam(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        grid = c["image"] // c["patch"]
        self.pos_embed = nn.Parameter(torch.randn(1, grid, grid, c["hidden"]) * 0.02)
        self.patch_embed = PatchEmbed(c["hidden"], c["patch"])
        self.layers = nn.ModuleList(Layer(c, i in c["globalLayers"]) for i in range(c["layers"]))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """[B, 3, S, S] normalised -> the output of every layer, [B, s, s, C]; entry i is 1-based layer i + 1"""
        x = self.patch_embed.projection(pixels).permute(0, 2, 3, 1) + self.pos_embed
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs
