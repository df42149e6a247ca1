"""Chooses the thresholds of presence from the answers about a validation split, and writes them into config.json.

    python calibrate.py --rows val2.rows.jsonl --weights WEIGHTS [--keep 0.975]

`presence.threshold` is the highest that keeps the share `--keep` of what is there, or the one where as much is refused
as kept if that is lower; `presence.all` the one with which most phrases for several objects get the right number.
The rows are those that evaluate_asks.py writes.
"""

import argparse
import json
from pathlib import Path

import numpy as np


def threshold_of(present: np.ndarray, absent: np.ndarray, keep: float) -> float:
    """Scores of what is there and of what isn't -> a threshold between two of the scores"""
    kept = float(np.quantile(present, 1 - keep))
    every = np.unique(np.concatenate([present, absent]))
    balance = [(present >= t).mean() - (absent < t).mean() for t in every]
    equal = float(every[int(np.argmin(np.abs(balance)))])
    return round(min(max(min(kept, equal), 0.01), 0.99), 4)


def all_of(several: list[tuple[list[float], int]], low: float) -> float:
    """Scores of all instances and their true number -> the threshold at which the number is right most often"""
    every = np.linspace(low, 0.98, 100)
    right = [sum(sum(s >= t for s in scores) == n for scores, n in several) for t in every]
    best = np.flatnonzero(np.array(right) == max(right))
    return round(float(every[best[len(best) // 2]]), 4)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--keep", type=float, default=0.975)
    args = parser.parse_args()
    rows = [json.loads(line) for line in Path(args.rows).open()]
    phrases = [r for r in rows if r["task"] == "phrase"]
    scores = lambda is_there: np.array([r["score"] for r in phrases if (r["targets"] > 0) == is_there])
    present, absent = scores(True), scores(False)
    threshold = threshold_of(present, absent, args.keep)
    several = [(r["scores"], r["targets"]) for r in phrases if r["kind"].startswith("several") and r["targets"] > 0]
    both = {"threshold": threshold, "all": all_of(several, threshold)}
    path = Path(args.weights) / "config.json"
    config = json.loads(path.read_text()) | {"presence": both}
    path.write_text(json.dumps(config, indent=2) + "\n")
    print(both, f"kept {(present >= threshold).mean():.4f}", f"refused {(absent < threshold).mean():.4f}")


if __name__ == "__main__":
    main()
