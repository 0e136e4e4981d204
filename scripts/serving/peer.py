"""sentence-transformers behind FastAPI, as people serve rerankers in Python, with a classifier of the same shape.

peer.py MODEL FOLDER      FOLDER is for the classifier
"""

import socket
import sys
import threading
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

PROMPT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n<Query>: {}\n<Document>: {}"
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


class Request(BaseModel):
    """The fields that the load has."""

    query: str
    documents: list[str]


def load(model: Path, folder: Path) -> CrossEncoder:
    network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network.config.pad_token_id = tokenizer.pad_token_id or 0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    encoder = CrossEncoder(str(folder), model_kwargs={"dtype": torch.bfloat16}, max_length=8192)
    if encoder.tokenizer.pad_token is None:
        encoder.tokenizer.pad_token = "<|endoftext|>"
    return encoder


encoder = load(Path(sys.argv[1]), Path(sys.argv[2]))
service = FastAPI()
# PyTorch uses all cores for one batch; several at a time would only get into each other's way.
computing = threading.Lock()


@service.get("/health")
def health() -> dict:
    """Once this answers, the model is loaded."""
    return {}


@service.post("/v1/rerank")
def rerank(request: Request) -> dict:
    """Scores the documents in batches of 32."""
    prompts = [(PROMPT.format(request.query, document), "") for document in request.documents]
    with computing:
        scores = encoder.predict(prompts, batch_size=32, show_progress_bar=False)
    results = [{"index": index, "relevance_score": float(score)} for index, score in enumerate(scores)]
    return {"results": sorted(results, key=lambda result: -result["relevance_score"])}


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
uvicorn.Server(uvicorn.Config(service, log_level="error")).run([listener])
