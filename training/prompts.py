"""The prompts of every task, as the engine makes them (src/model/input): the same ids, spans and places.

test/fixtures/nano2-prompts.json holds what both must make of some hundred asks:

    python prompts.py --check ../test/fixtures/nano2-prompts.json --weights FOLDER
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

from data import Prompt
from flowseg import load_config

REGION = -300
MOST_KEPT = 200_000  # prompts in memory: most wordings are asked once
CATEGORIES = ("Can you segment the image based on the following categories: {categories}? "
              "Please output the segmentation masks.")
REGIONS = ("Can you segment the image based on the following regions: {regions}? "
           "Please output the corresponding segmentation mask.")
GROUNDED = ("Can you provide a brief description of the this image? "
            "Please output interleaved segmentation masks for the corresponding phrases.")
ANSWER = "It is <SEG>."


@dataclass
class Asked:
    """A prompt behind the image: ids with REGION where the rows of a region stand."""

    ids: list[int]
    spans: list[tuple[int, int]] = field(default_factory=list)  # [begin, end) of <p>..</p>
    regions: list[int] = field(default_factory=list)  #            index of each region's first row
    seg: int = -1  #                                               index of <SEG>, -1 if there is none
    said: int = 0  #                                               index of the answer's first id


class Prompts(Prompt):
    """One prompt for each task. `phrase` equals Prompt.after."""

    def __init__(self, folder: str | Path, config: dict):
        super().__init__(folder, config)
        self.end = self.tokenizer.token_to_id("<|im_end|>")
        self.rows = config.get("regions", {}).get("rows", 1)
        self.cache: dict[tuple[str, str, str], Asked] = {}

    def asked(self, question: str, answer: str, until_seg: bool = True) -> Asked:
        """Pieces between placeholders are encoded one by one, the answer up to its <SEG> by itself"""
        key = (question, answer, str(until_seg))
        if key in self.cache:
            return self.cache[key]
        ids, regions = [], []
        text = f"{self.line}{question}<|im_end|>\n<|im_start|>assistant\n"
        for i, piece in enumerate(text.split("<region>")):
            if i > 0:
                regions.append(len(ids))
                ids += [REGION] * self.rows
            ids += self.encode(piece)
        said = len(ids)
        if until_seg and answer:
            ids += self.encode(answer[: answer.index("<SEG>") + len("<SEG>")])
        elif answer:
            ids += self.encode(answer) + [self.end]
        seg = ids.index(self.seg) if self.seg in ids else -1
        opens = [i for i, t in enumerate(ids) if t == self.open]
        closes = [i + 1 for i, t in enumerate(ids) if t == self.close]
        made = Asked(ids, list(zip(opens, closes)), regions, seg, said)
        if len(self.cache) < MOST_KEPT:
            self.cache[key] = made
        return made

    def phrase(self, text: str) -> Asked:
        return self.asked(self.template.replace("{phrase}", f"<p>{text.strip().lower()}</p>"), self.answer)

    def categories(self, names: list[str]) -> Asked:
        listed = ", ".join(f"<p>{name.lower()}</p>" for name in names)
        return self.asked(CATEGORIES.replace("{categories}", listed), ANSWER)

    def region(self, count: int = 1) -> Asked:
        return self.asked(REGIONS.replace("{regions}", ", ".join(["<p><region></p>"] * count)), ANSWER)

    def chat(self, text: str, answer: str = "") -> Asked:
        return self.asked(text.strip(), answer, until_seg=False)

    def grounded(self, answer: str = "") -> Asked:
        """<SEG> in the answer isn't the end: a full stop and the end of the turn follow"""
        return self.asked(GROUNDED, answer, until_seg=False)

    def of(self, ask: dict) -> Asked:
        """The prompt of a line of data, with its answer"""
        match ask["task"]:
            case "phrase":
                return self.phrase(ask["text"])
            case "categories":
                return self.categories(ask["names"])
            case "region":
                return self.region()
            case "chat":
                return self.chat(ask["text"], ask["answer"])
            case "grounded":
                return self.grounded(ask["answer"])
        raise ValueError(ask["task"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", required=True)
    parser.add_argument("--weights", required=True)
    args = parser.parse_args()
    prompts = Prompts(args.weights, load_config(Path(args.weights) / "config.json"))
    lines = json.loads(Path(args.check).read_text())

    import numpy as np

    from asks import pixels_of

    for line in lines:
        made = prompts.of(line["ask"])
        same = [made.ids, [list(s) for s in made.spans], made.regions, made.seg] == [
            line["ids"], line["spans"], line["regions"], line["seg"]]
        assert same, f"{line['ask']}: {made} differs from {line}"
        if line["ask"]["task"] == "region":
            at = np.flatnonzero(pixels_of(line["ask"]["gesture"]))
            assert [len(at), int(at.sum())] == line["pixels"], f"{line['ask']}: other pixels"
    print(len(lines), "prompts are the same")


if __name__ == "__main__":
    main()
