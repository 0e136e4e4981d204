#!/usr/bin/env python3
"""Kills runs at random moments, resumes them, and checks that no query is lost or doubled.

    scripts/kill_test.py                          500 kills, about five minutes
    scripts/kill_test.py --kills 50 --seed 7

Each case is a model, an input and an output. Its run is started with --resume and killed after a random time, again and again;
when it comes to its end, its output must have the bytes of a run that was never broken off, and it begins anew. After every
kill, what the output has must be the beginning of those bytes, and be readable up to its last whole ranking. Some runs end by
a signal or two in place of a kill, and some meet a full disk, which is freed afterwards: a small file system in memory if this user
can mount one, and otherwise a limit of the size of files. With a version of rerank that has --cache, half of the runs share one.

Needs nothing but Python, and reads Zstandard frames with the program zstd if there is one.
"""

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "testdata" / "tiny-reranker"
DISK_BYTES = 48 << 20
ENDS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


@dataclass
class Case:
    """A run that is broken off until it comes to its end."""

    model: str
    input: str
    output: str
    queries: int
    options: tuple = ()
    whole: bytes = b""
    text: bytes = b""
    whole_errors: list = field(default_factory=list)
    status: int = 0
    seconds: float = 0.0
    left: bytes = b""
    kills: int = 0
    ended: int = 0

    @property
    def name(self):
        return f"{Path(self.model).name}: {self.input} to {self.output} {' '.join(self.options)}".strip()


def cases():
    """All formats and compressions of outputs, most of the inputs, both ways to treat bad records."""
    tiny = str(TINY)
    skip = ("--on-error", "skip")
    return [
        Case("fake", "in.jsonl", "a.jsonl", 20_000),
        Case("fake", "in.jsonl.zst", "b.jsonl.zst", 20_000),
        Case("fake", "in.csv", "c.csv", 20_000),
        Case("fake", "in.jsonl.gz", "d.jsonl.gz", 8_000),
        Case("fake", "-", "e.trec", 20_000),
        Case("fake", "in.csv", "f.tsv.zst", 20_000),
        Case("fake", "bad.jsonl", "g.jsonl", 10_000, skip),
        Case("fake", "bad.jsonl", "h.csv.gz", 5_000, skip),
        Case(tiny, "in.jsonl", "i.jsonl", 400),
        Case(tiny, "in.csv", "j.csv", 400),
        Case(tiny, "-", "k.trec.gz", 400),
        Case(tiny, "in.jsonl", "l.jsonl.zst", 400),
    ]


def records(count, chance):
    """Queries with up to five candidates; the texts vary in length, and some stand between quotes."""
    words = ["red", "planet", "iron", "dust", "canal", "moon", "orbit", "storm", "crater", "ice"]
    for number in range(count):
        size = 0 if number % 17 == 5 else 1 + chance.randrange(5)
        candidates = []
        for index in range(size):
            text = " ".join(chance.choices(words, k=1 + chance.randrange(20)))
            candidates.append({"id": f"d{index}", "text": f'"{text}", {number}'})
        yield {"query_id": f"q{number}", "query": " ".join(chance.choices(words, k=3)), "candidates": candidates}


