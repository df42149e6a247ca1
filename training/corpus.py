"""The texts that a vocabulary should know: a line for each wording that scenes of the second generation ask and answer.

    python corpus.py --data train0 --out corpus.txt

The prompts' own words are in it as often as a twentieth of the lines. Letters without sense stay out: they are to be read
letter by letter.
"""

import argparse
import json
from pathlib import Path

from prompts import ANSWER, CATEGORIES, GROUNDED, REGIONS

SENSELESS = ("absent-gibberish", "absent-unknown")


def texts(line: dict) -> list[str]:
    out = [s["text"] for s in line["sentences"]]
    for ask in line.get("asks", []):
        if ask["kind"] in SENSELESS:
            continue
        if ask["task"] == "phrase":
            out.append(ask["text"].lower())
        if ask["task"] == "categories":
            out += ask["names"]
        if ask["task"] == "chat":
            out += [ask["text"], ask["answer"]]
        if ask["task"] == "grounded":
            out += [part.replace("</p>", "") for part in ask["answer"].replace("<SEG>", "").split("<p>")]
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    lines = [t for f in args.data for line in (Path(f) / "scenes.jsonl").open() for t in texts(json.loads(line))]
    words = " ".join([CATEGORIES, REGIONS, GROUNDED, ANSWER])
    for place in ("{categories}", "{regions}", "<SEG>"):
        words = words.replace(place, "")
    frame = ["user\n", "assistant\n", "\nSegment ", words] * (len(lines) // 20)
    Path(args.out).write_text("\n".join(lines + frame) + "\n")
    print(len(lines), "texts")


if __name__ == "__main__":
    main()
