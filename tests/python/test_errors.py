"""What can't be obeyed is refused by name: with a Python exception, in the words of the command, and with arguments' names."""

import pickle

import numpy as np
import pytest
from conftest import MODEL

from rerank import Reranker


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"model": "./no-such-model"}, ValueError, "model ./no-such-model"),
        ({"model": 3}, TypeError, "model: a str is expected, and this is of type int"),
        ({"dtype": "f23"}, ValueError, "dtype=\"f23\": it is one of auto, f32, bf16, f16, int8"),
        ({"score": "softmax"}, ValueError, "auto, sigmoid, raw"),
        ({"device": "gpu"}, ValueError, "device=\"gpu\": use auto, cpu"),
        ({"max_length": 0}, ValueError, "max_length=0: a whole number from 1"),
        ({"max_length": 10**30}, ValueError, "max_length=1000"),
        ({"batch_size": -1}, ValueError, "batch_size=-1"),
        ({"batch_size": 1.5}, TypeError, "batch_size: a whole number"),
        ({"threads": True}, TypeError, "threads: a whole number"),
        ({"threads": 1023}, ValueError, "threads=1023: the models of this process share"),
        ({"revision": "v2"}, ValueError, "revision \"v2\": only models on the hub"),
        ({"instruction": " "}, ValueError, "instruction is empty"),
        ({"instruction": "@missing.txt"}, ValueError, "missing.txt"),
        ({"adapter": "./missing"}, ValueError, "adapter ./missing"),
        ({"recipe": "missing.toml"}, ValueError, "missing.toml"),
        ({"gpu_memory": 1 << 30}, ValueError, "gpu_memory: no GPU computes here"),
        ({"max_length": 10**6}, (ValueError, RuntimeError), "max_length"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(reranker, arguments, error, named):
    with pytest.raises(error) as raised:
        Reranker(**{"model": MODEL, "device": "cpu", "dtype": "f32", **arguments})
    assert named in str(raised.value) and "--" not in str(raised.value)


@pytest.mark.parametrize(
    ("pairs", "error", "named"),
    [
        ([("a", "b"), ("a",)], TypeError, "pairs[1]: a tuple or a list of two texts"),
        ([("a", "b"), "ab"], TypeError, "pairs[1]: a tuple or a list of two texts"),
        ([("a", None)], TypeError, "pairs[0]: a str is expected, and this is of type NoneType"),
        ([("a", "b"), (" ", "b")], ValueError, "pairs[1]: the query is empty"),
        ([("a", "\ud800")], ValueError, "pairs[0]: the text has half of a pair of surrogates"),
        (3, TypeError, "int"),
    ],
)
def test_pairs_that_can_not_be_scored_are_refused_with_their_place(reranker, pairs, error, named):
    with pytest.raises(error) as raised:
        reranker.score(pairs)
    assert named in str(raised.value)


def test_a_query_that_leaves_no_room_is_refused(reranker):
    with pytest.raises(ValueError, match=r"pairs\[1\]: the query and its instruction leave no room.*raise max_length"):
        reranker.score([("a", "b"), ("moons " * 9000, "b")])
    with pytest.raises(TypeError, match="documents: a list of texts is expected"):
        reranker.rank("a", "text")
    with pytest.raises(ValueError, match="^query: the query is empty"):
        reranker.rank("", ["text"])
    with pytest.raises(ValueError, match="top_k=0"):
        reranker.rank("a", ["text"], top_k=0)


def test_a_model_that_is_closed_scores_no_more(pairs):
    with Reranker(MODEL, dtype="f32", device="cpu") as reranker:
        assert repr(reranker) == f"Reranker({str(MODEL)!r}, device='cpu', dtype='f32')"
    assert "closed" in repr(reranker)
    reranker.close()
    with pytest.raises(RuntimeError, match="the model was closed"):
        reranker.score(pairs)


def test_a_model_is_not_sent_to_another_process(reranker):
    with pytest.raises(TypeError, match="make it in the process that uses it"):
        pickle.dumps(reranker)


def test_the_fake_model_needs_no_files():
    with Reranker("fake") as reranker:
        assert [ranked.index for ranked in reranker.rank("red planet", ["blue", "red planet", "red"])] == [1, 2, 0]


def test_texts_without_an_order_are_refused(reranker):
    for unordered in {"a", "b"}, frozenset(("a", "b")), {"a": "b"}:
        with pytest.raises(TypeError, match="documents: .* no order"):
            reranker.rank("a", unordered)
        with pytest.raises(TypeError, match="pairs: .* no order"):
            reranker.score(unordered)


def test_an_empty_instruction_is_refused(reranker):
    for call in (lambda: reranker.rank("a", ["text"], instruction=" "), lambda: reranker.score([("a", "b")], instruction="")):
        with pytest.raises(ValueError, match="instruction: it is empty"):
            call()


def test_whole_numbers_of_numpy_are_whole_numbers(reranker):
    assert len(reranker.rank("a", ["one", "two"], top_k=np.int64(1))) == 1
    for wrong in (True, 1.0, "1"):
        with pytest.raises(ValueError, match="top_k"):
            reranker.rank("a", ["one"], top_k=wrong)
