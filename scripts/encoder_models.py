#!/usr/bin/env python3
"""Writes encoders with random weights and a small tokenizer: those of published shapes to measure speed, and small ones for
every kernel.

    scripts/encoder_models.py --output DIRECTORY [NAME...]
"""

import argparse
import json
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Family, tokenizer, what the weights are drawn with, and the settings that are not transformers' defaults.
MODELS = {
    "minilm": ("bert", "bert", 0.05, {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}),
    "bge-base": ("xlm-roberta", "xlm-roberta", 0.05, {"max_position_embeddings": 514, "type_vocab_size": 1}),
    "bert-64": ("bert", "bert", 0.1, {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}),
    "bert-26": ("bert", "bert", 0.1, {"hidden_size": 312, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 1200}),
    "modernbert": ("modernbert", "bert", 0.1, {
        "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384, "classifier_pooling": "mean",
        "max_position_embeddings": 8192, "reference_compile": False,
    }),
}  # fmt: skip


def write(name: str, folder: Path) -> Path:
    """A model's directory, which is made if it is missing."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    model = folder / name
    if model.exists():
        return model
    family, tokenizer_name, deviation, settings = MODELS[name]
    made = folder / f"{name}.part"
    shutil.copytree(ROOT / "testdata" / "tokenizers" / tokenizer_name, made, dirs_exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(made)
    config = AutoConfig.for_model(
        family, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, initializer_range=deviation, num_labels=1,
        bos_token_id=tokenizer.cls_token_id, eos_token_id=tokenizer.sep_token_id, cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id, **settings,
    )  # fmt: skip
    torch.manual_seed(len(name))
    network = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            # Biases and norms that a mistake would show in.
            if parameter.ndim == 1:
                center = 1.0 if parameter_name.endswith("weight") else 0.0
                parameter.normal_(center, 0.1)
    network.to(torch.bfloat16).save_pretrained(made)
    made.rename(model)
    return model


def is_encoder(model: Path) -> bool:
    """Whether a directory has a model that is given pairs of texts."""
    return json.loads((model / "config.json").read_text())["model_type"] in {family for family, *_ in MODELS.values()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}; all without one")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or MODELS:
        print(write(name, arguments.output))


if __name__ == "__main__":
    main()
