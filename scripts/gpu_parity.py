#!/usr/bin/env python3
"""Checks a GPU's logits: against those that testdata/ keeps from transformers, against the CPU's ranking, and, on a model
that scripts/random_model.py has made, against transformers in f32 on the spot. Ends with status 1 if something deviates.

    scripts/gpu_parity.py --rerank target/release/rerank [--random DIRECTORY]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_peers import prompts, write_candidates

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = {"f32": 1e-3, "bf16": 0.05}
# Random weights of many layers round worse than trained ones: there bf16 may deviate twice as far as transformers' own.
TIMES_REFERENCE = 2


def ranked(arguments, model: Path, candidates: Path, *options: str) -> list[dict]:
    """The rankings that rerank gives."""
    command = [arguments.rerank, "--model", model, "--input", candidates, "--no-text", "--quiet", *options]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in run.stdout.split("\n") if line]


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
    on_cpu = ranked(arguments, model, candidates, "--device", "cpu", *options)
    good = True
    for dtype, tolerance in TOLERANCE.items():
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


def check_random(arguments, folder: Path) -> bool:
    """A model with heads as published ones have, on passages and on longer documents."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments.random)
    network = AutoModelForCausalLM.from_pretrained(arguments.random, dtype=torch.float32).eval()
    network = network.to(arguments.reference_device)
    narrow = AutoModelForCausalLM.from_pretrained(arguments.random, dtype=torch.bfloat16).eval()
    narrow = narrow.to(arguments.reference_device)
    answers = [tokenizer.convert_tokens_to_ids(answer) for answer in ("yes", "no")]
    good = True
    for workload in arguments.workloads:
        candidates = folder / f"{workload}.jsonl"
        write_candidates(candidates, workload, tokenizer)
        query = json.loads(candidates.read_text())["query_id"]
        expected, rounded = {}, {}
        with torch.inference_mode():
            for index, text in enumerate(prompts(candidates)):
                inputs = tokenizer(text, return_tensors="pt").to(arguments.reference_device)
                for logits_of, one in ((expected, network), (rounded, narrow)):
                    row = one(**inputs, logits_to_keep=1).logits[0, -1, answers].float().tolist()
                    logits_of[(query, str(index))] = row[0] - row[1]
        reference = max(abs(rounded[pair] - expected[pair]) for pair in expected)
        print(f"random, {workload}: transformers in bf16 deviates by at most {reference:.2g}", flush=True)
        for dtype, tolerance in TOLERANCE.items():
            if dtype == "bf16":
                tolerance = max(tolerance, TIMES_REFERENCE * reference)
            options = ["--device", arguments.device, "--dtype", dtype]
            ours = logits(ranked(arguments, arguments.random, candidates, *options))
            good &= compare(f"random, {workload}, {dtype}", ours, expected, tolerance)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=ROOT / "target/release/rerank")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--random", type=Path, help="a directory that random_model.py has made")
    parser.add_argument("--workloads", nargs="*", default=["passage", "rag", "long"])
    parser.add_argument("--reference-device", default="cuda", help="where transformers computes")
    parser.add_argument("--limit", type=int, default=32768, help="longest prompt in tokens")
    parser.add_argument("--queries", type=int, default=1000, help="most queries of testdata/parity.jsonl")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = ("tiny-reranker", "odd-reranker") if arguments.queries else ()
        checks = [check_kept(arguments, name, Path(folder)) for name in names]
        if arguments.random:
            checks.append(check_random(arguments, Path(folder)))
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
