# /// script
# requires-python = ">=3.10"
# dependencies = ["pyterrier==1.1.2"]
# ///
"""The transformer of scripts/examples in a PyTerrier pipeline, without Java.

It has the command line's ranking, and an experiment has the values of `rerank eval`.
"""

import json
import sys
import tempfile
from pathlib import Path

import pandas
import pyterrier as pt
from data import EXAMPLES, MODEL, RERANK, TINY, beir, evaluate, rerank, same

sys.path.append(str(EXAMPLES))
from pyterrier_rerank import RerankTransformer  # noqa: E402

MEASURES = {"ndcg_cut_10": "nDCG@10", "map": "AP", "P_5": "P@5"}


def first_stage(data: Path, path: Path) -> pandas.DataFrame:
    """What a retriever of PyTerrier gives with the texts behind it."""
    texts = {}
    for name in ("queries.jsonl", "corpus.jsonl"):
        lines = (data / name).read_text().splitlines()
        texts |= {line["_id"]: line["text"] for line in map(json.loads, lines)}
    frame = pt.io.read_results(str(path))
    return frame.assign(query=frame.qid.map(texts), text=frame.docno.map(texts), extra=frame.docno.str.upper())


def ids(frame: pandas.DataFrame) -> list[tuple[str, str]]:
    return list(frame.sort_values(["qid", "rank"])[["qid", "docno"]].itertuples(index=False, name=None))


with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    data, run = beir(directory), directory / "bm25.trec"
    frame = first_stage(data, run)
    bm25 = pt.Transformer.from_df(frame)
    queries = frame[["qid", "query"]].drop_duplicates()
    options = "--dtype", "f32"

    for more in ((), ("--fuse", "rrf"), ("--top-k", "3")):
        ranked = (bm25 >> RerankTransformer(MODEL, *options, *more, program=RERANK))(queries)
        assert set(ranked.columns) == set(frame.columns), ranked.columns
        assert (ranked.extra == ranked.docno.str.upper()).all()
        output = directory / f"ranked{''.join(more)}.trec"
        rerank(*TINY, "--beir", data, "--run", run, "--output", output, *more)
        assert ids(ranked) == ids(pt.io.read_results(str(output))), more
        assert ids(ranked) == ids(pt.model.add_ranks(ranked.copy())), f"{more}: the scores have another order"
    assert len(ranked) == 3 * len(queries) and ranked["rank"].max() == 2
    empty = RerankTransformer(MODEL, program=RERANK)(frame.head(0))
    assert empty.empty and set(empty.columns) == set(frame.columns), empty

    qrels = pandas.read_csv(data / "qrels/test.tsv", sep="\t", names=["qid", "docno", "label"], skiprows=1)
    pipelines = [bm25, bm25 >> RerankTransformer(MODEL, *options, program=RERANK)]
    table = pt.Experiment(pipelines, queries, qrels, list(MEASURES), names=["before", "after"])
    runs = run, directory / "ranked.trec", "--test", "none"
    ours = evaluate("--qrels", data / "qrels/test.tsv", *runs, "--measures", " ".join(MEASURES))
    for number, values in enumerate(ours):
        for theirs, measure in MEASURES.items():
            same(f"{values['run']}, {measure} by PyTerrier", values[measure], table[theirs][number])
    print(f"pyterrier: rankings, --fuse, --top-k and {len(MEASURES)} measures of an experiment agree")
