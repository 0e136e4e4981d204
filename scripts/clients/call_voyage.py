# /// script
# requires-python = ">=3.10"
# dependencies = ["voyageai==0.5.0"]
# ///
"""Voyage's Python client."""

import voyageai
from pairs import KEY, MODEL, URL, check


def ask(query, documents, limit):
    client = voyageai.Client(api_key=KEY, base_url=f"{URL}/v1")
    response = client.rerank(query, documents, model=MODEL, top_k=limit)
    assert response.total_tokens > 0
    assert all(result.document == documents[result.index] for result in response.results)
    return [(result.index, result.relevance_score) for result in response.results]


check("voyageai", ask)
