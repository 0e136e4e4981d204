#!/usr/bin/env python3
"""Ranks many pairs from Parquet to Parquet with the fake model, and checks the result with three readers.

Prints seconds and the most memory of each run, for pairs and for a run that is looked up in a collection:

    scripts/bench_parquet.py --pairs 10000000 --folder /tmp/bench
"""

import argparse
import os
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CANDIDATES = 100
ROWS = 100_000
WORDS = "the planet that is red has two moons and a thin cold sky over dust".split()


def texts(first: int, count: int) -> list[str]:
    turn = lambda number: " ".join(WORDS[(number * 7 + place * 3) % len(WORDS)] for place in range(12))
    return [f"passage {number}: {turn(number)}" for number in range(first, first + count)]


def write_pairs(path: Path, pairs: int) -> None:
    """Pairs in row groups of 100,000, with fields that are carried."""
    writer = None
    for first in range(0, pairs, ROWS):
        rows = range(first, min(first + ROWS, pairs))
        queries = [f"q{row // CANDIDATES}" for row in rows]
        table = pa.table(
            {
                "query_id": queries,
                "query": [f"question {query}" for query in queries],
                "id": [f"d{row}" for row in rows],
                "text": texts(first, len(rows)),
                "score": pa.array([100.0 - row % CANDIDATES for row in rows], pa.float32()),
                "length": pa.array([row % 97 for row in rows], pa.int64()),
                "tags": [["a", f"t{row % 5}"] for row in rows],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    writer.close()


def write_run(folder: Path, pairs: int, documents: int) -> list[Path]:
    """A run of 1,000 documents for each query, its queries, and a collection, all in columns."""
    import numpy

    of_query = 1000
    paths = [folder / f"{name}-{documents}.parquet" for name in ["run", "queries", "corpus"]]
    queries = pairs // of_query
    random = numpy.random.default_rng(1)
    chosen = numpy.concatenate([random.choice(documents, of_query, replace=False) for _ in range(queries)])
    columns = {
        "query-id": [f"q{number}" for number in range(queries) for _ in range(of_query)],
        "corpus-id": [f"d{number}" for number in chosen],
        "score": numpy.tile(numpy.arange(of_query, 0, -1.0), queries),
    }
    pq.write_table(pa.table(columns), paths[0])
    ids = [f"q{number}" for number in range(queries)]
    pq.write_table(pa.table({"_id": ids, "text": [f"question {id}" for id in ids]}), paths[1])
    writer = None
    for first in range(0, documents, ROWS):
        count = min(ROWS, documents - first)
        ids = [f"d{number}" for number in range(first, first + count)]
        table = pa.table({"_id": ids, "title": [""] * count, "text": texts(first, count)})
        writer = writer or pq.ParquetWriter(paths[2], table.schema, compression="zstd")
        writer.write_table(table)
    writer.close()
    return paths


def run(command: list[str]) -> tuple[float, int]:
    """Seconds and the most memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command} has failed")
    return time.monotonic() - began, usage.ru_maxrss // 1024


def check(source: Path, ranked: Path, pairs: int) -> None:
    """Three readers agree, and no cell of the input is lost."""
    import duckdb
    import polars

    files = f"read_parquet('{ranked}') r join read_parquet('{source}') s using (query_id, id)"
    same = "r.query = s.query and r.text = s.text and r.original_score = s.score and r.length = s.length and r.tags = s.tags"
    found = duckdb.sql(f"select count(*), count(*) filter ({same}) from {files}").fetchall()[0]
    assert found == (pairs, pairs), found
    lazy = polars.scan_parquet(ranked)
    ranks = lazy.group_by("query_id").agg(polars.col("rank").max()).select(polars.col("rank").sum()).collect().item()
    assert ranks == pairs, ranks
    file = pq.ParquetFile(ranked)
    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    assert sum(group.num_rows for group in groups) == pairs
    print(f"{len(groups)} row groups, at most {max(group.num_rows for group in groups):,} rows; {ranked.stat().st_size / 1e6:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--documents", type=int, default=10_000_000, help="those of a collection; 0 leaves that part out")
    parser.add_argument("--looked-up", type=int, default=1_000_000, help="pairs of a run, 1,000 for each query")
    parser.add_argument("--folder", type=Path, required=True, help="where the files are written; they stay")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    source = arguments.folder / f"pairs-{arguments.pairs}.parquet"
    if not source.exists():
        write_pairs(source, arguments.pairs)
    print(f"{arguments.pairs:,} pairs, {source.stat().st_size / 1e6:,.0f} MB")
    for extension in ["parquet", "jsonl", "trec"]:
        ranked = arguments.folder / f"ranked.{extension}"
        command = [arguments.rerank, "--model", "fake", "--quiet", "--overwrite", "--input", source, "--output", ranked]
        seconds, memory = run([str(part) for part in command])
        print(f"to {extension}: {seconds:.1f} s, {arguments.pairs / seconds:,.0f} pairs/s, {memory} MiB", flush=True)
        if extension == "parquet":
            check(source, ranked, arguments.pairs)
    if not arguments.documents:
        return
    rows, queries, corpus = write_run(arguments.folder, arguments.looked_up, arguments.documents)
    command = [arguments.rerank, "--model", "fake", "--quiet", "--overwrite", "--queries", queries, "--collection", corpus]
    seconds, memory = run([str(part) for part in [*command, "--input", rows, "--output", arguments.folder / "run.trec"]])
    print(f"{arguments.looked_up:,} pairs of {arguments.documents:,} documents: {seconds:.1f} s, {memory} MiB")


if __name__ == "__main__":
    main()
