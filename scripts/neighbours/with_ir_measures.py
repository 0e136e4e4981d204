# /// script
# requires-python = ">=3.10"
# dependencies = ["ir-measures==0.4.3", "pytrec-eval-terrier==0.5.11", "cwl-eval==1.0.12"]
# ///
"""ir_measures and pytrec_eval read the runs that rerank reads and writes, and give the values that `rerank eval` prints."""

import random
import tempfile
from pathlib import Path

import ir_measures
import pytrec_eval
from data import TINY, beir, evaluate, judgements, rerank, run, same, write_qrels, write_run

RUNS, QUERIES = 10, 60
# pytrec_eval's names, which rerank takes too. It is trec_eval 9, which rounds recall's levels between 0 and 1 otherwise than
# trec_eval 10, so that 11pt_avg is left out.
TREC = """map Rprec bpref recip_rank infAP ndcg ndcg_rel Rndcg binG G num_ret num_rel num_rel_ret num_nonrel_judged_ret set_P
set_recall set_map set_F set_relative_P utility P_5 P_10 P_100 recall_5 recall_100 map_cut_10 ndcg_cut_5 ndcg_cut_10 ndcg_cut_1000
success_1 success_5 success_10 iprec_at_recall_0.00 iprec_at_recall_1.00 relative_P_10 Rprec_mult_0.60""".split()
# Those that ir_measures computes by pytrec_eval, so that ties have trec_eval's order.
WITH_TIES = """nDCG nDCG@10 AP AP@10 AP(rel=2) RR RR(rel=2) P@5 P(rel=2)@10 R@100 R@5 Rprec Bpref Success@5 IPrec@0.0 SetP SetR
SetF SetAP infAP NumRet""".split()
# Its own code puts ties in ascending order.
WITHOUT_TIES = ["RR@10", "RR(rel=2)@5", "Judged@10", "Judged@5", "RBP(rel=1,p=0.8)", "RBP(rel=2,p=0.5)"]
# By gdeval, which prints five digits and takes documents' ids in ASCII only.
ROUNDED = ["ERR@20", "ERR@5", "nDCG(dcg='exp-log2')@10"]


def with_pytrec_eval(qrels: Path, path: Path) -> int:
    """Compares each query's values. Queries that the run lacks do not count in either."""
    names = {name.rstrip("0123456789.").rstrip("_") for name in TREC}
    with qrels.open() as judgements, path.open() as lines:
        evaluator = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(judgements), names)
        expected = evaluator.evaluate(pytrec_eval.parse_run(lines))
    objects = evaluate("--per-query", "--qrels", qrels, path, "--measures", " ".join(TREC))
    # The values stand in the order of the measures that were asked for, behind two names.
    ours = {object["query_id"]: list(object.values())[2:] for object in objects if "query_id" in object}
    assert ours.keys() == expected.keys(), ours.keys() ^ expected.keys()
    for query, values in ours.items():
        for name, value in zip(TREC, values, strict=True):
            same(f"{path.name}, {query}, {name} by pytrec_eval", value, expected[query][name])
    return len(ours)


def with_ir_measures(qrels: Path, path: Path, measures: list[str], within: float = 1e-6) -> None:
    """Compares the means. ir_measures counts queries that the run lacks."""
    parsed = [ir_measures.parse_measure(name) for name in measures]
    expected = ir_measures.calc_aggregate(parsed, ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(path)))
    [ours] = evaluate("--complete", "--qrels", qrels, path, "--measures", " ".join(measures))
    for measure, mean in zip(parsed, list(ours.values())[-len(parsed) :], strict=True):
        same(f"{path.name}, {measure} by ir_measures", mean, expected[measure], within)


def random_runs(directory: Path) -> int:
    """Compares runs with ties and without, and gives the number of their rankings."""
    rankings = 0
    for seed in range(RUNS):
        source = random.Random(seed)
        grades = judgements(source, QUERIES)
        qrels = write_qrels(directory / "random.qrels", grades)
        for ties in (True, False):
            path = write_run(directory / f"random-{seed}{'-tied' * ties}.trec", run(source, grades, ties))
            rankings += with_pytrec_eval(qrels, path)
            with_ir_measures(qrels, path, WITH_TIES)
    # These take long, so that the last run has to do.
    with_ir_measures(qrels, path, WITHOUT_TIES)
    for file in (qrels, path):
        file.write_text(file.read_text().replace("é", "e"))
    with_ir_measures(qrels, path, ROUNDED, within=1e-5)
    return rankings


with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    number = random_runs(directory)
    measures = len(TREC), len(WITH_TIES + WITHOUT_TIES + ROUNDED)
    print("pytrec_eval and ir_measures: equal in {} and {} measures on {:,} random rankings".format(*measures, number))

    data = beir(directory)
    ranked = [directory / "ranked.trec", directory / "ranked.jsonl"]
    for path in ranked:
        rerank(*TINY, "--beir", data, "--run", directory / "bm25.trec", "--output", path)
    grades = [line.split("\t") for line in (data / "qrels/test.tsv").read_text().splitlines()[1:]]
    qrels = directory / "trec.qrels"
    qrels.write_text("".join(f"{query} 0 {document} {grade}\n" for query, document, grade in grades))
    assert with_pytrec_eval(qrels, ranked[0]) > 0
    with_ir_measures(qrels, ranked[0], WITH_TIES)
    runs = [f"{path.suffix}={path}" for path in ranked]
    evaluated = evaluate("--qrels", qrels, *runs, "--test", "none", "--measures", " ".join(TREC))
    first, second = (list(values.values())[1:] for values in evaluated)
    assert first == second, (first, second)
    print("pytrec_eval and ir_measures: a run that rerank has written as TREC has the values of its JSONL")
