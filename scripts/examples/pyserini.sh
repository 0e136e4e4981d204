#!/usr/bin/env bash
# Reranks what Pyserini or Anserini has found: a TREC run on standard input, the reranked one on standard output.
#
#   python -m pyserini.search.lucene --bm25 --hits 100 --index msmarco-v1-passage --topics dl19-passage --output bm25.trec
#   scripts/examples/pyserini.sh queries.tsv collection.jsonl < bm25.trec > reranked.trec
#   rerank eval --qrels qrels.txt bm25.trec reranked.trec
#
# queries.tsv has the topics' ids and texts between tabs. collection.jsonl is what was indexed, a line a document:
# {"id": "…", "contents": "…"}. Further arguments are options of rerank, as --model.
set -euo pipefail
queries=$1 collection=$2
shift 2

"${RERANK:-rerank}" --input-format trec --output-format trec --queries "$queries" --collection "$collection" "$@"
