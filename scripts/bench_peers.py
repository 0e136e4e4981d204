#!/usr/bin/env python3
"""Runs rerank and its peers in turn on the same candidates and random weights, and prints the ratios.

    scripts/bench_peers.sh            sets everything up and runs this

Machines are noisy: every round runs each program once, one after the other, and the medians over the
rounds are compared. Times are those of scoring, tokenization included and loading excluded, after a
warm-up on a few pairs. All use the same threads and bf16 (int8 where it says so). On a GPU, peers are
given batches of several sizes, of which the fastest counts.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

from encoder_models import is_encoder

WORKLOADS = {"passage": (100, 40, 110), "rag": (50, 300, 500), "long": (4, 2000, 5600), "longest": (1, 32000, 32000)}
# A card is through with so few before its clocks are up, and encoders are smaller than decoders.
TIMES_ON_A_CARD = 20
TIMES_OF_ENCODERS = 100
# What peers are given there, of which the best counts; on a CPU padding costs more than large batches gain, and some peers have
# a size of their own.
BATCH_SIZES = {"cpu": [16], "cuda": [32, 256]}
OWN_BATCH_SIZES = {"openvino": 4, "openvino-int8": 4, "llama.cpp": 1}
PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


def write_candidates(path: Path, workload: str, tokenizer, count: int | None = None) -> None:
    """One query with documents of random words, of the workload's lengths in tokens."""
    usual, least, most = WORKLOADS[workload]
    count = count or usual
    words = (Path(__file__).parent / "reference" / "words.txt").read_text().split()
    draw = random.Random(7)
    candidates = []
    for index in range(count):
        length = draw.randint(least, most)
        text = " ".join(draw.choice(words) for _ in range(length))
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][:length]
        candidates.append({"id": str(index), "text": tokenizer.decode(ids)})
    path.write_text(json.dumps({"query_id": "1", "query": "which words are these", "candidates": candidates}) + "\n")


def prompts(group: dict) -> list[str]:
    """The prompts of a query's candidates."""
    query = f"<Instruct>: {INSTRUCTION}\n<Query>: {group['query']}\n<Document>: "
    return [PREFIX + query + candidate["text"] + SUFFIX for candidate in group["candidates"]]


def pairs(path: Path) -> list[tuple[str, str]]:
    group = json.loads(path.read_text())
    return [(group["query"], candidate["text"]) for candidate in group["candidates"]]


def batches(texts: list[str], size: int) -> list[list[str]]:
    texts = sorted(texts, key=len)
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def device() -> str:
    return os.environ.get("BENCH_DEVICE", "cpu")


def transformers_scorer(model: Path, compiled: bool):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    network = network.to(device())
    forward = torch.compile(network, dynamic=True) if compiled else network

    @torch.inference_mode()
    def score(texts, size):
        for batch in batches(texts, size):
            inputs = tokenizer(batch, padding=True, return_tensors="pt").to(device())
            forward(**inputs, logits_to_keep=1).logits[:, -1, :2].float().tolist()

    return score


def sentence_transformers_scorer(model: Path):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    # What CrossEncoder.predict does with a decoder that classifies: sorted, padded batches.
    from sentence_transformers import CrossEncoder

    classifier = model.parent / (model.name + "-classifier")
    if not classifier.exists():
        network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.bfloat16)
        tokenizer = AutoTokenizer.from_pretrained(model)
        network.config.pad_token_id = tokenizer.pad_token_id or 0
        network.save_pretrained(classifier)
        tokenizer.save_pretrained(classifier)
    encoder = CrossEncoder(str(classifier), device=device(), model_kwargs={"dtype": torch.bfloat16}, max_length=8192)
    if encoder.tokenizer.pad_token is None:
        encoder.tokenizer.pad_token = "<|endoftext|>"
    return lambda texts, size: encoder.predict([(text, "") for text in texts], batch_size=size)


def encoder_scorer(model: Path):
    import torch
    from sentence_transformers import CrossEncoder

    encoder = CrossEncoder(str(model), device=device(), model_kwargs={"dtype": torch.bfloat16}, max_length=512)
    return lambda texts, size: encoder.predict(texts, batch_size=size)


