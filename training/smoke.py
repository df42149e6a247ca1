"""Checks of training that take seconds, on the folder of a short run of nano2.sh:

    STEPS=3 COUNT=24 TESTS=3 ./nano2.sh FOLDER && python smoke.py FOLDER

The losses' gradients reach every part, many asks at once equal one by one, and the present weights answer as before once
their vocabulary has grown.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import multi
from asks import AskLoader, AskScenes
from evaluate import load
from prompts import Prompts

torch.manual_seed(0)
torch.set_num_threads(1)


def one_by_one(folder: Path) -> float:
    """Class probabilities of asks of all tasks in one batch against those of each alone"""
    from evaluate_asks import Answerer

    weights = folder / "weights"
    model = load(weights, None)
    scenes = AskScenes(folder / "val2")
    a = Answerer(model, Prompts(weights, model.config), scenes)
    worst = 0.0
    for i in range(2):
        kinds = {}
        for ask in scenes.asks[i]:
            if ask["task"] != "chat":
                kinds.setdefault(ask["kind"], ask)
        asks, look = list(kinds.values()), a.look(i)
        together, _, columns = a.decode(look, i, asks)
        for n, ask in enumerate(asks):
            alone, _, _ = a.decode(look, i, [ask])
            P = int(columns[n].sum())
            worst = max(worst, float((together[n][:, :P] - alone[0][:, :P]).abs().max()) if P else 0.0)
    return worst


def gradients(folder: Path) -> list[str]:
    """Parameters that no mode of asks reaches"""
    weights = folder / "weights"
    model = load(weights, None).train()
    torch.nn.init.normal_(model.segmentor.boundary_refiner.refine[2].weight, std=0.1)  # a short run leaves it at zero
    prompt, scenes = Prompts(weights, model.config), AskScenes(folder / "train2-0")
    help = multi.MoreHelp(model.config, len(scenes.categories))
    loader = AskLoader([scenes], prompt, model.config["siglip"]["image"], 2, 16, 0)
    for mode in ("phrases", "regions", "lists"):
        batch = loader.collate([(0, 1), (0, 2)], mode)
        total, seen = multi.losses_of(model, help, batch, torch.tensor(prompt.before), "tune", {"refine": True, "ground": 1.0}, 12)
        print(mode, {k: round(v, 3) for k, v in seen.items()})
        assert np.isfinite(float(total.detach()))
        total.backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    return [n for n in unused if "help" not in n]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    unused = gradients(folder)
    print("no gradient:", unused or "none")
    assert not unused, unused
    worst = one_by_one(folder)
    print(f"many at once against one by one: {worst:.2e}")
    assert worst < 2e-3, "probabilities differ"
