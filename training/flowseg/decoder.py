"""Mask2Former's transformer decoder with FlowSeg's bidirectional semantic flow (BSF).

Each layer: queries look at the image inside their own mask, read the condition tokens (semantic
refinement, gated), talk to each other, and then the condition tokens read the queries back
(condition refreshing). N sentences share one image: its keys and values are computed once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import PackedAttention, SplitAttention
from .pixel_decoder import sine_positions


@dataclass
class Prediction:
    """Predictions of one decoder layer: normed queries [B, N, Q, C], mask embeddings likewise, pooled C [B, N, C], or
    [B, N, P, C] where prompts have several phrases."""

    output: Tensor
    embedding: Tensor
    phrase: Tensor


class Layer(nn.Module):
    def __init__(self, c: dict, flow: dict):
        super().__init__()
        # Experiments leave one of the flow's directions out; its weights are there all the same
        self.refines, self.refreshes = flow.get("refines", True), flow.get("refreshes", True)
        C, heads, eps = c["hidden"], c["heads"], c["eps"]
        self.cross_attn, self.cross_attn_layer_norm = PackedAttention(C, heads), nn.LayerNorm(C, eps)
        self.semantic_attn, self.semantic_gate = PackedAttention(C, heads), nn.Linear(2 * C, C)
        self.self_attn, self.self_attn_layer_norm = SplitAttention(C, heads), nn.LayerNorm(C, eps)
        self.fc1, self.fc2 = nn.Linear(C, c["decoderMlp"]), nn.Linear(c["decoderMlp"], C)
        self.final_layer_norm = nn.LayerNorm(C, eps)
        self.condition_attn = PackedAttention(C, heads)

    def forward(self, Q, Qpos, key, value, mask, C, valid, flow_pos):
        """Q [B, N, q, d], Qpos [q, d], key and value [B, M, d], mask [B, 1, N*q, M], C [B*N, K, d],
        valid [B*N, 1, 1, K] or None -> Q, C, gate"""
        B, N, q, d = Q.shape

        # 1. Look at the image
        V = self.cross_attn((Q + Qpos).view(B, N * q, d), key, value, mask).view(B * N, q, d)
        Qv = self.cross_attn_layer_norm(Q.view(B * N, q, d) + V)

        # 2. Semantic refinement
        p = Qpos if flow_pos else 0
        gate, Qf = None, Qv
        if self.refines:
            Qsem = self.semantic_attn(Qv + p, C, C, valid)
            gate = torch.sigmoid(self.semantic_gate(torch.cat([Qv, Qsem.to(Qv.dtype)], -1)))
            Qf = gate * Qv + (1 - gate) * Qsem

        # 3. Queries among themselves, feed-forward
        Qs = self.self_attn_layer_norm(Qf + self.self_attn(Qf + Qpos, Qf + Qpos, Qf))
        Q = self.final_layer_norm(Qs + self.fc2(F.relu(self.fc1(Qs))))

        # 4. Condition refreshing
        if self.refreshes:
            C = C + self.condition_attn(C, Qs + p, Qs)
        return Q.view(B, N, q, d), C, gate


class MaskPredictor(nn.Module):
    def __init__(self, C: int, layers: int):
        super().__init__()
        self.mask_embedder = nn.ModuleList(nn.Sequential(nn.Linear(C, C)) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for i, linear in enumerate(self.mask_embedder):
            x = linear(x) if i + 1 == len(self.mask_embedder) else F.relu(linear(x))
        return x


class LayerStack(nn.Module):
    def __init__(self, c: dict, flow: dict):
        super().__init__()
        self.layers = nn.ModuleList(Layer(c, flow) for _ in range(c["decoderLayers"]))
        self.layernorm = nn.LayerNorm(c["hidden"], c["eps"])
        self.mask_predictor = MaskPredictor(c["hidden"], c["maskLayers"])


class Decoder(nn.Module):
    def __init__(self, c: dict, flow: dict):
        super().__init__()
        self.flow_pos = flow["positions"]
        self.queries_features = nn.Embedding(c["queries"], c["hidden"])
        self.queries_embedder = nn.Embedding(c["queries"], c["hidden"])
        self.level_embed = nn.Embedding(3, c["hidden"])
        self.decoder = LayerStack(c, flow)

    def forward(self, levels: list[Tensor], shapes: list[tuple[int, int]], mask_features: Tensor,
                S: Tensor, C: Tensor, valid: Tensor | None = None, member: Tensor | None = None) -> list[Prediction]:
        """levels [B, H_l*W_l, d] coarse to fine, mask_features [B, d, H, W], S [B, N, d], C [B, N, K, d],
        valid [B, N, K] bool or None, member [B, N, K, P] 1 where a row of C is of a phrase, or None: all rows are of one
        -> one prediction before the layers and one after each"""
        B, N, K, d = C.shape
        pos = [sine_positions(H, W, d, S.device) for H, W in shapes]
        value = [x + e for x, e in zip(levels, self.level_embed.weight)]
        key = [x + p for x, p in zip(value, pos)]
        with torch.no_grad():  # logits are linear in the features: resize these once instead of every mask
            small = [F.interpolate(mask_features, s, mode="bilinear", align_corners=False).flatten(2)
                     if s != mask_features.shape[2:] else mask_features.flatten(2) for s in shapes]

        Q = self.queries_features.weight + S.unsqueeze(2)  # [B, N, q, d]
        Qpos = self.queries_embedder.weight
        C = C.reshape(B * N, K, d)
        keep = None if valid is None else valid.reshape(B * N, 1, 1, K)
        weight = torch.ones(B * N, K, 1, device=C.device) if valid is None else valid.reshape(B * N, K, 1).float()
        if member is not None:
            weight = member.reshape(B * N, K, -1).float()
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1)

        predictions = [self.predict(Q, C, weight, member is None)]
        for i, layer in enumerate(self.decoder.layers):
            l = i % 3
            mask = self.attention_mask(predictions[-1].embedding, small[l])
            Q, C, _ = layer(Q, Qpos, key[l], value[l], mask, C, keep, self.flow_pos)
            predictions.append(self.predict(Q, C, weight, member is None))
        return predictions

    def predict(self, Q: Tensor, C: Tensor, weight: Tensor, is_single: bool) -> Prediction:
        O = self.decoder.layernorm(Q)
        if is_single:
            phrase = (C * weight).sum(1).view(*Q.shape[:2], -1)
        else:
            phrase = torch.einsum("nkd,nkp->npd", C, weight.to(C.dtype)).view(*Q.shape[:2], weight.shape[-1], -1)
        return Prediction(O, self.decoder.mask_predictor(O), phrase)

    @torch.no_grad()
    def attention_mask(self, embedding: Tensor, features: Tensor) -> Tensor:
        """True where a query may look: inside its mask, or everywhere if that is empty. [B, 1, N*q, M]"""
        B, N, q, d = embedding.shape
        inside = torch.bmm(embedding.reshape(B, N * q, d), features.to(embedding.dtype)) >= 0
        return (inside | ~inside.any(-1, keepdim=True)).unsqueeze(1)
