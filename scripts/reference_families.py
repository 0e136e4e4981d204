#!/usr/bin/env python3
"""Writes the logits that `transformers` gives small models of every family.

A test model is a file `testdata/families/NAME.json`. Its first keys are written by hand:

  about      what it is there for
  config     config.json
  tokenizer  a folder of testdata/tokenizers, whose files are copied
  files      further files of the directory by their names: objects, or texts
  reference  how the reference implementation scores a pair, see `score` here
  arguments  options of rerank that the reference was given too
  stored     F32 or BF16, the type of the tensors
  norm_mean  the mean value of norms' weights: 0 in Gemma, which adds 1
  scales     factors of tensors whose names match a regular expression, beyond the usual scale
  layout     a function of `reference/layouts.py`: how a checkpoint whose tensors have other names
             becomes the state of the model
  int8_bound how far logits in int8 may be off on average, if not by 0.3
  f32_only   whether rerank computes it in f32 alone
  pairs      a query and a document each: texts, or {"words": count, "seed": number}

This script adds `tensors`, from which everyone can make the weights: a value is
`mean + (integer - 2^(bits - 1)) * scale`, with the first bits of `reference/generated.py`'s
integers, whose seed is the FNV-1a hash of the name, of 32 bits; and to each pair its logits in f32,
transformers' own in bf16, and its tokens.
"""

import argparse
import json
import math
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from reference import generated, layouts, scoring

FAMILIES = Path("testdata/families")
TOKENIZERS = Path("testdata/tokenizers")
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}
# Attention among random keys is flat: queries and keys are made longer, so that it matters what is seen.
PEAKED = re.compile(r"query|key|q_proj|k_proj|q_lin|k_lin|[Ww]qkv|qkv_proj")


def seed(name: str) -> int:
    """The FNV-1a hash of a name."""
    found = 0x811C9DC5
    for byte in name.encode():
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


def describe(name: str, shape: list[int], definition: dict) -> dict:
    """The shape of a tensor, and what its values are made of."""
    if len(shape) == 1:
        is_bias = name.endswith(("bias", "beta"))
        mean = 0 if is_bias else definition.get("norm_mean", 1)
        found = {"shape": shape, "mean": mean, "bits": 4, "scale": 2.0**-6}
    else:
        is_table = "embed" in name and "project" not in name
        exponent = 0 if is_table else generated.keeping_length(shape[1])
        if PEAKED.search(name):
            exponent += 1
        found = {"shape": shape, "mean": 0, "bits": 8, "scale": 2.0 ** (exponent - 7)}
    for pattern, factor in definition.get("scales", {}).items():
        if re.search(pattern, name):
            found["scale"] *= factor
    return found


def values(name: str, tensor: dict, dtype: torch.dtype) -> torch.Tensor:
    bits = tensor["bits"]
    integers = generated.integers(seed(name), math.prod(tensor["shape"])) >> np.uint64(8 - bits)
    numbers = (integers.astype(np.float32) - 2 ** (bits - 1)) * tensor["scale"] + tensor["mean"]
    return torch.from_numpy(numbers.astype(np.float32)).reshape(tensor["shape"]).to(dtype)


def text(value: str | dict) -> str:
    return value if isinstance(value, str) else generated.text(value["seed"], value["words"])


def write(definition: dict, directory: Path) -> None:
    """Writes all files but the weights."""
    if tokenizer := definition.get("tokenizer"):
        for path in sorted((TOKENIZERS / tokenizer).iterdir()):
            if not path.name.startswith(("config", "model")):
                shutil.copyfile(path, directory / path.name)
    for name, content in {"config.json": definition["config"], **definition.get("files", {})}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def make(definition: dict, directory: Path) -> dict:
    """Writes a test model, and returns the tensors of each of its files."""
    write(definition, directory)
    layout = getattr(layouts, definition.get("layout", "as_it_is"))
    found = {}
    for file, shapes in layout(definition, directory).items():
        described = {name: describe(name, list(shape), definition) for name, shape in sorted(shapes.items())}
        dtype = generated.DTYPES[definition.get("stored", "F32")]
        tensors = {name: values(name, tensor, dtype) for name, tensor in described.items()}
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, directory / file, metadata={"format": "pt"})
        found[file] = described
    return found


def refresh(path: Path) -> None:
    definition = json.loads(path.read_text(encoding="utf-8"))
    pairs = [[text(pair["query"]), text(pair["document"])] for pair in definition["pairs"]]
    with tempfile.TemporaryDirectory() as directory:
        definition["tensors"] = make(definition, Path(directory))
        source = layouts.restored(definition, Path(directory))
        found = {name: scoring.score(definition, source, pairs, dtype) for name, dtype in PRECISIONS.items()}
    for index, pair in enumerate(definition["pairs"]):
        tokens, logit = found["f32"][index]
        pair |= {"tokens": tokens, "f32": logit, "bf16": found["bf16"][index][1]}
        print(f"{path.stem}: {tokens} tokens, {logit:.6f}, in bf16 off by {abs(pair['bf16'] - logit):.2e}")
    definition["made_by"] = (
        f"scripts/reference_families.py on the CPU, torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )
    path.write_text(layouts.compact(definition), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="the test models [all]")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    paths = [FAMILIES / f"{name}.json" for name in arguments.names] or sorted(FAMILIES.glob("*.json"))
    for path in paths:
        refresh(path)


if __name__ == "__main__":
    main()
