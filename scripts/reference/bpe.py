"""Small byte-level BPE tokenizers, built the way the Qwen2 tokenizer is built."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from . import recipe

# The split of Qwen2: contractions, words with their leading space, single digits, punctuation
# with the line breaks behind it, and white space.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# As in Qwen3: the thinking marks are added tokens but not special ones.
ADDED_TOKENS = [
    AddedToken("<|endoftext|>", special=True, normalized=False),
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, normalized=False),
    AddedToken("<think>", special=False, normalized=False),
    AddedToken("</think>", special=False, normalized=False),
]

# How often the prompt is shown to the trainer, for its words (and "yes" and "no") to be tokens.
PROMPT_REPEATS = 200


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of exactly `size` tokens; all 256 bytes are among them, so any text encodes.

    The added tokens come last, behind the learned vocabulary, as they do in Qwen3.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(ADDED_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *_prompt_texts()], trainer)
    tokenizer.add_tokens(ADDED_TOKENS)
    if tokenizer.get_vocab_size() != size:
        raise ValueError(f"the text gives only {tokenizer.get_vocab_size()} of {size} tokens")
    return tokenizer


def _prompt_texts() -> list[str]:
    """The constant text of the prompt without its control tokens, which are no text."""
    text = recipe.PREFIX + recipe.body("", "") + recipe.SUFFIX
    for token in ADDED_TOKENS:
        text = text.replace(token.content, "\n")
    return [text] * PROMPT_REPEATS


def save(tokenizer: Tokenizer, directory: Path) -> None:
    """Writes `tokenizer.json`, compactly, and the configuration that AutoTokenizer wants."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 131072,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
    }
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
