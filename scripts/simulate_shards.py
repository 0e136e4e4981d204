#!/usr/bin/env python3
"""Simulate a run over many machines: how long it takes with shards of several sizes, and what lost and slow machines cost.

    scripts/simulate_shards.py                                    # 100 million pairs on 16 machines
    scripts/simulate_shards.py --workers 64 --shards 256 --json

The workers take the shards of an array job in their order. A worker loads the model, reads, scores, writes its part, and takes
the next shard. A worker that is lost comes back after a while, and its shard goes to the head of the queue; whoever takes it goes on
behind the rankings that were written (--no-resume: from the beginning). The merge comes on top: its bytes are counted, and its time is not. All numbers are options. The defaults:

- Speed, 7,025 pairs/s: Qwen3-Reranker-0.6B on an H200 (README). Reading the input and its bytes: measured with the program on
  100,000 passages of 40 to 60 words, JSONL in Zstandard: 117 bytes a pair, 161 in a part, and 0.08 s of one core to pass by all of them.
- Lost machines, `reserved`: 419 unexpected interruptions in 54 days of 16,384 GPUs ("The Llama 3 Herd of Models", 2024,
  arXiv:2407.21783, section 3.3.4), which is one in 50,676 hours of a GPU.
- Lost machines, `spot`: 600 preemptions in 3,066 hours of single V100s on AWS, 0.2 an hour, with a median of 45 minutes until an
  instance is there again: counted in the traces of four nodes of github.com/skypilot-org/spot-traces ("Can't Be Late: Optimizing Spot
  Instance Savings under Deadlines", NSDI 2024). The single nodes of 2023-04 there were lost 0.47 times an hour.
- Slow machines: GPUs of one kind differ by 8% on average, and outliers are 1.5 times as slow as the median ("Not All GPUs Are Created Equal",
  SC 2022, arXiv:2208.11035). The share of outliers, 1%, is an assumption.
- Slow shards, `shared`: machines that others load too. 5% of the shards take longer: four of five 1.5 to 2.5 times as long, the others up
  to 10 times, after "Reining in the Outliers in Map-Reduce Clusters using Mantri" (OSDI 2010). These sizes were not compared with the
  paper's text, and the share, 5%, is an assumption.
"""

import argparse
import heapq
import json
import math
import random
import statistics

HOUR = 3600.0
RANKED_AGAIN_SECONDS = 5.0  # a part is synced every 5 seconds

SCENARIOS = {
    # Losses of a machine an hour, the median of the hours until it is back, and the share of shards that others slow down.
    "ideal": {"losses": 0.0, "back": 0.0, "slow_shards": 0.0},
    "reserved": {"losses": 419 / (54 * 24 * 16384), "back": 0.25, "slow_shards": 0.0},
    "spot": {"losses": 0.2, "back": 0.75, "slow_shards": 0.0},
    "shared": {"losses": 0.2, "back": 0.75, "slow_shards": 0.05},
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=1e8)
    parser.add_argument("--pairs-per-query", type=float, default=100)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--shards", type=int, nargs="+", default=[16, 64, 256, 1024, 4096])
    parser.add_argument("--pairs-per-second", type=float, default=7025, help="of a worker")
    parser.add_argument("--load-seconds", type=float, default=20, help="from a worker's start to its first batch")
    parser.add_argument("--read-pairs-per-second", type=float, default=1.25e6, help="of other shards, where one input is read by all")
    parser.add_argument("--input-bytes", type=float, default=117, help="a pair")
    parser.add_argument("--output-bytes", type=float, default=161, help="a pair")
    parser.add_argument("--files", action="store_true", help="the input is files, of which each shard has its own, and not one that all read")
    parser.add_argument("--no-resume", action="store_true", help="a shard that was broken off begins anew")
    parser.add_argument("--variation", type=float, default=0.08, help="of the machines' time: the standard deviation")
    parser.add_argument("--slow-machines", type=float, default=0.01, help="the share that takes 1.5 times as long")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--runs", type=int, default=20, help="simulated runs, of which the median is reported")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    return parser.parse_args()


def shard_sizes(options, count, draw):
    """The pairs of each shard: a query falls into any with the same probability, so that their number is about binomial."""
    queries = options.pairs / options.pairs_per_query
    mean = queries / count
    deviation = (mean * (1 - 1 / count)) ** 0.5
    sizes = [max(0.0, draw.gauss(mean, deviation)) for _ in range(count)]
    scale = options.pairs / sum(sizes)
    return [size * scale for size in sizes]


def slowness_of_machine(options, draw):
    """How many times as long as the median machine this one takes."""
    if draw.random() < options.slow_machines:
        return 1.5
    return max(0.5, draw.gauss(1, options.variation))


