#!/usr/bin/env python3
"""Writes what pytrec_eval, ir_measures and scipy compute, for the tests of `src/evaluation`.

`measures.txt` has a line for each of 1,000 runs, which the tests generate again from the same random
numbers: runs of a few queries with ties, missing queries, documents that nobody judged, and grades
from -1 to 3. The first line names the measures. Each run has the values of 20 of them, so that the
file stays small: run i those from 20 i on, around the list. A value is the summary over the judged
queries, where a missing query counts as 0.

Measures of trec_eval come from pytrec_eval, with the scores as they are. The other providers of
ir_measures break ties in other ways, and get scores without ties in trec_eval's order. ir_measures
has ERR and one nDCG from `gdeval.pl`, which prints five digits.

`significance.json` has differences between runs with scipy's paired t-test and, for few of them, its
exact permutation test.
"""

import argparse
import json
import math
from pathlib import Path

import ir_measures
import numpy as np
import pytrec_eval
from scipy import stats

RUNS = 1000
VALUES = 20
SEED = 0x9E3779B97F4A7C15
GRADES = [None, None, -1, 0, 0, 1, 1, 2, 3]
LEAST_IN_GEOMETRIC_MEANS = 0.00001

# Our name, and pytrec_eval's with the level, whether only judged documents count, and the gains.
PYTREC = {
    "nDCG": ("ndcg", 1, False, {}),
    "nDCG@5": ("ndcg_cut_5", 1, False, {}),
    "nDCG@10": ("ndcg_cut_10", 1, False, {}),
    "nDCG(judged_only=True)@5": ("ndcg_cut_5", 1, True, {}),
    "nDCG(gains={0:0,1:5,2:1,3:9})@10": ("ndcg_cut_10", 1, False, {0: 0, 1: 5, 2: 1, 3: 9}),
    "nDCG(dcg='exp-log2')": ("ndcg", 1, False, {0: 0, 1: 1, 2: 3, 3: 7}),
    "nDCG(dcg='exp-log2')@5": ("ndcg_cut_5", 1, False, {0: 0, 1: 1, 2: 3, 3: 7}),
    "AP": ("map", 1, False, {}),
    "AP@3": ("map_cut_3", 1, False, {}),
    "AP(rel=2)": ("map", 2, False, {}),
    "AP(rel=2,judged_only=True)@5": ("map_cut_5", 2, True, {}),
    "RR": ("recip_rank", 1, False, {}),
    "RR(rel=2)": ("recip_rank", 2, False, {}),
    "P@1": ("P_1", 1, False, {}),
    "P@5": ("P_5", 1, False, {}),
    "P(rel=2)@3": ("P_3", 2, False, {}),
    "R@1": ("recall_1", 1, False, {}),
    "R@5": ("recall_5", 1, False, {}),
    "R(rel=2)@10": ("recall_10", 2, False, {}),
    "Rprec": ("Rprec", 1, False, {}),
    "Rprec(rel=2)": ("Rprec", 2, False, {}),
    "Success@1": ("success_1", 1, False, {}),
    "Success(rel=3)@5": ("success_5", 3, False, {}),
    "Bpref": ("bpref", 1, False, {}),
    "Bpref(rel=2)": ("bpref", 2, False, {}),
    "infAP": ("infAP", 1, False, {}),
    "infAP(rel=2)": ("infAP", 2, False, {}),
    "SetP": ("set_P", 1, False, {}),
    "SetP(rel=2,judged_only=True)": ("set_P", 2, True, {}),
    "SetRelP": ("set_relative_P", 1, False, {}),
    "SetR": ("set_recall", 1, False, {}),
    "SetF": ("set_F", 1, False, {}),
    "SetF(beta=0.5)": ("set_F_0.5", 1, False, {}),
    "SetAP": ("set_map", 1, False, {}),
    "NumRet": ("num_ret", 1, False, {}),
    "NumRelRet": ("num_rel_ret", 1, False, {}),
    "NumRelRet(rel=2)": ("num_rel_ret", 2, False, {}),
    "num_nonrel_judged_ret": ("num_nonrel_judged_ret", 1, False, {}),
    # At these values of recall trec_eval 10 rounds as version 9 did, which pytrec_eval has in it.
    "IPrec@0.0": ("iprec_at_recall_0.00", 1, False, {}),
    "IPrec@0.5": ("iprec_at_recall_0.50", 1, False, {}),
    "IPrec(rel=2)@1.0": ("iprec_at_recall_1.00", 2, False, {}),
    "Rprec_mult@0.2": ("Rprec_mult_0.20", 1, False, {}),
    "Rprec_mult@1.4": ("Rprec_mult_1.40", 1, False, {}),
    "utility": ("utility", 1, False, {}),
    "binG": ("binG", 1, False, {}),
    "G": ("G", 1, False, {}),
    "ndcg_rel": ("ndcg_rel", 1, False, {}),
    "Rndcg": ("Rndcg", 1, False, {}),
    "Rndcg(rel=2)": ("Rndcg", 2, False, {}),
    "relative_P@5": ("relative_P_5", 1, False, {}),
    "gm_map": ("gm_map", 1, False, {}),
    "gm_bpref": ("gm_bpref", 1, False, {}),
}

PROVIDERS = {
    "gdeval": ["ERR@5", "nDCG(dcg='exp-log2')@10"],
    "judged": ["Judged", "Judged@5"],
    "msmarco": ["RR@3", "RR(rel=2)@3"],
    "compat": ["Compat", "Compat(p=0.8)", "Compat(normalize=False)"],
    "cwl_eval": [
        "RBP(rel=1)",
        "RBP(p=0.5,rel=2)",
        "SDCG(max_rel=3)@5",
        "NERR8(max_rel=3)@5",
        "NERR9(max_rel=3)@5",
        "NERR10(max_rel=3)",
        "NERR10(p=0.5,max_rel=3)",
        "NERR11(max_rel=3)",
        "BPM(max_rel=3)@5",
        "BPM(T=2.0,max_rel=3)@5",
        "INST(max_rel=3)",
        "INST(T=2.5,min_rel=1,max_rel=3)",
        "INSQ(max_rel=3)",
    ],
}

