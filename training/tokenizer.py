"""The small tokenizer: byte-level BPE over the sentences in the frame they are asked in.

    python tokenizer.py --corpus corpus.txt --out ../weights/flowseg-nano --vocab 1024

<SEG>, <p>, </p> come last in the vocabulary, as in X-SAM's extended tokenizers. Writes the vocabulary's
length into config.json.

    python tokenizer.py --grow ../weights/flowseg-nano --corpus corpus.txt --out WEIGHTS --vocab 1200

gives a present vocabulary more words: its merges come first, new ones go on where they end, and the special tokens move
behind them. WEIGHTS gets the model's weights as well, each token with its row; a new token begins as the mean of the
pieces it was read in. Training starts from there as from the old weights.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from flowseg import load_weights

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


def grow(old: Tokenizer, lines: list[str], vocab: int) -> Tokenizer:
    """The old vocabulary and merges with new merges behind them, the most frequent pair of the corpus first"""
    counts = Counter(word for line in lines for word, _ in old.pre_tokenizer.pre_tokenize_str(line))
    words = [([t.value for t in old.model.tokenize(word)], n) for word, n in counts.items()]
    state = json.loads(old.to_str())["model"]
    tokens = [t for t, _ in sorted(state["vocab"].items(), key=lambda one: one[1]) if t not in CHAT + MARKS]
    merges = [tuple(m if isinstance(m, list) else m.split(" ")) for m in state["merges"]]
    while len(tokens) < vocab - len(CHAT) - len(MARKS):
        pairs: Counter = Counter()
        for word, n in words:
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        pair = min(pairs, key=lambda one: (-pairs[one], one))
        merges.append(pair)
        if "".join(pair) not in tokens:
            tokens.append("".join(pair))
        for word, _ in words:
            i = 0
            while i + 1 < len(word):
                if (word[i], word[i + 1]) == pair:
                    word[i : i + 2] = ["".join(pair)]
                i += 1
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = old.pre_tokenizer, old.decoder
    tokenizer.add_special_tokens([special(t) for t in CHAT + MARKS])
    return tokenizer


def grown_weights(old: Tokenizer, new: Tokenizer, tensors: dict) -> dict:
    """The same weights with a row for each token of the new vocabulary"""
    name = "llm.model.embed_tokens.weight"
    table = tensors[name]
    rows = torch.empty(new.get_vocab_size(), table.shape[1])
    known = old.get_vocab()
    for token, i in new.get_vocab().items():
        pieces = [known[token]] if token in known else [t.id for t in old.model.tokenize(token)]
        rows[i] = table[pieces].mean(0)
    return tensors | {name: rows}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--grow", help="folder of a checkpoint whose vocabulary gets more words")
    args = parser.parse_args()
    lines = [line.strip() for line in Path(args.corpus).read_text().splitlines() if line.strip()]
    out = Path(args.out)
    if args.grow:
        old = Tokenizer.from_file(str(Path(args.grow) / "tokenizer.json"))
        tokenizer = grow(old, lines, args.vocab)
        tensors = grown_weights(old, tokenizer, load_weights(Path(args.grow) / "model.safetensors"))
        save_file(tensors, out / "model.safetensors")
    else:
        tokenizer = train(lines, args.vocab)
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