def write_inputs(folder, count):
    """Writes one set of queries in every form in which a case reads it."""
    all_records = list(records(count, random.Random(1)))
    lines = [json.dumps(record) + "\n" for record in all_records]
    (folder / "in.jsonl").write_text("".join(lines))
    (folder / "in.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    if shutil.which("zstd"):
        subprocess.run(["zstd", "-q", "-f", folder / "in.jsonl"], check=True)
    bad = []
    for number, line in enumerate(lines):
        bad.append(line)
        if number % 50 == 20:
            bad.append('{"query_id": "no end"\n')
        if number % 50 == 30:
            bad.append(json.dumps({"query_id": f"q{number}", "query": "comes back", "documents": ["a"]}) + "\n")
        if number % 50 == 40:
            bad.append(json.dumps({"query_id": f"bad{number}", "query": "red", "documents": ["a", {"id": "b"}]}) + "\n")
    (folder / "bad.jsonl").write_text("".join(bad))
    with open(folder / "in.csv", "w") as table:
        table.write("query_id,query,id,text\n")
        for record in all_records:
            for candidate in record["candidates"]:
                text = candidate["text"].replace('"', '""')
                table.write(f'{record["query_id"]},{record["query"]},{candidate["id"]},"{text}"\n')


class Test:
    def __init__(self, arguments, inputs, disk, is_mounted):
        self.binary, self.chance = arguments.binary, random.Random(arguments.seed)
        self.inputs, self.disk, self.is_mounted = inputs, disk, is_mounted
        help_text = subprocess.run([self.binary, "--help"], capture_output=True, text=True, check=True).stdout
        self.cache = ["--cache", str(disk / "cache")] if "--cache " in help_text else []
        self.is_second = False
        self.figures = dict.fromkeys(["kills", "signals", "full disks", "resumes", "unbroken bytes", "rankings kept"], 0)

    def command(self, case, folder, has_cache):
        output = folder / case.output
        source = [] if case.input == "-" else ["--input", str(self.inputs / str(case.queries) / case.input)]
        errors = ["--errors", f"{output}.errors"] if case.options else []
        # Small batches on one thread: a kill then meets more places.
        slow = ["--batch-size", "8", "--threads", "1"]
        cache = self.cache if has_cache else []
        fixed = [self.binary, "--model", case.model, "--device", "cpu", "--quiet", *source, "--output", str(output)]
        return [*fixed, *errors, *slow, *case.options, *cache]

    def start(self, case, folder, resume=True, limit=None, has_cache=False):
        def prepare():
            # What is ignored stays ignored, and shells let what they start in the background ignore interrupts.
            for number in ENDS:
                signal.signal(number, signal.SIG_DFL)
            if limit is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        command = self.command(case, folder, has_cache) + (["--resume"] if resume else [])
        source = None
        if case.input == "-":
            source = subprocess.Popen(
                ["cat", str(self.inputs / str(case.queries) / "in.jsonl")],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        process = subprocess.Popen(
            command,
            stdin=source.stdout if source else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
        if source:
            source.stdout.close()
        return process, source

    def wait(self, case, process, source):
        message = process.communicate()[1].decode()
        if source:
            source.wait()
        return process.returncode, message

    def prepare(self, case, folder):
        """The run that is never broken off."""
        began = time.monotonic()
        case.status, message = self.wait(case, *self.start(case, folder, resume=False))
        case.seconds = time.monotonic() - began
        assert case.status == (1 if case.options else 0), f"{case.name}: {message}"
        case.whole = (folder / case.output).read_bytes()
        case.text = unpacked(case.output, case.whole)
        if case.options:
            case.whole_errors = sorted((folder / f"{case.output}.errors").read_bytes().splitlines())
        assert len(case.whole) < DISK_BYTES // 2

    def round(self, case):
        """Starts the run once, and breaks it off."""
        kind = self.chance.choices(["kill", "signal", "full"], weights=[10, 1, 1])[0]
        limit, filler, self.is_second = None, self.disk / "filler", False
        output = self.disk / case.output
        if output.exists():
            self.figures["resumes"] += 1
        if kind == "full":
            has = output.stat().st_size if output.exists() else 0
            room = self.chance.randrange(max(4096, len(case.whole) - has))
            if self.is_mounted:
                fill(filler, self.disk, room)
            else:
                limit = has + room
        process, source = self.start(case, self.disk, limit=limit, has_cache=self.chance.random() < 0.5)
        if kind != "full" or self.chance.random() < 0.3:
            deadline = time.monotonic() + self.chance.random() * max(0.02, case.seconds / 3)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.0005)
            self.break_off(process, kind)
        status, message = self.wait(case, process, source)
        filler.unlink(missing_ok=True)
        self.judge(case, status, message, kind)

    def break_off(self, process, kind):
        if process.poll() is not None:
            return
        process.send_signal(self.chance.choice(list(ENDS)) if kind == "signal" else signal.SIGKILL)
        self.is_second = kind == "signal" and self.chance.random() < 0.5
        if self.is_second:
            # The second one ends the program at once.
            time.sleep(self.chance.random() * 0.002)
            process.send_signal(self.chance.choice(list(ENDS)))

    def judge(self, case, status, message, kind):
        is_full = "No space left" in message or "File too large" in message
        if status == -signal.SIGKILL:
            case.kills += 1
            self.figures["kills"] += 1
        # A signal that comes before the program listens ends it at once.
        elif status in ENDS.values() or -status in ENDS:
            self.figures["signals"] += 1
        elif kind == "full" and status == 1 and is_full:
            self.figures["full disks"] += 1
        else:
            assert status == case.status, f"{case.name}: status {status} instead of {case.status}: {message}"
            return self.finish(case)
        self.check_part(case, status == -signal.SIGKILL)

    def finish(self, case):
        """The run came to its end."""
        output = self.disk / case.output
        assert output.read_bytes() == case.whole, f"{case.name}: other bytes after {case.kills} kills: {output}"
        if case.options:
            errors = self.disk / f"{case.output}.errors"
            lines = sorted(errors.read_bytes().splitlines())
            assert lines == case.whole_errors, f"{case.name}: {len(lines)} errors, {len(case.whole_errors)} unbroken"
            errors.unlink()
        output.unlink()
        Path(f"{output}.run.json").unlink()
        case.ended += 1
        self.figures["unbroken bytes"] += 1

    def check_part(self, case, is_killed):
        """What a run that was broken off has written."""
        output = self.disk / case.output
        if not output.exists():
            return
        content = output.read_bytes()
        # A run that ends by itself ends its gzip member or frame, which the next run opens again with its first ranking.
        is_prefix = content == case.whole[: len(content)]
        assert is_prefix or not is_killed or content == case.left, f"{case.name}: other bytes: {output}"
        case.left = content
        text = unpacked(case.output, content)
        assert text == case.text[: len(text)], f"{case.name}: not the beginning of the unbroken text: {output}"
        if not is_killed and not self.is_second and text:
            assert text.endswith(b"\n"), f"{case.name}: a part of a ranking stayed: {output}"
        self.figures["rankings kept"] += rankings(case.output, text)

    def complete(self, case):
        """Lets the run come to its end."""
        for _ in range(2):
            status, message = self.wait(case, *self.start(case, self.disk))
            assert status == case.status, f"{case.name}: {message}"
        self.finish(case)


def unpacked(name, content):
    """The text of an output, as far as it can be read."""
    if name.endswith(".zst"):
        if not shutil.which("zstd"):
            return b""
        return subprocess.run(["zstd", "-dcq"], input=content, capture_output=True).stdout
    if not name.endswith(".gz"):
        return content
    text = b""
    while content:
        member = zlib.decompressobj(31)
        text += member.decompress(content) + member.flush()
        content = member.unused_data
    return text


def rankings(name, text):
    """Whole rankings; where a ranking has several rows, the last one may not be whole."""
    rows = text.split(b"\n")[:-1]
    if "jsonl" in name:
        return len(rows)
    ids = {row.replace(b",", b" ").replace(b"\t", b" ").split(b" ")[0] for row in rows}
    return max(0, len(ids) - 1)


def fill(filler, disk, room):
    """Fills a file system, but for so many bytes."""
    free = os.statvfs(disk)
    size = free.f_bavail * free.f_frsize - room
    with open(filler, "wb") as file:
        if size > 0:
            os.posix_fallocate(file.fileno(), 0, size)


def mounted(folder):
    """Mounts a small file system in memory, if this user can."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="the number of kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default: %(default)s)")
    parser.add_argument("--binary", default=str(ROOT / "target/release/rerank"), help="the program (default: %(default)s)")
    parser.add_argument("--only", default="", help="only the cases whose name has this text")
    parser.add_argument("--no-mount", action="store_true", help="do not mount a file system that can be filled")
    arguments = parser.parse_args()
    began = time.monotonic()
    # What failed stays there to be looked at, unless the directory was a file system in memory.
    scratch = Path(tempfile.mkdtemp(prefix="rerank-kill-test-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    disk = scratch / "disk"
    disk.mkdir()
    chosen = [case for case in cases() if arguments.only in case.name and (shutil.which("zstd") or ".zst" not in case.input)]
    for count in {case.queries for case in chosen}:
        (scratch / str(count)).mkdir()
        write_inputs(scratch / str(count), count)
    is_mounted = not arguments.no_mount and mounted(disk)
    try:
        test = Test(arguments, scratch, disk, is_mounted)
        for case in chosen:
            test.prepare(case, scratch)
        while test.figures["kills"] < arguments.kills:
            test.round(chosen[test.chance.randrange(len(chosen))])
        for case in chosen:
            test.complete(case)
            print(f"{case.name}: {case.kills} kills, {case.ended} times the unbroken bytes ({len(case.whole)})")
    finally:
        if is_mounted:
            subprocess.run(["umount", str(disk)], check=True)
    shutil.rmtree(scratch)
    figures = ", ".join(f"{value} {name}" for name, value in test.figures.items())
    place = f"{DISK_BYTES >> 20} MiB of tmpfs" if is_mounted else "a directory"
    print(f"{figures}; on {place}, {'with' if test.cache else 'without'} a cache, {time.monotonic() - began:.0f} seconds")


if __name__ == "__main__":
    sys.exit(main())
