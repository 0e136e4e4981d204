#!/usr/bin/env python3
"""Writes testdata/parquet: small Parquet and Arrow files in the layouts and types that people's tools write.

Each layout of a ranking holds the same queries and candidates as pairs.jsonl, so that all of them must be ranked alike.
"""

import datetime
import decimal
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

FOLDER = Path(__file__).resolve().parent.parent / "testdata" / "parquet"

QUERIES = {"q1": "which planet is red", "q2": "how do bees make honey", "7": "capital of France"}
CANDIDATES = {
    "q1": [("d1", "Mars is the red planet.", 12.5), ("d2", "Venus is hot.", 11.0), ("d3", "Bees like red flowers.", 9.25)],
    "q2": [("d4", "Bees make honey from nectar.", 8.0), ("d1", "Mars is the red planet.", 7.5)],
    "7": [("d5", "Paris is the capital of France.", 3.0), ("d6", "Lyon is a city \"in\" France\nwith two rivers.", 2.5)],
}


def pairs() -> list[dict]:
    return [
        {"query_id": query, "query": QUERIES[query], "id": document, "text": text, "score": score}
        for query, documents in CANDIDATES.items()
        for document, text, score in documents
    ]


def write(name: str, table: pa.Table, **options) -> None:
    pq.write_table(table, FOLDER / name, **{"compression": "zstd", **options})


def write_pairs() -> None:
    rows = pairs()
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (FOLDER / "pairs.jsonl").write_text(lines, encoding="utf-8")
    table = pa.Table.from_pylist(rows)
    for codec in ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]:
        write(f"pairs.{codec}.parquet", table, compression=codec, row_group_size=3)
    text = [field for field in table.schema.names if field != "score"]
    for name, kind in [("large", pa.large_string()), ("view", pa.string_view())]:
        schema = pa.schema([(field, kind if field in text else pa.float32()) for field in table.schema.names])
        write(f"pairs.{name}.parquet", table.cast(schema))
    coded = [table[field].dictionary_encode() if field in text else table[field] for field in table.schema.names]
    write("pairs.dictionary.parquet", pa.table(coded, names=table.schema.names))
    pyarrow.feather.write_feather(table, FOLDER / "pairs.feather", compression="lz4", chunksize=3)
    with pa.ipc.new_stream(FOLDER / "pairs.stream.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=2)


def write_groups() -> None:
    listed = [
        {
            "query_id": query,
            "query": QUERIES[query],
            "candidates": [{"id": id, "text": text, "score": score} for id, text, score in documents],
        }
        for query, documents in CANDIDATES.items()
    ]
    write("groups.parquet", pa.Table.from_pylist(listed))
    parallel = [
        {
            "qid": query,
            "question": QUERIES[query],
            "documents": [text for _, text, _ in documents],
            "ids": [id for id, _, _ in documents],
            "scores": [score for _, _, score in documents],
        }
        for query, documents in CANDIDATES.items()
    ]
    write("parallel.parquet", pa.Table.from_pylist(parallel))
    labelled = [
        {"query": QUERIES[query], "positive": [documents[0][1]], "negative": [text for _, text, _ in documents[1:]]}
        for query, documents in CANDIDATES.items()
    ]
    write("labelled.parquet", pa.Table.from_pylist(labelled))


def write_beir() -> None:
    queries = [{"_id": id, "text": text} for id, text in QUERIES.items()]
    write("queries.parquet", pa.Table.from_pylist(queries))
    documents = {id: text for listed in CANDIDATES.values() for id, text, _ in listed}
    corpus = [{"_id": id, "title": "", "text": text} for id, text in documents.items()]
    write("corpus.parquet", pa.Table.from_pylist(corpus), row_group_size=2)
    rows = [(row["query_id"], row["id"], row["score"]) for row in pairs()]
    write("run.parquet", pa.table(list(zip(*rows)), names=["query-id", "corpus-id", "score"]))
    ranked = [{"query-id": query, "corpus-ids": [id for id, _, _ in listed]} for query, listed in CANDIDATES.items()]
    write("top_ranked.parquet", pa.Table.from_pylist(ranked))
    qrels = [(query, listed[0][0], 1) for query, listed in CANDIDATES.items()]
    qrels += [(query, listed[1][0], 0) for query, listed in CANDIDATES.items()]
    write("qrels.parquet", pa.table(list(zip(*qrels)), names=["query-id", "corpus-id", "score"]))
    lines = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in qrels)
    (FOLDER / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)


def write_types() -> None:
    """Columns of every type that a carried field may have, and some that can't be used."""
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
    columns = {
        "query_id": pa.array([1, 1], pa.int64()),
        "query": ["red", "red"],
        "id": pa.array([10, 11], pa.uint32()),
        "text": ["red planet", "blue"],
        "score": pa.array([0.1, 0.2], pa.float32()),
        "flag": [True, None],
        "small": pa.array([-7, 8], pa.int8()),
        "half": pa.array([0.5, 2.0], pa.float16()),
        "when": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
        "day": pa.array([datetime.date(2026, 1, 2), None]),
        "price": pa.array([decimal.Decimal("12.50"), None], pa.decimal128(10, 2)),
        "tags": [["a", "b"], []],
        "nested": [{"a": 1, "b": {"c": "x"}}, {"a": None, "b": None}],
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "vector": pa.array([[0.5, 1.5], [2.5, 3.5]], pa.list_(pa.float32(), 2)),
    }
    write("types.parquet", pa.table(columns))
    bytes_columns = {name: columns[name] for name in ["query", "text"]} | {"picture": pa.array([b"\x89PNG", None])}
    write("picture.parquet", pa.table(bytes_columns))
    write("bytes.parquet", pa.table({"query": ["red"] * 2, "text": pa.array([b"red planet", b"blue"])}))
    bad = {"query_id": ["q1", "q1", "q2"], "query": ["red", "red", "blue"], "id": list("abc"), "text": ["x", None, "y"]}
    write("bad.parquet", pa.table(bad))
    infinite = {"query": ["red"], "text": ["blue"], "score": [float("inf")]}
    write("infinite.parquet", pa.table(infinite))
    write("renamed.parquet", pa.table({"frage": ["red"], "absatz": ["blue"]}))
    write("empty.parquet", pa.table({"query": pa.array([], pa.string()), "text": pa.array([], pa.string())}))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_pairs()
    write_groups()
    write_beir()
    write_types()


if __name__ == "__main__":
    main()
