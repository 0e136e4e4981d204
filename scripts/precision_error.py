#!/usr/bin/env python3
"""Measures how far scores in bf16 and int8 are from those in f32, with random models whose attention is sharply peaked.

    scripts/precision_error.py --rerank target/release/rerank [--models 13] [--dtypes bf16 int8]

fp8 is computed by transformers (`e4m3.py`), as rerank needs a GPU for it.

The models have 2 to 6 layers, weights from a normal distribution, and norms of queries and keys around 2, so that attention's logits reach
±8 and more; a tenth of the models' hidden features are ten times as large as the others in every second model, as trained models have
outlying features. Random weights pass rounding errors on unchecked, so that errors are larger than those of trained models.

For each precision it prints the largest and the mean (root of squares) difference of logits, the deviation of the logits among each other, and
the share of pairs of documents of a query that change places.
"""

import argparse
import itertools
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from bench_peers import prompts
from e4m3 import round_linear_layers

TOKENIZER = Path("testdata/odd-reranker")
VOCABULARY = 420
HEAD_DIM = 64
QUERIES = 12
DOCUMENTS = 20
QUERY_KEY_NORM = 2.0


def write_model(directory: Path, seed: int) -> str:
    """Writes a random model, and returns what it is like."""
    generator = torch.Generator().manual_seed(seed)
    layers, hidden = 2 + seed % 5, (256, 512, 1024)[seed % 3]
    heads, key_heads, inner = hidden // HEAD_DIM, hidden // HEAD_DIM // 2, 3 * hidden
    has_outliers = seed % 2 == 1
    tensors = {}

    def matrix(name: str, outputs: int, inputs: int, length: float = 1.0) -> None:
        tensors[name] = torch.randn(outputs, inputs, generator=generator) * length / inputs**0.5

    def norm(name: str, features: int, mean: float, outliers: bool = False) -> None:
        weight = mean * (1 + torch.randn(features, generator=generator) / 8)
        if outliers and has_outliers:
            weight[:: 10] *= 10
        tensors[name] = weight

    tensors["model.embed_tokens.weight"] = torch.randn(VOCABULARY, hidden, generator=generator)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        norm(prefix + "input_layernorm.weight", hidden, 1.0, outliers=True)
        matrix(prefix + "self_attn.q_proj.weight", heads * HEAD_DIM, hidden)
        matrix(prefix + "self_attn.k_proj.weight", key_heads * HEAD_DIM, hidden)
        matrix(prefix + "self_attn.v_proj.weight", key_heads * HEAD_DIM, hidden)
        norm(prefix + "self_attn.q_norm.weight", HEAD_DIM, QUERY_KEY_NORM)
        norm(prefix + "self_attn.k_norm.weight", HEAD_DIM, QUERY_KEY_NORM)
        matrix(prefix + "self_attn.o_proj.weight", hidden, heads * HEAD_DIM, 2.0)
        norm(prefix + "post_attention_layernorm.weight", hidden, 1.0, outliers=True)
        matrix(prefix + "mlp.gate_proj.weight", inner, hidden)
        matrix(prefix + "mlp.up_proj.weight", inner, hidden)
        matrix(prefix + "mlp.down_proj.weight", hidden, inner)
    norm("model.norm.weight", hidden, 1.0)
    matrix("lm_head.weight", VOCABULARY, hidden, 4.0)
    configuration = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "max_position_embeddings": 40960,
        "model_type": "qwen3",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": key_heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "vocab_size": VOCABULARY,
    }
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER / name, directory / name)
    (directory / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
    rounded = {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}
    save_file(rounded, directory / "model.safetensors", metadata={"format": "pt"})
    return f"{layers} layers of {hidden}{', outlying features' if has_outliers else ''}"


def write_pairs(path: Path) -> None:
    """Writes queries with documents of random words."""
    words = Path("scripts/reference/words.txt").read_text(encoding="utf-8").split()
    source = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(QUERIES):
            texts = [" ".join(source.choices(words, k=source.randint(5, 60))) for _ in range(DOCUMENTS)]
            candidates = [{"id": str(index), "text": text} for index, text in enumerate(texts)]
            query = " ".join(source.choices(words, k=5))
            file.write(json.dumps({"query_id": str(number), "query": query, "candidates": candidates}) + "\n")


def logits(rerank: Path, model: Path, pairs: Path, dtype: str) -> np.ndarray:
    """The logits of all pairs in a precision: [queries, documents]."""
    command = [rerank, pairs, "--model", model, "--dtype", dtype, "--quiet"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = np.zeros((QUERIES, DOCUMENTS))
    for query, line in enumerate(lines):
        for result in json.loads(line)["results"]:
            found[query, int(result["id"])] = result["logit"]
    return found


def logits_in_fp8(model: Path, pairs: Path) -> np.ndarray:
    """The logits of all pairs by transformers, in bf16 but for linear layers: [queries, documents]."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    round_linear_layers(network)
    answers = [tokenizer.convert_tokens_to_ids(answer) for answer in ("yes", "no")]
    found = np.zeros((QUERIES, DOCUMENTS))
    with torch.inference_mode():
        for query, line in enumerate(pairs.read_text(encoding="utf-8").splitlines()):
            for document, prompt in enumerate(prompts(json.loads(line))):
                token_ids = tokenizer(prompt, return_tensors="pt").input_ids
                yes, no = network(token_ids, logits_to_keep=1).logits[0, -1, answers].float().tolist()
                found[query, document] = yes - no
    return found


def swapped(exact: np.ndarray, found: np.ndarray) -> float:
    """The share of pairs of a query's documents that stand in the other order."""
    pairs = list(itertools.combinations(range(DOCUMENTS), 2))
    changed = sum(
        (one[first] - one[second]) * (other[first] - other[second]) < 0
        for one, other in zip(exact, found)
        for first, second in pairs
    )
    return changed / len(pairs) / len(exact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"), help="the program [%(default)s]")
    parser.add_argument("--models", type=int, default=13, help="how many [%(default)s]")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "int8"], help="precisions [%(default)s]")
    arguments = parser.parse_args()
    totals = {dtype: [] for dtype in arguments.dtypes}
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.jsonl"
        write_pairs(pairs)
        for seed in range(arguments.models):
            model = Path(folder) / "model"
            model.mkdir(exist_ok=True)
            kind = write_model(model, seed)
            exact = logits(arguments.rerank, model, pairs, "f32")
            line = [f"{kind}: logits deviate by {exact.std():.2f}"]
            for dtype in arguments.dtypes:
                found = logits_in_fp8(model, pairs) if dtype == "fp8" else logits(arguments.rerank, model, pairs, dtype)
                error = np.abs(found - exact)
                row = error.max(), (error**2).mean() ** 0.5, swapped(exact, found)
                totals[dtype].append(row)
                line.append(f"{dtype} {row[0]:.3f} at most, {row[1]:.4f} on average, {row[2]:.2%} swapped")
            print("; ".join(line), flush=True)
    for dtype, rows in totals.items():
        most, mean, share = np.array(rows).T
        print(f"{dtype}: {most.min():.3f} to {most.max():.3f} at most; {(mean**2).mean() ** 0.5:.4f} on average; {share.mean():.2%} swapped")


if __name__ == "__main__":
    main()
