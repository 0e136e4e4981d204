#!/usr/bin/env python3
"""Makes the small tokenizers of testdata/tokenizers that decoders have.

They have the parts, the control tokens and the settings of the published ones: mxbai-rerank-base-v2 (qwen2),
bge-reranker-v2-gemma (gemma), Llama 3.2 (llama) and Mistral 7B v0.3 (mistral), and a vocabulary of some hundred pieces.
"""

import argparse
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_tokenizers import corpus
from reference import bpe, tokenizer_files

# Words that recipes need as one token, and the words of their prompts.
PROMPTS = [
    "query: document: 1 0 2 3 Yes No yes no",
    "You are a search relevance expert who evaluates how well documents match search queries. Relevance:",
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'. A: B: ",
    "Check whether a given document contains information helpful to answer the query. ??",
    "question: passage: ",
] * 60
LEARNED = 420
LLAMA_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)


def byte_level(split: str, added: list[str], **settings: object) -> Tokenizer:
    """Byte-level BPE, whose control tokens come behind the vocabulary."""
    tokenizer = Tokenizer(models.BPE(**settings))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + LEARNED, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([*corpus(), *PROMPTS], trainer)
    tokenizer.add_tokens([special(token) for token in added])
    return tokenizer


def qwen2() -> tuple[Tokenizer, dict]:
    tokenizer = byte_level(bpe.SPLIT, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.normalizer = normalizers.NFC()
    roles = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None}
    return tokenizer, {"tokenizer_class": "Qwen2Tokenizer", "model_max_length": 131072, **roles}


def llama() -> tuple[Tokenizer, dict]:
    names = ["begin_of_text", "end_of_text", "reserved_special_token_0", "start_header_id", "end_header_id", "eot_id"]
    tokenizer = byte_level(LLAMA_SPLIT, [f"<|{name}|>" for name in names], ignore_merges=True)
    start = tokenizer.token_to_id("<|begin_of_text|>")
    around = processors.TemplateProcessing(
        single="<|begin_of_text|>:0 $A:0",
        pair="<|begin_of_text|>:0 $A:0 <|begin_of_text|>:1 $B:1",
        special_tokens=[("<|begin_of_text|>", start)],
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), around])
    roles = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "pad_token": "<|end_of_text|>"}
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 131072, **inputs, **roles}


def sentence_piece(before: list[str], behind: list[str], **settings: object) -> Tokenizer:
    """BPE of SentencePiece's kind: spaces are pieces' first characters, and bytes stand for what has no piece."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=LEARNED + 120, limit_alphabet=120, show_progress=False)
    learner.train_from_iterator([*corpus(), *PROMPTS], trainer)
    learned = json.loads(learner.to_str())["model"]
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    pieces = [piece for piece, _ in sorted(learned["vocab"].items(), key=lambda item: item[1])]
    names = dict.fromkeys([*before, *bytes_, *behind, *pieces])
    vocabulary = {piece: index for index, piece in enumerate(names)}
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learned["merges"]]
    return Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True, **settings)
    )


def gemma() -> tuple[Tokenizer, dict]:
    control = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[@BOS@]", "<unused0>", "<start_of_turn>", "<end_of_turn>"]
    texts = ["\n", "\n\n", "▁▁", "▁▁▁", "<table>"]
    tokenizer = sentence_piece(control, texts)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens(
        [AddedToken(token, special=index < 4, normalized=False) for index, token in enumerate(control + texts[1:])]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos>:0 $A:0", pair="<bos>:0 $A:0 <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    roles = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"add_bos_token": True, "add_eos_token": False, "model_max_length": 10**30}
    return tokenizer, {"tokenizer_class": "GemmaTokenizer", **settings, **roles}


def mistral() -> tuple[Tokenizer, dict]:
    tokenizer = sentence_piece(["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[control_8]"], [])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_tokens([special(token) for token in ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[control_8]"]])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0", pair="<s>:0 $A:0 <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    roles = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    settings = {"add_bos_token": True, "add_eos_token": False, "legacy": False, "model_max_length": 10**30}
    return tokenizer, {"tokenizer_class": "LlamaTokenizer", **settings, **roles}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("testdata/tokenizers"), help="[%(default)s]")
    arguments = parser.parse_args()
    for name, make in {"qwen2": qwen2, "gemma": gemma, "llama": llama, "mistral": mistral}.items():
        tokenizer_files.save(arguments.output / name, *make())


if __name__ == "__main__":
    main()
