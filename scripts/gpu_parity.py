#!/usr/bin/env python3
"""Checks a GPU's logits. Ends with status 1 if something deviates.

Against those that testdata/ keeps from transformers; against the CPU's ranking; on small random models whose heads bring
every kernel into play, against transformers in f32 on the spot, batches against pairs alone; the same on a model that
scripts/random_model.py has made, with a document of 32,000 tokens, with an absurd budget of tokens, and with little memory.
`--dtypes fp8` is compared with what transformers computes of the same rounding (e4m3.py).

    scripts/gpu_parity.py --rerank target/release/rerank [--small DIRECTORY] [--random DIRECTORY] [--encoders DIRECTORY]
"""

import argparse
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import encoder_models
from bench_peers import prompts, write_candidates

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = {"f32": 1e-3, "bf16": 0.05, "f16": 0.05, "fp8": 0.05}
# The toy models of testdata/, of few features, deviate further: transformers that rounds alike is off by 0.47.
TOLERANCE_OF_TOYS = {"fp8": 0.6}
# Models of testdata/.
NAMES = ("tiny-reranker", "odd-reranker")
# Query heads, key heads, features of a head: tensor cores with 64 and 128 features, and the plain kernel.
SHAPES = [(8, 2, 64), (4, 4, 128), (16, 4, 128), (6, 1, 80)]
# Beside the weights: what the driver and cuBLAS take, and room for a batch, but not for a large one.
LITTLE_MEMORY = 1300 << 20
# Tokens that the reference computes at a time.
REFERENCE_TOKENS = 4096
# What encoders of BERT's kind are made for.
ENCODER_TOKENS = 512
# Random weights of many layers round worse than trained ones: there 16 bits may deviate twice as far as transformers' bf16.
TIMES_REFERENCE = 2


def ranked(arguments, model: Path, candidates: Path, *options: str) -> list[dict]:
    """The rankings that rerank gives. It must not fall back to anything."""
    stats = candidates.with_suffix(".stats.json")
    command = [arguments.rerank, "--model", model, "--input", candidates, "--no-text", "--quiet", "--stats", stats, *options]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise Failed(f"status {run.returncode} of {' '.join(map(str, command))}")
    warnings = json.loads(stats.read_text()).get("warnings")
    if warnings and not arguments.allow_warnings:
        raise Failed("; ".join(warnings))
    return [json.loads(line) for line in run.stdout.split("\n") if line]


class Failed(Exception):
    """What ends one check, and not the others."""


def logits(rankings: list[dict]) -> dict[tuple[str, str], float]:
    return {
        (ranking["query_id"], result["id"]): result["logit"] for ranking in rankings for result in ranking["results"]
    }


def compare(name: str, ours: dict, expected: dict, tolerance: float) -> bool:
    deviations = [abs(ours[pair] - expected[pair]) for pair in expected]
    good = max(deviations) < tolerance
    mean = sum(deviations) / len(deviations)
    verdict = "good" if good else f"WRONG: more than {tolerance}"
    print(f"{name}: {len(deviations)} pairs, at most {max(deviations):.2g}, mean {mean:.2g}: {verdict}", flush=True)
    return good


