# /// script
# requires-python = ">=3.10"
# dependencies = ["cohere==7.3.1"]
# ///
"""Cohere's Python client, with the first and the second version of its interface, and its errors."""

import cohere
from pairs import KEY, MODEL, URL, cases, check


def second(query, documents, limit):
    response = cohere.ClientV2(KEY, base_url=URL).rerank(model=MODEL, query=query, documents=documents, top_n=limit)
    return [(result.index, result.relevance_score) for result in response.results]


def first(query, documents, limit):
    documents = [{"text": document} for document in documents]
    response = cohere.Client(KEY, base_url=URL).rerank(
        model=MODEL, query=query, documents=documents, top_n=limit, return_documents=True
    )
    assert all(result.document.text == documents[result.index]["text"] for result in response.results)
    return [(result.index, result.relevance_score) for result in response.results]


def units():
    case = cases()[0]
    response = cohere.ClientV2(KEY, base_url=URL).rerank(model=MODEL, query=case["query"], documents=case["documents"])
    assert response.id and response.meta.billed_units.search_units >= 1, response
    assert response.meta.api_version.version == "2", response


def errors():
    """A request that can't be used is one of the classes for which callers look, with a sentence in it."""
    try:
        cohere.ClientV2(KEY, base_url=URL).rerank(model=MODEL, query="q", documents=[])
    except (cohere.BadRequestError, cohere.UnprocessableEntityError) as error:
        body = error.body if isinstance(error.body, dict) else error.body.dict()
        assert "documents" in str(body["message"]), error
    else:
        raise AssertionError("no documents, and no error")


check("cohere, version 2", second)
check("cohere, version 1", first)
units()
errors()
