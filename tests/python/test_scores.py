"""Scores have the bits of the command's, whatever the order, the batch and the neighbours."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import MODEL, command, scored_by_command

import rerank
from rerank import Reranker


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_scores_have_the_bits_of_the_commands(pairs, dtype):
    logits, scores = scored_by_command(pairs, "--dtype", dtype)
    for options in ({}, {"batch_size": 1}, {"max_batch_tokens": 100}):
        with Reranker(MODEL, dtype=dtype, **options) as reranker:
            assert reranker.dtype == dtype
            for seed in range(3):
                order = random.Random(seed).sample(range(len(pairs)), len(pairs))
                shuffled = [pairs[index] for index in order]
                assert reranker.score(shuffled, logits=True).tobytes() == logits[order].tobytes()
                assert reranker.score(shuffled).tobytes() == scores[order].tobytes()


def test_many_pairs_are_scored_in_several_requests(reranker):
    # More than wait at a time, and more of one query than a request has.
    texts = [f"{number} moons and a red planet" for number in range(5000)]
    pairs = [("red planet", text) for text in texts] + [("moons", "moons " * 20000), ("a", ""), ("b", "moons " * 20000)]
    whole = reranker.score(pairs, logits=True)
    assert whole.dtype == np.float32 and whole.shape == (len(pairs),)
    some = random.Random(0).sample(range(len(pairs)), 50) + [5000, 5001, 5002]
    assert whole[some].tobytes() == reranker.score([pairs[index] for index in some], logits=True).tobytes()
    assert whole[some].tobytes() == scored_by_command([pairs[index] for index in some], "--dtype", "f32")[0].tobytes()


def test_an_array_of_scores_can_be_written_to_and_no_pairs_are_none(reranker):
    scores = reranker.score([("red", "a red planet")])
    scores += 1
    assert reranker.score([]).shape == (0,)
    assert reranker.score(iter([["red", "a red planet"]])).tolist() == [scores[0] - 1]


def test_several_threads_call_at_once(reranker, pairs):
    expected = reranker.score(pairs).tobytes()
    with ThreadPoolExecutor(8) as threads:
        assert {scores.tobytes() for scores in threads.map(reranker.score, [pairs] * 40)} == {expected}


def test_documents_are_ranked_as_the_command_ranks_them(reranker, pairs):
    query = pairs[0][0]
    documents = [document for other, document in pairs if other == query]
    ranking = reranker.rank(query, documents)
    logits = reranker.score([(query, document) for document in documents], logits=True)
    assert [ranked.index for ranked in ranking] == sorted(range(len(documents)), key=lambda index: -logits[index])
    assert all(ranked.document == documents[ranked.index] for ranked in ranking)
    assert all(np.float32(ranked.logit) == logits[ranked.index] and 0 < ranked.score < 1 for ranked in ranking)
    assert reranker.rank(query, documents, top_k=2) == ranking[:2]
    assert [ranked.index for ranked in reranker.rank(query, [documents[0]] * 3)] == [0, 1, 2]
    assert reranker.rank(query, []) == []


def test_an_instruction_counts_as_that_of_the_command(reranker, pairs):
    asked = "Does the document name a color?"
    logits, _ = scored_by_command(pairs, "--dtype", "f32", "--instruction", asked)
    assert reranker.score(pairs, logits=True, instruction=asked).tobytes() == logits.tobytes()
    with Reranker(MODEL, dtype="f32", instruction=asked, score="raw", threads=None) as instructed:
        assert instructed.score(pairs).tobytes() == logits.tobytes()
    assert reranker.score(pairs, logits=True).tobytes() != logits.tobytes()


def test_what_is_cut_is_marked_and_warned_of(caplog):
    with Reranker(MODEL, dtype="f32", max_length=100) as short:
        assert short.max_length == 100
        ranking = short.rank("moons", ["moons " * 200, "moons"])
    assert {ranked.index: ranked.truncated for ranked in ranking} == {0: True, 1: False}
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.name for record in warnings] == ["rerank"]
    assert "1 of 2 pairs" in warnings[0].getMessage() and "(max_length)" in warnings[0].getMessage()


def test_the_package_and_its_command_are_of_one_version():
    assert command("--version").stdout == f"rerank {rerank.__version__}\n"
