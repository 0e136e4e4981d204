#!/usr/bin/env python3
"""Trains a Qwen3 reranker that is small enough to commit and good enough to believe.

It understands nothing. It ranks by the share of the query's content words that a document
repeats, whatever the words are, and gives function words no weight. With it, tests can run the
whole program and judge the ranking. Takes about a quarter of an hour on two CPU cores.

The weights in testdata come from a run that was stopped and continued with `--from-step`, at
first without noise. Training again gives another model, not the same one; whatever its numbers
are compared with has to be made again too (`reference_logits.py`).
"""

import argparse
import json
import math
import os
import random
import sys
import time
from pathlib import Path

# Threads that spin while they wait cost five times the speed as soon as a core is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from reference import bpe, heldout, packing, recipe, texts

VOCABULARY = 3584
# The range of the logits in training: all of the query's concepts, or none of them.
TARGET = 2.0
# What the final norm is scaled by in the end. Smaller logits rank the same, and what rounding to
# bf16 moves them by is smaller too.
FINAL_SCALE = 0.75
# Relative noise on what every layer puts out. With it the model learns not to hang on small
# differences, and its logits in bf16, whose rounding is a tenth of this, stay near those in f32.
NOISE = 0.02
# The layers after which the auxiliary questions are asked.
CONCEPT_LAYER = 1
MATCH_LAYERS = (2, 3)
# Half of the dimensions in which rotary embeddings tell apart positions of one document.
FAST_DIMENSIONS = 10
TOKENS_PER_STEP = 5600
LONGEST_DOCUMENT = 120
STEPS = 1400
SAVE_EVERY = 150
LEARNING_RATE = 2.5e-3
LOSS_WEIGHTS = {"value": 1.0, "order": 1.0, "concept": 0.3, "match": 0.5}
PASSING_NDCG = 0.9


def configuration() -> Qwen3Config:
    return Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=48,
        intermediate_size=256,
        max_position_embeddings=40960,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        initializer_range=0.05,
    )


@torch.no_grad()
def look_back(model: Qwen3ForCausalLM) -> None:
    """Lets half of the first layer's heads look at the token before, to know pairs of tokens.

    Every token gets the same large value in one dimension. From it these heads make a constant
    query and a constant key; rotary embeddings turn the key by one position more, so that the two
    point the same way at distance one.
    """
    model.model.embed_tokens.weight[:, 0] = 0.3
    attention = model.model.layers[0].self_attn
    half = attention.head_dim // 2
    # Three turning speeds are enough for distance one to stand out.
    fast = torch.arange(3)
    speed = 1e6 ** (-fast / half)
    attention.q_proj.weight[2 * attention.head_dim :] *= 0.1
    attention.k_proj.weight[attention.head_dim :] *= 0.1
    attention.k_proj.weight[attention.head_dim + fast, 0] = 1.0
    for head in (2, 3):
        attention.q_proj.weight[head * attention.head_dim + fast, 0] = speed.cos()
        attention.q_proj.weight[head * attention.head_dim + half + fast, 0] = -speed.sin()
    for norm in (attention.q_norm, attention.k_norm):
        norm.weight[fast] = 1.75
        norm.weight[half + fast] = 1.75


