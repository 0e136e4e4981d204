#!/usr/bin/env python3
"""Writes a GGUF file in the shape of a Qwen3-Reranker, with random weights, to measure speed and memory.

How fast a model runs does not depend on what it has learned. The types are those of llama.cpp's
Q4_K_M: Q6_K for the embedding and, in about half of the layers, for the values and down, Q4_K for
the other matrices; or one type for all of them. One tensor is in memory at a time.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from random_model import HEAD_DIM, KEY_VALUE_HEADS, SHAPES, VOCABULARY, Shape

# Blocks that are drawn; a tensor repeats them, shifted.
DRAWN = 1 << 14
DEVIATION = 0.02


def q4_k(random: np.random.Generator, count: int) -> np.ndarray:
    """`d * scale * q - dmin * minimum`, with scales and minima of 6 bits, and q of 4."""
    blocks = random.integers(0, 256, (count, 144), dtype=np.uint8)
    unit = DEVIATION / 255
    blocks[:, 0:4] = np.array([unit, 7.5 * unit], dtype="<f2").view(np.uint8)
    return blocks


def q6_k(random: np.random.Generator, count: int) -> np.ndarray:
    """`d * scale * (q - 32)`, with signed scales of 8 bits, and q of 6."""
    blocks = random.integers(0, 256, (count, 210), dtype=np.uint8)
    scales = random.integers(-32, 33, (count, 16), dtype=np.int8)
    blocks[:, 192:208] = scales.view(np.uint8)
    blocks[:, 208:210] = np.array([DEVIATION / 348], dtype="<f2").view(np.uint8)
    return blocks


def q8_0(random: np.random.Generator, count: int) -> np.ndarray:
    """`d * q`, with q of 8 bits."""
    blocks = random.integers(0, 256, (count, 34), dtype=np.uint8)
    blocks[:, 0:2] = np.array([DEVIATION / 74], dtype="<f2").view(np.uint8)
    return blocks


BLOCKS = {Type.Q4_K: (256, q4_k), Type.Q6_K: (256, q6_k), Type.Q8_0: (32, q8_0)}


def more_bits(layer: int, layers: int) -> bool:
    """Whether llama.cpp's Q4_K_M gives a layer's values and down 6 bits."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2


def tensors(shape: Shape, mixed: bool, one: Type):
    """Name, rows, values in a row, and type of every tensor; those of vectors are one row of F32."""
    queries, keys = shape.heads * HEAD_DIM, KEY_VALUE_HEADS * HEAD_DIM
    hidden, inner = shape.hidden, shape.intermediate
    yield "token_embd.weight", VOCABULARY, hidden, Type.Q6_K if mixed else one
    yield "cls.output.weight", 2, hidden, Type.F32
    yield "output_norm.weight", None, hidden, Type.F32
    for layer in range(shape.layers):
        many = Type.Q6_K if mixed and more_bits(layer, shape.layers) else one
        name = f"blk.{layer}."
        yield name + "attn_norm.weight", None, hidden, Type.F32
        yield name + "attn_q.weight", queries, hidden, one
        yield name + "attn_k.weight", keys, hidden, one
        yield name + "attn_v.weight", keys, hidden, many
        yield name + "attn_q_norm.weight", None, HEAD_DIM, Type.F32
        yield name + "attn_k_norm.weight", None, HEAD_DIM, Type.F32
        yield name + "attn_output.weight", hidden, queries, one
        yield name + "ffn_norm.weight", None, hidden, Type.F32
        yield name + "ffn_gate.weight", inner, hidden, one
        yield name + "ffn_up.weight", inner, hidden, one
        yield name + "ffn_down.weight", hidden, inner, many


def stored_shape(rows: int | None, inputs: int, kind: Type) -> tuple[int, ...]:
    """The shape of a tensor's bytes; that of its values, if they are stored one by one."""
    if kind == Type.F32:
        return (inputs,) if rows is None else (rows, inputs)
    values, draw = BLOCKS[kind]
    return (rows, inputs // values * draw(np.random.default_rng(0), 1).shape[1])


def vocabulary(writer: gguf.GGUFWriter, path: Path) -> None:
    """The tokens and merges of a tokenizer.json, as llama.cpp's conversion writes those of Qwen3."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokens = [f"[PAD{index}]" for index in range(VOCABULARY)]
    types = [gguf.TokenType.UNUSED] * VOCABULARY
    for token, index in tokenizer["model"]["vocab"].items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for token in tokenizer["added_tokens"]:
        kind = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
        tokens[token["id"]], types[token["id"]] = token["content"], kind
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)


def header(writer: gguf.GGUFWriter, shape: Shape, name: str) -> None:
    writer.add_name(f"Qwen3 Reranker {name} with random weights")
    writer.add_block_count(shape.layers)
    writer.add_context_length(40960)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_freq_base(1000000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(["yes", "no"])


def write(arguments: argparse.Namespace) -> None:
    shape = SHAPES[arguments.shape]
    mixed = arguments.type == "q4_k_m"
    one = Type.Q4_K if mixed else Type[arguments.type.upper()]
    every = list(tensors(shape, mixed, one))
    writer = gguf.GGUFWriter(arguments.output, "qwen3")
    header(writer, shape, arguments.shape)
    vocabulary(writer, arguments.tokenizer)
    for name, rows, inputs, kind in every:
        stored = stored_shape(rows, inputs, kind)
        is_f32 = kind == Type.F32
        size = int(np.prod(stored)) * (4 if is_f32 else 1)
        dtype = np.dtype(np.float32 if is_f32 else np.uint8)
        writer.add_tensor_info(name, stored, dtype, size, None if is_f32 else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(arguments.seed)
    drawn = {kind: draw(random, DRAWN) for kind, (_, draw) in BLOCKS.items()}
    for name, rows, inputs, kind in every:
        stored = stored_shape(rows, inputs, kind)
        if kind == Type.F32:
            values = np.ones(stored) if rows is None else random.normal(0, DEVIATION, stored)
            writer.write_tensor_data(values.astype(np.float32))
            continue
        count = rows * inputs // BLOCKS[kind][0]
        blocks = np.roll(drawn[kind], int(random.integers(DRAWN)), axis=0)
        repeated = np.tile(blocks, (-(-count // DRAWN), 1))[:count]
        writer.write_tensor_data(repeated.reshape(stored))
    writer.close()
    print(f"{arguments.output.stat().st_size:>12}  {arguments.output}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--type", choices=["q4_k_m", "q4_k", "q6_k", "q8_0"], default="q4_k_m")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of Qwen3")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    write(parser.parse_args())


if __name__ == "__main__":
    main()
