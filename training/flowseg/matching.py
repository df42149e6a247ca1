"""Matches queries with phrases: the cosine with each pooled condition against the background vector."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ClassPredictor(nn.Module):
    def __init__(self, clamp: float = 500.0):
        super().__init__()
        self.clamp = clamp
        self.logit_scale = nn.Parameter(torch.tensor([math.log(1 / 0.07)]))

    def forward(self, output: Tensor, phrase: Tensor, background: Tensor) -> Tensor:
        """output [..., Q, C], phrase [..., C], or [..., P, C] of several, background [1, C] -> [..., Q, P + 1]: the
        phrases in order, then the background"""
        with torch.autocast("cpu", enabled=False):
            o = F.normalize(output.float(), dim=-1, eps=1e-12)
            c = F.normalize(phrase.float(), dim=-1, eps=1e-12)
            b = F.normalize(background.float(), dim=-1, eps=1e-12)
            if phrase.ndim == output.ndim:
                cosine = torch.cat([o @ c.transpose(-1, -2), (o @ b[0]).unsqueeze(-1)], -1)
            else:
                cosine = torch.stack([(o * c.unsqueeze(-2)).sum(-1), o @ b[0]], -1)
            return (self.logit_scale.float().exp() * cosine).clamp(-self.clamp, self.clamp)
