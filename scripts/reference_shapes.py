#!/usr/bin/env python3
"""Writes the logits that `transformers` gives models whose layers have the shapes of published ones.

Two layers with heads of 128 and of 64 features, and 3,072 features inside the MLP. The models are
made by `reference/generated.py`: they would be too large to store.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

from reference import generated, recipe

ATTENTION = "sdpa"
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}
QUERY = "who sees that bird"
# Words of documents, and lengths of sequences of arbitrary tokens without a prompt around them.
WORDS = [1, 3, 30, 100, 250]
TOKENS = [1, 33, 70]


def shape(heads: int, head_dim: int) -> generated.Shape:
    return generated.Shape(
        hidden=128,
        layers=2,
        heads=heads,
        key_heads=2,
        head_dim=head_dim,
        intermediate=3072,
        query_key_norm=1.25,
        stored="BF16",
    )


SHAPES = {"head_dim-128": shape(4, 128), "head_dim-64": shape(6, 64)}


@torch.inference_mode()
def logits(directory: Path, sequences: list[list[int]], precision: torch.dtype) -> list[float]:
    """The logits of models in a precision, whose head is an f32 dot product in any case."""
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=precision, attn_implementation=ATTENTION
    ).eval()
    direction = recipe.head(model.get_output_embeddings().weight, recipe.Prompt(directory / "tokenizer.json"))
    found = []
    for ids in sequences:
        hidden = model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0, -1]
        found.append(torch.dot(hidden.float(), direction).item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("testdata/shapes.expected.json"), help="[%(default)s]")
    arguments = parser.parse_args()

    prompt = recipe.Prompt(generated.TOKENIZER / "tokenizer.json")
    bodies = [recipe.body(QUERY, generated.text(seed, words)) for seed, words in enumerate(WORDS)]
    prompts = [prompt.wrap(prompt.body_ids(body)) for body in bodies]
    sequences = [generated.tokens(seed, count) for seed, count in enumerate(TOKENS)]
    models = {}
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as directory:
            generated.write(shape, Path(directory))
            found = {name: logits(Path(directory), prompts + sequences, dtype) for name, dtype in PRECISIONS.items()}
        rows = [
            {"tokens": len(ids), **dict(zip(PRECISIONS, values))}
            for ids, *values in zip(prompts + sequences, *found.values())
        ]
        for row in rows:
            print(name, row["tokens"], f"{row['f32']:.6f}, in bf16 off by {abs(row['bf16'] - row['f32']):.2e}")
        pairs = [{"words": words, **row} for words, row in zip(WORDS, rows)]
        models[name] = {"shape": asdict(shape), "pairs": pairs, "sequences": rows[len(pairs) :]}
    expected = {
        "made_by": f"scripts/reference_shapes.py on the CPU, {ATTENTION} attention, "
        f"torch {torch.__version__}, transformers {transformers.__version__}",
        "query": QUERY,
        "models": models,
    }
    arguments.output.write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
