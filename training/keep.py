"""Keep a run of nano2.sh for another machine: 10 MB, without the optimizer and in float16.

    python keep.py --of FOLDER --in training/kept       # what nano2.sh has in FOLDER so far
    python keep.py --to FOLDER --in training/kept       # ready for nano2.sh; KEPT=training/kept does it

Scenes and rows are made again; the optimizer starts anew, and the schedule goes on where it was.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

STATE = "state.safetensors"
FILES = ["config.json", "tokenizer.json", "tokenizer_config.json"]
PARTS = [f"{name}{mark}" for name in ("tune1", "read1", "tune2", "decode", "read2", "join", "tune3") for mark in ("", ".begun")]
PARTS += ["vocabulary", "export1", "export2", "export3"]


def keep(folder: Path, kept: Path) -> None:
    state = torch.load(folder / "run/last.pt", weights_only=True)
    tensors = {f"{part}.{name}": t.half().contiguous() for part in ("model", "help") for name, t in state[part].items()}
    assert all(t.isfinite().all() for t in tensors.values()), "a weight is too large for float16"
    facts = {"step": state["step"], "used": state["used"], "config": state["config"], "categories": state["categories"],
             "done": [p for p in PARTS if (folder / "done" / p).exists()]}
    kept.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(folder / "weights" / name, kept / name)
    save_file(tensors, kept / f"{STATE}.tmp", metadata={"run": json.dumps(facts)})  # one, as their order is by chance
    os.replace(kept / f"{STATE}.tmp", kept / STATE)
    print(f"step {facts['step']}, done: {' '.join(facts['done'])}")


def restore(folder: Path, kept: Path) -> None:
    for part in ("weights", "run", "done"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(kept / name, folder / "weights" / name)
    with safe_open(kept / STATE, "pt") as file:
        state = json.loads(file.metadata()["run"])
        of = lambda part: {n.removeprefix(part): file.get_tensor(n).float() for n in file.keys() if n.startswith(part)}
        state |= {"model": of("model."), "help": of("help."), "optimizer": {}}
    state["average"] = {name: t.clone() for name, t in state["model"].items()}
    done = state.pop("done")
    torch.save(state, folder / "run/last.pt")
    export = ["export.py", "--run", str(folder / "run/last.pt"), "--weights", str(folder / "weights")]
    subprocess.check_call([sys.executable, *export], cwd=Path(__file__).parent)
    for part in done:
        (folder / "done" / part).touch()


def main() -> None:
    parser = argparse.ArgumentParser()
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--of", type=Path)
    which.add_argument("--to", type=Path)
    parser.add_argument("--in", type=Path, required=True, dest="kept")
    args = parser.parse_args()
    if args.of:
        keep(args.of.resolve(), args.kept.resolve())
    else:
        restore(args.to.resolve(), args.kept.resolve())


if __name__ == "__main__":
    main()
