"""SigLIP's vision tower, used up to hidden_states[-2]: the last layer, post-norm and head don't exist here."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import SplitAttention


class Mlp(nn.Module):
    def __init__(self, C: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(C, hidden), nn.Linear(hidden, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, C: int, heads: int, hidden: int, eps: float):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(C, eps), nn.LayerNorm(C, eps)
        self.self_attn = SplitAttention(C, heads)
        self.mlp = Mlp(C, hidden)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer_norm1(x)
        x = x + self.self_attn(y, y, y)
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, C: int, image: int, patch: int):
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, C, patch, patch)  # valid: a remainder of the image is unused
        self.position_embedding = nn.Embedding((image // patch) ** 2, C)
        nn.init.normal_(self.position_embedding.weight, std=0.02)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.patch_embedding(pixels).flatten(2).transpose(1, 2) + self.position_embedding.weight


class Encoder(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        layers = c["layers"] - 1  # hidden_states[-2]
        self.layers = nn.ModuleList(Layer(c["hidden"], c["heads"], c["mlp"], c["eps"]) for _ in range(layers))


class VisionModel(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.embeddings = Embeddings(c["hidden"], c["image"], c["patch"])
        self.encoder = Encoder(c)


class Siglip(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.vision_model = VisionModel(c)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, S, S] normalised -> [B, N, C], row-major patches"""
        x = self.vision_model.embeddings(pixels)
        for layer in self.vision_model.encoder.layers:
            x = layer(x)
        return x
