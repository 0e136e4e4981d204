"""Reranks Parquet files with Spark: each Python worker loads the model once, and goes on with it from partition to partition.

    spark-submit scripts/examples/spark_rerank.py INPUT OUTPUT MODEL

INPUT is a file or a directory of pairs, with columns query and text; OUTPUT gets them with
rerank_score and rerank_logit. It needs PySpark and the wheel that scripts/python/build.sh makes, with [arrow].
"""

import sys

from pyspark.sql import SparkSession


def reranker(model):
    """The model of this process. It is loaded in the worker, as a loaded model can't be sent there."""
    import rerank

    # This function comes anew with each task; the module stays in the worker.
    if not hasattr(rerank, "of_this_worker"):
        # Executors on different machines must choose the same precision; one core each, as Spark counts them.
        rerank.of_this_worker = rerank.Reranker(model, dtype="f32", threads=1)
    return rerank.of_this_worker


if __name__ == "__main__":
    source, target, model = sys.argv[1:]
    spark = SparkSession.builder.appName("rerank").getOrCreate()
    pairs = spark.read.parquet(source)
    names = {"score": "rerank_score", "logit": "rerank_logit"}
    scored = pairs.mapInArrow(
        lambda batches: (reranker(model).score_arrow(batch, **names) for batch in batches),
        f"{', '.join(f'`{name}` {kind}' for name, kind in pairs.dtypes)}, rerank_score float, rerank_logit float",
    )
    scored.write.parquet(target)
