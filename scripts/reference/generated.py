"""Models and texts out of an integer generator, so that they need not be stored.

`tests/rerank/generated.rs` makes the same, to the bit. Weights are integers of few bits times a
power of two: every precision from bf16 on holds them exactly.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

TOKENIZER = Path("testdata/odd-reranker")
VOCABULARY = 420
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}
# Those before are seeds of weights.
SEED_OF_TEXTS = 1_000_000


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_dim: int
    intermediate: int
    # What the norms of queries and keys are around: the larger, the more peaked attention is.
    query_key_norm: float
    # Of the matrices and norms, as safetensors calls it.
    stored: str


def integers(seed: int, count: int) -> np.ndarray:
    """The first bytes of SplitMix64 of `seed << 32 | index`, from 0 to 255."""
    with np.errstate(over="ignore"):
        mixed = np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)
        mixed = (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(56)


def matrix(seed: int, outputs: int, inputs: int, exponent: int) -> torch.Tensor:
    values = integers(seed, outputs * inputs).astype(np.float32) - 128
    return torch.from_numpy(values * 2.0 ** (exponent - 7)).reshape(outputs, inputs)


def norm(seed: int, features: int, mean: float) -> torch.Tensor:
    """Within an eighth of the mean value that is given."""
    offsets = (integers(seed, features) >> np.uint64(4)).astype(np.float32) - 8
    return torch.from_numpy(mean + offsets / 64)


def keeping_length(inputs: int) -> int:
    """The exponent with which a product is about as long as what is multiplied."""
    return 1 - ((inputs - 1).bit_length() + 1) // 2


def tensors(shape: Shape) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}

    def add_matrix(name: str, outputs: int, inputs: int, exponent: int) -> None:
        found[name] = matrix(len(found), outputs, inputs, exponent)

    def add_norm(name: str, features: int, mean: float) -> None:
        found[name] = norm(len(found), features, mean)

    queries, keys = shape.heads * shape.head_dim, shape.key_heads * shape.head_dim
    from_hidden = keeping_length(shape.hidden)
    add_matrix("model.embed_tokens.weight", VOCABULARY, shape.hidden, 0)
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        add_norm(prefix + "input_layernorm.weight", shape.hidden, 1.0)
        add_matrix(prefix + "self_attn.q_proj.weight", queries, shape.hidden, from_hidden)
        add_matrix(prefix + "self_attn.k_proj.weight", keys, shape.hidden, from_hidden)
        add_matrix(prefix + "self_attn.v_proj.weight", keys, shape.hidden, from_hidden)
        add_norm(prefix + "self_attn.q_norm.weight", shape.head_dim, shape.query_key_norm)
        add_norm(prefix + "self_attn.k_norm.weight", shape.head_dim, shape.query_key_norm)
        # Attention averages: its output is made longer, lest it count for nothing.
        add_matrix(prefix + "self_attn.o_proj.weight", shape.hidden, queries, keeping_length(queries) + 1)
        add_norm(prefix + "post_attention_layernorm.weight", shape.hidden, 1.0)
        add_matrix(prefix + "mlp.gate_proj.weight", shape.intermediate, shape.hidden, from_hidden)
        add_matrix(prefix + "mlp.up_proj.weight", shape.intermediate, shape.hidden, from_hidden)
        inside = keeping_length(shape.intermediate)
        add_matrix(prefix + "mlp.down_proj.weight", shape.hidden, shape.intermediate, inside)
    add_norm("model.norm.weight", shape.hidden, 1.0)
    add_matrix("lm_head.weight", VOCABULARY, shape.hidden, from_hidden + 2)
    return found


def configuration(shape: Shape) -> dict:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 40960,
        "model_type": "qwen3",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.key_heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "vocab_size": VOCABULARY,
    }


def write(shape: Shape, directory: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER / name, directory / name)
    (directory / "config.json").write_text(json.dumps(configuration(shape)), encoding="utf-8")
    weights = {name: tensor.to(DTYPES[shape.stored]) for name, tensor in tensors(shape).items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def tokens(seed: int, count: int) -> list[int]:
    return integers(SEED_OF_TEXTS + seed, count).tolist()


def text(seed: int, words: int) -> str:
    """Words of four letters."""
    letters = (integers(SEED_OF_TEXTS + seed, 4 * words) % 26 + ord("a")).astype(np.uint8)
    return " ".join(bytes(word).decode() for word in letters.reshape(words, 4))
