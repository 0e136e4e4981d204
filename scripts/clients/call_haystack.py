# /// script
# requires-python = ">=3.10"
# dependencies = ["haystack-ai==3.4.1", "cohere-haystack==11.0.0", "jina-haystack==2.0.1"]
# ///
"""Haystack's rankers for Cohere and Jina."""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.jina import JinaRanker
from pairs import KEY, MODEL, URL, check


def rank(ranker, query, texts):
    documents = [Document(content=text, meta={"index": index}) for index, text in enumerate(texts)]
    return [(document.meta["index"], document.score) for document in ranker.run(query=query, documents=documents)["documents"]]


def cohere(query, documents, limit):
    ranker = CohereRanker(
        model=MODEL,
        api_key=Secret.from_token(KEY),
        api_base_url=URL,
        top_k=limit or len(documents),
        # By default it asks for documents to be cut at 4,096 tokens, and is obeyed.
        max_tokens_per_doc=1_000_000,
    )
    ranker.warm_up()
    return rank(ranker, query, documents)


def jina(query, documents, limit):
    ranker = JinaRanker(model=MODEL, api_key=Secret.from_token(KEY), base_url=f"{URL}/v1/rerank", top_k=limit or len(documents))
    return rank(ranker, query, documents)


check("haystack, Cohere", cohere)
check("haystack, Jina", jina)
