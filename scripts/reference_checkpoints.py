#!/usr/bin/env python3
"""Writes the logits that `transformers` gives copies of a small model that say something else about themselves.

Each variant changes fields of config.json, removes some, or stores the tensors in another way. If rerank ignored the change,
its logits would be those of the unchanged model, or the ones of another rule.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from reference import recipe

CLASSIFIER = {"architectures": ["Qwen3ForSequenceClassification"], "num_labels": 1}
LINE_BREAKS = 256
VARIANTS = {
    "unchanged": {},
    "scaling holds the base": {"config": {"rope_scaling": {"rope_type": "default", "rope_theta": 300.0}}},
    "scaling goes before parameters": {
        "config": {
            "rope_scaling": {"type": "default", "rope_theta": 250.0},
            "rope_parameters": {"rope_type": "default", "rope_theta": 9000.0},
        }
    },
    "parameters go before the base beside them": {
        "config": {"rope_theta": 77.0, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    },
    "scaling without a base": {"config": {"rope_scaling": {"rope_type": "default"}}},
    "scaling without a base beside one": {"config": {"rope_scaling": {"rope_type": "default"}, "rope_theta": 600.0}},
    "a base of its own": {"config": {"rope_theta": 200.0}, "without": ["rope_parameters"]},
    "no base": {"without": ["rope_parameters"]},
    "no epsilon": {"config": {"rms_norm_eps": 0.5}, "without": ["rms_norm_eps"]},
    "another epsilon": {"config": {"rms_norm_eps": 0.01}},
    "swish": {"config": {"hidden_act": "swish"}},
    "windows that no layer has": {
        "config": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 4},
        "without": ["layer_types"],
    },
    "windows in full layers": {"config": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}},
    "a head of its own though tied": {"config": {"tie_word_embeddings": True}},
    "only the head of a tied model": {"config": {"tie_word_embeddings": True}, "tensors": "only-head"},
    "saved without a head": {"tensors": "bare"},
    "wrapped twice": {"tensors": "twice"},
    "double precision": {"tensors": "double"},
    "a classifier": {"config": CLASSIFIER, "tensors": "classifier"},
    # The prompt's last token is that of two line breaks: a classifier takes the last one that is not padding.
    "a classifier whose prompts end in padding": {
        "config": {**CLASSIFIER, "pad_token_id": LINE_BREAKS},
        "tensors": "classifier",
    },
    "windows of the default size that are off": {"without": ["sliding_window"]},
}


def stored(tensors: dict, how: str | None, prompt: recipe.Prompt) -> dict:
    """The tensors as a variant stores them."""
    bare = lambda name: name.removeprefix("model.")
    match how:
        case "only-head":
            return {name: tensor for name, tensor in tensors.items() if "embed_tokens" not in name}
        case "bare":
            return {bare(name): tensor for name, tensor in tensors.items()}
        case "twice":
            return {f"model.{name}": tensor for name, tensor in tensors.items()}
        case "classifier":
            kept = {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
            head = tensors["lm_head.weight"]
            return {**kept, "score.weight": (head[prompt.yes] - head[prompt.no])[None]}
        case "double":
            return {name: tensor.double() for name, tensor in tensors.items()}
    return tensors


@torch.inference_mode()
def logits(directory: str, is_classifier: bool, prompt: recipe.Prompt, groups: list[dict]) -> list[float]:
    auto = AutoModelForSequenceClassification if is_classifier else AutoModelForCausalLM
    loaded = auto.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    found = []
    for group in groups:
        for candidate in group["candidates"]:
            text = recipe.body(group["query"], candidate["text"], group.get("instruction"))
            ids = prompt.wrap(prompt.body_ids(text))
            output = loaded(torch.tensor([ids]), use_cache=False).logits[0]
            found.append((output[0] if is_classifier else output[-1, prompt.yes] - output[-1, prompt.no]).item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("testdata/odd-reranker"), help="[%(default)s]")
    parser.add_argument("--input", type=Path, default=Path("testdata/candidates.jsonl"), help="[%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("testdata/checkpoints.expected.json"), help="[%(default)s]")
    arguments = parser.parse_args()
    torch.set_num_threads(2)

    tensors: dict = {}
    for path in sorted(arguments.model.glob("*.safetensors")):
        tensors.update(load_file(path))
    config = json.loads((arguments.model / "config.json").read_text(encoding="utf-8"))
    groups = recipe.read_groups(arguments.input)[:1]
    prompt = recipe.Prompt(arguments.model / "tokenizer.json")
    assert prompt.suffix[-1] == LINE_BREAKS
    variants = {}
    for name, variant in VARIANTS.items():
        changed = {**config, **variant.get("config", {})}
        for field in variant.get("without", []):
            del changed[field]
        with tempfile.TemporaryDirectory() as directory:
            how = variant.get("tensors")
            Path(directory, "config.json").write_text(json.dumps(changed), encoding="utf-8")
            kept = {key: value.contiguous() for key, value in stored(tensors, how, prompt).items()}
            save_file(kept, Path(directory, "model.safetensors"), metadata={"format": "pt"})
            variants[name] = {**variant, "logits": logits(directory, how == "classifier", prompt, groups)}
        print(f"{name}: {variants[name]['logits']}")
    made_by = f"scripts/reference_checkpoints.py, torch {torch.__version__}, transformers {transformers.__version__}"
    text = json.dumps({"made_by": made_by, "variants": variants}, indent=1)
    arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
