"""Held-out queries, and nDCG@10 as trec_eval computes it."""

import math
import random

from . import recipe, texts

QUERIES = 40
CANDIDATES = 20
LENGTHS = (6, 12, 25, 50)


def grade(share: float) -> int:
    """A judgement from 0 to 3, by the share of the query's concepts in the document."""
    if share == 1:
        return 3
    return 2 if share >= 0.5 else int(share > 0)


def groups(lexicon: texts.Lexicon, seed: int, queries: int = QUERIES) -> list[dict]:
    """Queries of words that training never saw; the graded candidates are of mixed lengths."""
    rng = random.Random(f"held out {seed}")
    writer = texts.Writer(lexicon, rng, unseen=True)
    found = []
    for number in range(1, queries + 1):
        query = writer.query()
        documents = []
        for length in LENGTHS:
            documents += writer.documents(query, CANDIDATES // len(LENGTHS), length)
        rng.shuffle(documents)
        candidates = [
            {"id": f"d{n}", "text": document.text, "relevance": grade(document.share)}
            for n, document in enumerate(documents, 1)
        ]
        record = {"query_id": f"h{number}", "query": query.text, "candidates": candidates}
        if query.instruction != recipe.DEFAULT_INSTRUCTION:
            record["instruction"] = query.instruction
        found.append(record)
    return found


def ndcg(relevances: list[int], at: int = 10) -> float:
    """nDCG@10 of one ranking, best candidate first; the gain is the grade itself."""

    def gain(ordered: list[int]) -> float:
        return sum(g / math.log2(place + 2) for place, g in enumerate(ordered[:at]))

    ideal = gain(sorted(relevances, reverse=True))
    return gain(relevances) / ideal if ideal else 0.0
