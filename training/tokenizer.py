"""The small tokenizer: byte-level BPE over the sentences in the frame they are asked in.

    python tokenizer.py --corpus corpus.txt --out ../weights/flowseg-nano --vocab 1024

<SEG>, <p>, </p> come last in the vocabulary, as in X-SAM's extended tokenizers. Writes the vocabulary's
length into config.json.
"""

import argparse
import json
import re
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CHAT = ["<|im_start|>", "<|im_end|>"]
MARKS = ["<SEG>", "<p>", "</p>"]


def special(text: str) -> AddedToken:
    return AddedToken(text, special=True, normalized=False, lstrip=False, rstrip=False, single_word=False)


def train(lines: list[str], vocab: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    frame = ["user\n", "assistant\n", "\nSegment ", "It is ", "Sure, it is ", "."] * (len(lines) // 10)
    tokenizer.train_from_iterator(
        lines + frame,
        trainers.BpeTrainer(
            vocab_size=vocab - len(MARKS) - len(CHAT), min_frequency=2, show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.add_special_tokens([special(t) for t in CHAT + MARKS])
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocab", type=int, default=1024)
    args = parser.parse_args()
    lines = [line.strip() for line in Path(args.corpus).read_text().splitlines() if line.strip()]
    tokenizer = train(lines, args.vocab)
    out = Path(args.out)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 4096, "eos_token": "<|im_end|>",
        "additional_special_tokens": CHAT + MARKS, "clean_up_tokenization_spaces": False,
    }, indent=2) + "\n")
    config = out / "config.json"
    text, found = re.subn(r'"vocab": *\d+', f'"vocab": {tokenizer.get_vocab_size()}', config.read_text())
    assert found == 1, "config.json must have one llm.vocab"
    config.write_text(text)
    print("vocabulary", tokenizer.get_vocab_size())
    lengths = [len(tokenizer.encode(line).ids) for line in lines]
    print("tokens a sentence", sum(lengths) / len(lengths), "most", max(lengths))


if __name__ == "__main__":
    main()
