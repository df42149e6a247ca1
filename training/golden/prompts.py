"""Token ids of the prompts of every task, by Hugging Face's tokenizers, in both generations of X-SAM.

The words are X-SAM's, written down again here; nothing is shared with the engine. Two vocabularies:

    qwen3   that of test/fixtures/io, byte-level as Qwen2's, with the markers of Qwen3's chat
    phi3    `sentence_piece`, made here as Llama's is: every text begins with a word's mark, and characters without a
            token, line feeds among them, fall back to bytes. list-prompts and region-prompts have Phi-3's markers in
            the vocabulary of qwen3 instead
"""

import json

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from .golden import FOLDER, Golden
from .regions import ROWS

SOURCE = "Hugging Face tokenizers"

# Words

SENTENCE_ANSWERS = ["<SEG>", "It is <SEG>", "Sure, <SEG>", "Sure, it is <SEG>", "Sure, the segmentation mask is <SEG>"]
LIST_ANSWERS = [*SENTENCE_ANSWERS[:4], "Sure, the segmentation result is <SEG>"]
CATEGORIES = [
    "Can you segment the image based on the following categories: {}? Please output the segmentation masks.",
    "Can you generate segmentation masks for this image based on the specified categories: {}? Please generate the "
    "segmentation masks.",
    "Can you provide segmentation masks for this image based on these categories: {}? Please provide the segmentation "
    "masks.",
    "Could you create segmentation masks for this image according to the specified categories: {}? Please create the "
    "segmentation masks.",
    "Could you output segmentation masks for this image that highlight the following categories: {}? Please output the "
    "segmentation masks.",
    "Could you provide segmentation masks for this image according to the specified categories: {}? Please respond with "
    "the segmentation masks.",
]
REGIONS = [
    "Can you segment the image based on the following regions: {}? Please output the corresponding segmentation mask.",
    "Can you generate segmentation masks for this image based on the specified regions: {}? Please generate the "
    "segmentation masks.",
    "Can you provide segmentation masks for this image based on these regions: {}? Please provide the segmentation masks.",
    "Could you create segmentation masks for this image according to the specified regions: {}? Please create the "
    "segmentation masks.",
    "Could you output segmentation masks for this image that highlight the following regions: {}? Please output the "
    "segmentation masks.",
    "Could you provide segmentation masks for this image according to the specified regions: {}? Please respond with the "
    "segmentation masks.",
]
REFERRING = [
    "Please identify and segment the {} in this image.",
    "Please segment {} in this image.",
    "What is {} in this image? Please output the corresponding segmentation mask.",
    "Can you segment {} in this image? Please generate the segmentation mask.",
    "Could you provide a segmentation mask for the {} in this image? Please provide the segmentation mask.",
    "Where is the {} in this picture? Please output the segmentation masks.",
    "Can you highlight the {} in this image with a segmentation mask? Please output the segmentation mask.",
    "Could you provide a segmentation mask for the {} in this image? Please respond with the segmentation mask.",
    "Where is the {} in this picture? Please output the corresponding segmentation mask.",
    "Can you highlight the {} in this image with a segmentation mask? Please output the segmentation mask.",
]
REASONING = [
    "{} Please output the corresponding segmentation mask.",
    "{} Please generate a segmentation mask for this image.",
    "{} Please extract the segmentation mask.",
    "{} Please return the segmentation predictions as masks.",
    "{} Please segment the image.",
]
REASONING_PHRASE = [
    "Can you segment {} in this image? Please output the segmentation mask.",
    "Can you give the segmentation mask for {} in this image? Please respond with the segmentation mask.",
    "Can you highlight {} and output the corresponding segmentation mask? Please provide the segmentation mask.",
    "What is {} in this image? Please output the corresponding segmentation mask.",
    "What is {} in this image? Please generate a segmentation mask for this image.",
]
EXPLAIN = [
    "{} Please explain why and output the corresponding segmentation mask.",
    "{} Please explain the reason and output the corresponding segmentation mask.",
    "{} Please give some explanation and output the corresponding segmentation mask.",
    "{} Please explain the reason and output the corresponding segmentation mask.",
    "{} Please give detailed explanation and output the corresponding segmentation mask.",
]
PARTS = "Please respond with interleaved segmentation masks for the corresponding parts of the answer."
GROUNDED = [
    f"Could you please give me a brief description of the image? {PARTS}",
    "Can you provide a brief description of the this image? Please output interleaved segmentation masks for the "
    "corresponding phrases.",
    f"Please briefly describe the contents of the image. {PARTS}",
    "Could you give a brief explanation of what can be found within this picture? Please output interleaved segmentation "
    "masks for the corresponding phrases.",
    "Could you give me an brief explanation of this picture? Please respond with interleaved segmentation masks for the "
    "corresponding phrases.",
    "Could you provide me with a briefly analysis of this photo? Please output interleaved segmentation masks for the "
    "corresponding parts of the answer.",
]

