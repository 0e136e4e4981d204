# /// script
# requires-python = ">=3.10"
# dependencies = ["xinference-client==4.1.0"]
# ///
"""Xinference's client, which writes null for what its caller leaves out."""

from pairs import KEY, MODEL, URL, check
from xinference_client.client.restful.restful_client import RESTfulRerankModelHandle

handle = RESTfulRerankModelHandle(MODEL, URL, auth_headers={"Authorization": f"Bearer {KEY}"})


def ask(query, documents, limit):
    response = handle.rerank(documents, query, top_n=limit, return_documents=True)
    assert all(result["document"]["text"] == documents[result["index"]] for result in response["results"])
    return [(result["index"], result["relevance_score"]) for result in response["results"]]


check("xinference-client", ask)
