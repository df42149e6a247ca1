"""BAR: a learned correction of at most alpha, only where the mask's probability changes between neighbours."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BoundaryRefiner(nn.Module):
    def __init__(self, C: int, compress: int, hidden: int):
        super().__init__()
        self.compress = nn.Conv2d(C, compress, 1)
        self.refine = nn.Sequential(
            nn.Conv2d(1 + compress, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, 1, 3, padding=1)
        )
        self.alpha = nn.Parameter(torch.tensor([0.1]))

    def forward(self, logits: Tensor, mask_features: Tensor) -> Tensor:
        """logits [B, N, H, W] of N chosen masks an image, mask_features [B, C, H, W] -> [B, N, H, W]"""
        B, N, H, W = logits.shape

        # Band: morphological gradient of the probability, window clipped at the frame
        with torch.no_grad():
            p = logits.sigmoid()
            band = (F.max_pool2d(p, 3, 1, 1) + F.max_pool2d(-p, 3, 1, 1) > 0.1).to(logits.dtype)

        # The first convolution is linear: features once an image, the logit once a mask
        comp = F.relu(self.compress(mask_features))
        w, b = self.refine[0].weight, self.refine[0].bias
        shared = F.conv2d(comp, w[:, 1:], b, padding=1)  # [B, hidden, H, W]
        own = F.conv2d(logits.reshape(B * N, 1, H, W), w[:, :1], padding=1)
        r = self.refine[2](F.relu(own + shared.repeat_interleave(N, 0)))
        return logits + self.alpha * torch.tanh(r).view(B, N, H, W) * band
