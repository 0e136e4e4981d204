#!/usr/bin/env python3
"""Writes testdata/parquet: small Parquet and Arrow files in the layouts and types that people's tools write.

Each layout of a ranking holds the same queries and candidates as pairs.jsonl, so that all of them must be ranked alike.
"""

import base64
import datetime
import decimal
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption

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
    # Candidates that are ids alone, beside the query's text, from the last to the first; and as structs.
    listed = [(QUERIES[query], [id for id, _, _ in listed][::-1], [float(score) for _, _, score in listed][::-1])
              for query, listed in CANDIDATES.items()]
    write("ids.parquet", pa.Table.from_pylist([{"query": q, "docids": i, "scores": s} for q, i, s in listed]))
    more = [{"query_id": query, "id": id, "score": float(score), "title": f"title of {id}", "source": {"of": id}}
            for query, candidates in CANDIDATES.items() for id, _, score in candidates]
    write("more.parquet", pa.Table.from_pylist(more))
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in more)
    (FOLDER / "more.jsonl").write_text(lines, encoding="utf-8")
    hits = [{"query": q, "hits": [{"docid": a, "score": b} for a, b in zip(i, s)]} for q, i, s in listed]
    write("hits.parquet", pa.Table.from_pylist(hits))
    qrels = [(query, listed[0][0], 1) for query, listed in CANDIDATES.items()]
    qrels += [(query, listed[1][0], 0) for query, listed in CANDIDATES.items()]
    write("qrels.parquet", pa.table(list(zip(*qrels)), names=["query-id", "corpus-id", "score"]))
    lines = "".join(f"{query}\t{document}\t{grade}\n" for query, document, grade in qrels)
    (FOLDER / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)


def write_export() -> None:
    """A data set as the Hugging Face hub exports it: the corpus in two parts, the judgements in the folder of the default."""
    documents = {id: text for listed in CANDIDATES.values() for id, text, _ in listed}
    rows = [{"_id": id, "title": "", "text": text} for id, text in documents.items()]
    queries = [{"_id": id, "text": text} for id, text in QUERIES.items()]
    judgements = [{"query-id": query, "corpus-id": listed[0][0], "score": 1} for query, listed in CANDIDATES.items()]
    files = {
        "corpus/corpus-00000-of-00002": rows[:3],
        "corpus/corpus-00001-of-00002": rows[3:],
        "queries/queries-00000-of-00001": queries,
        "data/test-00000-of-00001": judgements,
    }
    for name, content in files.items():
        (FOLDER / "beir" / name).parent.mkdir(parents=True, exist_ok=True)
        write(f"beir/{name}.parquet", pa.Table.from_pylist(content))


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


