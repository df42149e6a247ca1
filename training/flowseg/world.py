"""The distance of an image from those of training, by the mean and the spread of its rows of the language model.

The engine has the same in src/model/knows/world.ts.
"""

import numpy as np
from torch import Tensor, cat

AXES = 24
SMALLEST = 1e-4  # deviation along an axis that counts, of the largest


def features_of(rows: Tensor, siglip: int) -> Tensor:
    """Rows [B, N, H], the first `siglip` of them SigLIP's, the rest SAM's -> [B, 4 H]: mean and standard deviation of
    SigLIP's, then of SAM's"""
    parts = [part for part in (rows[:, :siglip], rows[:, siglip:]) if part.shape[1] > 0]
    return cat([f for part in parts for f in (part.mean(1), part.std(1))], 1)


def fit(x: np.ndarray) -> dict:
    """Features [n, F] of training's images -> their mean, main axes, the deviations along them and the rest's. Axes along
    which few images hardly differ are left out."""
    mean = x.mean(0)
    _, s, axes = np.linalg.svd(x - mean, full_matrices=False)
    k = min(AXES, int((s > SMALLEST * s[0]).sum()))
    scale = s[:k] / np.sqrt(len(x))
    rest = x - mean - (x - mean) @ axes[:k].T @ axes[:k]
    least = SMALLEST * scale[0]
    return {"mean": mean, "axes": axes[:k], "scale": scale, "rest": max(float(np.sqrt((rest**2).sum(1).mean())), least)}


def distance(x: np.ndarray, world: dict) -> np.ndarray:
    """Features [n, F] -> [n]"""
    y = (x - world["mean"]) @ world["axes"].T
    rest = np.sqrt((((x - world["mean"]) - y @ world["axes"]) ** 2).sum(1)) / world["rest"]
    return np.sqrt(((y / world["scale"]) ** 2).mean(1) + rest**2)
