"""Estimates how many steps fit a budget of hours on this machine, by the step times of a run's log.

    python estimate.py --log RUN/log.jsonl --hours 6 [--scenes 10000] [--batch 8]

Phases are those of nano2.sh; a phase marked * reads the image rows that were written once. Steps that were wanted are what
the first checkpoint needed, twice over for four times as many tasks.
"""

import argparse
import json
from pathlib import Path

PLAN = [  # phase in the log, name, share of the hours, steps wanted
    ("tune", "tune1", 0.12, 1_500), ("read*", "read1", 0.20, 5_000), ("tune", "tune2", 0.24, 4_000),
    ("decode*", "decode", 0.08, 3_000), ("read*", "read2", 0.14, 3_000), ("tune*", "join", 0.10, 3_000),
    ("tune", "tune3", 0.12, 2_000),
]
OTHERS = 0.35  # hours: scenes, rows, figures of 4 x 200 scenes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    lines = [json.loads(line) for line in Path(args.log).open()]
    whole = OTHERS
    for phase, name, share, wanted in PLAN:
        times = sorted(line["s/step"] for line in lines if line.get("phase") == phase)
        if not times:
            print(f"{name:6} no step of phase {phase} in the log")
            continue
        seconds = times[len(times) // 2]
        steps = args.hours * share * 3600 / seconds
        whole += wanted * seconds / 3600
        print(f"{name:6} {seconds:6.2f} s a step: {steps:7.0f} steps in {args.hours * share:.2f} h, "
              f"{steps * args.batch / args.scenes:.1f} times all scenes; wanted {wanted}: {wanted * seconds / 3600:.1f} h")
    print(f"all that is wanted: {whole:.1f} h; HOURS={args.hours:g} gives {args.hours / max(whole - OTHERS, 0.01):.0%} of the steps")


if __name__ == "__main__":
    main()
