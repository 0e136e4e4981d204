#!/usr/bin/env python3
"""Writes the token ids and types that AutoTokenizer gives pairs of texts, for tokenizers of encoders.

Every case of the input names a folder of testdata/tokenizers, and changes its files: parts of
tokenizer.json are replaced, it is taken apart into the older forms of a vocabulary, other files are
written, changed or removed. Types are those that a model is given; where it is given none, they are 0.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import tokenizers
import transformers
from transformers import AutoTokenizer

TOKENIZERS = Path("testdata/tokenizers")


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def take_apart(directory: Path, form: str) -> None:
    """The older forms: a word in each line, or words with their ids and merges."""
    path = directory / "tokenizer.json"
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    path.unlink()
    if form == "lines":
        (directory / "vocab.txt").write_text("".join(f"{word}\n" for word in model["vocab"]), encoding="utf-8")
    else:
        write(directory / "vocab.json", model["vocab"])
        merges = "".join(" ".join(pair) + "\n" for pair in model["merges"])
        (directory / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")


def change(case: dict, directory: Path) -> None:
    for path in (TOKENIZERS / case["tokenizer"]).iterdir():
        shutil.copy(path, directory / path.name)
    write(directory / "config.json", {"model_type": case.get("family", case["tokenizer"])})
    path = directory / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["added_tokens"] += case.get("added", [])
    write(path, tokenizer | case.get("set", {}))
    if form := case.get("older"):
        take_apart(directory, form)
    path = directory / "tokenizer_config.json"
    if case.get("settings", {}) is None:
        path.unlink()
    else:
        settings = json.loads(path.read_text(encoding="utf-8")) | case.get("settings", {})
        write(path, {name: value for name, value in settings.items() if value != "(none)"})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=Path, default=Path("testdata/tokens/pairs.json"), help="[%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("testdata/tokens/pairs.expected.json"), help="[%(default)s]")
    arguments = parser.parse_args()

    given = json.loads(arguments.cases.read_text(encoding="utf-8"))
    rows = []
    for case in given["cases"]:
        with tempfile.TemporaryDirectory() as directory:
            change(case, Path(directory))
            auto = AutoTokenizer.from_pretrained(directory)
        found = []
        for pair in given["pairs"]:
            encoded = auto([pair])
            ids = encoded["input_ids"][0]
            types = encoded.get("token_type_ids", [[0] * len(ids)])[0]
            found.append([ids, types.index(1) if 1 in types else None])
        rows.append(f" {json.dumps(case['name'])}: {json.dumps(found)}")
        print(f"{type(auto).__name__:20} {len(auto)} tokens  {case['name']}")
    made_by = f"scripts/reference_pairs.py, transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    text = f'{{"made_by": "{made_by}",\n"pairs": {{\n' + ",\n".join(rows) + "\n}}\n"
    arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
