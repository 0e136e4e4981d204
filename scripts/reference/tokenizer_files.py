"""Writes a tokenizer of the tests as AutoTokenizer reads it."""

import json
from pathlib import Path

from tokenizers import Tokenizer


def save(directory: Path, tokenizer: Tokenizer, settings: dict) -> None:
    """Writes `tokenizer.json`, compactly, and `tokenizer_config.json`, and reports their size."""
    directory.mkdir(parents=True, exist_ok=True)
    text = tokenizer.to_str(pretty=False)
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    print(f"{directory.name}: {tokenizer.get_vocab_size()} tokens, {len(text.encode())} bytes")
