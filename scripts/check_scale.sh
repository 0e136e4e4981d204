#!/usr/bin/env bash
# Runs the examples of Ray, Spark and polars on this machine, on the same pairs, and compares rows and bits with the command's. Of two
# nodes of Ray, one is killed in the middle. Prints what each takes beside the plain command.
#
#   scripts/check_scale.sh [PAIRS [MODEL [ENGINE…]]]     default: 200000 pairs, the toy model, and all of polars, spark,
#                                                        spark-pipe, ray and ray-killed
#
# It needs the wheel that scripts/python/build.sh makes, PyPI (600 MB into target/python), and Java for Spark.
set -euo pipefail
cd "$(dirname "$0")/.."

directory=$PWD/target/python
wheels=("$directory"/wheels/*.whl)
[ -e "${wheels[0]}" ] || scripts/python/build.sh
wheels=("$directory"/wheels/*.whl)
[ -x "$directory/scale/bin/python" ] || python3 -m venv "$directory/scale"
"$directory/scale/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0 pyspark==4.3.0 pandas polars "${wheels[0]}[arrow]"
"$directory/scale/bin/pip" install --quiet --disable-pip-version-check --force-reinstall --no-deps "${wheels[0]}"

# Spark starts the Python, and its pipes the command, of this environment.
export PYSPARK_PYTHON=$directory/scale/bin/python RERANK=$directory/scale/bin/rerank
export SPARK_LOCAL_IP=127.0.0.1 PYSPARK_SUBMIT_ARGS="--master local[2] pyspark-shell"
export RAY_USAGE_STATS_ENABLED=0
"$directory/scale/bin/python" scripts/scale/check.py "${1:-200000}" "$directory/scale-data" "${2:-testdata/tiny-reranker}" "${@:3}"
