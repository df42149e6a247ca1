"""The config of flowseg-nano 2: that of the first one with all tasks, longer prompts and room for regions.

    python configure.py --old ../weights/flowseg-nano --out WEIGHTS [--sharp]

--sharp gives the head masks of 128 x 128 instead of 64 x 64; the engine can't run such a checkpoint yet.
"""

import argparse
import json
from pathlib import Path

from flowseg import load_config

TASKS = ["referring", "categories", "regions", "chat", "grounded"]
MOST_TOKENS = 160  # a list of twelve names, and a description of nine objects


def second(config: dict, sharp: bool = False) -> dict:
    config = json.loads(json.dumps(config))
    config.pop("knows", None)  # knows.py and world.py tell what this one knows
    config["tasks"] = TASKS
    config["flow"]["tasks"] = [t for t in TASKS if t != "chat"]  # a question in words has no masks
    config["regions"] = {"rows": 1, "pool": "max", "points": 256}
    config["presence"] = {"threshold": 0.5, "all": 0.6}  # calibrate.py measures them
    config["prompt"]["maxTokens"] = MOST_TOKENS
    if sharp:
        config["head"]["sharp"] = True
    return config


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--sharp", action="store_true")
    args = parser.parse_args()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    config = second(load_config(Path(args.old) / "config.json"), args.sharp)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