# What is asked for

NAMES = [["person", "potted-plant"], ["Dog"], ["wall-other-merged", "St. Bernard (dog)", "traffic_light", "food-stuff"]]
PHRASES = ["the Red mug, left of the laptop", "  a dog ", "THE  CAFÉ'S 2nd chair", "日本 🙂", "what is (not) there; 100 %"]
CHATS = ["What is on the table?", "  How many dogs are there?\nAnd\tcats?  ", "Why “café” \U0001f642?", "a", "x\n\n  y = 3.14"]

# Frames

FRAMES = {
    "qwen3": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
    "phi3": ("<|user|>\n", "<|end|>\n<|assistant|>\n"),
    "qwen3-no-think": ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"),
}


def added(texts, rstrip=False):
    return [AddedToken(text, rstrip=rstrip, normalized=False, special=True) for text in texts]


def byte_level(chat: str) -> Tokenizer:
    """The vocabulary of test/fixtures/io with Qwen3's markers, and with Phi-3's; <SEG>, <p> and </p> come last."""
    tokenizer = Tokenizer.from_file(str(FOLDER.parent / "io" / "tokenizer.json"))
    tokenizer.post_processor = None
    if chat == "phi3":
        tokenizer.add_special_tokens(added(["<s>"]))
        tokenizer.add_special_tokens(added(["<|user|>", "<|assistant|>", "<|end|>"], rstrip=True))
    tokenizer.add_special_tokens(added(["<SEG>", "<p>", "</p>"]))
    return tokenizer


def sentence_piece() -> Tokenizer:
    """A small vocabulary laid out as Llama's: special tokens, bytes, pieces; then the markers of Phi-3 and FlowSeg."""
    corpus = [*CATEGORIES, *REGIONS, *REFERRING, *REASONING, *REASONING_PHRASE, *EXPLAIN, *GROUNDED, *SENTENCE_ANSWERS]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learned = json.loads(learner.to_str())["model"]

    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁▁"]
    pieces += [piece for piece, _ in sorted(learned["vocab"].items(), key=lambda item: item[1]) if piece not in "{}<>"]
    merges = [("▁", "▁")] + [tuple(merge) for merge in learned["merges"] if not set("".join(merge)) & set("{}<>")]
    merges = [merge for merge in merges if all(part in pieces for part in (*merge, "".join(merge)))]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    assert len(vocab) == len(pieces)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fallback = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(fallback)
    tokenizer.add_special_tokens(added(["<unk>", "<s>", "</s>", "<|endoftext|>"]))
    tokenizer.add_special_tokens(added(["<|assistant|>", "<|system|>", "<|end|>", "<|user|>"], rstrip=True))
    tokenizer.add_special_tokens(added(["<SEG>", "<p>", "</p>"]))
    return tokenizer


