"""Writes the models that quantized test models stand for: their weights in f32, as the formats' descriptions
or gguf-py dequantize them."""

import json
import shutil
from pathlib import Path

import gguf
import make_gguf
import make_quantized
import numpy as np
import reference_families as families
import torch
import transformers
from safetensors.torch import load_file, save_file

from reference import dequantize


def shapes(config: dict) -> dict[str, tuple[int, ...]]:
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**config))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def of_safetensors(name: str, directory: Path) -> dict:
    """Writes a model of testdata/quantized, and returns how the reference scores its pairs."""
    stored = load_file(make_quantized.FOLDER / f"{name}.safetensors")
    common = load_file(make_quantized.FOLDER / "common.safetensors")
    models = json.loads((make_quantized.FOLDER / "models.json").read_text(encoding="utf-8"))
    quantization = models["variants"][name]["quantization"]
    found = {}
    for tensor, shape in shapes(models["config"]).items():
        module = tensor.removesuffix(".weight")
        parts = {key.removeprefix(f"{module}."): part for key, part in stored.items() if key.startswith(f"{module}.")}
        if tensor == "lm_head.weight":
            continue
        if not parts or set(parts) == {"weight"}:
            found[tensor] = parts.get("weight", common.get(tensor)).float()
            continue
        method = dequantize.METHODS[quantization.get("quant_method", "mlx")]
        scheme = make_quantized.settings(quantization, module)
        found[tensor] = torch.from_numpy(np.ascontiguousarray(method(make_quantized.as_arrays(parts), scheme, shape)))
    for path in make_quantized.TOKENIZER.glob("tokenizer*"):
        shutil.copy(path, directory)
    (directory / "config.json").write_text(json.dumps(models["config"]), encoding="utf-8")
    save_file(found, directory / "model.safetensors", metadata={"format": "pt"})
    return {"reference": make_quantized.PROMPT}


def of_gguf(name: str, directory: Path) -> dict:
    """Writes a model of testdata/gguf that has rows of the answers, and returns its definition."""
    definition = json.loads((make_gguf.FILES / f"{name}.json").read_text(encoding="utf-8"))
    reader = gguf.GGUFReader(make_gguf.FILES / f"{name}.gguf")
    values = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        for tensor in reader.tensors
    }
    config = definition["config"] | {"tie_word_embeddings": False}
    state = {key: np.empty(shape) for key, shape in shapes(config).items() if key != "lm_head.weight"}
    found = {key: values[own] for own, (key, _) in make_gguf.converted(definition, state).items()}
    head = np.zeros((config["vocab_size"], config["hidden_size"]), np.float32)
    for label, row in zip(definition["labels"], values["cls.output.weight"], strict=True):
        head[dict(zip(("yes", "no"), definition["reference"]["answers"]))[label]] = row
    families.write(definition, directory)
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {key: torch.from_numpy(np.array(tensor)) for key, tensor in (found | {"lm_head.weight": head}).items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return definition
