"""Tables keep their columns and rows, and get those of scores, whatever kind of strings and chunks they have."""

import json

import numpy as np
import pyarrow as pa
import pytest
from conftest import MODEL, command


@pytest.fixture
def table(pairs):
    """A table of pairs in chunks, with a column that nobody needs to know."""
    table = pa.table({"id": range(len(pairs)), "query": [pair[0] for pair in pairs], "text": [pair[1] for pair in pairs]})
    return pa.concat_tables([table.slice(0, 3), table.slice(3, 0), table.slice(3)])


def test_a_table_gets_two_columns(reranker, pairs, table):
    scored = reranker.score_arrow(table)
    assert scored.select(table.column_names) == table and scored.column_names == ["id", "query", "text", "score", "logit"]
    assert [scored.schema.field(name).type for name in ("score", "logit")] == [pa.float32()] * 2
    assert np.array(scored["score"]).tobytes() == reranker.score(pairs).tobytes()
    assert np.array(scored["logit"]).tobytes() == reranker.score(pairs, logits=True).tobytes()


def test_a_record_batch_is_returned_as_one(reranker, table):
    batch = table.combine_chunks().to_batches()[0]
    scored = reranker.score_arrow(batch.slice(2, 5))
    assert isinstance(scored, pa.RecordBatch)
    assert pa.table(scored) == reranker.score_arrow(table).slice(2, 5).combine_chunks()
    empty = reranker.score_arrow(batch.slice(0, 0))
    assert empty.num_rows == 0 and empty.schema == scored.schema


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_strings_of_any_kind_are_taken(reranker, table, kind):
    other = table.set_column(1, "question", table["query"].cast(kind)).set_column(2, "passage", table["text"].cast(kind))
    scored = reranker.score_arrow(other, query="question", text="passage")
    assert scored["logit"] == reranker.score_arrow(table)["logit"]


def test_a_data_frame_is_taken_by_its_stream(reranker, table):
    polars = pytest.importorskip("polars")
    frame = polars.from_arrow(table)
    for frame in frame, frame.with_columns(polars.col("query").cast(polars.Categorical)):
        assert reranker.score_arrow(frame)["logit"] == reranker.score_arrow(table)["logit"]
    with pytest.raises(TypeError, match="LazyFrame; collect"):
        reranker.score_arrow(frame.lazy())


def test_columns_are_added_under_other_names_where_theirs_are_taken(reranker, table):
    first = table.append_column("score", table["id"])
    scored = reranker.score_arrow(first, score="second", logit="raw")
    assert scored.column_names == [*first.column_names, "second", "raw"] and scored["score"] == first["score"]
    assert scored["raw"] == reranker.score_arrow(table)["logit"]
    with pytest.raises(ValueError, match="two columns"):
        reranker.score_arrow(table, score="same", logit="same")


def test_titles_are_scored_as_the_command_scores_them(reranker, pairs, table, tmp_path):
    titles = ["Mars", None, " ", "", " The moon\t"] * len(pairs)
    titled = table.append_column("title", [titles[: len(pairs)]])
    pq = pytest.importorskip("pyarrow.parquet")
    ids = pa.array([str(row) for row in range(len(pairs))])
    pq.write_table(titled.append_column("query_id", ids), tmp_path / "titled.parquet")
    ran = command("--model", MODEL, "--quiet", "--dtype", "f32", tmp_path / "titled.parquet")
    assert ran.returncode == 0, ran.stderr
    logits = [json.loads(line)["results"][0]["logit"] for line in ran.stdout.splitlines()]
    scored = reranker.score_arrow(titled)
    assert np.array(scored["logit"]).tobytes() == np.array(logits, np.float32).tobytes()
    other = titled.rename_columns(["id", "query", "text", "heading"])
    assert reranker.score_arrow(other, title="heading")["logit"] == scored["logit"]
    assert reranker.score_arrow(titled, title=None)["logit"] == reranker.score_arrow(table)["logit"] != scored["logit"]
    with pytest.raises(ValueError, match="no column 'heading'"):
        reranker.score_arrow(titled, title="heading")


def test_a_column_of_instructions_is_refused(reranker, table):
    instructed = table.append_column("instruction", table["query"])
    with pytest.raises(ValueError, match="instruction=…"):
        reranker.score_arrow(instructed)
    scored = reranker.score_arrow(instructed, instruction="Find planets")
    assert scored["logit"] == reranker.score_arrow(table, instruction="Find planets")["logit"]


@pytest.mark.parametrize("table", [None, [("a", "b")], "a", 3])
def test_what_is_no_table_is_refused(reranker, table):
    with pytest.raises(TypeError, match="a table, a record batch or a data frame is expected"):
        reranker.score_arrow(table)


def test_what_can_not_be_scored_is_refused_with_its_place(reranker, table):
    for wrong, error, named in [
        (table.drop_columns("text"), ValueError, "no column 'text'; its columns are id, query"),
        (table.append_column("text", table["text"]), ValueError, "several columns 'text'"),
        (table.set_column(2, "text", table["id"]), TypeError, "'text' is of type int64"),
        (table.append_column("score", table["id"]), ValueError, "score='rerank_score'"),
        (table.set_column(2, "text", pa.array([None if row == 4 else "a" for row in range(len(table))])), ValueError, "row 4"),
        (table.set_column(1, "query", pa.array(["" if row == 4 else "a" for row in range(len(table))])), ValueError, "rows[4]"),
    ]:
        with pytest.raises(error) as raised:
            reranker.score_arrow(wrong)
        assert named in str(raised.value)
