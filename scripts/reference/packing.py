"""Rows that hold one query and several documents, each document seeing only the query.

The prompt up to the document is the same for all candidates of a query. Computing it once per
row, with an attention mask that keeps the documents apart, halves the work of training.
"""

from dataclasses import dataclass

import torch

from . import recipe
from .texts import Document, Query

IGNORED = -100.0
MASKED = -1e9


@dataclass
class Batch:
    """Rows of equal length: [rows, tokens], and the places in them that matter."""

    token_ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor  # [rows, 1, tokens, tokens], added to the attention scores
    ends: torch.Tensor  # [rows, documents]: the last token of every pair
    shares: torch.Tensor  # [rows, documents]: how relevant they are
    is_concept: torch.Tensor  # [rows, tokens]: does a content word of the query itself end here?
    is_match: torch.Tensor  # [rows, tokens]: in a document: does a word of the query end here?


def _labels(
    offsets: list[tuple[int, int]], spans: list[tuple[int, int]], shift: int
) -> list[float]:
    """1 on the last token of every span, 0 outside of spans; the rest of a span is ignored.

    The first tokens of a word cannot know yet which word it will be.
    """
    labels = [0.0] * len(offsets)
    for start, end in spans:
        for index, (_, token_end) in enumerate(offsets):
            if start + shift < token_end <= end + shift:
                labels[index] = 1.0 if token_end == end + shift else IGNORED
    return labels


class Row:
    """One query and its documents, laid end to end; every list has one entry per token."""

    def __init__(self, prompt: recipe.Prompt, query: Query, documents: list[Document]):
        tokenizer = prompt.text_only
        text = recipe.body(query.text, "", query.instruction).removesuffix(" ")
        shift = text.index("<Query>: ") + len("<Query>: ")
        head = tokenizer.encode(text)
        before = [IGNORED] * len(prompt.prefix)
        self.ids = prompt.prefix + head.ids
        self.is_concept = before + _labels(head.offsets, query.spans, shift)
        self.is_match = [IGNORED] * len(self.ids)
        self.segments = [0] * len(self.ids)
        self.positions = list(range(len(self.ids)))
        first = len(self.ids)
        self.ends: list[int] = []
        self.shares = [document.share for document in documents]
        # A document starts with its space, where the split of the tokenizer always cuts.
        for number, document in enumerate(documents, 1):
            encoded = tokenizer.encode(" " + document.text)
            ids = encoded.ids + prompt.suffix
            self.ids += ids
            self.positions += range(first, first + len(ids))
            self.segments += [number] * len(ids)
            self.is_match += _labels(encoded.offsets, document.matches, 1)
            self.is_match += [IGNORED] * len(prompt.suffix)
            self.is_concept += [0.0] * len(encoded.ids) + [IGNORED] * len(prompt.suffix)
            self.ends.append(len(self.ids) - 1)


def batch(rows: list[Row]) -> Batch:
    length = max(len(row.ids) for row in rows)

    def padded(name: str, fill: float, dtype: torch.dtype) -> torch.Tensor:
        values = [getattr(row, name) for row in rows]
        return torch.tensor([v + [fill] * (length - len(v)) for v in values], dtype=dtype)

    segments = padded("segments", -1, torch.long)
    same = segments[:, :, None] == segments[:, None, :]
    of_query = (segments == 0)[:, None, :]
    allowed = (same | of_query) & torch.ones(length, length, dtype=torch.bool).tril()
    return Batch(
        token_ids=padded("ids", 0, torch.long),
        positions=padded("positions", 0, torch.long),
        mask=torch.zeros(allowed.shape).masked_fill(~allowed, MASKED)[:, None],
        ends=torch.tensor([row.ends for row in rows]),
        shares=torch.tensor([row.shares for row in rows]),
        is_concept=padded("is_concept", IGNORED, torch.float32),
        is_match=padded("is_match", IGNORED, torch.float32),
    )
