#!/usr/bin/env python3
"""Writes the logits of long prompts, as `transformers` computes them in f64 and in f32.

The f64 logits are what is exact; how far the f32 logits are from them shows what f32 can do. The
models and the texts are made by `reference/generated.py`: attention that is peaked, and attention
that is flat, where many small weights are added up.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from reference import generated, recipe

ATTENTION = "sdpa"
QUERY_KEY_NORMS = {"peaked": 2.25, "flat": 0.5}
LENGTHS = [2048, 2048, 4096, 4096, 8192, 8192, 16000, 32000]
QUERY = "who sees that bird"


def shape(query_key_norm: float) -> generated.Shape:
    return generated.Shape(
        hidden=64,
        layers=2,
        heads=2,
        key_heads=1,
        head_dim=32,
        intermediate=96,
        query_key_norm=query_key_norm,
        stored="F32",
    )


def norm_in_own_precision(self: Qwen3RMSNorm, hidden: torch.Tensor) -> torch.Tensor:
    """As the original, which goes over f32 even in an f64 model."""
    variance = hidden.pow(2).mean(-1, keepdim=True)
    return self.weight * (hidden * torch.rsqrt(variance + self.variance_epsilon))


def prompt_of(length: int, seed: int, prompt: recipe.Prompt) -> tuple[int, list[int]]:
    """How many words make a prompt of about `length` tokens, and its tokens."""

    def ids(words: int) -> list[int]:
        return prompt.wrap(prompt.body_ids(recipe.body(QUERY, generated.text(seed, words))))

    low, high = 0, length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(ids(middle)) <= length else (low, middle - 1)
    return low, ids(low)


@torch.inference_mode()
def logits(directory: Path, prompts: list[list[int]], precision: torch.dtype) -> list[float]:
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=precision, attn_implementation=ATTENTION
    ).eval()
    prompt = recipe.Prompt(directory / "tokenizer.json")
    weight = model.get_output_embeddings().weight
    direction = (weight[prompt.yes] - weight[prompt.no]).double()
    found = []
    for ids in prompts:
        hidden = model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0, -1]
        found.append(torch.dot(hidden.double(), direction).item())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("testdata/long.expected.json"), help="[%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    prompt = recipe.Prompt(generated.TOKENIZER / "tokenizer.json")
    made = [prompt_of(length, seed, prompt) for seed, length in enumerate(LENGTHS)]
    prompts = [ids for _, ids in made]
    models = {}
    original = Qwen3RMSNorm.forward
    for name, query_key_norm in QUERY_KEY_NORMS.items():
        with tempfile.TemporaryDirectory() as directory:
            generated.write(shape(query_key_norm), Path(directory))
            f32 = logits(Path(directory), prompts, torch.float32)
            Qwen3RMSNorm.forward = norm_in_own_precision
            f64 = logits(Path(directory), prompts, torch.float64)
            Qwen3RMSNorm.forward = original
        rows = [
            {"words": words, "tokens": len(ids), "f64": exact, "f32": rounded}
            for (words, ids), exact, rounded in zip(made, f64, f32)
        ]
        for row in rows:
            print(name, row["tokens"], f"{row['f64']:.6f}, in f32 off by {abs(row['f32'] - row['f64']):.2e}")
        models[name] = {"shape": asdict(shape(query_key_norm)), "pairs": rows}
    expected = {
        "made_by": f"scripts/reference_long.py on the CPU, {ATTENTION} attention, "
        f"torch {torch.__version__}, transformers {transformers.__version__}",
        "query": QUERY,
        "models": models,
    }
    arguments.output.write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
