# /// script
# requires-python = ">=3.10"
# dependencies = ["litellm==1.110.2"]
# ///
"""LiteLLM's providers. Each has an idea of its own of the path, the fields and the reply."""

import os

# LiteLLM would ask the network for its table of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402
from pairs import KEY, MODEL, URL, check  # noqa: E402

litellm.suppress_debug_info = True


def provider(name, base, model=MODEL, **options):
    def ask(query, documents, limit):
        response = litellm.rerank(
            model=f"{name}/{model}",
            query=query,
            documents=documents,
            top_n=limit,
            api_key=KEY,
            api_base=base,
            **options,
        )
        return [(result["index"], result["relevance_score"]) for result in response.results]

    return ask


check("litellm, hosted_vllm", provider("hosted_vllm", URL))
check("litellm, cohere", provider("cohere", URL))
check("litellm, cohere, version 2", provider("cohere", f"{URL}/v2/rerank"))
check("litellm, jina_ai", provider("jina_ai", URL))
check("litellm, infinity", provider("infinity", f"{URL}/infinity"))
check("litellm, huggingface", provider("huggingface", URL))
check("litellm, voyage", provider("voyage", f"{URL}/voyage"))
# NVIDIA's services refuse what is too long, unless they are asked to cut it.
check("litellm, nvidia_nim", provider("nvidia_nim", URL, truncate="END"), score="logit")
ranking = provider("nvidia_nim", URL, f"ranking/{MODEL}", truncate="END")
check("litellm, nvidia_nim, ranking", ranking, score="logit")