def kept_columns() -> dict:
    """Carried columns of the types that a round trip keeps, with their extremes. In the last row but one, all values are null."""
    rows = lambda values, kind: pa.array([values[0], values[-1], values[len(values) // 2], None, values[0]], kind)
    moments = [-1, 0, 2**62, -(2**62)]
    infinities = [float("nan"), -0.0, float("-inf"), float("inf")]
    columns = {f"int{bits}": rows([-(2 ** (bits - 1)), 0, 2 ** (bits - 1) - 1], f"int{bits}") for bits in [8, 16, 32, 64]}
    columns |= {f"uint{bits}": rows([0, 1, 2**bits - 1], f"uint{bits}") for bits in [8, 16, 32, 64]}
    columns |= {f"float{bits}": rows([0.1, *infinities], pa.float64()).cast(f"float{bits}") for bits in [32, 64]}
    columns["nan"] = rows([float("nan"), -float("nan")], pa.float64())
    columns["half"] = rows([0.5, float("nan"), 65504.0], pa.float16())
    columns["flag"] = rows([True, False], pa.bool_())
    for unit in ["ms", "us", "ns"]:
        columns[f"local_{unit}"] = rows(moments, pa.timestamp(unit))
        columns[f"zoned_{unit}"] = rows(moments, pa.timestamp(unit, tz="Europe/Paris"))
        columns[f"took_{unit}"] = rows(moments, pa.duration(unit))
    columns["day"] = rows([-(2**31), 2**31 - 1, 20455], pa.int32()).cast(pa.date32())
    columns["time_ms"] = rows([0, 86_399_999], pa.time32("ms"))
    columns["time_ns"] = rows([1, 86_399_999_999_999], pa.time64("ns"))
    columns["price"] = rows([decimal.Decimal("12.50"), decimal.Decimal("-0.01")], pa.decimal128(10, 2))
    columns["large"] = rows([decimal.Decimal("-" + "9" * 38), decimal.Decimal("1" * 38)], pa.decimal128(38, 0))
    columns["huge"] = rows([decimal.Decimal("9" * 70 + "." + "9" * 6), decimal.Decimal("0.000001")], pa.decimal256(76, 6))
    columns["bytes"] = rows([b"\x00\xff\"", b"", b"plain"], pa.binary())
    columns["large_bytes"] = rows([b"\n", b"\xe9"], pa.large_binary())
    columns["digest"] = rows([b"\x00" * 16, bytes(range(16))], pa.binary(16))
    texts = ["", "two\n\"lines\"", "\u00e9\U0001f600"]
    columns["string"] = rows(texts, pa.string())
    columns["large_string"] = rows(texts, pa.large_string())
    columns["view"] = rows(texts, pa.string_view())
    columns["coded"] = rows(texts, pa.string()).dictionary_encode()
    columns["coded_numbers"] = rows([7, 2**40], pa.int64()).dictionary_encode()
    columns["nothing"] = pa.nulls(5)
    columns["tags"] = rows([["a", None], [], ["b"]], pa.list_(pa.large_string()))
    columns["moments"] = rows([[1, None], [], [-1]], pa.large_list(pa.timestamp("us", tz="+05:30")))
    columns["vector"] = rows([[0.1, float("nan")], [1.5, -0.0]], pa.list_(pa.float32(), 2))
    inner = pa.struct([("score", pa.float64()), ("raw", pa.binary()), ("at", pa.timestamp("ns", tz="UTC"))])
    structs = [{"score": float("nan"), "raw": b"\xff", "at": 1}, {"score": None, "raw": None, "at": None}]
    columns["nested"] = rows(structs, inner)
    columns["structs"] = rows([structs, [], [None]], pa.list_(inner))
    columns["map"] = rows([[("k", 1), ("none", None)], [], [("", 2**63)]], pa.map_(pa.string(), pa.uint64()))
    columns["numbered"] = rows([[(-1, "a")], [(2**40, "b")]], pa.map_(pa.int64(), pa.dictionary(pa.int8(), pa.string())))
    return columns


def write_kept() -> None:
    # Equal texts stay in their order.
    pairs = {"query_id": ["q1"] * 5, "query": ["red"] * 5, "id": list("abcde"), "text": ["red planet"] * 5}
    pairs["score"] = pa.array([5.0, float("nan"), 3.0, None, 1.0])
    columns = kept_columns()
    table = pa.table(pairs | columns)
    write("kept.parquet", table)
    pyarrow.feather.write_feather(table, FOLDER / "kept.feather", compression="zstd", chunksize=2)
    struct = pa.StructArray.from_arrays(
        [table[name].combine_chunks() for name in ["id", "text", "half", "price", "zoned_us"]],
        names=["id", "text", "half", "price", "zoned_us"],
    )
    lists = pa.ListArray.from_arrays(pa.array([0, 5], pa.int32()), struct)
    write("kept_groups.parquet", pa.table({"query_id": ["q1"], "query": ["red"], "candidates": lists, "took": columns["took_ns"][:1]}))
    others = {"whole_seconds": pa.array([1, -1], pa.timestamp("s", tz="UTC")), "old": pa.array([0, 86_400_000], pa.date64())}
    two = pa.table({name: pairs[name][:2] for name in ["query_id", "query", "id", "text"]} | others)
    pyarrow.feather.write_feather(two, FOLDER / "changed.feather", compression="uncompressed")


class PlainKeys(encryption.KmsClient):
    """Stores keys as they are: nobody reads what is encrypted here."""

    def wrap_key(self, key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


def write_encrypted() -> None:
    """A column that is carried is encrypted; the schema and the other columns are not."""
    table = pa.table({"query": ["red"], "text": ["blue"], "author": ["unknown"]})
    settings = encryption.EncryptionConfiguration(footer_key="footer", column_keys={"column": ["author"]}, plaintext_footer=True)
    factory = encryption.CryptoFactory(lambda _: PlainKeys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), settings)
    write("encrypted.parquet", table, encryption_properties=properties)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_kept()
    write_pairs()
    write_groups()
    write_beir()
    write_export()
    write_types()
    write_encrypted()


if __name__ == "__main__":
    main()
