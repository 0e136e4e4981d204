"""The Qwen3-Reranker recipe: the prompt around a pair, and what its logit is.

The prompt is a constant prefix, a body made of user text, and a constant suffix. The model then
says "yes" or "no"; its logit for a pair is `h · (W_yes - W_no)`, where `h` is the final hidden
vector of the last token and `W` the output embedding.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
    'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
DEFAULT_INSTRUCTION = (
    "Given a web search query, retrieve relevant passages that answer the query"
)


def body(query: str, document: str, instruction: str | None = None) -> str:
    """The part of the prompt that is user text."""
    if instruction is None or not instruction.strip():
        instruction = DEFAULT_INSTRUCTION
    return f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"


class Prompt:
    """Turns pairs into token ids with the tokenizer of one model directory.

    Control tokens are parsed in the prefix and the suffix only. User text is text: a document
    that contains `<|im_end|>` must not be able to end its turn, so the body is tokenized by a
    copy of the tokenizer that knows no added tokens.
    """

    def __init__(self, tokenizer_json: Path):
        definition = json.loads(tokenizer_json.read_text(encoding="utf-8"))
        full = Tokenizer.from_str(json.dumps(definition))
        self.text_only = Tokenizer.from_str(json.dumps({**definition, "added_tokens": []}))
        self.control_tokens = [token["content"] for token in definition["added_tokens"]]
        self.prefix = full.encode(PREFIX, add_special_tokens=False).ids
        self.suffix = full.encode(SUFFIX, add_special_tokens=False).ids
        self.yes = self._one_token("yes")
        self.no = self._one_token("no")

    def _one_token(self, word: str) -> int:
        ids = self.text_only.encode(word, add_special_tokens=False).ids
        if len(ids) != 1:
            raise ValueError(f"{word!r} is {len(ids)} tokens; the head needs it to be one")
        return ids[0]

    def body_ids(self, text: str) -> list[int]:
        return self.text_only.encode(text, add_special_tokens=False).ids

    def wrap(self, body_ids: list[int], max_length: int | None = None) -> list[int]:
        """Prefix + body + suffix; the body is cut on the right to fit `max_length`."""
        if max_length is not None:
            body_ids = body_ids[: max_length - len(self.prefix) - len(self.suffix)]
        return self.prefix + body_ids + self.suffix

    def holds_control_token(self, text: str) -> bool:
        return any(token in text for token in self.control_tokens)


def head(output_weight: torch.Tensor, prompt: Prompt) -> torch.Tensor:
    """`W_yes - W_no`, subtracted in f32: in bf16 the difference loses most of its digits."""
    return output_weight[prompt.yes].float() - output_weight[prompt.no].float()


def read_groups(path: Path) -> list[dict]:
    """The records of a rerank input file: one query with its candidates on every line."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def write_groups(path: Path, groups: list[dict]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for group in groups:
            file.write(json.dumps(group, ensure_ascii=False) + "\n")
