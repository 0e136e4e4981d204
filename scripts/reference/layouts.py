"""Which tensors the files of a test model hold: those of the transformers model, or others.

A layout gives the shapes of the tensors by file and name. `scoring.py` loads what it made, or, where
transformers does not know the names, what `restored` makes of it.
"""

import json
import re
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
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
    return renamed_gte(config, "new.")


def saved_gte(definition: dict, directory: Path) -> dict:
    """The tensors of a gte model as transformers itself saves it: the published names behind its own prefix."""
    return renamed_gte(definition["config"], "gte.")


def renamed_gte(config: dict, prefix: str) -> dict:
    renamed = {
        r"^gte\.": prefix,
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


def older(definition: dict, directory: Path) -> dict:
    """The names that the first versions of transformers gave the parts of a norm."""
    of_norm = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = as_it_is(definition, directory)["model.safetensors"]
    return {"model.safetensors": {re.sub("LayerNorm.(weight|bias)$", lambda found: of_norm[found[0]], name): shape
                                  for name, shape in state.items()}}


# The names of jina-reranker-v2-base-multilingual, and those of transformers.
JINA = {
    "roberta.emb_ln": "roberta.embeddings.LayerNorm",
    "mixer.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
    "norm2": "output.LayerNorm",
    "encoder.layers.": "encoder.layer.",
}
JINA_PARTS = [f"attention.self.{part}." for part in ("query", "key", "value")]


def jina(definition: dict, directory: Path) -> dict:
    """Queries, keys and values in one tensor, and names of the model's own."""
    config = {**definition["config"], "model_type": "xlm-roberta"}
    found = {}
    for name, shape in build(config).state_dict().items():
        shape = list(shape.shape)
        if any(part in name for part in JINA_PARTS):
            name, shape = re.sub("attention.self.[a-z]+", "mixer.Wqkv", name), [3 * shape[0], *shape[1:]]
        for own, theirs in JINA.items():
            name = name.replace(theirs, own)
        found[name] = shape
    return {"model.safetensors": found}


def restore_jina(config: dict, state: dict) -> tuple[dict, dict]:
    found = {}
    for name, tensor in state.items():
        for own, theirs in JINA.items():
            name = name.replace(own, theirs)
        if "mixer.Wqkv." in name:
            for part, third in zip(JINA_PARTS, tensor.chunk(3), strict=True):
                found[name.replace("mixer.Wqkv.", part)] = third.contiguous()
        else:
            found[name] = tensor
    own = {name: value for name, value in config.items() if name != "auto_map"}
    return {**own, "model_type": "xlm-roberta"}, found


RESTORED = {"jina": restore_jina}


def restored(definition: dict, directory: Path) -> Path:
    """The directory, or one beside it with the same model under the names of transformers."""
    restore = RESTORED.get(definition.get("layout"))
    if restore is None:
        return directory
    target = directory / "restored"
    shutil.copytree(directory, target)
    state: dict[str, torch.Tensor] = load_file(directory / "model.safetensors")
    config, state = restore(definition["config"], state)
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    return target


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
