"""Mask2Former's pixel decoder: multi-scale deformable attention over three levels, then one FPN step."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def sine_positions(H: int, W: int, C: int, device=None) -> Tensor:
    """[H*W, C]: C/2 channels of y, then of x; 1-based positions scaled to 2 pi; sin on even, cos on odd"""
    n = C // 2
    j = torch.arange(n, device=device)
    w = 10000 ** (2 * (j // 2).float() / n)

    def axis(size: int) -> Tensor:
        p = torch.arange(1, size + 1, device=device).float() / (size + 1e-6) * 2 * math.pi
        t = p[:, None] / w
        return torch.where(j % 2 == 0, t.sin(), t.cos())

    y, x = axis(H)[:, None].expand(H, W, n), axis(W)[None].expand(H, W, n)
    return torch.cat([y, x], -1).reshape(H * W, C)


def deformable_sample(value: Tensor, locations: Tensor, weights: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
    """value [B, S, h, d] (levels concatenated), locations [B, N, h, L, P, 2] as (x, y) in 0..1 of the level,
    weights [B, N, h, L, P] -> [B, N, h*d]. Bilinear; taps outside a map count 0."""
    B, N, h, L, P, _ = locations.shape
    d = value.shape[-1]
    y = 0
    for l, v in enumerate(value.split([H * W for H, W in shapes], 1)):
        H, W = shapes[l]
        v = v.permute(0, 2, 3, 1).reshape(B * h, d, H, W)
        grid = 2 * locations[:, :, :, l].transpose(1, 2).reshape(B * h, N, P, 2) - 1
        taps = F.grid_sample(v.float(), grid.float(), mode="bilinear", padding_mode="zeros", align_corners=False)
        y = y + (taps * weights[:, :, :, l].transpose(1, 2).reshape(B * h, 1, N, P)).sum(-1)  # [B*h, d, N]
    return y.view(B, h * d, N).transpose(1, 2)


class DeformableAttention(nn.Module):

    def __init__(self, C: int, heads: int, levels: int, points: int):
        super().__init__()
        self.shape = (heads, levels, points)
        self.sampling_offsets = nn.Linear(C, heads * levels * points * 2)
        self.attention_weights = nn.Linear(C, heads * levels * points)
        self.value_proj, self.output_proj = nn.Linear(C, C), nn.Linear(C, C)

        # Heads look in different directions, points at growing distances
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        angle = torch.arange(heads).float() * 2 * math.pi / heads
        way = torch.stack([angle.cos(), angle.sin()], -1)
        way = way / way.abs().amax(-1, keepdim=True)
        bias = way[:, None, None] * torch.arange(1, points + 1).float()[None, None, :, None]
        if not self.sampling_offsets.bias.is_meta:
            self.sampling_offsets.bias.data.copy_(bias.expand(heads, levels, points, 2).reshape(-1))

    def forward(self, x: Tensor, pos: Tensor, reference: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """x [B, N, C], pos [N, C], reference [N, 2]"""
        B, N, C = x.shape
        h, L, P = self.shape
        z = x + pos
        offsets = self.sampling_offsets(z).float().view(B, N, h, L, P, 2)
        weights = self.attention_weights(z).float().view(B, N, h, L * P).softmax(-1).view(B, N, h, L, P)
        size = torch.tensor([[W, H] for H, W in shapes], device=x.device).float()
        locations = reference[None, :, None, None, None] + offsets / size[None, None, None, :, None]
        value = self.value_proj(x).view(B, N, h, C // h)
        return self.output_proj(deformable_sample(value, locations, weights, shapes))


class Layer(nn.Module):
    def __init__(self, C: int, heads: int, points: int, mlp: int, eps: float):
        super().__init__()
        self.self_attn = DeformableAttention(C, heads, 3, points)
        self.self_attn_layer_norm, self.final_layer_norm = nn.LayerNorm(C, eps), nn.LayerNorm(C, eps)
        self.fc1, self.fc2 = nn.Linear(C, mlp), nn.Linear(mlp, C)

    def forward(self, x: Tensor, pos: Tensor, reference: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        x = self.self_attn_layer_norm(x + self.self_attn(x, pos, reference, shapes))
        return self.final_layer_norm(x + self.fc2(F.relu(self.fc1(x))))


class Encoder(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(c["hidden"], c["heads"], c["points"], c["pixelMlp"], c["eps"]) for _ in range(c["pixelLayers"])
        )


class PixelDecoder(nn.Module):
    def __init__(self, c: dict, channels: list[int]):
        """channels: coarse, middle, fine"""
        super().__init__()
        C, groups, eps = c["hidden"], c["groups"], c["eps"]
        self.level_embed = nn.Parameter(torch.randn(3, C))
        self.input_projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n, C, 1), nn.GroupNorm(groups, C, eps)) for n in channels
        )
        self.encoder = Encoder(c)
        self.adapter_1 = nn.Sequential(nn.Conv2d(channels[2], C, 1, bias=False), nn.GroupNorm(groups, C, eps))
        self.layer_1 = nn.Sequential(nn.Conv2d(C, C, 3, padding=1, bias=False), nn.GroupNorm(groups, C, eps))
        self.mask_projection = nn.Conv2d(C, C, 1)
        # An experiment with masks of twice the side; the engine has no such step
        self.sharpen = nn.Conv2d(C, 4 * C, 3, padding=1) if c.get("sharp") else None
        if self.sharpen is not None:  # at first it changes nothing
            nn.init.zeros_(self.sharpen.weight)
            nn.init.zeros_(self.sharpen.bias)

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """coarse, middle, fine, each [B, C_l, H_l, W_l] -> levels [B, H_l*W_l, C], mask_features [B, C, H, W]"""
        shapes = [(m.shape[2], m.shape[3]) for m in maps]

        # 1. One width, one sequence, positions and references
        x = torch.cat([p(m).flatten(2).transpose(1, 2) for p, m in zip(self.input_projections, maps)], 1)
        C, device = x.shape[2], x.device
        pos = torch.cat([sine_positions(H, W, C, device) + self.level_embed[l] for l, (H, W) in enumerate(shapes)])
        reference = torch.cat([
            torch.stack(torch.meshgrid(
                (torch.arange(W, device=device) + 0.5) / W, (torch.arange(H, device=device) + 0.5) / H,
                indexing="xy"), -1).reshape(H * W, 2)
            for H, W in shapes
        ])

        # 2. Deformable layers
        for layer in self.encoder.layers:
            x = layer(x, pos, reference, shapes)
        levels = list(x.split([H * W for H, W in shapes], 1))

        # 3. FPN: the finest level joins the finest map
        fine = levels[2].transpose(1, 2).reshape(x.shape[0], C, *shapes[2])
        y = self.adapter_1(maps[2]) + F.interpolate(fine, maps[2].shape[2:], mode="bilinear", align_corners=False)
        y = F.relu(self.layer_1(y))
        features = self.mask_projection(y)
        if self.sharpen is not None:
            wide = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = wide + F.pixel_shuffle(self.sharpen(y), 2)
        return levels, features
