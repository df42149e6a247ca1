"""Numbers both languages can make: weights and inputs from a name and an index, nothing stored.

Element i of the stream `name` is a hash of (name, i), so any tensor can be made alone, in any order,
and bit for bit the same here and in test/fixtures/random.ts. All arithmetic is on 32-bit integers,
then in float64 with one rounding to float32 at the end.
"""

import math
import re

import numpy as np

U32 = np.uint32
CHUNK = 1 << 20  # values hashed at a time, so that a 25M-value matrix needs little memory


def stream_seed(name: str) -> int:
    """FNV-1a over the UTF-8 bytes of the name: 32 bits."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    return seed


def mix(x: np.ndarray) -> np.ndarray:
    """A 32-bit bijection that looks random (lowbias32 with Wellons' later constants)."""
    x = x ^ (x >> U32(16))
    x = x * U32(0x21F0AAAD)
    x = x ^ (x >> U32(15))
    x = x * U32(0xD35A2D97)
    return x ^ (x >> U32(15))


def counter_bits(seed: int, start: int, stop: int) -> np.ndarray:
    """32 bits for each index of [start, stop): mix(mix(i) ^ seed)."""
    return mix(mix(np.arange(start, stop, dtype=U32)) ^ U32(seed))


def counter_tensor(name: str, shape, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """offset + scale * u as float32, row-major; u is uniform on the 2^24 multiples of 2^-23 in [-1, 1)."""
    seed, size = stream_seed(name), math.prod(shape)
    out = np.empty(size, np.float32)
    for start in range(0, size, CHUNK):
        stop = min(start + CHUNK, size)
        u = (counter_bits(seed, start, stop) >> U32(8)).astype(np.float64) * 2.0**-23 - 1.0
        out[start:stop] = u * scale + offset
    return out.reshape(shape)


def counter_bytes(name: str, shape) -> np.ndarray:
    """Uniform bytes, row-major: the top 8 of each element's 32 bits."""
    return (counter_bits(stream_seed(name), 0, math.prod(shape)) >> U32(24)).astype(np.uint8).reshape(shape)


def to_bf16(x: np.ndarray) -> np.ndarray:
    """Rounds float32 values to bfloat16 (to nearest, ties to even) and keeps them in float32."""
    bits = x.view(U32)
    return ((bits + U32(0x7FFF) + ((bits >> U32(16)) & U32(1))) & U32(0xFFFF0000)).view(np.float32)


# Tables that are added or looked up rather than multiplied with
TABLE = re.compile(
    r"(embed_tokens|position_embedding|level_embed|queries_features|queries_embedder|bg_embeds)(\.weight)?$"
    r"|pos_embed$|rel_pos_[hw]$"
)


def weight_rule(name: str, shape) -> tuple[float, float]:
    """(scale, offset) of a weight. The first line that fits decides:

    logit_scale                                   2.6593
    alpha                                         0.5 + 0.1 u
    sampling_offsets.bias                         2 u          deformable attention samples off the grid and the map
    tables (see TABLE)                            0.5 u
    one axis, name ends in bias                   0.1 u
    one axis (norm weights)                       1 + 0.2 u
    the rest                                      u * sqrt(3 / fan_in), fan_in = all axes but the first
    """
    if name.endswith("logit_scale"):
        return 0.0, 2.6593
    if name.endswith("alpha"):
        return 0.1, 0.5
    if name.endswith("sampling_offsets.bias"):
        return 2.0, 0.0
    if TABLE.search(name):
        return 0.5, 0.0
    if len(shape) == 1:
        return (0.1, 0.0) if name.endswith("bias") else (0.2, 1.0)
    return math.sqrt(3 / math.prod(shape[1:])), 0.0


def weight_tensor(name: str, shape, dtype: str = "f32") -> np.ndarray:
    """A weight by its full name in the checkpoint; "bf16" rounds the values to bfloat16."""
    scale, offset = weight_rule(name, shape)
    x = counter_tensor(name, shape, scale, offset)
    return to_bf16(x) if dtype == "bf16" else x
