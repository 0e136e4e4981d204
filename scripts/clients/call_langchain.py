# /// script
# requires-python = ">=3.10"
# dependencies = ["langchain-cohere==0.6.0", "langchain-voyageai==0.4.1", "langchain-nvidia-ai-endpoints==1.5.0"]
# ///
"""LangChain's document compressors for Cohere, Voyage and NVIDIA."""

from langchain_cohere import CohereRerank
from langchain_core.documents import Document
from langchain_nvidia_ai_endpoints import NVIDIARerank
from langchain_voyageai import VoyageAIRerank
from pairs import KEY, MODEL, URL, check


def compress(compressor, query, texts):
    documents = [Document(page_content=text, metadata={"index": index}) for index, text in enumerate(texts)]
    return [
        (document.metadata["index"], document.metadata["relevance_score"])
        for document in compressor.compress_documents(documents, query)
    ]


def cohere(query, documents, limit):
    compressor = CohereRerank(model=MODEL, cohere_api_key=KEY, base_url=URL, top_n=limit)
    return compress(compressor, query, documents)


def voyage(query, documents, limit):
    compressor = VoyageAIRerank(model=MODEL, api_key=KEY, base_url=f"{URL}/v1", top_k=limit)
    return compress(compressor, query, documents)


def nvidia(query, documents, limit):
    # NVIDIA's services refuse what is too long, unless they are asked to cut it.
    count = limit or len(documents)
    compressor = NVIDIARerank(model=MODEL, api_key=KEY, base_url=f"{URL}/v1", top_n=count, truncate="END")
    return compress(compressor, query, documents)


check("langchain-cohere", cohere)
check("langchain-voyageai", voyage)
check("langchain-nvidia-ai-endpoints", nvidia, score="logit")