def slowness_of_shard(scenario, draw):
    """How many times as long as others a shard takes."""
    if draw.random() >= scenario["slow_shards"]:
        return 1.0
    return draw.uniform(1.5, 2.5) if draw.random() < 0.8 else draw.uniform(2.5, 10)


def attempt(options, pairs, written, slowness):
    """The seconds that a worker needs for the rest of a shard, after it has loaded the model. It reads while it scores."""
    reading = 0.0 if options.files else options.pairs / options.read_pairs_per_second
    return max((pairs - written) / options.pairs_per_second * slowness, reading)


def simulate(options, count, scenario, seed):
    """One run. Returns its seconds, the workers' lost seconds, the losses, and the bytes that were moved."""
    draw = random.Random(seed)
    machines = [slowness_of_machine(options, draw) for _ in range(options.workers)]
    pairs = shard_sizes(options, count, draw)
    slow = [slowness_of_shard(scenario, draw) for _ in range(count)]
    waiting = [(0, shard, 0.0) for shard in range(count)]  # those that were broken off come first: -1
    free = [(0.0, machine) for machine in range(options.workers)]
    broken_off = []  # (when it waits again, shard, pairs that are written)
    makespan = lost = losses = moved = 0.0
    heapq.heapify(waiting)
    while waiting or broken_off:
        now, machine = heapq.heappop(free)
        while broken_off and (broken_off[0][0] <= now or not waiting):
            when, shard, written = heapq.heappop(broken_off)
            now = max(now, when)
            heapq.heappush(waiting, (-1, shard, written))
        _, shard, written = heapq.heappop(waiting)
        needed = attempt(options, pairs[shard], written, machines[machine] * slow[shard])
        whole = options.load_seconds + needed
        until_loss = draw.expovariate(scenario["losses"] / HOUR) if scenario["losses"] else float("inf")
        share_read = min(1.0, max(0.0, until_loss - options.load_seconds) / needed) if needed else 1.0
        moved += share_read * options.input_bytes * (pairs[shard] if options.files else options.pairs)
        if until_loss >= whole:
            heapq.heappush(free, (now + whole, machine))
            makespan = max(makespan, now + whole)
            moved += options.output_bytes * pairs[shard]
            continue
        losses += 1
        scored = max(0.0, until_loss - options.load_seconds)
        kept = 0.0 if options.no_resume else max(0.0, scored - draw.uniform(0, RANKED_AGAIN_SECONDS))
        lost += until_loss - kept
        written = 0.0 if options.no_resume else written + (pairs[shard] - written) * kept / needed
        heapq.heappush(broken_off, (now + until_loss, shard, written))
        back = draw.expovariate(math.log(2) / (scenario["back"] * HOUR)) if scenario["back"] else 0.0
        heapq.heappush(free, (now + until_loss + back, machine))
    # `rerank merge` reads and writes everything once.
    moved += 2 * options.output_bytes * options.pairs
    return makespan, lost, losses, moved


def figures(options, name, count):
    runs = [simulate(options, count, SCENARIOS[name], f"{options.seed} {run} {name} {count}") for run in range(options.runs)]
    seconds = sorted(run[0] for run in runs)
    losses = sum(run[2] for run in runs)
    ideal = options.pairs / options.pairs_per_second / options.workers
    return {
        "scenario": name,
        "workers": options.workers,
        "shards": count,
        "shard_minutes": options.pairs / count / options.pairs_per_second / 60,
        "ideal_minutes": ideal / 60,
        "minutes": statistics.median(seconds) / 60,
        "slowest_minutes": seconds[-1] / 60,
        "times_ideal": statistics.median(seconds) / ideal,
        "losses": losses / options.runs,
        "seconds_lost_by_a_loss": sum(run[1] for run in runs) / losses if losses else 0.0,
        "bytes_moved": statistics.median(run[3] for run in runs),
    }


def main():
    options = arguments()
    rows = [figures(options, name, count) for name in options.scenarios for count in options.shards]
    if options.json:
        for row in rows:
            print(json.dumps(row))
        return
    print(f"{options.pairs:,.0f} pairs on {options.workers} workers: ideally {rows[0]['ideal_minutes']:.1f} minutes")
    print(f"{'':10}{'shards':>8}{'minutes each':>14}{'minutes in all':>16}{'slowest run':>13}{'of ideal':>10}{'losses':>8}{'lost by one':>13}{'moved':>10}")
    for row in rows:
        print(
            f"{row['scenario']:10}{row['shards']:>8,}{row['shard_minutes']:>14.1f}{row['minutes']:>16.1f}{row['slowest_minutes']:>13.1f}"
            f"{row['times_ideal']:>9.2f}×{row['losses']:>8.1f}{row['seconds_lost_by_a_loss']:>11.0f} s{row['bytes_moved'] / 1e12:>7.2f} TB"
        )


if __name__ == "__main__":
    main()
