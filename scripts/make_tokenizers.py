#!/usr/bin/env python3
"""Makes the small tokenizers of testdata/tokenizers, one of each kind that text pairs are given to.

They have the parts, the control tokens and the settings of the published ones (bert-base-uncased, xlm-roberta-base,
roberta-base, ModernBERT-base), and a vocabulary of a thousand pieces from the word list and the sentences of scripts/reference.
The normalizer of xlm-roberta is SentencePiece's nmt_nfkc, of which the rules for a part of the characters are kept.
Needs sentencepiece and protobuf beside what scripts/setup_reference.sh installs.
"""

import argparse
import io
import unicodedata
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from reference import tokenizer_files, words

SENTENCES = Path(__file__).parent / "reference" / "sentences.txt"
# How often the sentences are counted, for pieces of every script to be among the words.
REPEATS = 6
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>"]


def corpus() -> list[str]:
    """Words of the list, the first ones more often, and the sentences."""
    texts = []
    for kind, listed in words.load().items():
        for rank, word in enumerate(listed):
            texts += [f"{word} {word.capitalize()}"] * (1 + (300 if kind == "function" else 60) // (rank + 4))
    return texts + SENTENCES.read_text(encoding="utf-8").splitlines() * REPEATS


def mask(normalized: bool = False) -> AddedToken:
    return AddedToken("<mask>", lstrip=True, normalized=normalized, special=True)


def bert() -> tuple[Tokenizer, dict]:
    """WordPiece without capitals and accents, as bert-base-uncased has it."""
    control = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(vocab_size=1000, special_tokens=control, limit_alphabet=400, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", control.index("[CLS]")), ("[SEP]", control.index("[SEP]"))],
    )
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    settings = {"do_lower_case": True, "model_max_length": 512, "strip_accents": None, "tokenize_chinese_chars": True}
    return tokenizer, {"tokenizer_class": "BertTokenizer", **settings, **roles}


def rules() -> str:
    """Rules of normalization in SentencePiece's form: NFKC, and what nmt adds to it, for characters of the sentences and some more."""
    characters = set(SENTENCES.read_text(encoding="utf-8")) | set(map(chr, [*range(0xA0, 0x250), *range(0x2000, 0x2070)]))
    characters |= set(map(chr, [*range(0xFF01, 0xFFA0), *range(0x2460, 0x2474), *range(0x3300, 0x3340)]))
    mapped = {"\t": " ", "\n": " ", "\r": " ", "\u200b": " ", "\u200e": "", "\u200f": "", "\ufeff": "", "\u3000": " ", "\u00ad": "\u00ad"}
    for character in characters:
        mapped.setdefault(character, unicodedata.normalize("NFKC", character))
        for form in (unicodedata.normalize("NFD", character), unicodedata.normalize("NFKD", character)):
            mapped.setdefault(form, unicodedata.normalize("NFKC", form))
    codes = lambda text: " ".join(f"{ord(character):X}" for character in text)
    return "".join(f"{codes(key)}\t{codes(value)}\n" for key, value in sorted(mapped.items()) if key != value and key)


def xlm_roberta(work: Path) -> tuple[Tokenizer, dict]:
    """A Unigram model by SentencePiece, with the ids that fairseq gave its tokens: the mask comes last."""
    table = work / "rules.tsv"
    table.write_text(rules(), encoding="utf-8")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, vocab_size=1000, model_type="unigram",
        character_coverage=1.0, normalization_rule_tsv=str(table), num_threads=1, minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    pieces = [(piece.piece, round(piece.score, 4)) for piece in proto.pieces if piece.type == 1]
    vocabulary = [*((token, 0.0) for token in ROBERTA_TOKENS), *pieces, ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in ROBERTA_TOKENS] + [mask()])
    return tokenizer, {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512, **roberta_roles()}


def roberta() -> tuple[Tokenizer, dict]:
    """Byte-level BPE, whose words carry the space before them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=999, special_tokens=ROBERTA_TOKENS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=True, special=True) for token in ROBERTA_TOKENS] + [mask()])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    settings = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False, "model_max_length": 512}
    return tokenizer, {**settings, **roberta_roles()}


def modernbert() -> tuple[Tokenizer, dict]:
    """Byte-level BPE with BERT's control tokens behind the learned ones, as ModernBERT-base has it."""
    control = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=995, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True, lstrip=token == "[MASK]") for token in control]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    roles = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    settings = {
        "clean_up_tokenization_spaces": True,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 8192,
    }
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", **settings, **roles}


def roberta_roles() -> dict:
    roles = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    return {**roles, "unk_token": "<unk>", "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True,
            "normalized": False, "rstrip": False, "single_word": False, "special": True}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("testdata/tokenizers"), help="[%(default)s]")
    parser.add_argument("--work", type=Path, default=Path("/tmp"), help="a folder for a table of rules [%(default)s]")
    arguments = parser.parse_args()
    made = {"bert": bert(), "xlm-roberta": xlm_roberta(arguments.work), "roberta": roberta(), "modernbert": modernbert()}
    for name, (tokenizer, settings) in made.items():
        tokenizer_files.save(arguments.output / name, tokenizer, settings)


if __name__ == "__main__":
    main()
