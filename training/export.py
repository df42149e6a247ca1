"""Write a run's averaged weights as safetensors (f32, the names of the checkpoint, a checksum each), atomically.

    python export.py --run run/last.pt --weights ../weights/flowseg-nano
"""

import argparse
import json
import os
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file

from flowseg import FlowSeg, load_config


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--weights", required=True)
    args = parser.parse_args()
    out = Path(args.weights)
    state = torch.load(args.run, weights_only=True)
    config = load_config(out / "config.json")
    # Thresholds are measured afterwards (calibrate.py), and what it knows is told (knows.py, world.py)
    without = lambda c: {k: v for k, v in c.items() if k not in ("presence", "knows")}
    assert without(config) == without(state["config"]), "config.json is not the one this run was trained with"

    wanted = FlowSeg(config).state_dict()
    tensors = {name: state["average"][name].float().contiguous() for name in wanted}
    assert all(tensors[n].shape == wanted[n].shape and tensors[n].isfinite().all() for n in wanted)
    if "world" in config.get("knows", {}):  # of other weights: world.py measures it again
        del config["knows"]["world"]
        (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    temporary = out / "model.safetensors.tmp"
    checksums = {n: f"{zlib.crc32(t.numpy().tobytes()):08x}" for n, t in tensors.items()}
    metadata = {"format": "pt", "step": str(state["step"]), "flowseg.crc32": json.dumps(checksums)}
    save_file(tensors, temporary, metadata=metadata)
    os.replace(temporary, out / "model.safetensors")
    count = sum(t.numel() for t in tensors.values())
    print(f"step {state['step']}: {len(tensors)} tensors, {count:,} parameters, {count * 4 / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