SUMS = {"NumRet", "NumRelRet", "NumRelRet(rel=2)", "num_nonrel_judged_ret"}


class Random:
    """The generator of `src/random.rs`."""

    def __init__(self, state: int) -> None:
        self.state = state

    def below(self, end: int) -> int:
        mask = (1 << 64) - 1
        self.state ^= self.state << 13 & mask
        self.state ^= self.state >> 7
        self.state ^= self.state << 17 & mask
        return ((self.state >> 33) * end) >> 31


def generate() -> tuple[list[list[str]], dict, dict]:
    """The judged queries of each run, and the grades and scores of all queries' documents."""
    random = Random(SEED)
    runs, qrels, scores = [], {}, {}
    for run in range(RUNS):
        runs.append([])
        for query in range(1 + random.below(4)):
            grades, retrieved = {}, {}
            missing = random.below(6) == 0
            for document in range(1 + random.below(25)):
                grade = GRADES[random.below(len(GRADES))]
                if grade is not None:
                    grades[f"d{document}"] = grade
                is_retrieved = random.below(4) > 0
                # The last part is lost in 32 bits, as trec_eval had them before version 10.
                score = random.below(6) * 0.25 - 0.5 + random.below(2) * 1e-9
                if is_retrieved and not missing:
                    retrieved[f"d{document}"] = score
            if any(grade >= 0 for grade in grades.values()):
                name = str(run * 10 + query + 1)
                runs[-1].append(name)
                qrels[name] = grades
                if retrieved:
                    scores[name] = retrieved
    return runs, qrels, scores


def without_ties(scores: dict) -> dict:
    """The same rankings with the numbers of documents below as scores."""
    ranked = {}
    for query, retrieved in scores.items():
        order = sorted(retrieved, key=lambda document: (np.float32(retrieved[document]), document))
        ranked[query] = {document: float(place + 1) for place, document in enumerate(order)}
    return ranked


def pytrec_values(qrels: dict, scores: dict) -> dict:
    values = {}
    for name, (trec, level, judged_only, gains) in PYTREC.items():
        mapped = {
            query: {document: gains.get(grade, grade) for document, grade in grades.items()}
            for query, grades in qrels.items()
        }
        evaluator = pytrec_eval.RelevanceEvaluator(
            mapped, {trec}, relevance_level=level, judged_docs_only_flag=int(judged_only)
        )
        found = evaluator.evaluate(scores)
        key = next(iter(next(iter(found.values()))))
        values[name] = {query: results[key] for query, results in found.items()}
    return values


def provider_values(qrels: dict, scores: dict) -> dict:
    values = {}
    for provider, names in PROVIDERS.items():
        for name in names:
            measure = ir_measures.parse_measure(name)
            found = getattr(ir_measures, provider).iter_calc([measure], qrels, scores)
            values[name] = {metric.query_id: metric.value for metric in found}
    return values


def summary(name: str, values: dict, queries: list[str]) -> float:
    if not queries:
        return 0.0
    if name.startswith("gm_"):
        # pytrec_eval gives the logarithms.
        logarithms = [values.get(query, math.log(LEAST_IN_GEOMETRIC_MEANS)) for query in queries]
        return math.exp(sum(logarithms) / len(queries))
    total = sum(values.get(query, 0.0) for query in queries)
    return total if name in SUMS else total / len(queries)


def measures() -> str:
    runs, qrels, scores = generate()
    values = pytrec_values(qrels, scores) | provider_values(qrels, without_ties(scores))
    names = list(values)
    lines = [" ".join(names)]
    for run, queries in enumerate(runs):
        chosen = [names[(run * VALUES + place) % len(names)] for place in range(VALUES)]
        shown = (f"{summary(name, values[name], queries):.9f}" for name in chosen)
        lines.append(" ".join(value.rstrip("0").rstrip(".") for value in shown))
    return "\n".join(lines) + "\n"


def significance() -> list[dict]:
    generator = np.random.default_rng(17)
    cases = []
    for count, shift, digits in [(2, 0.1, 6), (3, 0.0, 6), (5, 0.2, 1), (9, 0.05, 3), (12, 0.1, 6), (12, 0.05, 1)]:
        cases.append(np.round(generator.normal(shift, 0.2, count), digits))
    for count, shift in [(50, 0.02), (43, 0.2), (225, 0.004), (225, 0.2)]:
        cases.append(np.round(generator.normal(shift, 0.1, count), 4))
    return [significance_of(differences) for differences in cases]


def significance_of(differences: np.ndarray) -> dict:
    found = stats.ttest_1samp(differences, 0.0)
    interval = found.confidence_interval(0.95)
    case = {
        "differences": differences.tolist(),
        "statistic": found.statistic,
        "p_value": found.pvalue,
        "interval": [interval.low, interval.high],
    }
    if len(differences) <= 12:
        zeros = np.zeros_like(differences)
        case["randomisation"] = stats.permutation_test(
            (differences, zeros),
            lambda a, b, axis: np.mean(a - b, axis=axis),
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        ).pvalue
    return case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parent.parent / "testdata" / "evaluation"
    parser.add_argument("directory", nargs="?", type=Path, default=default)
    directory = parser.parse_args().directory
    (directory / "measures.txt").write_text(measures())
    lines = ",\n".join(json.dumps(case) for case in significance())
    (directory / "significance.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
