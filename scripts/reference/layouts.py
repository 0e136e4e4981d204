"""Which tensors the files of a test model hold: those of the transformers model, or others.

A layout gives the shapes of the tensors by file and name. `scoring.py` loads what it made.
"""

import json
import re
from pathlib import Path

import transformers
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import LayerNorm


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


def modules(definition: dict, directory: Path) -> dict:
    """The same, and those of the modules that sentence-transformers keeps in folders of their own."""
    found = as_it_is(definition, directory)
    for module in definition["files"]["modules.json"]:
        folder = module["path"]
        settings = definition["files"].get(f"{folder}/config.json", {})
        kind = module["type"].split(".")[-1]
        if kind == "Dense":
            layer = Dense(settings["in_features"], settings["out_features"], settings.get("bias", True))
        elif kind == "LayerNorm":
            layer = LayerNorm(settings["dimension"])
        else:
            continue
        found[f"{folder}/model.safetensors"] = {name: tensor.shape for name, tensor in layer.state_dict().items()}
    return found


def published_gte(definition: dict, directory: Path) -> dict:
    """The tensors of gte models as they are published, under a configuration that only the code beside them reads.

    transformers has a class of its own for them, which finds the tensors. Its configuration is written for it: where the
    published code scales the base of the rotary embedding by a factor, it divides the frequencies too.
    """
    config = dict(definition["config"])
    factor, head_dim = config.pop("rope_scaling")["factor"], config["hidden_size"] // config["num_attention_heads"]
    scaled = {"rope_type": "linear", "factor": factor ** (2 / head_dim), "rope_theta": config.pop("rope_theta") * factor}
    config |= {"model_type": "gte", "architectures": ["GteForSequenceClassification"], "rope_parameters": scaled}
    del config["auto_map"]
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    renamed = {
        r"^gte\.": "new.",
        r"\.layers\.": ".encoder.layer.",
        r"self_attn\.o_proj": "attention.o_proj",
        r"self_attn\.[qkv]_proj": "attention.qkv_proj",
        r"mlp\.(up|gate)_proj": "mlp.up_gate_proj",
        r"post_attention_layernorm": "attn_ln",
        r"post_mlp_layernorm": "mlp_ln",
    }
    found: dict[str, list[int]] = {}
    for name, tensor in build(config).state_dict().items():
        for pattern, replacement in renamed.items():
            name = re.sub(pattern, replacement, name)
        rows = found.get(name, [0])[0]
        found[name] = [rows + tensor.shape[0], *tensor.shape[1:]]
    return {"model.safetensors": found}


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
