#!/usr/bin/env python3
"""Writes a random Qwen3 reranker of odd shape, to show what a program takes for granted.

Its head dimension is not hidden / heads, its output embedding is not tied to the input
embedding, its norm weights are not one, and its f32 weights are split over three files. It
ranks nothing; its logits are numbers to agree on.
"""

import argparse
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from reference import bpe, words

VOCABULARY = 420
SHARD_SIZE = "220KB"


def configuration() -> Qwen3Config:
    return Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=80,
        max_position_embeddings=40960,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=False,
        use_cache=True,
        dtype="float32",
    )


def randomise(model: Qwen3ForCausalLM, seed: int) -> None:
    """Weights of a size at which every layer and every norm shows in the logit.

    Matrices get a standard deviation that keeps the length of a vector. Attention averages, so
    its output gets more, and its query and key norms a mean above one, lest it be flat.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(weight: torch.Tensor, mean: float, deviation: float) -> None:
        weight.copy_(mean + deviation * torch.randn(weight.shape, generator=generator))

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                normal(weight, 1.3, 0.3)
            elif name.endswith("norm.weight"):
                normal(weight, 1.0, 0.25)
            elif name.endswith("embed_tokens.weight"):
                normal(weight, 0.0, 1.0)
            elif name.endswith("lm_head.weight"):
                normal(weight, 0.0, 0.15)
            elif name.endswith("o_proj.weight"):
                normal(weight, 0.0, 2.0 * weight.shape[1] ** -0.5)
            else:
                normal(weight, 0.0, weight.shape[1] ** -0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("testdata/odd-reranker"), help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=8, help="[%(default)s]")
    arguments = parser.parse_args()

    listed = words.load()
    text = [" ".join(listed[kind]) for kind in words.KINDS]
    bpe.save(bpe.train(text, VOCABULARY), arguments.output)

    model = Qwen3ForCausalLM(configuration())
    randomise(model, arguments.seed)
    model.save_pretrained(arguments.output, max_shard_size=SHARD_SIZE)
    (arguments.output / "generation_config.json").unlink(missing_ok=True)
    for path in sorted(arguments.output.iterdir()):
        print(f"{path.stat().st_size:>8}  {path}")


if __name__ == "__main__":
    main()
