"""Reranks Parquet files with Ray Data: each actor loads the model once, and an actor that dies is replaced.

    python scripts/examples/ray_rerank.py INPUT OUTPUT MODEL [ACTORS]

INPUT is a file or a directory of pairs, with columns query and text; OUTPUT gets them with
rerank_score and rerank_logit. It needs Ray and the wheel that scripts/python/build.sh makes, with [arrow]. Blocks that were lost
with an actor or a node are scored again, which changes no bit.
"""

import sys

import ray
from rerank import Reranker


class Scores:
    """An actor: a process with a loaded model."""

    def __init__(self, model):
        # Actors on different machines must choose the same precision; one core each, as Ray counts them.
        self.reranker = Reranker(model, dtype="f32", threads=1)

    def __call__(self, table):
        return self.reranker.score_arrow(table, score="rerank_score", logit="rerank_logit")


if __name__ == "__main__":
    source, target, model, *actors = sys.argv[1:]
    pool = ray.data.ActorPoolStrategy(size=int(*actors or [1]))
    # A block is what an actor gets at once, and what is scored again if it is lost: Ray's own would be of millions of pairs.
    pairs = ray.data.read_parquet(source).repartition(target_num_rows_per_block=2048)
    # If actors reserved whole cores, one on each core would leave none for the tasks that list and write files, and all would wait.
    scored = pairs.map_batches(
        Scores,
        fn_constructor_args=(model,),
        batch_format="pyarrow",
        batch_size=None,
        compute=pool,
        num_cpus=0.5,
        scheduling_strategy="SPREAD",
    )
    scored.write_parquet(target)