@torch.no_grad()
def look_for_equals(model: Qwen3ForCausalLM) -> None:
    """Lets the second and third layer look for tokens like the own one, wherever they are.

    Where a query and a key are the same projection, equal tokens attract each other. Rotary
    embeddings would let the nearest win, which is always the token itself; in the dimensions
    that turn slowly they do not, so the fast ones are turned down.
    """
    for layer in model.model.layers[1:3]:
        attention = layer.self_attn
        keys = attention.k_proj.weight.view(2, 1, attention.head_dim, -1)
        queries = attention.q_proj.weight.view(2, 2, attention.head_dim, -1)
        queries.copy_(keys.expand_as(queries))
        slow = torch.arange(attention.head_dim // 2).repeat(2) >= FAST_DIMENSIONS
        for norm in (attention.q_norm, attention.k_norm):
            norm.weight.copy_(torch.where(slow, 1.4, 0.2))


def draw_batch(writer: texts.Writer, prompt: recipe.Prompt, longest: float) -> packing.Batch:
    """Queries with documents of about one length, as many as the step affords."""
    length = round(math.exp(writer.rng.uniform(math.log(4), math.log(longest))))
    per_document = 1.7 * length + len(prompt.suffix)
    documents = max(3, min(10, round(420 / per_document)))
    rows = max(4, round(TOKENS_PER_STEP / (90 + documents * per_document)))
    drawn = []
    for _ in range(rows):
        query = writer.query()
        drawn.append(packing.Row(prompt, query, writer.documents(query, documents, length)))
    return packing.batch(drawn)


def ask(probe: nn.Linear, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of a yes/no question about single tokens; both answers weigh the same."""
    asked = labels != packing.IGNORED
    answers, labels = probe(hidden[asked]).squeeze(-1), labels[asked]
    weight = ((labels == 0).sum() / (labels == 1).sum().clamp(min=1)).clamp(max=20)
    return F.binary_cross_entropy_with_logits(answers, labels, pos_weight=weight)


def pair_logits(
    model: Qwen3ForCausalLM, prompt: recipe.Prompt, hidden: torch.Tensor, ends: torch.Tensor
) -> torch.Tensor:
    last = hidden.gather(1, ends[..., None].expand(-1, -1, hidden.shape[-1]))
    return last @ recipe.head(model.lm_head.weight, prompt)


def losses(
    model: Qwen3ForCausalLM, probes: nn.ModuleList, prompt: recipe.Prompt, batch: packing.Batch
) -> dict[str, torch.Tensor]:
    """What is wrong with the logits, and with the answers to the auxiliary questions.

    The auxiliary questions ask the lower layers about single tokens, which teaches them to
    compare long before the logits could. The probes that answer are not part of the model.
    """
    output = model.model(
        input_ids=batch.token_ids,
        position_ids=batch.positions,
        attention_mask=batch.mask,
        use_cache=False,
        output_hidden_states=True,
    )
    logits = pair_logits(model, prompt, output.last_hidden_state, batch.ends)
    target = TARGET * (2 * batch.shares - 1)
    better = (batch.shares[:, :, None] > batch.shares[:, None, :] + 1e-6).float()
    gaps = logits[:, :, None] - logits[:, None, :]
    return {
        "value": F.smooth_l1_loss(logits, target),
        "order": (F.softplus(-2 * gaps) * better).sum() / better.sum(),
        "concept": ask(probes[0], output.hidden_states[CONCEPT_LAYER], batch.is_concept),
        "match": sum(
            ask(probe, output.hidden_states[layer], batch.is_match)
            for probe, layer in zip(probes[1:], MATCH_LAYERS)
        ),
    }


def add_noise(layer: nn.Module, inputs: tuple, hidden: torch.Tensor) -> torch.Tensor:
    """A forward hook; the arguments are PyTorch's."""
    return hidden * (1 + NOISE * torch.randn_like(hidden))


def learning_rate(step: int, steps: range) -> float:
    """A short warm-up, then half a cosine down to two percent."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps.stop))
    return LEARNING_RATE * min(1, (step - steps.start + 1) / 50) * (0.02 + 0.98 * cosine)


def train(
    model: Qwen3ForCausalLM, prompt: recipe.Prompt, writer: texts.Writer, steps: range, output: Path
) -> None:
    """Trains and saves; in between too, for an interrupted run to leave something to go on with."""
    probes = nn.ModuleList(
        [nn.Linear(model.config.hidden_size, 1) for _ in range(1 + len(MATCH_LAYERS))]
    )
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *probes.parameters()], betas=(0.9, 0.98), weight_decay=0.01
    )
    for layer in model.model.layers:
        layer.register_forward_hook(add_noise)
    sums = dict.fromkeys(LOSS_WEIGHTS, 0.0)
    started = time.monotonic()
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        # Short documents first: where there is less to compare, comparing is learned sooner.
        longest = min(LONGEST_DOCUMENT, 12 + LONGEST_DOCUMENT * step / (0.6 * steps.stop))
        found = losses(model, probes, prompt, draw_batch(writer, prompt, longest))
        optimizer.zero_grad()
        sum(LOSS_WEIGHTS[name] * loss for name, loss in found.items()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for name, loss in found.items():
            sums[name] += loss.item()
        if (step + 1) % 20 == 0:
            shown = "  ".join(f"{name} {total / 20:.3f}" for name, total in sums.items())
            print(f"{step + 1:>5}  {time.monotonic() - started:5.0f} s  {shown}", flush=True)
            sums = dict.fromkeys(LOSS_WEIGHTS, 0.0)
        if (step + 1) % SAVE_EVERY == 0:
            save(model, output)
    with torch.no_grad():
        model.model.norm.weight *= FINAL_SCALE
    save(model, output)


def published_configuration(config: Qwen3Config) -> dict:
    """config.json with the keys of the published Qwen3-Reranker checkpoints, which are older."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "max_window_layers": config.num_hidden_layers,
        "model_type": "qwen3",
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": config.vocab_size,
    }


def save(model: Qwen3ForCausalLM, directory: Path) -> None:
    weights = {
        name: weight.detach().to(torch.bfloat16).contiguous()
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config = json.dumps(published_configuration(model.config), indent=2) + "\n"
    (directory / "config.json").write_text(config, encoding="utf-8")


@torch.inference_mode()
def score(model: Qwen3ForCausalLM, prompt: recipe.Prompt, group: dict) -> list[float]:
    """The logits of a group's candidates, each computed alone."""
    logits = []
    for candidate in group["candidates"]:
        text = recipe.body(group["query"], candidate["text"], group.get("instruction"))
        ids = torch.tensor([prompt.wrap(prompt.body_ids(text))])
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits.append((hidden[0, -1].float() @ recipe.head(model.lm_head.weight, prompt)).item())
    return logits


def evaluate(directory: Path, groups: list[dict]) -> float:
    """Mean nDCG@10 of the saved checkpoint, in f32; prints what is worth knowing besides."""
    prompt = recipe.Prompt(directory / "tokenizer.json")
    by_precision = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = Qwen3ForCausalLM.from_pretrained(directory, dtype=dtype).eval()
        by_precision[dtype] = [score(model, prompt, group) for group in groups]
    exact = by_precision[torch.float32]

    measures, by_grade = [], {}
    for group, logits in zip(groups, exact):
        grades = [candidate["relevance"] for candidate in group["candidates"]]
        ranked = sorted(zip(logits, grades), key=lambda pair: -pair[0])
        measures.append(heldout.ndcg([grade for _, grade in ranked]))
        for logit, grade in ranked:
            by_grade.setdefault(grade, []).append(logit)
    for grade, logits in sorted(by_grade.items()):
        mean = sum(logits) / len(logits)
        print(f"grade {grade}: logits {min(logits):6.2f} to {max(logits):5.2f}, mean {mean:5.2f}")
    deviations = [
        abs(a - b)
        for one, other in zip(exact, by_precision[torch.bfloat16])
        for a, b in zip(one, other)
    ]
    mean = sum(deviations) / len(deviations)
    print(f"bf16 against f32: max abs {max(deviations):.4f}, mean abs {mean:.4f}")
    return sum(measures) / len(measures)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("testdata/tiny-reranker"), help="[%(default)s]")
    parser.add_argument("--heldout", type=Path, default=Path("testdata/heldout.jsonl"), help="[%(default)s]")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training [%(default)s]")
    parser.add_argument(
        "--from-step", type=int, default=0, help="go on with the checkpoint saved after this step"
    )
    parser.add_argument("--seed", type=int, default=1, help="[%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    parser.add_argument("--evaluate-only", action="store_true", help="judge the checkpoint that is there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)

    lexicon = texts.Lexicon()
    if not arguments.evaluate_only:
        if arguments.from_step:
            model = Qwen3ForCausalLM.from_pretrained(arguments.output, dtype=torch.float32)
        else:
            recipe.write_groups(arguments.heldout, heldout.groups(lexicon, arguments.seed))
            tokenizer = bpe.train(texts.corpus(lexicon, arguments.seed), VOCABULARY)
            bpe.save(tokenizer, arguments.output)
            model = Qwen3ForCausalLM(configuration())
            look_back(model)
            look_for_equals(model)
        prompt = recipe.Prompt(arguments.output / "tokenizer.json")
        writer = texts.Writer(lexicon, random.Random(arguments.seed + arguments.from_step))
        steps = range(arguments.from_step, arguments.steps)
        train(model, prompt, writer, steps, arguments.output)

    ndcg = evaluate(arguments.output, recipe.read_groups(arguments.heldout))
    print(f"nDCG@10 on held-out queries: {ndcg:.4f}")
    return 0 if ndcg >= PASSING_NDCG else 1


if __name__ == "__main__":
    sys.exit(main())
