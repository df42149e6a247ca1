"""Which query is the phrase: cosine with the pooled condition against the background vector."""

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
        """output [..., Q, C], phrase [..., C], background [1, C] -> [..., Q, 2]: phrase, background"""
        with torch.autocast("cpu", enabled=False):
            o = F.normalize(output.float(), dim=-1, eps=1e-12)
            c = F.normalize(phrase.float(), dim=-1, eps=1e-12)
            b = F.normalize(background.float(), dim=-1, eps=1e-12)
            cosine = torch.stack([(o * c.unsqueeze(-2)).sum(-1), o @ b[0]], -1)
            return (self.logit_scale.float().exp() * cosine).clamp(-self.clamp, self.clamp)
