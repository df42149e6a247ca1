"""Writes `knows` of config.json, a checkpoint's account of itself: the words that training asked, a sentence about its
images, and examples.

    python knows.py --data train2-0 train2-1 --weights WEIGHTS

A word counts where it was asked about something that is there, or stands in a true answer, at least `--least` times. The
deliberate typos of other wordings are left out: the engine forgives slips of the pen itself. So are things that scenes
were only asked about to hear that they aren't there. `knows.world` is world.py's, and stays.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

WORD = re.compile(r"[a-z]+")
DOMAIN = (
    "Drawn scenes of a few objects: shapes in eight colours, plain, striped or dotted, and icons of everyday things such as "
    "animals, food, vehicles, tools and clothing."
)
EXAMPLES = [
    "the umbrella", "all the red shapes", "what keeps you dry in the rain", "the star nearest to the clock",
    "the second animal from the left", "the dotted shape", "both cats", "everything but the shapes",
]  # fmt: skip


def texts_of(line: dict) -> tuple[list[str], list[str]]:
    """Texts about what is there: as they were written, and in other wordings, which may have typos"""
    written, reworded = [s["text"] for s in line["sentences"]], []
    for ask in line.get("asks", []):
        match ask["task"]:
            case "phrase" if ask["targets"]:
                plain = ask.get("plain") or (ask.get("from") if ask["kind"] == "wording" else None)
                if plain:
                    reworded.append(ask["text"])
                written.append(plain or ask["text"])
            case "categories":
                written += [name for name, targets in zip(ask["names"], ask["targets"]) if targets]
            case "chat" if ask["targets"]:
                written += [ask["text"], ask["answer"]]
            case "grounded":
                written.append(re.sub("<[^>]*>", " ", ask["answer"]))
    return written, reworded


def slips(word: str) -> set[str]:
    """The typos that src/scenes/asks/wording.ts makes: letters swapped, left out or doubled, inside of a long word"""
    inside = range(1, len(word) - 2) if len(word) >= 5 else ()
    return {
        slip for i in inside for slip in (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :], word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:])
    }  # fmt: skip


def words_of(folders: list[str], least: int) -> list[str]:
    written, reworded = Counter(), Counter()
    for folder in folders:
        for line in (Path(folder) / "scenes.jsonl").open():
            for counts, texts in zip((written, reworded), texts_of(json.loads(line))):
                for text in texts:
                    counts.update(WORD.findall(text.lower()))
    known = {word for word, n in written.items() if n >= least}
    others = {word for word, n in reworded.items() if n >= least} - known
    # Of words that only other wordings have, a slip of a more frequent one is a typo
    counts = written + reworded
    typos = {slip for word in known | others for slip in slips(word) & others if counts[slip] < counts[word]}
    return sorted(known | others - typos)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--least", type=int, default=4)
    parser.add_argument("--domain", default=DOMAIN)
    parser.add_argument("--examples", nargs="+", default=EXAMPLES)
    args = parser.parse_args()
    words = words_of(args.data, args.least)
    assert words, "the scenes ask nothing often enough"
    told = {"domain": args.domain, "words": words, "examples": args.examples}
    path = Path(args.weights) / "config.json"
    config = json.loads(path.read_text())
    world = {k: v for k, v in config.get("knows", {}).items() if k == "world"}
    text = json.dumps(config | {"knows": told | world}, indent=2)
    # The words on one line, not on a thousand
    listed = json.dumps(words, indent=2).replace("\n", "\n    ")
    path.write_text(text.replace(listed, json.dumps(words)) + "\n")
    strange = {w for e in args.examples for w in WORD.findall(e.lower())} - set(words)
    print(len(words), "words", *(["; not among them:", *sorted(strange)] if strange else []))


if __name__ == "__main__":
    main()
