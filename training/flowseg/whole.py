"""FlowSeg, the whole model: what `segment` does is what the engine must reproduce.

Image: SigLIP tokens and SAM tokens for the language model; SAM taps through the connector and the
pixel decoder for the masks. Sentence: the language model's <p>..</p> rows are the condition C, the
<SEG> row is S. Decoder: S moves the queries, C flows through its layers, the best query is the mask.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from .boundary import BoundaryRefiner
from .connector import Connector, Projector, space_to_depth
from .decoder import Decoder, Prediction
from .matching import ClassPredictor
from .phi3 import Phi3
from .pixel_decoder import PixelDecoder
from .qwen3 import Qwen3
from .sam import Sam
from .siglip import Siglip


def load_config(path: str | Path) -> dict:
    return json.loads(Path(path).read_text())


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of the networks; those of the images that a checkpoint knows (world.py) are none of them."""
    return {name: x for name, x in load_file(path).items() if not name.startswith("world.")}


@dataclass
class Look:
    """The features of an image: rows for the language model, levels and mask features for the decoder."""

    taps: list[Tensor]  #        every SAM layer, [B, s, s, C]
    rows: Tensor  #              [B, N_siglip + N_sam, H]
    levels: list[Tensor]  #      [B, H_l*W_l, d]
    shapes: list[tuple[int, int]]
    mask_features: Tensor  #     [B, d, H, W]


class Segmentor(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        head, ch = c["head"], c["connector"]["channels"]
        self.encoder = Sam(c["sam"])
        self.pixel_decoder = PixelDecoder(head, [4 * ch[2], ch[1], ch[0] // 4])
        self.decoder = Decoder(head, c["flow"])
        self.class_predictor = ClassPredictor()
        self.boundary_refiner = BoundaryRefiner(head["hidden"], c["boundary"]["compress"], c["boundary"]["hidden"])


class FlowSeg(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.config = c
        H, d = c["llm"]["hidden"], c["head"]["hidden"]
        self.vision_encoder = Siglip(c["siglip"])
        self.segmentor = Segmentor(c)
        self.seg_connector = Connector(c["sam"]["hidden"], c["connector"]["hidden"], c["connector"]["channels"])
        self.visual_projector = Projector(c["siglip"]["hidden"], H)
        self.seg_projector = Projector(4 * c["sam"]["hidden"], H)
        self.llm = (Phi3 if c["llm"]["type"] == "phi3" else Qwen3)(c["llm"])
        self.llm_projector = Projector(H, d)
        self.bg_embeds = nn.Embedding(1, d)

    def look(self, semantic: Tensor, pixels: Tensor) -> Look:
        """semantic [B, 3, s, s] for SigLIP, pixels [B, 3, S, S] for SAM"""
        taps = self.segmentor.encoder(pixels)
        return Look(taps, self.rows(taps, semantic), *self.maps(taps))

    def rows(self, taps: list[Tensor], semantic: Tensor) -> Tensor:
        """The rows of an image for the language model: SigLIP's tokens, then SAM's, [B, N_siglip + N_sam, H]"""
        tokens = space_to_depth(taps[self.config["sam"]["llmLayer"] - 1]).flatten(1, 2)
        return torch.cat([self.visual_projector(self.vision_encoder(semantic)), self.seg_projector(tokens)], 1)

    def maps(self, taps: list[Tensor]) -> tuple[list[Tensor], list[tuple[int, int]], Tensor]:
        """The features of an image for the decoder: levels coarse to fine, their shapes, mask features"""
        fine, middle, coarse = self.seg_connector([taps[i - 1] for i in self.config["sam"]["connectorLayers"]])
        maps = [m.permute(0, 3, 1, 2) for m in (coarse, middle, fine)]
        levels, mask_features = self.segmentor.pixel_decoder(maps)
        return levels, [tuple(m.shape[2:]) for m in maps], mask_features

    def sample(self, rows: Tensor, points: Tensor) -> Tensor:
        """The rows of regions: rows [B, V, H] of images, of which SAM's come last, points [B, R, n, 2] in cells of their
        map, corner to corner -> the largest value of each channel at a region's points, [B, R, H]"""
        side = self.config["sam"]["image"] // self.config["sam"]["patch"] // 2
        map = rows[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
        grid = 2 * points / (side - 1) - 1
        return F.grid_sample(map.float(), grid.float(), align_corners=True).amax(-1).transpose(1, 2).to(rows.dtype)

    @torch.no_grad()
    def read(self, rows: Tensor, before: Tensor, after: Tensor, span: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """rows [1, V, H] of the image, token ids before and after it ([n], [m]; `after` ends with <SEG>),
        span = first and last index of <p>..</p> in `after` -> C [K, d], S [d]"""
        embed = self.llm.model.embed_tokens
        x = torch.cat([embed(before)[None], rows, embed(after)[None]], 1)
        N, start = x.shape[1], x.shape[1] - len(after)
        causal = torch.ones(N, N, dtype=torch.bool, device=x.device).tril()[None, None]
        state = self.llm_projector(self.llm(x, torch.arange(N, device=x.device), causal)[-1][0])
        return state[start + span[0] : start + span[1] + 1], state[-1]

    @torch.no_grad()
    def segment(self, look: Look, C: Tensor, S: Tensor) -> dict[str, Tensor]:
        """One sentence about one image -> classes [Q, 2] (class logits), scores [Q], query,
        logits [H, W] (refined), masks [Q, H, W] (all logits)"""
        seg = self.segmentor
        last = seg.decoder(look.levels, look.shapes, look.mask_features, S[None, None], C[None, None])[-1]
        classes = self.classify(last)[0, 0]
        scores = classes.softmax(-1)[:, 0]
        query = int(scores.argmax())
        masks = torch.einsum("qc,chw->qhw", last.embedding[0, 0], look.mask_features[0])
        refined = seg.boundary_refiner(masks[None, query : query + 1], look.mask_features)[0, 0]
        return {"classes": classes, "scores": scores, "query": query, "logits": refined, "masks": masks}

    def classify(self, prediction: Prediction) -> Tensor:
        return self.segmentor.class_predictor(prediction.output, prediction.phrase, self.bg_embeds.weight)


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """[..., H, W] logits -> the image's size, bilinear (square images need no crop)"""
    return F.interpolate(logits.reshape(1, -1, *logits.shape[-2:]), size, mode="bilinear", align_corners=False)[0]
