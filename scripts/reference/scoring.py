"""How the reference implementation scores the pairs of a test model.

`reference` in the definition is one of

  {"kind": "cross-encoder"}   sentence-transformers' CrossEncoder, before its activation: the default
  {"kind": "pair", "max_length": N}   transformers' classifier on the tokenizer's pair, cut by only_second
  {"kind": "flag-embedding", "max_length": N}   the same, cut as FlagEmbedding does: a query of three
      quarters of the length at most, then only the document
  {"kind": "prompt", "template": TEXT, "special": BOOL, "answers": [ID, ID or null], "pieces": LIST}
      transformers' language model on a prompt with {query} and {document}; or on pieces of it that
      are tokenized one by one
  {"kind": "both-directions", "template": TEXT}
      NVIDIA's bidirectional Llama, whose tokens see each other: the pooled vector's logit by the temperature
"""

import json
from pathlib import Path

import torch
import transformers
from sentence_transformers import CrossEncoder


@torch.inference_mode()
def score(definition: dict, directory: Path, pairs: list, dtype: torch.dtype) -> list[tuple[int, float]]:
    """The tokens and the logit of every pair, computed one after the other."""
    reference = definition.get("reference", {"kind": "cross-encoder"})
    return KINDS[reference["kind"]](reference, directory, pairs, dtype)


def cross_encoder(reference: dict, directory: Path, pairs: list, dtype: torch.dtype) -> list:
    model = CrossEncoder(str(directory), device="cpu", model_kwargs={"dtype": dtype})
    found = []
    for pair in pairs:
        logit = model.predict([pair], activation_fn=torch.nn.Identity())
        tokens = model.preprocess([pair])["input_ids"].shape[1]
        found.append((tokens, float(logit[0])))
    return found


def pair(reference: dict, directory: Path, pairs: list, dtype: torch.dtype) -> list:
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(directory, dtype=dtype).eval()
    found = []
    for query, document in pairs:
        inputs = tokenizer(
            query, document, truncation="only_second", max_length=reference["max_length"], return_tensors="pt"
        )
        found.append((inputs["input_ids"].shape[1], model(**inputs).logits[0, 0].float().item()))
    return found


def flag_embedding(reference: dict, directory: Path, pairs: list, dtype: torch.dtype) -> list:
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(directory, dtype=dtype).eval()
    backend, longest = tokenizer.backend_tokenizer, reference["max_length"]
    backend.no_truncation()
    found = []
    for texts in pairs:
        query, document = (backend.encode(text, add_special_tokens=False) for text in texts)
        query.truncate(longest * 3 // 4)
        document.truncate(longest - len(query) - tokenizer.num_special_tokens_to_add(pair=True))
        encoding = backend.post_process(query, document, add_special_tokens=True)
        inputs = {"input_ids": torch.tensor([encoding.ids])}
        if "token_type_ids" in tokenizer.model_input_names:
            inputs["token_type_ids"] = torch.tensor([encoding.type_ids])
        found.append((len(encoding), model(**inputs).logits[0, 0].float().item()))
    return found


def prompt(reference: dict, directory: Path, pairs: list, dtype: torch.dtype) -> list:
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).eval()
    rows = model.get_output_embeddings().weight.float()
    yes, no = reference["answers"]
    direction = rows[yes] if no is None else rows[yes] - rows[no]
    found = []
    for query, document in pairs:
        pieces = reference.get("pieces") or [reference["template"]]
        texts = [piece.replace("{query}", query).replace("{document}", document) for piece in pieces]
        special = reference.get("special", False)
        ids = [token for text in texts for token in tokenizer(text, add_special_tokens=special)["input_ids"]]
        hidden = model.model(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0, -1]
        found.append((len(ids), torch.dot(hidden.float(), direction).item()))
    return found


def both_directions(reference: dict, directory: Path, pairs: list, dtype: torch.dtype) -> list:
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(directory)
    config = json.loads((directory / "config.json").read_text())
    causal = transformers.LlamaConfig.from_dict(config | {"model_type": "llama"})
    model = transformers.LlamaForSequenceClassification.from_pretrained(directory, config=causal, dtype=dtype).eval()
    for layer in model.model.layers:
        layer.self_attn.is_causal = False
    pool = {"avg": lambda hidden: hidden.mean(0), "cls": lambda hidden: hidden[0], "last": lambda hidden: hidden[-1]}
    found = []
    for query, document in pairs:
        text = reference["template"].replace("{query}", query).replace("{document}", document)
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        seen = torch.zeros((1, 1, ids.shape[1], ids.shape[1]), dtype=dtype)
        hidden = model.model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state[0]
        logit = model.score(pool[config["pooling"]](hidden)) / config["temperature"]
        found.append((ids.shape[1], logit.float().item()))
    return found


KINDS = {"cross-encoder": cross_encoder, "pair": pair, "flag-embedding": flag_embedding, "prompt": prompt,
         "both-directions": both_directions}
