"""Which tensors the files of a test model hold: those of the transformers model, or others.

A layout gives the shapes of the tensors by file and name. `scoring.py` loads what it made.
"""

import json
from pathlib import Path

import transformers


def build(config: dict) -> transformers.PreTrainedModel:
    """The model of a configuration, with weights that mean nothing."""
    kind = transformers.CONFIG_MAPPING[config["model_type"]]
    return getattr(transformers, config["architectures"][0])(kind.from_dict(config))


def as_it_is(definition: dict, directory: Path) -> dict:
    """The tensors that transformers itself would save."""
    model = build(definition["config"])
    tied = set(getattr(model, "all_tied_weights_keys", {})) if model.config.tie_word_embeddings else set()
    state = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in tied}
    return {"model.safetensors": state}


def bidirectional_llama(definition: dict, directory: Path) -> dict:
    """Those of Llama's classifier, whose model_type is another."""
    llama = {"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}
    return as_it_is(definition | {"config": definition["config"] | llama}, directory)


def compact(value: object) -> str:
    """JSON with a line for each of the inner objects."""

    def lines(value: object, depth: int) -> str:
        inner = [item for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, (dict, list))]
        if not inner or depth == 4:
            return json.dumps(value, ensure_ascii=False)
        pad = " " * (depth + 1)
        if isinstance(value, dict):
            rows = [f"{pad}{json.dumps(key)}: {item(entry, depth)}" for key, entry in value.items()]
            return "{\n" + ",\n".join(rows) + "\n" + " " * depth + "}"
        return "[\n" + ",\n".join(f"{pad}{item(entry, depth)}" for entry in value) + "\n" + " " * depth + "]"

    def item(entry: object, depth: int) -> str:
        if isinstance(entry, (dict, list)):
            return lines(entry, depth + 1)
        return json.dumps(entry, ensure_ascii=False)

    return lines(value, 0) + "\n"
