"""What the scripts share: the Qwen3-Reranker prompt, small tokenizers, generated English."""
