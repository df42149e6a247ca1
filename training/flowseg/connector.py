"""From SAM's taps to the pixel decoder's three maps, and from vision to the language model."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def space_to_depth(x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, H/2, W/2, 4C]: out[y, x, (dy*2 + dx)*C + c] = in[2y + dy, 2x + dx, c]"""
    B, H, W, C = x.shape
    return x.reshape(B, H // 2, 2, W // 2, 2, C).transpose(2, 3).reshape(B, H // 2, W // 2, 4 * C)


def depth_to_space(x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, 2H, 2W, C/4]: out[2y + dy, 2x + dx, c] = in[y, x, (dx*2 + dy)*C/4 + c]; dx is slow"""
    B, H, W, C = x.shape
    x = x.reshape(B, H, W, 2, 2, C // 4)  # dx, dy, c
    return x.permute(0, 1, 4, 2, 3, 5).reshape(B, 2 * H, 2 * W, C // 4)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [B, C, H, W]"""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Branch(nn.Module):
    def __init__(self, C: int, hidden: int, out: int):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(C, hidden, 1, bias=False), ChannelNorm(hidden, 1e-6),
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), ChannelNorm(hidden, 1e-6),
            nn.Conv2d(hidden, out, 1, bias=False), ChannelNorm(out, 1e-6),
        )  # no activation anywhere


class Connector(nn.Module):
    def __init__(self, C: int, hidden: int, channels: list[int]):
        super().__init__()
        self.model = nn.ModuleList(Branch(C, hidden, out) for out in channels)

    def forward(self, taps: list[Tensor]) -> list[Tensor]:
        """three [B, H, W, C] -> fine [B, 2H, 2W, c0/4], middle [B, H, W, c1], coarse [B, H/2, W/2, 4 c2]"""
        fine, middle, coarse = (
            branch.model(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) for branch, x in zip(self.model, taps)
        )
        return [depth_to_space(fine), middle, space_to_depth(coarse)]


class Projector(nn.Module):
    def __init__(self, C: int, out: int):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(C, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)