def check_kept(arguments, name: str, folder: Path) -> bool:
    """The models of testdata/, on queries whose prompts have at most so many tokens."""
    kept = json.loads((ROOT / f"testdata/{name}.expected.json").read_text())["logits"]
    lines = []
    # Documents have characters that splitlines() takes for ends of lines.
    for line in filter(None, (ROOT / "testdata/parity.jsonl").read_text().split("\n")):
        group = json.loads(line)
        known = kept[group["query_id"]]
        group["candidates"] = [one for one in group["candidates"] if known[one["id"]]["tokens"] <= arguments.limit]
        if group["candidates"]:
            lines.append(json.dumps(group) + "\n")
    candidates = folder / f"{name}.jsonl"
    candidates.write_text("".join(lines[: arguments.queries]))
    model, options = ROOT / "testdata" / name, ["--max-length", "32768"]
    on_cpu = ranked(arguments, model, candidates, "--device", "cpu", "--dtype", "f32", *options)
    good = True
    for dtype in arguments.dtypes:
        tolerance = TOLERANCE_OF_TOYS.get(dtype, TOLERANCE[dtype])
        rankings = ranked(arguments, model, candidates, "--device", arguments.device, "--dtype", dtype, *options)
        ours = logits(rankings)
        groups = [json.loads(line) for line in lines[: arguments.queries]]
        pairs = [(group["query_id"], one["id"]) for group in groups for one in group["candidates"]]
        expected = {(query, candidate): kept[query][candidate]["f32"] for query, candidate in pairs}
        good &= compare(f"{name} {dtype}", ours, expected, tolerance)
        if dtype == "f32":
            order = [[result["id"] for result in ranking["results"]] for ranking in rankings]
            same = order == [[result["id"] for result in ranking["results"]] for ranking in on_cpu]
            print(f"{name}: the CPU's ranking is {'the same' if same else 'ANOTHER'}", flush=True)
            good &= same
    return good


