#!/usr/bin/env python3
"""A night in short: ten million pairs from a generated stream, through Zstandard in and out, killed five times and resumed.

    scripts/overnight.py                                     10 million pairs: minutes, and some gigabytes of disk
    scripts/overnight.py --queries 1000000 --candidates 1    many small queries
    scripts/overnight.py generate --queries 100              prints the stream

The input is a pipe, which is made anew for every run: `generate | zstd | rerank`. The fake model scores, so that what surrounds
the model is what takes the time. The output must have the bytes of a run that was never broken off. Prints times and peak
memory. Needs Python and the program zstd.
"""

import argparse
import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXTS = 4096


def generate(queries, candidates):
    """Writes the queries, the same ones every time."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 7)) for n in range(3000)]
    texts = [" ".join(chance.choices(words, k=5 + n % 12)) for n in range(TEXTS)]
    for number in range(queries):
        start = number * 2654435761 % TEXTS
        query = texts[start][:30].strip()
        entries = ",".join(
            f'{{"id":"d{number}-{index}","text":"{texts[(start + index * 611) % TEXTS]} {index}"}}'
            for index in range(candidates)
        )
        sys.stdout.write(f'{{"query_id":"q{number}","query":"{query}","candidates":[{entries}]}}\n')


def peak_mebibytes(process):
    try:
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


class Night:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.peak = 0.0

    def run(self, output, options=(), until=None):
        """Runs to the end, or until the output has so many bytes. Returns the seconds and the status."""
        began = time.monotonic()
        size = ["--queries", str(self.arguments.queries), "--candidates", str(self.arguments.candidates)]
        generator = subprocess.Popen(
            [sys.executable, __file__, "generate", *size], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        packer = subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=generator.stdout, stdout=subprocess.PIPE)
        command = [self.arguments.binary, "--model", "fake", "--quiet", "--output", str(output), *options]
        run = subprocess.Popen(command, stdin=packer.stdout)
        generator.stdout.close()
        packer.stdout.close()
        while run.poll() is None:
            self.peak = max(self.peak, peak_mebibytes(run.pid))
            if until and output.exists() and output.stat().st_size >= until:
                run.send_signal(signal.SIGKILL)
                run.wait()
            time.sleep(0.01)
        packer.wait()
        generator.wait()
        return time.monotonic() - began, run.returncode

    def pass_night(self):
        pairs = self.arguments.queries * self.arguments.candidates
        whole, output = self.folder / "whole.jsonl.zst", self.folder / "output.jsonl.zst"
        seconds, status = self.run(whole)
        assert status == 0, status
        size = whole.stat().st_size
        print(f"unbroken: {pairs} pairs in {seconds:.1f} s, {self.peak:.0f} MiB at most, {size} bytes", flush=True)
        self.peak = 0.0
        total = 0.0
        chance = random.Random(self.arguments.seed)
        for moment in sorted(chance.random() for _ in range(self.arguments.kills)):
            seconds, status = self.run(output, ["--resume"], until=max(1, int(size * moment)))
            assert status == -signal.SIGKILL, status
            total += seconds
            print(f"killed at {output.stat().st_size / size:.1%} after {seconds:.1f} s", flush=True)
        seconds, status = self.run(output, ["--resume"])
        assert status == 0, status
        total += seconds
        assert filecmp.cmp(whole, output, shallow=False), "the bytes differ from those of the unbroken run"
        print(
            f"resumed to the end: the same bytes; {total:.1f} s in {self.arguments.kills + 1} runs, {self.peak:.0f} MiB at most"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["generate"], help="print the stream, and do nothing else")
    parser.add_argument("--queries", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--candidates", type=int, default=10, help="of each query (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills (default: %(default)s)")
    parser.add_argument("--binary", default=str(ROOT / "target/release/rerank"), help="(default: %(default)s)")
    parser.add_argument("--directory", help="where the outputs are written (default: a temporary directory)")
    arguments = parser.parse_args()
    if arguments.command == "generate":
        try:
            return generate(arguments.queries, arguments.candidates)
        except BrokenPipeError:
            os._exit(0)
    folder = Path(tempfile.mkdtemp(prefix="rerank-overnight-", dir=arguments.directory))
    try:
        Night(arguments, folder).pass_night()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
