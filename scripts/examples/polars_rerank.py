"""Reranks a Parquet file with polars, and keeps the ten best documents of each query.

    python scripts/examples/polars_rerank.py INPUT OUTPUT MODEL

INPUT has a pair a row, with columns query and text; OUTPUT gets rerank_score and rerank_logit, too. It needs polars and the wheel
that scripts/python/build.sh makes, with [arrow].
"""

import sys

import polars
from rerank import Reranker

if __name__ == "__main__":
    source, target, model = sys.argv[1:]
    pairs = polars.read_parquet(source)
    with Reranker(model, dtype="f32") as reranker:
        scored = polars.from_arrow(reranker.score_arrow(pairs, score="rerank_score", logit="rerank_logit"))
    # The logit orders the ranking, also where scores saturate; of equal ones the first comes first.
    ranked = scored.sort("rerank_logit", descending=True, maintain_order=True).group_by("query", maintain_order=True).head(10)
    ranked.write_parquet(target)
