#!/usr/bin/env python3
"""Writes the token ids that AutoTokenizer gives some texts, for checkpoints that changed the tokenizer.

Every case of the input takes the files of a model, or of the folder `base`, and changes them: tokens are added to
tokenizer.json, parts of it are replaced, it is taken apart into vocab.json and merges.txt, and
other files are written or removed. The ids are those of the texts alone, without special tokens.
The logits are those of whole prompts with the tokens of one case, for a model whose embeddings got
rows for them: copies of the first ones.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from reference import recipe


def change(case: dict, model: Path, directory: Path) -> None:
    """Copies the files that a tokenizer is read from, and changes them as the case has it."""
    base = Path(case["base"]) if "base" in case else model
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if (base / name).exists():
            shutil.copy(base / name, directory / name)
    path = directory / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["added_tokens"] += case.get("added", [])
    tokenizer.update(case.get("set", {}))
    write(path, tokenizer)
    if case.get("older"):
        write(directory / "vocab.json", tokenizer["model"]["vocab"])
        merges = "".join(" ".join(pair) + "\n" for pair in tokenizer["model"]["merges"])
        (directory / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")
        path.unlink()
    for name, content in case.get("files", {}).items():
        if content is None:
            (directory / name).unlink()
        else:
            write(directory / name, content)


def write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def widened(weight: torch.Tensor, rows: int) -> torch.Tensor:
    """The weight with copies of its first rows behind it."""
    return torch.cat([weight, weight[: rows - len(weight)]])


@torch.inference_mode()
def logits(model_directory: Path, auto, scored: dict) -> list[float]:
    """The logit of every document, in f32."""
    model = AutoModelForCausalLM.from_pretrained(model_directory, dtype=torch.float32).eval()
    embedding = widened(model.get_input_embeddings().weight, len(auto))
    output = widened(model.get_output_embeddings().weight, len(auto))
    yes, no = (auto.convert_tokens_to_ids(word) for word in ("yes", "no"))
    found = []
    for document in scored["documents"]:
        prompt = recipe.PREFIX + recipe.body(scored["query"], document) + recipe.SUFFIX
        ids = torch.tensor([auto.encode(prompt, add_special_tokens=False)])
        hidden = model.model(inputs_embeds=embedding[ids], use_cache=False).last_hidden_state[0, -1]
        found.append(torch.dot(hidden, output[yes] - output[no]).item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=Path("testdata/odd-reranker"), help="[%(default)s]")
    parser.add_argument("--cases", type=Path, default=Path("testdata/tokens/cases.json"), help="[%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("testdata/tokens/expected.json"), help="[%(default)s]")
    arguments = parser.parse_args()

    given = json.loads(arguments.cases.read_text(encoding="utf-8"))
    expected = {}
    found = None
    for case in given["cases"]:
        with tempfile.TemporaryDirectory() as directory:
            change(case, arguments.model, Path(directory))
            auto = AutoTokenizer.from_pretrained(directory)
        expected[case["name"]] = [auto.encode(text, add_special_tokens=False) for text in given["texts"]]
        if case["name"] == given["scored"]["case"]:
            found = logits(arguments.model, auto, given["scored"])
        print(f"{type(auto).__name__:20} {len(auto)} tokens  {case['name']}")
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(ids)}" for name, ids in expected.items())
    made_by = f"scripts/reference_tokens.py, transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    arguments.output.write_text(f'{{"made_by": "{made_by}", "ids": {{\n{rows}\n}},\n"logits": {json.dumps(found)}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
