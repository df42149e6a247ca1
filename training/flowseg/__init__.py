"""FlowSeg (arXiv 2605.29461) in PyTorch: the reference the WebGPU engine is held against."""

from .whole import FlowSeg, load_config, load_weights

__all__ = ["FlowSeg", "load_config", "load_weights"]
