"""Reranks lines of JSON with Spark and the command alone: each partition is piped through a `rerank` of its own.

    spark-submit scripts/examples/spark_pipe.py INPUT OUTPUT MODEL     pip install pyspark

INPUT has a query with its query_id and its candidates a line, OUTPUT gets its ranking. Without a query_id it would get a number, and
each partition counts from 1. A `rerank` that fails fails its task, and Spark tries it again.
"""

import os
import shlex
import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    source, target, model = sys.argv[1:]
    spark = SparkSession.builder.appName("rerank").getOrCreate()
    command = [os.environ.get("RERANK", "rerank"), "--model", model, "--dtype", "f32", "--threads", "1", "--quiet"]
    # A partition without lines needs no model, and is no input.
    pipe = f"read -r first || exit 0; {{ printf '%s\\n' \"$first\"; cat; }} | {shlex.join(command)} --input-format jsonl"
    lines = spark.sparkContext.textFile(source)
    lines.pipe(shlex.join(["sh", "-c", pipe]), checkCode=True).saveAsTextFile(target)
