# /// script
# requires-python = ">=3.10"
# dependencies = ["infinity-client==0.0.78"]
# ///
"""Infinity's client, whose parser knows the fields of its own service."""

from infinity_client import AuthenticatedClient
from infinity_client.api.default import rerank
from infinity_client.models import RerankInput
from pairs import KEY, MODEL, URL, check

client = AuthenticatedClient(base_url=f"{URL}/infinity", token=KEY, raise_on_unexpected_status=True)


def ask(query, documents, limit):
    body = RerankInput(query=query, documents=documents, model=MODEL, return_documents=True, raw_scores=False)
    if limit:
        body.top_n = limit
    response = rerank.sync(client=client, body=body)
    assert all(result.document == documents[result.index] for result in response.results)
    assert response.usage.total_tokens > 0
    return [(result.index, result.relevance_score) for result in response.results]


def raw(query, documents, limit):
    body = RerankInput(query=query, documents=documents, model=MODEL, raw_scores=True)
    if limit:
        body.top_n = limit
    response = rerank.sync(client=client, body=body)
    return [(result.index, result.relevance_score) for result in response.results]


def unnamed(query, documents, limit):
    """Without a model: the client then names one that no service has."""
    body = RerankInput(query=query, documents=documents)
    if limit:
        body.top_n = limit
    return [(result.index, result.relevance_score) for result in rerank.sync(client=client, body=body).results]


check("infinity-client", ask)
check("infinity-client, no model", unnamed)
check("infinity-client, raw scores", raw, score="logit")
