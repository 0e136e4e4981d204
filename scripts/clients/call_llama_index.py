# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "llama-index-postprocessor-cohere-rerank==0.10.0",
#     "llama-index-postprocessor-tei-rerank==0.6.0",
#     "llama-index-postprocessor-nvidia-rerank==0.7.0",
# ]
# ///
"""LlamaIndex's postprocessors. Those for Jina and Voyage can't be pointed at another address, and the one
for Xinference sends no key; it asks as Xinference's own client does."""

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.nvidia_rerank import NVIDIARerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from pairs import KEY, MODEL, URL, check


def postprocess(postprocessor, query, documents):
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(index))) for index, text in enumerate(documents)]
    return [(int(node.node.id_), node.score) for node in postprocessor.postprocess_nodes(nodes, query_str=query)]


def cohere(query, documents, limit):
    postprocessor = CohereRerank(model=MODEL, api_key=KEY, base_url=URL, top_n=limit or len(documents), max_retries=1)
    return postprocess(postprocessor, query, documents)


def text_embeddings_inference(query, documents, limit):
    postprocessor = TextEmbeddingInference(base_url=URL, top_n=limit or len(documents), auth_token=f"Bearer {KEY}")
    return postprocess(postprocessor, query, documents)


def nvidia(query, documents, limit):
    postprocessor = NVIDIARerank(model=MODEL, api_key=KEY, base_url=f"{URL}/v1", top_n=limit or len(documents), truncate="END")
    return postprocess(postprocessor, query, documents)


check("llama-index, Cohere", cohere)
check("llama-index, Text Embeddings Inference", text_embeddings_inference)
check("llama-index, NVIDIA", nvidia, score="logit")
