#!/usr/bin/env python3
"""Writes the logits that `transformers` gives the pairs of a rerank input file.

Every pair is computed alone and without padding, in f32 and in bf16, so that nothing but the
model and the prompt shows in the numbers. A program that agrees with the f32 logits computes
the right thing; the bf16 logits tell how far a bf16 forward may be from them.
"""

import argparse
import json
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from reference import recipe

# PyTorch's fused attention: never holds a whole score matrix, which a long document needs.
ATTENTION = "sdpa"
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}


def tokenize(groups: list[dict], model: Path, max_length: int) -> dict[str, dict[str, list[int]]]:
    """The token ids of every pair, by query id and document id.

    Wherever no control token stands in the text, the ids must be those of AutoTokenizer: the
    prompt's own tokenizer differs from it in the reading of control tokens only.
    """
    prompt = recipe.Prompt(model / "tokenizer.json")
    auto = AutoTokenizer.from_pretrained(model)
    pairs: dict[str, dict[str, list[int]]] = {}
    for group in groups:
        ids_of_query = pairs.setdefault(group["query_id"], {})
        for candidate in group["candidates"]:
            text = recipe.body(group["query"], candidate["text"], group.get("instruction"))
            ids = prompt.body_ids(text)
            if not prompt.holds_control_token(text):
                assert ids == auto.encode(text, add_special_tokens=False), text
            ids_of_query[candidate["id"]] = prompt.wrap(ids, max_length)
    assert prompt.prefix == auto.encode(recipe.PREFIX, add_special_tokens=False)
    assert prompt.suffix == auto.encode(recipe.SUFFIX, add_special_tokens=False)
    return pairs


@torch.inference_mode()
def logits(model_directory: Path, pairs: dict, precision: torch.dtype) -> dict:
    """The logit of every pair, from a model whose weights and activations are of `precision`.

    Whatever the precision, the last hidden vector is widened to f32 and the head is an f32 dot
    product. That is fairer to bf16 than the model's own bf16 logits, which come in steps of
    1/32 between 4 and 8 and tie.
    """
    model = AutoModelForCausalLM.from_pretrained(
        model_directory, dtype=precision, attn_implementation=ATTENTION
    ).eval()
    prompt = recipe.Prompt(model_directory / "tokenizer.json")
    direction = recipe.head(model.get_output_embeddings().weight, prompt)
    found: dict[str, dict[str, float]] = {}
    for query_id, ids_of_query in pairs.items():
        for document_id, ids in ids_of_query.items():
            output = model.model(input_ids=torch.tensor([ids]), use_cache=False)
            hidden = output.last_hidden_state[0, -1]
            logit = torch.dot(hidden.float(), direction).item()
            if precision == torch.float32:
                own = model.lm_head(hidden)
                assert abs(logit - (own[prompt.yes] - own[prompt.no]).item()) < 1e-4
            found.setdefault(query_id, {})[document_id] = logit
    return found


def report(deviations: list[float], spread: list[float]) -> None:
    largest, mean = max(deviations), sum(deviations) / len(deviations)
    print(f"{len(spread)} pairs, f32 logits from {min(spread):.3f} to {max(spread):.3f}")
    print(f"bf16 against f32: max abs {largest:.5f}, mean abs {mean:.5f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="directory of the checkpoint")
    parser.add_argument("--input", type=Path, default=Path("testdata/parity.jsonl"), help="[%(default)s]")
    parser.add_argument("--output", type=Path, help="[the model directory's name + .expected.json]")
    parser.add_argument("--max-length", type=int, default=32768, help="tokens of a prompt [%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    pairs = tokenize(recipe.read_groups(arguments.input), arguments.model, arguments.max_length)
    found = {name: logits(arguments.model, pairs, dtype) for name, dtype in PRECISIONS.items()}
    rows = {
        query_id: {
            document_id: {
                **{name: found[name][query_id][document_id] for name in PRECISIONS},
                "tokens": len(ids),
            }
            for document_id, ids in ids_of_query.items()
        }
        for query_id, ids_of_query in pairs.items()
    }
    expected = {
        "made_by": f"scripts/reference_logits.py on the CPU, {ATTENTION} attention, "
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"tokenizers {tokenizers.__version__}",
        "input": arguments.input.name,
        "max_length": arguments.max_length,
        "logits": rows,
    }
    output = arguments.output or arguments.model.with_name(arguments.model.name + ".expected.json")
    output.write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")

    flat = [row for of_query in rows.values() for row in of_query.values()]
    report([abs(row["bf16"] - row["f32"]) for row in flat], [row["f32"] for row in flat])
    print(f"tokens from {min(r['tokens'] for r in flat)} to {max(r['tokens'] for r in flat)}; wrote {output}")


if __name__ == "__main__":
    main()