class Encoder:
    """The ids of prompts in the frame of a chat."""

    def __init__(self, chat: str, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        header, self.middle = FRAMES[chat]
        self.before = ([tokenizer.token_to_id("<s>")] if chat == "phi3" else []) + self.encode(header)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def after(self, compat: str, text: str, answer: str | None = None) -> list[int]:
        """Each piece between <region> and the answer are encoded apart; main drops pieces of white space alone."""
        ids = []
        for i, piece in enumerate((("\n" if compat == "aaai" else "") + text + self.middle).split("<region>")):
            ids += ([-300] * ROWS[compat] if i else []) + (self.encode(piece) if compat == "aaai" or piece.strip() else [])
        return ids + (self.encode(answer) if answer else [])


def cleaned(name):
    for ending in ("-merged", "-other", "-stuff"):
        name = name.replace(ending, "")
    return name.replace("-", " ").lower()


def wrapped(names):
    return ", ".join(f"<p>{name}</p>" for name in names)


# The files


def encoders():
    """Of both chats and both generations"""
    for chat in ("qwen3", "phi3"):
        encoder = Encoder(chat, byte_level(chat))
        for compat in ROWS:
            yield chat, compat, encoder


def list_prompts(_small) -> Golden:
    golden = Golden(
        "list-prompts", SOURCE,
        "Token ids of prompts for lists of categories, before and after the image. Cases: chat, generation, number of the "
        "question, of the answer, and the names.",
    )  # fmt: skip
    for chat, compat, encoder in encoders():
        for q, question in enumerate(CATEGORIES):
            names, answer = NAMES[q % len(NAMES)], q % len(LIST_ANSWERS)
            asked = question.format(wrapped(cleaned(name) for name in names))
            after = encoder.after(compat, asked, LIST_ANSWERS[answer])
            case = dict(chat=chat, compat=compat, question=q, answer=answer, names=names)
            golden.fact(f"{chat} {compat} {q}", case | dict(before=encoder.before, after=after))
    return golden


def region_prompts(_small: dict) -> Golden:
    golden = Golden(
        "region-prompts", SOURCE,
        "Token ids of prompts for regions, before and after the image, -300 for a row of a region: pieces between <region> "
        "are encoded apart, and main drops those of white space alone. Cases: chat, generation, question, regions.",
    )  # fmt: skip
    for chat, compat, encoder in encoders():
        for q, question in enumerate(REGIONS):
            count, answer = 1 + q % 3, q % len(LIST_ANSWERS)
            after = encoder.after(compat, question.format(wrapped(["<region>"] * count)), LIST_ANSWERS[answer])
            case = dict(chat=chat, compat=compat, question=q, answer=answer, count=count)
            golden.fact(f"{chat} {compat} {q}", case | dict(before=encoder.before, after=after))
    return golden


def task_cases(chat: str):
    """Each question of each task: its task, number, what is asked for, the text with it and the answer, if one is read."""
    for q, question in enumerate(REFERRING):
        words = PHRASES[q % len(PHRASES)]
        yield "referring", q, words, question.format(f"<p>{words.strip().lower()}</p>"), SENTENCE_ANSWERS[q % 5]
    for task, questions in (("reasoning", REASONING), ("reasoning phrase", REASONING_PHRASE)):
        for q, question in enumerate(questions):
            words = PHRASES[q % len(PHRASES)]
            yield task, q, words, question.format(f"<p>{words.strip()}</p>"), SENTENCE_ANSWERS[q]
    for q, words in enumerate(CHATS):
        yield "chat", q, words, words.strip(), None
    for q, question in enumerate(GROUNDED):
        yield "grounded", q, "", question, None
    for q, question in enumerate(EXPLAIN):
        words = PHRASES[q % len(PHRASES)]
        yield "explain", q, words, question.format(f"<p>{words.strip()}</p>"), None
    if chat == "phi3":  # the others are in list-prompts and region-prompts
        for q, question in enumerate(CATEGORIES):
            names = NAMES[q % len(NAMES)]
            asked = question.format(wrapped(cleaned(name) for name in names))
            yield "categories", q, names, asked, LIST_ANSWERS[q % 5]
        for q, question in enumerate(REGIONS):
            count = 1 + q % 3
            yield "regions", q, count, question.format(wrapped(["<region>"] * count)), LIST_ANSWERS[q % 5]


def task_prompts(_small) -> Golden:
    golden = Golden(
        "task-prompts", SOURCE,
        "Token ids of the prompts of every task, before and after the image, -300 for a row of a region. Cases: chat, "
        "generation, task, number of the question, and what is asked for; the answer that is read, if one is, has the "
        "question's number, from 0 again after 4. tokenizer is the vocabulary of phi3, in the form of Llama's; qwen3 has "
        "that of test/fixtures/io.",
    )  # fmt: skip
    tokenizers = {chat: sentence_piece() if chat == "phi3" else byte_level(chat) for chat in FRAMES}
    golden.fact("tokenizer", json.loads(tokenizers["phi3"].to_str()))
    for chat, tokenizer in tokenizers.items():
        encoder = Encoder(chat, tokenizer)
        for compat in ROWS:
            for task, q, words, text, answer in task_cases(chat):
                if chat == "qwen3-no-think" and q > 0:
                    continue
                after = encoder.after(compat, text, answer)
                case = dict(chat=chat, compat=compat, task=task, question=q, words=words, before=encoder.before)
                golden.fact(f"{chat} {compat} {task} {q}", case | dict(after=after))
    return golden


FILES = [list_prompts, region_prompts, task_prompts]
