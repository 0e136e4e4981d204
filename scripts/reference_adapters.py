#!/usr/bin/env python3
"""Writes the logits that PEFT gives small models with adapters.

An adapter is a file `testdata/adapters/NAME.json`. Its first keys are written by hand:

  about      what it is there for
  family     the base model, a file of testdata/families; or
  quantized  one of testdata/quantized; or
  gguf       one of testdata/gguf: the reference is given what these are dequantized to
  base       what is changed in the base: `config`, fields of its config.json, and `without`, the beginning
             of the names of tensors that it lacks
  part       the attribute of the model that was trained by itself, if not all of it was
  lora       the arguments of PEFT's LoraConfig
  unsaved    a regular expression of tensors that PEFT may leave out of the adapter, and are left out
  stored     F32 or BF16, the type of the adapter's tensors
  arguments  options of rerank that the reference was given too
  pairs      a query and a document each: {"words": count, "seed": number}

This script adds `config`, the adapter_config.json that PEFT writes, and `tensors`, of which
`scripts/reference_families.py` says what values are made; and to each pair its logit in f32, and that
of the base model where it has one.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path

import dequantized
import peft
import torch
import transformers
from reference_families import FAMILIES, make, text, values
from safetensors.torch import load_file, save_file

from reference import generated, layouts

ADAPTERS = Path("testdata/adapters")


def base_name(definition: dict) -> str:
    return next(definition[key] for key in ("family", "quantized", "gguf") if key in definition)


def base_of(definition: dict, directory: Path) -> dict:
    """Writes the base model, and returns the definition of its family."""
    if name := definition.get("quantized"):
        return dequantized.of_safetensors(name, directory)
    if name := definition.get("gguf"):
        return dequantized.of_gguf(name, directory)
    family = json.loads((FAMILIES / f"{definition['family']}.json").read_text(encoding="utf-8"))
    make(family, directory)
    changes = definition.get("base", {})
    config = json.dumps(family["config"] | changes.get("config", {}))
    (directory / "config.json").write_text(config, encoding="utf-8")
    if without := changes.get("without"):
        path = directory / "model.safetensors"
        left = {name: tensor for name, tensor in load_file(path).items() if not name.startswith(without)}
        save_file(left, path, metadata={"format": "pt"})
    return family


def load(definition: dict, family: dict, directory: Path) -> torch.nn.Module:
    if family.get("reference", {}).get("kind") == "prompt":
        return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    model = transformers.AutoModelForSequenceClassification
    return model.from_pretrained(directory, num_labels=1, dtype=torch.float32).eval()


def describe(name: str, shape: list[int]) -> dict:
    """The shape of a tensor, and what its values are made of: a product is as long as a half of what it is added to."""
    if len(shape) == 1:
        return {"shape": shape, "mean": 0, "bits": 4, "scale": 2.0**-5}
    exponent = generated.keeping_length(shape[1])
    if "embed" in name:
        exponent = 0 if "_A" in name or "lora" not in name else exponent - 1
    elif "lora_B" in name:
        exponent -= 1
    return {"shape": shape, "mean": 0, "bits": 8, "scale": 2.0 ** (exponent - 7)}


def train(definition: dict, model: torch.nn.Module, directory: Path) -> None:
    """Writes an adapter as PEFT does, with other values."""
    part = definition.get("part")
    trained = getattr(model, part) if part else model
    wrapped = peft.get_peft_model(trained, peft.LoraConfig(**definition["lora"]))
    wrapped.save_pretrained(directory)
    path = directory / "adapter_model.safetensors"
    unsaved = re.compile(definition.get("unsaved", "$."))
    shapes = {name: list(tensor.shape) for name, tensor in sorted(load_file(path).items()) if not unsaved.search(name)}
    described = {name: describe(name, shape) for name, shape in shapes.items()}
    dtype = generated.DTYPES[definition.get("stored", "F32")]
    save_file({name: values(name, tensor, dtype) for name, tensor in described.items()}, path, {"format": "pt"})
    definition["config"] = json.loads((directory / "adapter_config.json").read_text(encoding="utf-8"))
    definition["config"]["base_model_name_or_path"] = base_name(definition)
    definition["tensors"] = described


def merged(definition: dict, model: torch.nn.Module, directory: Path) -> torch.nn.Module:
    """The model with the adapter, whose products stay apart."""
    if part := definition.get("part"):
        wrapped = peft.PeftModel.from_pretrained(getattr(model, part), directory).eval()
        setattr(model, part, wrapped.base_model.model)
        return model
    return peft.PeftModel.from_pretrained(model, directory).eval()


@torch.no_grad()
def scores(family: dict, model: torch.nn.Module, base: Path, pairs: list) -> list[float]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    reference = family.get("reference", {})
    found = []
    for query, document in pairs:
        if reference.get("kind") != "prompt":
            found.append(model(**tokenizer(query, document, return_tensors="pt")).logits[0, 0].item())
            continue
        pieces = reference.get("pieces") or [reference["template"]]
        texts = [piece.replace("{query}", query).replace("{document}", document) for piece in pieces]
        ids = [token for piece in texts for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        yes, no = reference["answers"]
        found.append((logits[yes] if no is None else logits[yes] - logits[no]).item())
    return found


def refresh(path: Path) -> None:
    definition = json.loads(path.read_text(encoding="utf-8"))
    pairs = [[text(pair["query"]), text(pair["document"])] for pair in definition["pairs"]]
    with tempfile.TemporaryDirectory() as folder:
        base, adapter = Path(folder) / base_name(definition), Path(folder) / "adapter"
        base.mkdir()
        family = base_of(definition, base)
        before = scores(family, load(definition, family, base), base, pairs)
        train(definition, load(definition, family, base), adapter)
        found = scores(family, merged(definition, load(definition, family, base), adapter), base, pairs)
    for pair, logit, unchanged in zip(definition["pairs"], found, before, strict=True):
        pair["f32"] = logit
        print(f"{path.stem}: {logit:.6f}, and {unchanged:.6f} without the adapter")
    definition["made_by"] = (
        f"scripts/reference_adapters.py on the CPU, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, peft {peft.__version__}"
    )
    path.write_text(layouts.compact(definition), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="the adapters [all]")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    paths = [ADAPTERS / f"{name}.json" for name in arguments.names] or sorted(ADAPTERS.glob("*.json"))
    for path in paths:
        refresh(path)


if __name__ == "__main__":
    main()
