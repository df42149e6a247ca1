"""The training forward: many sentences an image, with what they share computed once.

The language model runs once an image over [header, image rows, sentence 1, sentence 2, ..]: a sentence
sees the prefix and itself, and its positions restart behind the prefix, so each row equals the row of a
pass of its own. The decoder takes the N sentences of an image as N batches of queries over one image.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from flowseg import FlowSeg
from flowseg.whole import Look


class Packed:
    """Attention over [prefix, sentence 1, sentence 2, ..]: causal in the prefix; sentences don't see each other."""

    def __init__(self, prefix: int, N: int, T: int):
        self.prefix, self.N, self.T = prefix, N, T
        self.positions = torch.cat([torch.arange(prefix), (prefix + torch.arange(T)).repeat(N)])
        self.later = torch.zeros(T, T).masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), -1e4)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """each [B, h, prefix + N*T, d]"""
        P, N, T = self.prefix, self.N, self.T
        y = F.scaled_dot_product_attention(q[:, :, :P], k[:, :, :P], v[:, :, :P], is_causal=True)
        if N == 0:
            return y
        own = lambda x: x[:, :, P:].unflatten(2, (N, T))
        q, scale = q[:, :, P:], q.shape[-1] ** -0.5
        z = Sentences.apply(q * scale, k[:, :, :P], v[:, :, :P], own(k), own(v), self.later)
        return torch.cat([y, z], 2)


class Sentences(torch.autograd.Function):
    """Softmax over what all sentences share and what each has of its own, without copies of the scores: three
    times as fast as autograd through their concatenation. Backward runs under the autocast that forward ran under, which
    it wouldn't by itself: with bfloat16 its products would be of two types."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(ctx, q, k, v, own_k, own_v, later):
        """q [B, h, N*T, d], shared k, v [B, h, P, d], own k, v [B, h, N, T, d], later [T, T] -> [B, h, N*T, d]"""
        N = own_k.shape[2]
        shared = torch.matmul(q, k.transpose(-1, -2))  # [B, h, N*T, P]
        own = torch.matmul(q.unflatten(2, (N, -1)), own_k.transpose(-1, -2)).add_(later)  # [B, h, N, T, T]
        most = torch.maximum(shared.amax(-1, keepdim=True), own.amax(-1, keepdim=True).flatten(2, 3))
        shared.sub_(most).exp_()
        own.sub_(most.unflatten(2, (N, -1))).exp_()
        total = shared.sum(-1, keepdim=True) + own.sum(-1, keepdim=True).flatten(2, 3)
        z = (torch.matmul(shared, v) + torch.matmul(own, own_v).flatten(2, 3)) / total
        ctx.save_for_backward(q, k, v, own_k, own_v, shared, own, total, z)
        return z

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, dz):
        q, k, v, own_k, own_v, shared, own, total, z = ctx.saved_tensors
        part = lambda x: x.unflatten(2, (own_k.shape[2], -1))
        g = dz / total
        mean = (g * z).sum(-1, keepdim=True)
        ds = torch.matmul(g, v.transpose(-1, -2)).sub_(mean).mul_(shared)
        do = torch.matmul(part(g), own_v.transpose(-1, -2)).sub_(part(mean)).mul_(own)
        dq = torch.matmul(ds, k) + torch.matmul(do, own_k).flatten(2, 3)
        turned = lambda x: x.transpose(-1, -2)
        return (dq, torch.matmul(turned(ds), q), torch.matmul(turned(shared), g),
                torch.matmul(turned(do), part(q)), torch.matmul(turned(own), part(g)), None)


def read(model: FlowSeg, rows: Tensor, before: Tensor, tokens: Tensor) -> tuple[list[Tensor], int]:
    """rows [B, V, H], before [n], tokens [B, N, T] -> hidden states [B, L, H] of every layer, prefix length"""
    B, N, T = tokens.shape
    embed = model.llm.model.embed_tokens
    x = torch.cat([embed(before).expand(B, -1, -1), rows, embed(tokens.view(B, N * T))], 1)
    prefix = x.shape[1] - N * T
    packed = Packed(prefix, N, T)
    return model.llm(x, packed.positions, packed), prefix


def conditions(model: FlowSeg, states: Tensor, last: Tensor, span: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """states [B, N, T, H], last [B, N], span [B, N, 2] -> S [B, N, d], C [B, N, K, d], valid [B, N, K]"""
    B, N, T, H = states.shape
    K = int((span[..., 1] - span[..., 0]).max()) + 1
    at = span[..., :1] + torch.arange(K)
    valid = at <= span[..., 1:]
    C = states.gather(2, at.clamp(max=T - 1).unsqueeze(-1).expand(B, N, K, H))
    S = states.gather(2, last[..., None, None].expand(B, N, 1, H))
    out = model.llm_projector(torch.cat([C, S], 2)).float()
    return out[:, :, -1], out[:, :, :-1], valid


def decode(model: FlowSeg, look: Look, S: Tensor, C: Tensor, valid: Tensor):
    return model.segmentor.decoder(look.levels, look.shapes, look.mask_features, S, C, valid)