def reference(arguments, model: Path, candidates: Path, dtype, quantized=False) -> dict[tuple[str, str], float]:
    """What transformers gives, one prompt at a time, or what it gives where linear layers are in E4M3."""
    if encoder_models.is_encoder(model):
        return encoder_reference(arguments, model, candidates, dtype)
    import torch
    from e4m3 import round_linear_layers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="sdpa").eval()
    network = network.to(arguments.reference_device)
    if quantized:
        round_linear_layers(network)
    answers = [tokenizer.convert_tokens_to_ids(answer) for answer in ("yes", "no")]
    group = json.loads(candidates.read_text())
    found = {}
    with torch.inference_mode():
        for candidate, text in zip(group["candidates"], prompts(group), strict=True):
            token_ids = tokenizer(text, return_tensors="pt").input_ids.to(arguments.reference_device)
            cache = None
            # In one piece, the scores of 32,000 tokens in f32 take more memory than a card has.
            for part in token_ids.split(REFERENCE_TOKENS, dim=1):
                output = network(part, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache = output.past_key_values
            row = output.logits[0, -1, answers].float().tolist()
            found[(group["query_id"], candidate["id"])] = row[0] - row[1]
    return found


def encoder_reference(arguments, model: Path, candidates: Path, dtype) -> dict[tuple[str, str], float]:
    """The same of a model that is given pairs of texts."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(model, dtype=dtype, attn_implementation="sdpa").eval()
    network = network.to(arguments.reference_device)
    # What the model was made for, and not what a tokenizer's files say or leave out.
    longest = min(network.config.max_position_embeddings, ENCODER_TOKENS)
    takes_types = "token_type_ids" in inspect.signature(network.forward).parameters
    group = json.loads(candidates.read_text())
    found = {}
    with torch.inference_mode():
        for candidate in group["candidates"]:
            inputs = tokenizer(
                group["query"], candidate["text"], truncation="only_second", max_length=longest, return_tensors="pt",
                return_token_type_ids=takes_types,
            ).to(arguments.reference_device)  # fmt: skip
            found[(group["query_id"], candidate["id"])] = network(**inputs).logits.float().item()
    return found


def check_model(arguments, name: str, model: Path, candidates: Path) -> bool:
    """All dtypes against transformers, and batches against pairs alone."""
    import torch

    expected = reference(arguments, model, candidates, torch.float32)
    rounded = reference(arguments, model, candidates, torch.bfloat16)
    theirs = {"bf16": max(abs(rounded[pair] - expected[pair]) for pair in expected)}
    if "fp8" in arguments.dtypes:
        in_fp8 = reference(arguments, model, candidates, torch.bfloat16, quantized=True)
        theirs["fp8"] = max(abs(in_fp8[pair] - expected[pair]) for pair in expected)
    lowest, highest = min(expected.values()), max(expected.values())
    off = ", ".join(f"in {dtype} by {deviation:.2g}" for dtype, deviation in theirs.items())
    print(f"{name}: logits from {lowest:.2f} to {highest:.2f}; transformers is off {off}", flush=True)
    good = True
    for dtype in arguments.dtypes:
        tolerance = TOLERANCE[dtype]
        if dtype != "f32":
            tolerance = max(tolerance, TIMES_REFERENCE * theirs.get(dtype, theirs["bf16"]))
        longest = ENCODER_TOKENS if encoder_models.is_encoder(model) else 32768
        options = ["--device", arguments.device, "--dtype", dtype, "--max-length", str(longest)]
        ours = logits(ranked(arguments, model, candidates, *options))
        good &= compare(f"{name}, {dtype}", ours, expected, tolerance)
        if len(expected) == 1:
            continue
        alone = logits(ranked(arguments, model, candidates, *options, "--batch-size", "1"))
        largest = max(abs(alone[pair] - ours[pair]) for pair in ours)
        verdict = "good" if largest == 0 else "WRONG: a score depends on its batch"
        print(f"{name}, {dtype}: pairs alone differ from batches by {largest:.2g}: {verdict}", flush=True)
        good &= largest == 0
    return good


def make_small(folder: Path, heads: int, key_heads: int, head_dim: int) -> Path:
    """A random model of two layers with the tiny tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model = folder / f"{heads}-{key_heads}-{head_dim}"
    if model.exists():
        return model
    torch.manual_seed(heads * head_dim)
    tiny = ROOT / "testdata/tiny-reranker"
    config = Qwen3Config(
        vocab_size=json.loads((tiny / "config.json").read_text())["vocab_size"],
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        head_dim=head_dim,
        max_position_embeddings=40960,
        initializer_range=0.08,
        tie_word_embeddings=True,
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).write_bytes((tiny / name).read_bytes())
    return model


def write_mixture(path: Path, tokenizer) -> None:
    """Documents of all lengths: for kernels that depend on how many keys a query sees."""
    candidates = []
    for workload, count in (("passage", 6), ("rag", 4), ("long", 1)):
        write_candidates(path, workload, tokenizer, count)
        group = json.loads(path.read_text())
        candidates += [{"id": f"{workload}-{one['id']}", "text": one["text"]} for one in group["candidates"]]
    path.write_text(json.dumps(group | {"candidates": candidates}) + "\n")


def check_small(arguments, folder: Path) -> bool:
    from transformers import AutoTokenizer

    good = True
    for shape in SHAPES:
        model = make_small(folder, *shape)
        candidates = folder / f"{model.name}.jsonl"
        write_mixture(candidates, AutoTokenizer.from_pretrained(model))
        good &= check_model(arguments, "{} heads on {} of {} features".format(*shape), model, candidates)
    return good


def check_encoders(arguments, folder: Path) -> bool:
    """Encoders, on passages and on documents that are cut."""
    from transformers import AutoTokenizer

    good = True
    for name in encoder_models.MODELS:
        model = encoder_models.write(name, folder)
        candidates = folder / f"{name}.jsonl"
        group = None
        for workload, count in (("passage", 40), ("rag", 10)):
            tokenizer = AutoTokenizer.from_pretrained(model)
            write_candidates(candidates, workload, tokenizer, count)
            made = json.loads(candidates.read_text())
            for candidate in made["candidates"]:
                candidate["id"] = f"{workload}-{candidate['id']}"
                # transformers takes its name in a text for the token itself, which rerank does not.
                candidate["text"] = candidate["text"].replace(tokenizer.unk_token, "")
            group = made if group is None else group | {"candidates": group["candidates"] + made["candidates"]}
        candidates.write_text(json.dumps(group) + "\n")
        good &= passes(lambda model=model, candidates=candidates: check_model(arguments, model.name, model, candidates))
    return good


def check_random(arguments, folder: Path) -> bool:
    """A model with the shape of a published one, on passages and on longer documents."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.random)
    good = True
    for workload in arguments.workloads:
        candidates = folder / f"{workload}.jsonl"
        write_candidates(candidates, workload, tokenizer)
        good &= check_model(arguments, f"random, {workload}", arguments.random, candidates)
    return good


def check_memory(arguments, folder: Path) -> bool:
    """Batches that can't fit, and a card that others have filled."""
    import torch
    from transformers import AutoTokenizer

    candidates = folder / "memory.jsonl"
    write_candidates(candidates, "passage", AutoTokenizer.from_pretrained(arguments.random), 2000)
    options = ["--device", arguments.device, "--dtype", "bf16"]
    expected = logits(ranked(arguments, arguments.random, candidates, *options))
    absurd = ["--batch-size", "1000000", "--max-batch-tokens", "1000000000"]
    ours = logits(ranked(arguments, arguments.random, candidates, *options, *absurd))
    good = compare("an absurd budget", ours, expected, TOLERANCE["bf16"])
    weights = sum(file.stat().st_size for file in arguments.random.glob("*.safetensors"))
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(max(free - weights - LITTLE_MEMORY, 0), dtype=torch.uint8, device="cuda")
    left = torch.cuda.mem_get_info()[0]
    for name, budget in (("", []), (", an absurd budget", absurd)):
        ours = logits(ranked(arguments, arguments.random, candidates, *options, *budget))
        good &= compare(f"{left / 1e9:.2f} GB free{name}", ours, expected, TOLERANCE["bf16"])
    del taken
    return good


def passes(check) -> bool:
    try:
        return check()
    except Exception as failure:
        print(f"FAILED: {type(failure).__name__}: {failure}", flush=True)
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=ROOT / "target/release/rerank")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--random", type=Path, help="a directory that random_model.py has made")
    parser.add_argument("--small", type=Path, help="a directory for small random models, which are made if they are missing")
    parser.add_argument("--encoders", type=Path, help="a directory for random encoders, which are made if they are missing")
    parser.add_argument("--only-make", action="store_true", help="make the small models and their input, and check nothing")
    parser.add_argument("--allow-warnings", action="store_true", help="accept runs that report missing kernels or libraries")
    parser.add_argument("--memory", action="store_true", help="also with too large batches and too little memory")
    parser.add_argument("--workloads", nargs="*", default=["passage", "rag", "long", "longest"])
    parser.add_argument("--dtypes", nargs="*", choices=TOLERANCE, default=["f32", "bf16", "f16"])
    parser.add_argument("--reference-device", default="cuda", help="where transformers computes")
    parser.add_argument("--limit", type=int, default=32768, help="longest prompt in tokens")
    parser.add_argument("--queries", type=int, default=1000, help="most queries of testdata/parity.jsonl")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.small.mkdir(parents=True, exist_ok=True)
    if arguments.only_make:
        from transformers import AutoTokenizer

        for shape in SHAPES:
            model = make_small(arguments.small, *shape)
        tokenizer = AutoTokenizer.from_pretrained(model)
        write_candidates(arguments.small / "rag.jsonl", "rag", tokenizer, 2)
        write_candidates(arguments.small / "passage.jsonl", "passage", tokenizer, 1)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        checks = [lambda name=name: check_kept(arguments, name, folder) for name in NAMES] if arguments.queries else []
        if arguments.small:
            checks.append(lambda: check_small(arguments, arguments.small))
        if arguments.encoders:
            arguments.encoders.mkdir(parents=True, exist_ok=True)
            checks.append(lambda: check_encoders(arguments, arguments.encoders))
        if arguments.random:
            checks.append(lambda: check_random(arguments, folder))
        if arguments.memory:
            checks.append(lambda: check_memory(arguments, folder))
        good = [passes(check) for check in checks]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
