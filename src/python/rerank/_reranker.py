"""The classes that users see."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from ._rerank import Model

if TYPE_CHECKING:
    import pyarrow as pa


class Ranked(NamedTuple):
    """A document with its score, in a ranking."""

    index: int
    """The place of the document in the list that was ranked, counted from 0."""
    score: float
    """What the model's recipe makes of the logit: mostly a probability, from 0 to 1."""
    logit: float
    """The model's raw output, in 32 bits. It orders the ranking, also where scores saturate."""
    document: str
    """The document."""
    truncated: bool
    """Whether the document or the query was cut, as they are longer than ``max_length`` tokens."""


class Reranker:
    """A reranking model that is loaded, and scores pairs of a query and a document.

    Scores have the bits of the command ``rerank`` with the same options, and depend on the pair alone: not on the order, the
    batch or the neighbours (on GPUs where the card's libraries allow it, which is checked).

    Several threads may call a ``Reranker`` at once; their pairs share batches. Calls release the interpreter's lock, and Ctrl-C
    ends them with ``KeyboardInterrupt``. Messages go to the logger ``rerank`` of ``logging``: pairs that were cut, and what is
    odd about a model, are warnings. A process that was forked after a model was loaded can use none; load models in the worker
    processes, as Ray and Spark do. If the system has no memory left, the process is aborted.

    Arguments are those of the command, by the same names:

    model: a directory, a GGUF file, or the id of a model on the Hugging Face hub; ``"fake"`` scores by shared words.
    revision: the branch, tag or commit of a model on the hub.
    adapter: a LoRA adapter that is merged into the model: a directory, or its id on the hub.
    offline: whether only files are used that are here already.
    device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"cuda:0,1"`` or ``"cuda:all"``.
    gpu_memory: the most bytes that are used on each GPU. Default: all that is free.
    dtype: ``"auto"``, ``"f32"``, ``"bf16"``, ``"f16"``, ``"int8"``, ``"int16"`` or ``"fp8"``. ``"auto"`` measures on the CPU what is fast, so
        that workers on different machines may choose differently: name it where their scores must be equal.
    recipe: how the model is asked, in place of what its files say: a name or a TOML file.
    instruction: by what the model judges, in place of the recipe's default: a text, or ``"@FILE"``.
    score: what ``score`` is: ``"auto"`` (what the model's files say), ``"sigmoid"`` or ``"raw"`` (the logit).
    max_length: the most tokens of a prompt; longer documents are cut. Default: 8192, or the limit of the recipe or the model.
    batch_size: the most pairs of a batch. Default: 256, on a GPU 2048.
    max_batch_tokens: the most tokens of a batch. Default: 4096, on a GPU what fits, up to 32768.
    threads: how many threads compute. Default: all cores. The models of a process share them.

    Raises ``ValueError`` or ``TypeError`` for arguments that make no sense, ``OSError`` if files can't be read or downloaded, and
    ``RuntimeError`` if the model can't be loaded.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "Qwen/Qwen3-Reranker-0.6B",
        *,
        revision: str = "main",
        adapter: str | os.PathLike[str] | None = None,
        offline: bool = False,
        device: str = "auto",
        gpu_memory: int | None = None,
        dtype: str = "auto",
        recipe: str | os.PathLike[str] | None = None,
        instruction: str | None = None,
        score: str = "auto",
        max_length: int | None = None,
        batch_size: int | None = None,
        max_batch_tokens: int | None = None,
        threads: int | None = None,
    ) -> None:
        def path(value: str | os.PathLike[str] | None) -> Any:
            return os.fspath(value) if isinstance(value, os.PathLike) else value

        self._model = Model(
            {
                "model": path(model),
                "revision": revision,
                "adapter": path(adapter),
                "offline": offline,
                "device": device,
                "gpu_memory": gpu_memory,
                "dtype": dtype,
                "recipe": path(recipe),
                "instruction": instruction,
                "score": score,
                "max_length": max_length,
                "batch_size": batch_size,
                "max_batch_tokens": max_batch_tokens,
                "threads": threads,
            }
        )

    def rank(
        self, query: str, documents: Iterable[str], *, top_k: int | None = None, instruction: str | None = None
    ) -> list[Ranked]:
        """Ranks documents for a query, best first: by logit, then in the order in which they were given.

        top_k: the most documents that are returned. Default: all.
        instruction: in place of the model's, as the field ``instruction`` of a record.

        Raises ``TypeError`` or ``ValueError`` if a text can't be used, and ``RuntimeError`` if scoring fails.
        """
        # Whole numbers of numpy are as good as Python's; True is none.
        is_whole = hasattr(top_k, "__index__") and not isinstance(top_k, bool)
        if top_k is not None and (not is_whole or operator.index(top_k) < 1):
            raise ValueError(f"top_k={top_k!r}: a whole number from 1 is expected; leave it out to keep all documents")
        documents = documents if isinstance(documents, str) else list(_in_order(documents, "documents"))
        logits, scores, truncated = self._arrays(self._model.rank(query, documents, instruction))
        # The sort is stable, and -0.0 and 0.0 are a tie.
        best = np.argsort(-logits, kind="stable")[:top_k]
        return [
            Ranked(index, float(scores[index]), float(logits[index]), documents[index], bool(truncated[index]))
            for index in best.tolist()
        ]

    def score(
        self, pairs: Iterable[Sequence[str]], *, logits: bool = False, instruction: str | None = None
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Scores pairs: tuples or lists of a query and a document.

        The tokens that the prompts of a query begin with are computed once, wherever its pairs stand.

        logits: whether the model's raw outputs are returned, in place of scores.
        instruction: in place of the model's, as the field ``instruction`` of a record.

        Returns an array of 32-bit floats, one for each pair, in their order.

        Raises ``TypeError`` or ``ValueError`` if a pair can't be used, and ``RuntimeError`` if scoring fails.
        """
        raw, scores, _ = self._arrays(self._model.score(_in_order(pairs, "pairs"), instruction))
        return raw if logits else scores

    def score_arrow(
        self,
        table: Any,
        query: str = "query",
        text: str = "text",
        *,
        title: str | None = "title",
        score: str = "score",
        logit: str = "logit",
        instruction: str | None = None,
    ) -> pa.Table | pa.RecordBatch:
        """Scores the rows of a table, each with a query and a document.

        table: a table or a record batch of pyarrow, or what has Arrow's stream interface (data frames of polars, pandas, DuckDB).
        query, text: the names of the columns. Strings of any kind are taken.
        title: the name of a column of titles, which are scored in front of the texts, as the command does it. A table may have no
            column ``title``; ``None`` reads none.
        score, logit: the names of the columns that are added, where the table has such already.
        instruction: in place of the model's, as the field ``instruction`` of a record.

        Returns the table (for a record batch: a record batch) with two more columns of 32-bit floats, the score and
        the logit.

        Raises ``ValueError`` or ``TypeError`` if a column is missing, is not of strings, has nulls, or is there already, or if
        there is a column ``instruction`` and no argument, as all rows have one instruction; ``ModuleNotFoundError`` without pyarrow, and ``RuntimeError`` if scoring fails.
        """
        whole = _table(table)
        import pyarrow as pa

        if score == logit:
            raise ValueError(f"score={score!r} and logit={logit!r} are two columns; give them two names")
        for argument, name in (("score", score), ("logit", logit)):
            if name in whole.schema.names:
                raise ValueError(f"the table has a column {name!r} already; name the new one otherwise, as {argument}='rerank_{argument}'")
        if instruction is None and "instruction" in whole.schema.names:
            raise ValueError(
                "the table has a column 'instruction', and all rows of a table are scored with one: give it as instruction=…, or drop "
                "the column; score_arrow takes one table for each instruction"
            )
        queries, texts = _strings(whole, query), _strings(whole, text)
        if title is not None and (title != "title" or title in whole.schema.names):
            texts = _titled(_strings(whole, title, has_nulls=True), texts)
        columns = [_buffers(chunk) for chunk in queries], [_buffers(chunk) for chunk in texts]
        logits, scores, _ = self._arrays(self._model.score_columns(*columns, instruction))
        for name, values in ((score, scores), (logit, logits)):
            whole = whole.append_column(name, pa.array(values))
        return whole

    def close(self) -> None:
        """Frees the model's memory, once the calls at hand have ended. Later calls raise ``RuntimeError``."""
        self._model.close()

    def __enter__(self) -> Reranker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def model(self) -> str:
        """The model as it was named, with its adapter."""
        return self._model.model

    @property
    def device(self) -> str:
        """The devices that compute."""
        return self._model.device

    @property
    def dtype(self) -> str:
        """The precision that was chosen: ``"f32"``, ``"bf16"``, ``"f16"``, ``"int8"``, ``"int16"`` or ``"fp8"``."""
        return self._model.dtype

    @property
    def kernels(self) -> str:
        """The class of kernels. Where model, dtype and kernels are equal, scores are equal to the bit."""
        return self._model.kernels

    @property
    def recipe(self) -> str:
        """The name of the recipe: how a pair becomes a prompt, and a logit a score."""
        return self._model.recipe

    @property
    def max_length(self) -> int:
        """The most tokens of a prompt."""
        return self._model.max_length

    def __repr__(self) -> str:
        closed = ", closed" if self._model.closed else ""
        return f"Reranker({self.model!r}, device={self.device!r}, dtype={self.dtype!r}{closed})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Reranker holds a loaded model and can't be sent to another process; make it in the process that uses it, as the "
            "constructor of a Ray actor or a cached function does"
        )

    @staticmethod
    def _arrays(columns: tuple[bytearray, bytearray, bytearray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits, scores, truncated = columns
        return np.frombuffer(logits, np.float32), np.frombuffer(scores, np.float32), np.frombuffer(truncated, np.bool_)


def _in_order(values: Any, name: str) -> Any:
    """The values, unless they have no order: their scores could not be told from each other."""
    if isinstance(values, (Set, Mapping)):
        raise TypeError(f"{name}: a list is expected, and this is of type {type(values).__name__}, which has no order of its own")
    return values


def _table(table: Any) -> pa.Table | pa.RecordBatch:
    """A table or record batch of pyarrow, from what can be one."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("score_arrow needs pyarrow: install rerank with [arrow], or pyarrow itself", name="pyarrow") from error

    if isinstance(table, (pa.RecordBatch, pa.Table)):
        return table
    try:
        return pa.table(table)
    except (TypeError, ValueError) as error:
        kind = type(table).__name__
        remedy = "collect() it first" if kind == "LazyFrame" else f"a table, a record batch or a data frame is expected ({error})"
        raise TypeError(f"table: this is of type {kind}; {remedy}") from error


def _strings(table: pa.Table | pa.RecordBatch, name: str, has_nulls: bool = False) -> list[pa.LargeStringArray]:
    """A column of strings in pieces, of which none is empty."""
    import pyarrow as pa

    found = table.schema.names.count(name)
    if found != 1:
        several = "several columns" if found else "no column"
        raise ValueError(f"the table has {several} {name!r}; its columns are {', '.join(table.schema.names)}")
    kind = table.schema.field(name).type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(values) or pa.types.is_large_string(values) or pa.types.is_string_view(values)):
        raise TypeError(f"the column {name!r} is of type {kind}, and strings are expected")
    column = table.column(name)
    chunks = [_decoded(chunk) for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])]
    before = 0
    for chunk in chunks:
        if chunk.null_count and not has_nulls:
            row = before + chunk.is_null().to_pylist().index(True)
            raise ValueError(f"row {row} has no text in the column {name!r}; leave such rows out, or fill them, as with \"\"")
        before += len(chunk)
    return [chunk for chunk in chunks if len(chunk)]


def _titled(titles: list[pa.LargeStringArray], texts: list[pa.LargeStringArray]) -> list[pa.LargeStringArray]:
    """Texts with their titles in front of them, and a space between; the text alone where the title is missing or blank."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.large_string()
    trimmed = pc.utf8_trim_whitespace(pc.fill_null(pa.chunked_array(titles, kind), ""))
    alone = pa.chunked_array(texts, kind)
    joined = pc.binary_join_element_wise(trimmed, alone, pa.scalar(" ", kind))
    return [chunk for chunk in pc.if_else(pc.equal(trimmed, ""), alone, joined).chunks if len(chunk)]


def _decoded(chunk: pa.Array) -> pa.LargeStringArray:
    """Large strings of an array of strings of any kind."""
    import pyarrow as pa

    # pyarrow's own cast takes no dictionaries of string views, which polars' categories are.
    if pa.types.is_dictionary(chunk.type):
        return chunk.dictionary.cast(pa.large_string()).take(chunk.indices)
    return chunk.cast(pa.large_string())


def _buffers(chunk: pa.Array) -> tuple[bytes, bytes]:
    """The offsets and the bytes of an array of large strings, of which a slice has no more than its own."""
    _, offsets, texts = chunk.buffers()
    own = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return (own - own[0]).tobytes(), b"" if texts is None else texts[own[0] : own[-1]].to_pybytes()
