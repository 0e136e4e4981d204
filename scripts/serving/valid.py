"""Requests that the service answers with scores, in every dialect, and where their responses have the scores."""

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus shines so brightly at dusk that it is called the evening star.",
    "The Red Sea lies between Africa and Arabia.",
    "Mars is called the Red Planet, because iron oxide colors its dust.",
]
PASSAGES = [{"text": document} for document in DOCUMENTS]
OBJECT = {"query": QUERY, "documents": DOCUMENTS}


def scores_of(value) -> dict[int, float]:
    """Scores by the documents' indices, wherever a response has them."""
    if isinstance(value, dict):
        for name in ("results", "data", "rankings", "scores"):
            if name in value:
                return scores_of(value[name])
    found = {}
    for position, entry in enumerate(value):
        if isinstance(entry, (int, float)):
            found[position] = entry
        elif isinstance(entry, list):
            # Lists of labels, one for each pair.
            found[position] = entry[0]["score"]
        else:
            named = [entry[name] for name in ("relevance_score", "score", "logit") if name in entry]
            found[entry.get("index", position)] = named[0]
    return found


# The path and the body.
REQUESTS = [
    ("/rerank", OBJECT),
    ("/v1/rerank", {"model": "tiny-reranker", "top_n": 3, "return_documents": True, **OBJECT}),
    ("/v2/rerank", {"model": "tiny-reranker", "max_tokens_per_doc": 4096, **OBJECT}),
    ("/v1/rerank", {"query": QUERY, "documents": PASSAGES, "return_documents": "true"}),
    ("/rerank", {"instruction": "Find the planet", "truncate_prompt_tokens": 512, "truncation_side": "left", **OBJECT}),
    ("/rerank", {"use_activation": False, "max_tokens_per_query": 64, "max_tokens_per_doc": 64, **OBJECT}),
    ("/rerank", {"query": QUERY, "texts": DOCUMENTS, "truncate": True, "truncation_direction": "Right", "raw_scores": False}),
    ("/rerank", {"query": QUERY, "texts": DOCUMENTS, "return_text": True, "raw_scores": True}),
    ("/tei/rerank", {"query": QUERY, "texts": DOCUMENTS}),
    ("/rerank", {"model": "tiny-reranker", "query": QUERY, "texts": DOCUMENTS, "top_n": 3}),
    ("/rerank", {"query": QUERY, "documents": DOCUMENTS, "property": ""}),
    ("/elastic/rerank", {"return_documents": False, **OBJECT}),
    ("/sglang/v1/rerank", OBJECT),
    ("/infinity/rerank", {"raw_scores": True, "return_documents": True, **OBJECT}),
    ("/v1/reranking", OBJECT),
    ("/v1/rerank", {"model": "tiny-reranker", "top_k": None, "truncation": True, **OBJECT}),
    ("/v1/ranking", {"query": {"text": QUERY}, "passages": PASSAGES, "truncate": "END"}),
    ("/score", {"text_1": QUERY, "text_2": DOCUMENTS}),
    ("/v1/score", {"queries": [QUERY] * 3, "documents": DOCUMENTS}),
    ("/predict", {"inputs": [[QUERY, document] for document in DOCUMENTS]}),
    ("/invocations", {"query": QUERY, "texts": DOCUMENTS}),
    ("/invocations", {"inputs": [[QUERY, document] for document in DOCUMENTS]}),
    ("/rerank/v1/rerank", {"request_id": "mine", **OBJECT}),
    ("/cohere/v1/rerank", {"query": QUERY, "documents": PASSAGES, "rank_fields": ["text"], "return_documents": True}),
    ("/jina/v1/rerank", OBJECT),
    ("/vllm/rerank", {"request_id": "mine", **OBJECT}),
    ("/sglang/v1/rerank", {"request_id": "mine", **OBJECT}),
    ("/voyage/v1/rerank", {"top_k": 3, **OBJECT}),
    ("/weaviate/rerank", {"property": "text", **OBJECT}),
    ("/deepinfra/v1/inference/a/model", {"queries": [QUERY], "documents": DOCUMENTS}),
]
