#!/usr/bin/env python3
"""Writes the scores that `sentence-transformers` gives with the recipes in testdata/recipes.

A case is a folder of files that are copied over the odd reranker; `case.json` in it has the
changes to `config.json`, to the tokenizer's files, and what else is done. The scores are those of a `CrossEncoder` on the
result, on the CPU in f32, pair after pair. The tests make the same directories and compare.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import sentence_transformers
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder

MODEL = Path("testdata/odd-reranker")


def make(case: Path, settings: dict, directory: Path) -> None:
    """Copies the odd model, changed as the case has it."""
    shutil.copytree(MODEL, directory, dirs_exist_ok=True)
    for path in case.rglob("*"):
        if path.is_file() and path.name != "case.json":
            target = directory / path.relative_to(case)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for name in ("config", "tokenizer_config", "tokenizer"):
        path = directory / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings.get(name, {})))
    if settings.get("classifier"):
        make_classifier(directory)


def make_classifier(directory: Path) -> None:
    """Replaces the language model's head by the difference of two of its rows."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(directory.glob("model*.safetensors")):
        tensors |= load_file(path)
        path.unlink()
    (directory / "model.safetensors.index.json").unlink()
    head = tensors.pop("lm_head.weight")
    tensors["score.weight"] = (head[300] - head[200]).unsqueeze(0)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


@torch.inference_mode()
def score(directory: Path, pairs: list, settings: dict) -> dict:
    """The score and the logit of every pair."""
    model = CrossEncoder(str(directory), device="cpu", model_kwargs={"dtype": torch.float32})
    prompt = settings.get("instruction")
    scores, logits, ids = [], [], []
    for pair in pairs:
        one = model.predict([pair], prompt=prompt)
        scores.append(float(one[0]))
        raw = model.predict([pair], prompt=prompt, activation_fn=torch.nn.Identity())
        logits.append(float(raw[0]))
        features = model.preprocess([pair], prompt=prompt if prompt is not None else model._resolve_prompt(None, None))
        ids.append(features["input_ids"][0].tolist())
    return {"score": scores, "logit": logits, "ids": ids}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=Path, default=Path("testdata/recipes"), help="[%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("testdata/recipes.expected.json"), help="[%(default)s]")
    arguments = parser.parse_args()

    pairs = json.loads((arguments.cases / "pairs.json").read_text())
    found = {}
    for case in sorted(path.parent for path in arguments.cases.glob("*/case.json")):
        settings = json.loads((case / "case.json").read_text())
        with tempfile.TemporaryDirectory() as directory:
            make(case, settings, Path(directory))
            found[case.name] = score(Path(directory), pairs, settings)
        print(f"{case.name}: {', '.join(f'{value:.5f}' for value in found[case.name]['score'])}")
    expected = {
        "made_by": f"scripts/reference_recipes.py, sentence-transformers {sentence_transformers.__version__}, "
        f"transformers {transformers.__version__}, torch {torch.__version__}",
        "cases": found,
    }
    arguments.output.write_text(json.dumps(expected) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
