"""The engine's answer about one image, held against PyTorch, stage by stage, at any size of the model.

    python full_size.py --weights FOLDER --answer answer.safetensors [--reference reference.safetensors]

Modules are made without memory. The weights of a layer come from the checkpoint when it is called, as float32, and go
when it returns, so that 4.8 billion parameters take a few gigabytes. `--reference` keeps PyTorch's stages, or takes those that are
there. Prints one line of JSON: per stage ||engine - PyTorch|| / ||PyTorch||, the queries, and the share of equal mask pixels.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from flowseg.whole import FlowSeg, load_config, upsample


LAYERS = ("vision_encoder.vision_model.encoder.layers", "segmentor.encoder.layers", "llm.model.layers")


class Checkpoint:
    """Tensors by name, from a file or several with an index; those in few bits (docs/quantized.md) as what they stand for."""

    def __init__(self, folder: Path):
        index = folder / "model.safetensors.index.json"
        if index.exists():
            self.files = json.loads(index.read_text())["weight_map"]
        else:
            with safe_open(folder / "model.safetensors", "pt") as file:
                self.files = {name: "model.safetensors" for name in file.keys()}
        self.folder, self.opened = folder, {}
        any_file = self.open(next(iter(self.files.values())))
        self.quantized = json.loads((any_file.metadata() or {}).get("flowseg.quantized", "{}"))

    def open(self, path: str):
        if path not in self.opened:
            self.opened[path] = safe_open(self.folder / path, "pt")
        return self.opened[path]

    def stored(self, name: str) -> Tensor:
        return self.open(self.files[name]).get_tensor(name)

    def tensor(self, name: str, shape: torch.Size) -> Tensor:
        stored = self.stored(name)
        if name not in self.quantized:
            return stored.float()
        scales = self.stored(f"{name}.scales").float()
        if self.quantized[name] == "int8":
            return stored.float() * scales[:, None]
        codes = torch.stack([stored & 15, stored >> 4], -1).view(*scales.shape, 32)
        return ((codes.float() - 8) * scales[..., None]).flatten(1)[:, : shape[1]]


def materialise(module: nn.Module, checkpoint: Checkpoint, prefix: str) -> None:
    for name, child in module.named_modules():
        for own, parameter in list(child.named_parameters(recurse=False)):
            path = ".".join(part for part in (prefix, name, own) if part)
            values = checkpoint.tensor(path, parameter.shape)
            setattr(child, own, nn.Parameter(values, requires_grad=False))


def stream(model: FlowSeg, checkpoint: Checkpoint) -> None:
    """The layers of the two encoders and of the language model load their weights when they are called and drop them
    when they return; all others, a tenth of the parameters, are loaded once. Nothing reads an untied head."""
    layers = {f"{name}.{i}": layer for name in LAYERS for i, layer in enumerate(model.get_submodule(name))}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(lambda layer, _, name=name: materialise(layer, checkpoint, name))
        layer.register_forward_hook(lambda layer, *_: layer.to("meta") and None)
    for name, module in model.named_modules():
        if name.startswith("llm.lm_head") or any(name == at or name.startswith(f"{at}.") for at in layers):
            continue
        for own, parameter in list(module.named_parameters(recurse=False)):
            values = checkpoint.tensor(f"{name}.{own}" if name else own, parameter.shape)
            setattr(module, own, nn.Parameter(values, requires_grad=False))


@torch.no_grad()
def stages(folder: Path, asked: dict[str, Tensor]) -> dict[str, Tensor]:
    config = load_config(folder / "config.json")
    with torch.device("meta"):
        model = FlowSeg(config).eval()
    checkpoint = Checkpoint(folder)
    stream(model, checkpoint)

    def pixels(name: str) -> Tensor:
        side = config[name]["image"]
        return asked[f"{name} pixels"].view(1, side, side, 3).permute(0, 3, 1, 2)

    begin, end, seg = asked["span"].tolist()
    look = model.look(pixels("siglip"), pixels("sam"))
    before, after = asked["before"].long(), asked["after"].long()
    C, S = model.read(look.rows, before, after[: seg + 1], (begin, end - 1))
    out = model.segment(look, C, S)
    raw = out["masks"][out["query"]]
    canvas, side = config["sam"]["image"], int(asked["mask"].shape[0])
    mask = upsample(upsample(out["logits"], (canvas, canvas)), (side, side))[0] > 0
    return {
        "features": look.mask_features[0].permute(1, 2, 0).flatten(), "condition": C.flatten(), "seg": S,
        "classes": out["classes"].flatten(), "scores": out["scores"], "raw": raw.flatten(), "refined": out["logits"].flatten(),
        "query": torch.tensor([out["query"]]), "mask": mask.to(torch.uint8),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--answer", required=True, type=Path)
    parser.add_argument("--reference", type=Path)
    args = parser.parse_args()
    asked = load_file(args.answer)
    started = time.perf_counter()
    if args.reference and args.reference.exists():
        wanted = load_file(args.reference)
    else:
        wanted = {name: x.contiguous() for name, x in stages(args.weights, asked).items()}
        wanted["seconds"] = torch.tensor([time.perf_counter() - started])
        if args.reference:
            save_file(wanted, args.reference)

    def error(name: str) -> float:
        x, y = asked[name].double().flatten(), wanted[name].double().flatten()
        return float((x - y).norm() / y.norm())

    compared = {name: error(name) for name in ("features", "condition", "seg", "classes", "scores")}
    queries = [int(asked["query"]), int(wanted["query"])]
    if queries[0] == queries[1]:
        compared |= {"raw": error("raw"), "refined": error("refined"),
                     "mask": float((asked["mask"] == wanted["mask"]).double().mean())}
    print(json.dumps({"errors": compared, "queries": queries, "maskShare": float(wanted["mask"].double().mean()),
                      "seconds": float(wanted["seconds"])}))


if __name__ == "__main__":
    main()
