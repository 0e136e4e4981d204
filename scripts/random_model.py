#!/usr/bin/env python3
"""Writes a checkpoint in the shape of a Qwen3-Reranker, with random weights, to measure speed.

How fast a model runs does not depend on what it has learned. The weights are drawn and written
one file of at most 4 GB at a time, so that the 8B model does not have to fit into memory.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

HEAD_DIM = 128
KEY_VALUE_HEADS = 8
VOCABULARY = 151669
DEVIATION = 0.02
SHARD_BYTES = 4 * 10**9
BYTES_PER_WEIGHT = 2


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    intermediate: int
    tied: bool


SHAPES = {
    "0.6b": Shape(1024, 28, 16, 3072, tied=True),
    "4b": Shape(2560, 36, 32, 9728, tied=True),
    "8b": Shape(4096, 36, 32, 12288, tied=False),
}


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor, in the order in which a forward pass needs them."""
    queries, keys = shape.heads * HEAD_DIM, KEY_VALUE_HEADS * HEAD_DIM
    yield "model.embed_tokens.weight", (VOCABULARY, shape.hidden)
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (shape.hidden,)
        yield prefix + "self_attn.q_proj.weight", (queries, shape.hidden)
        yield prefix + "self_attn.k_proj.weight", (keys, shape.hidden)
        yield prefix + "self_attn.v_proj.weight", (keys, shape.hidden)
        yield prefix + "self_attn.q_norm.weight", (HEAD_DIM,)
        yield prefix + "self_attn.k_norm.weight", (HEAD_DIM,)
        yield prefix + "self_attn.o_proj.weight", (shape.hidden, queries)
        yield prefix + "post_attention_layernorm.weight", (shape.hidden,)
        yield prefix + "mlp.gate_proj.weight", (shape.intermediate, shape.hidden)
        yield prefix + "mlp.up_proj.weight", (shape.intermediate, shape.hidden)
        yield prefix + "mlp.down_proj.weight", (shape.hidden, shape.intermediate)
    yield "model.norm.weight", (shape.hidden,)
    if not shape.tied:
        yield "lm_head.weight", (VOCABULARY, shape.hidden)


def shards(shape: Shape) -> list[list[tuple[str, tuple[int, ...]]]]:
    """The tensors in files of at most `SHARD_BYTES`, never a tensor in two."""
    found, room = [[]], SHARD_BYTES
    for name, dimensions in tensors(shape):
        size = torch.Size(dimensions).numel() * BYTES_PER_WEIGHT
        if size > room and found[-1]:
            found.append([])
            room = SHARD_BYTES
        found[-1].append((name, dimensions))
        room -= size
    return found


def draw(name: str, dimensions: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if name.endswith("norm.weight"):
        return torch.ones(dimensions, dtype=torch.bfloat16)
    weight = torch.empty(dimensions, dtype=torch.bfloat16)
    return weight.normal_(0, DEVIATION, generator=generator)


def write_weights(shape: Shape, output: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    files = shards(shape)
    weight_map = {}
    for number, names in enumerate(files, 1):
        many = f"model-{number:05}-of-{len(files):05}.safetensors"
        file = many if len(files) > 1 else "model.safetensors"
        weights = {name: draw(name, dimensions, generator) for name, dimensions in names}
        save_file(weights, output / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(weights, file)
        print(f"{(output / file).stat().st_size:>12}  {output / file}", flush=True)
    if len(files) > 1:
        count = sum(torch.Size(dimensions).numel() for _, dimensions in tensors(shape))
        index = {"metadata": {"total_size": count * BYTES_PER_WEIGHT}, "weight_map": weight_map}
        write_json(output / "model.safetensors.index.json", index)


def configuration(shape: Shape) -> dict:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": DEVIATION,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 40960,
        "max_window_layers": shape.layers,
        "model_type": "qwen3",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": VOCABULARY,
    }


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json to copy beside the weights")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    arguments = parser.parse_args()

    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.tokenizer:
        shutil.copyfile(arguments.tokenizer, arguments.output / "tokenizer.json")
    write_json(arguments.output / "config.json", configuration(SHAPES[arguments.shape]))
    write_weights(SHAPES[arguments.shape], arguments.output, arguments.seed)


if __name__ == "__main__":
    main()
