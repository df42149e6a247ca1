"""Writing golden files: a few numbers that stand for a tensor. Read by test/fixtures/golden.ts.

An entry keeps little of a large tensor and still sees every element of it:
  norm     Frobenius norm of the whole tensor
  max      largest magnitude
  values   its values at up to 256 places
  probes   8 sums of all elements, each with its own random signs: the change of a probe by an error e
           has mean square |e|^2
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from .counter import CHUNK, U32, counter_bits, counter_bytes, counter_tensor, stream_seed, weight_tensor

FOLDER = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "golden"
SAMPLES, PROBES = 256, 8


class Golden:
    """One golden file: inputs come out, results go in."""

    def __init__(self, name: str, source: str, about: str, weights: str = "f32"):
        self.name, self.source, self.about, self.weights = name, source, about, weights
        self.inputs, self.entries, self.facts = {}, {}, {}

    def input(self, name: str, shape, layout: str, scale: float = 1.0, offset: float = 0.0):
        """An input in float64, from the stream input.<file>.<name>."""
        stream = f"input.{self.name}.{name}"
        self.inputs[name] = dict(stream=stream, shape=list(shape), layout=layout, scale=scale, offset=offset)
        return torch.from_numpy(counter_tensor(stream, shape, scale, offset).astype(np.float64))

    def image(self, name: str, shape) -> np.ndarray:
        """An image of random bytes, [H, W, 3] uint8."""
        stream = f"input.{self.name}.{name}"
        self.inputs[name] = dict(stream=stream, shape=list(shape), layout="H W C", bytes=True)
        return counter_bytes(stream, shape)

    def add(self, name: str, value: torch.Tensor, layout: str):
        """A result, without a batch axis, maps channels-last."""
        assert len(layout.split()) == value.ndim, f"{self.name}: {name} {tuple(value.shape)} is not {layout}"
        x = value.detach().to(torch.float64).contiguous().numpy()
        assert np.isfinite(x).all(), f"{self.name}: {name} is not finite"
        self.entries[name] = dict(shape=list(x.shape), layout=layout, **summary(x.ravel()))

    def fact(self, name: str, value):
        self.facts[name] = value

    def text(self) -> str:
        parts = {key: json.dumps(getattr(self, key)) for key in ("name", "source", "about", "weights")}
        for key in ("inputs", "facts", "entries"):
            rows = [f"    {json.dumps(name)}: {one_line(row)}" for name, row in getattr(self, key).items()]
            parts[key] = "{\n" + ",\n".join(rows) + "\n  }" if rows else "{}"
        return "{\n" + ",\n".join(f'  "{key}": {part}' for key, part in parts.items()) + "\n}\n"


def summary(x: np.ndarray) -> dict:
    n, probes = x.size, np.zeros(PROBES)
    for start in range(0, n, CHUNK):
        part = x[start : start + CHUNK]
        signs = counter_bits(stream_seed("golden.probes"), start, start + part.size)
        for k in range(PROBES):
            probes[k] += np.where((signs >> U32(k)) & U32(1), -part, part).sum()
    return dict(
        norm=digits(np.linalg.norm(x), 12),
        max=digits(np.abs(x).max(), 9),
        probes=[digits(p, 12) for p in probes],
        values=[digits(v, 9) for v in x[sample_places(n)]],
    )


def sample_places(n: int) -> np.ndarray:
    if n <= SAMPLES:
        return np.arange(n)
    bits = counter_bits(stream_seed("golden.samples"), 0, SAMPLES).astype(np.float64)
    return np.floor(bits / 2.0**32 * n).astype(np.int64)


def digits(x, n: int) -> float:
    return float(f"{float(x):.{n}g}")


def one_line(row) -> str:
    if not isinstance(row, dict):
        return json.dumps(row)
    pairs = (f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in row.items())
    return "{ " + ", ".join(pairs) + " }"


def load_weights(module: torch.nn.Module, prefix: str, dtype: str = "f32", rename=lambda name: name):
    """Fills every parameter of `module` from the stream of its full name, prefix + rename(name), in float64.

    `rename` returns None for parameters that FlowSeg does not use; they become zero.
    """
    module.double().eval().requires_grad_(False)
    for name, parameter in module.named_parameters():
        ours = rename(name)
        if ours is None:
            parameter.zero_()
        else:
            parameter.copy_(torch.from_numpy(weight_tensor(prefix + ours, tuple(parameter.shape), dtype)))
    return module


class Float64Throughout(TorchFunctionMode):
    """Reads float32 as float64 inside library code, which upcasts softmax, norms and angles "to float32"."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.float:
            return args[0].double()
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        if kwargs.get("dtype") is torch.float32:
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)


def first_of(out):
    return out[0] if isinstance(out, tuple) else out


def layer_outputs(layers, keep=first_of) -> list:
    """Collects what each of `layers` returns, in the order of their calls."""
    seen = []
    for layer in layers:
        layer.register_forward_hook(lambda _m, _i, out: seen.append(keep(out)))
    return seen


def rms_error(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a - b| / |b|"""
    return math.sqrt(float(((a - b) ** 2).sum() / (b**2).sum()))