def openvino_scorer(model: Path, bits: int):
    import numpy
    import openvino
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    converted = model.parent / f"{model.name}-openvino-{bits}.xml"
    if not converted.exists():

        class Last(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
                self.network.set_attn_implementation("eager")

            def forward(self, input_ids, attention_mask):
                # The mask that transformers makes itself can't be traced.
                length = input_ids.shape[1]
                causal = torch.ones(length, length, dtype=torch.bool).tril()
                mask = causal[None, None] & attention_mask[:, None, None, :].bool()
                mask = torch.where(mask, 0.0, -1e9)
                positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
                hidden = self.network.model(
                    input_ids, attention_mask={"full_attention": mask}, position_ids=positions, use_cache=False
                )
                return self.network.lm_head(hidden.last_hidden_state[:, -1, :])[:, :2]

        example = {name: torch.ones(2, 24, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            network = openvino.convert_model(Last(), example_input=example)
        if bits == 8:
            import nncf

            network = nncf.compress_weights(network, mode=nncf.CompressWeightsMode.INT8_ASYM)
        openvino.save_model(network, converted, compress_to_fp16=bits != 8)
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": os.environ["OMP_NUM_THREADS"]}
    if bits == 8:
        hints["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "32"
    compiled = openvino.Core().compile_model(converted, "CPU", hints)

    def score(texts, size):
        for batch in batches(texts, size):
            inputs = tokenizer(batch, padding=True, return_tensors="np")
            compiled({name: inputs[name].astype(numpy.int64) for name in ("input_ids", "attention_mask")})

    return score


def write_gguf(model: Path, target: Path) -> None:
    """The weights as they are, under llama.cpp's names, with the tokenizer."""
    import gguf
    import torch
    from safetensors import safe_open

    config = json.loads((model / "config.json").read_text())
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(target, "qwen3")
    layers = config["num_hidden_layers"]
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    tokens = [f"<unused{index}>" for index in range(config["vocab_size"])]
    types = [gguf.TokenType.UNUSED] * len(tokens)
    for token, index in tokenizer["model"]["vocab"].items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], gguf.TokenType.CONTROL
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, layers)
    with safe_open(model / "model.safetensors", "pt") as file:
        for name in file.keys():
            tensor = file.get_tensor(name)
            if tensor.ndim == 1:
                writer.add_tensor(names.get_name(name, (".weight",)), tensor.float().numpy())
            else:
                words = tensor.to(torch.bfloat16).view(torch.uint8).numpy()
                kind = gguf.GGMLQuantizationType.BF16
                writer.add_tensor(names.get_name(name, (".weight",)), words, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_scorer(model: Path):
    """The hidden vector of each text's last token: what its reranking does, without the last row's product."""
    import llama_cpp

    converted = model.parent / f"{model.name}-bf16.gguf"
    if not converted.exists():
        write_gguf(model, converted)
    threads = int(os.environ["OMP_NUM_THREADS"])
    network = llama_cpp.Llama(
        str(converted), embedding=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_LAST, n_ctx=8192, n_batch=2048,
        n_ubatch=2048, n_threads=threads, n_threads_batch=threads, verbose=False,
    )
    return lambda texts, _size: [network.embed(text) for text in texts]


PEERS = {
    "transformers": lambda model: transformers_scorer(model, compiled=False),
    "transformers-compiled": lambda model: transformers_scorer(model, compiled=True),
    "sentence-transformers": sentence_transformers_scorer,
    "openvino": lambda model: openvino_scorer(model, 16),
    "openvino-int8": lambda model: openvino_scorer(model, 8),
    "llama.cpp": llama_scorer,
}


def measure_peer(name: str, model: Path, candidates: Path) -> None:
    """In a process of its own: prints pairs a second, and the size of the batches."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if is_encoder(model):
        score, texts = encoder_scorer(model), pairs(candidates)
    else:
        score, texts = PEERS[name](model), prompts(json.loads(candidates.read_text()))
    best = (0.0, 0)
    own = OWN_BATCH_SIZES.get(name)
    for size in [own] if own else BATCH_SIZES[device().split(":")[0]]:
        try:
            score(texts[:4], size)
            # torch.compile compiles again for other shapes.
            for _ in range(2 if name == "transformers-compiled" else 1):
                started = time.perf_counter()
                score(texts, size)
                seconds = time.perf_counter() - started
        except torch.OutOfMemoryError:
            break
        best = max(best, (len(texts) / seconds, size))
    if not best[1]:
        sys.exit("no batch fits into the memory")
    print(*best)


def measure_rerank(program: Path, dtype: str, model: Path, candidates: Path, threads: int) -> float:
    stats = candidates.with_suffix(".stats.json")
    command = [program, "--model", model, "--input", candidates]
    command += ["--output", candidates.with_suffix(".ranked.jsonl"), "--overwrite"]
    command += ["--device", device(), "--dtype", dtype, "--threads", str(threads), "--stats", stats, "--quiet"]
    subprocess.run(command, check=True)
    return json.loads(stats.read_text())["pairs_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a directory that random_model.py has made")
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--workload", choices=WORKLOADS, default="passage")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=["transformers", "sentence-transformers", "openvino"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for transformers and sentence-transformers")
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ["BENCH_DEVICE"] = arguments.device
    candidates = arguments.model.parent / f"{arguments.model.name}-{arguments.workload}.jsonl"
    if arguments.one:
        return measure_peer(arguments.one, arguments.model, candidates)
    from transformers import AutoTokenizer

    encodes = is_encoder(arguments.model)
    if encodes and arguments.peers != ["sentence-transformers"]:
        parser.error("the only peer for an encoder is sentence-transformers")
    times = TIMES_OF_ENCODERS if encodes else TIMES_ON_A_CARD
    count = WORKLOADS[arguments.workload][0] * (1 if arguments.device == "cpu" else times)
    write_candidates(candidates, arguments.workload, AutoTokenizer.from_pretrained(arguments.model), count)
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    rates: dict[str, list[float]] = {}
    sizes: dict[str, set[str]] = {}
    for _ in range(arguments.rounds):
        for dtype in ("bf16", "int8") if arguments.device == "cpu" else ("bf16",):
            rate = measure_rerank(arguments.rerank, dtype, arguments.model, candidates, arguments.threads)
            rates.setdefault(f"rerank {dtype}", []).append(rate)
        for peer in arguments.peers:
            command = [sys.executable, __file__, "--one", peer, "--model", arguments.model, "--workload", arguments.workload, "--device", arguments.device]
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{peer} failed: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            rate, size = run.stdout.split()[-2:]
            rates.setdefault(peer, []).append(float(rate))
            sizes.setdefault(peer, set()).add(size)
    best = statistics.median(rates["rerank bf16"])
    print(f"{arguments.workload}, {arguments.threads} threads, medians of {arguments.rounds}:")
    for name, values in rates.items():
        rate = statistics.median(values)
        size = f", batches of {' or '.join(sorted(sizes[name]))}" if name in sizes else ""
        print(f"  {name:24} {rate:8.2f} pairs/s   rerank bf16 is {best / rate:.2f} times as fast   {[round(v, 2) for v in values]}{size}")


if __name__ == "__main__":
    main()
