#!/usr/bin/env python3
"""Runs rerank and its peers in turn on the same pairs with an encoder of a published shape, and prints the ratios.

    scripts/bench_encoders.sh         sets everything up and runs this

The weights are random, as the speed does not depend on them. Machines are noisy: every round runs each program once, one
after the other, and the medians over the rounds are compared. Times are those of scoring, tokenization included and loading
excluded, after a warm-up. All use the same threads; peers sort texts by their lengths and pad each batch to its longest, as
CrossEncoder.predict does, and are given batches of several sizes, of which the fastest counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench_peers import measure_rerank, write_candidates

SHAPES = {
    "bge-base": {
        "model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"], "vocab_size": 32000,
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "layer_norm_eps": 1e-5, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1,
        "hidden_act": "gelu", "num_labels": 1,
    },
    "minilm": {
        "model_type": "bert", "architectures": ["BertForSequenceClassification"], "vocab_size": 30522,
        "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 0,
        "hidden_act": "gelu", "num_labels": 1,
    },
}
BATCH_SIZES = [2, 4, 8, 16, 32]


def make_model(shape: str, directory: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    values = dict(SHAPES[shape])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(directory)
    tokenizers = Path(__file__).parent.parent / "testdata" / "tokenizers" / SHAPES[shape]["model_type"]
    for file in tokenizers.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())


def sentence_transformers_scorer(model: Path, precision: str):
    import torch
    from sentence_transformers import CrossEncoder

    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    encoder = CrossEncoder(str(model), device="cpu", model_kwargs={"dtype": dtype}, max_length=512)
    return lambda pairs, size: encoder.predict(pairs, batch_size=size, show_progress_bar=False)


def export(model: Path, target: Path) -> None:
    """The graph of the model, with the fusions of onnxruntime's own optimizer for BERT."""
    import torch
    from onnxruntime.transformers import optimizer
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask"]
    if network.config.type_vocab_size > 1:
        names.append("token_type_ids")
    inputs = {name: torch.ones(2, 16, dtype=torch.int64) for name in names}
    axes = {name: {0: "batch", 1: "length"} for name in names} | {"logits": {0: "batch"}}
    plain = target.with_suffix(".plain.onnx")
    torch.onnx.export(
        network, (), plain, kwargs=inputs, input_names=names, output_names=["logits"], dynamic_axes=axes,
        opset_version=18, dynamo=False,
    )
    heads, hidden = network.config.num_attention_heads, network.config.hidden_size
    fused = optimizer.optimize_model(str(plain), model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=1)
    print({name: count for name, count in fused.get_fused_operator_statistics().items() if count}, file=sys.stderr)
    fused.save_model_to_file(str(target))


def onnx_scorer(model: Path, precision: str):
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoTokenizer

    path = model / f"{precision}.onnx"
    if not path.exists():
        base = model / "f32.onnx"
        if not base.exists():
            export(model, base)
        if precision == "int8":
            # The types of what the fused operators give can't be inferred.
            floats = {"DefaultTensorType": onnx.TensorProto.FLOAT}
            quantize_dynamic(base, path, weight_type=QuantType.QInt8, extra_options=floats)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    tokenizer = AutoTokenizer.from_pretrained(model)
    names = [value.name for value in session.get_inputs()]

    def score(pairs, size):
        pairs = sorted(pairs, key=lambda pair: len(pair[1]))
        for start in range(0, len(pairs), size):
            queries, documents = zip(*pairs[start : start + size])
            inputs = tokenizer(
                list(queries), list(documents), padding=True, truncation=True, max_length=512, return_tensors="np"
            )
            session.run(None, {name: inputs[name].astype("int64") for name in names})

    return score


PEERS = {
    "sentence-transformers f32": lambda model: sentence_transformers_scorer(model, "f32"),
    "sentence-transformers bf16": lambda model: sentence_transformers_scorer(model, "bf16"),
    "onnxruntime f32": lambda model: onnx_scorer(model, "f32"),
    "onnxruntime int8": lambda model: onnx_scorer(model, "int8"),
}


def measure_peer(name: str, model: Path, candidates: Path) -> None:
    """In a process of its own: prints pairs a second, and the size of the batches."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    score = PEERS[name](model)
    group = json.loads(candidates.read_text())
    pairs = [(group["query"], candidate["text"]) for candidate in group["candidates"]]
    best = (0.0, 0)
    for size in BATCH_SIZES:
        score(pairs[: 2 * size], size)
        started = time.perf_counter()
        score(pairs, size)
        best = max(best, (len(pairs) / (time.perf_counter() - started), size))
    print(*best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True, help="where models and pairs are kept")
    parser.add_argument("--shape", choices=SHAPES, default="bge-base")
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--dtypes", nargs="*", default=["f32", "bf16", "int8"], help="precisions of rerank")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--pairs", type=int, help="more candidates than usual [100]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    model = arguments.directory / f"{arguments.shape}-random"
    candidates = arguments.directory / f"{arguments.shape}-passage.jsonl"
    if arguments.one:
        return measure_peer(arguments.one, model, candidates)
    from transformers import AutoTokenizer

    if not (model / "config.json").exists():
        make_model(arguments.shape, model)
    write_candidates(candidates, "passage", AutoTokenizer.from_pretrained(model), arguments.pairs)
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    rates: dict[str, list[float]] = {}
    sizes: dict[str, set[str]] = {}
    for _ in range(arguments.rounds):
        for dtype in arguments.dtypes:
            rate = measure_rerank(arguments.rerank, dtype, model, candidates, arguments.threads)
            rates.setdefault(f"rerank {dtype}", []).append(rate)
        for peer in arguments.peers:
            command = [sys.executable, __file__, "--one", peer, "--directory", arguments.directory, "--shape", arguments.shape]
            run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
            if run.returncode:
                print(f"{peer} failed", file=sys.stderr)
                continue
            rate, size = run.stdout.split()[-2:]
            rates.setdefault(peer, []).append(float(rate))
            sizes.setdefault(peer, set()).add(size)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(rate for name, rate in medians.items() if name in sizes)
    print(f"{arguments.shape}, passages, {arguments.threads} threads, medians of {arguments.rounds}:")
    for name, rate in medians.items():
        size = f", batches of {' or '.join(sorted(sizes[name]))}" if name in sizes else ""
        ratio = f"{rate / best:5.2f} times the best peer"
        print(f"  {name:27} {rate:8.2f} pairs/s   {ratio}   {[round(value, 1) for value in rates[name]]}{size}")


if __name__ == "__main__":
    main()
