# /// script
# requires-python = ">=3.10"
# dependencies = ["rerankers[api]==0.10.0"]
# ///
"""The library `rerankers` by its classes for services. It always asks for all documents."""

from pairs import KEY, MODEL, URL, check
from rerankers.models.api_rankers import APIRanker


def provider(name, path):
    ranker = APIRanker(MODEL, KEY, name, verbose=0, url=f"{URL}{path}")

    def ask(query, documents, limit):
        ranked = ranker.rank(query, documents, doc_ids=list(range(len(documents))))
        return [(result.document.doc_id, result.score) for result in ranked.results][:limit]

    return ask


check("rerankers, Cohere", provider("cohere", "/v1/rerank"))
check("rerankers, Jina", provider("jina", "/v1/rerank"))
check("rerankers, Voyage", provider("voyage", "/v1/rerank"))
check("rerankers, Text Embeddings Inference", provider("text-embeddings-inference", "/rerank"))
