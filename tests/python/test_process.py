"""The package leaves the process alone: its signals, its forks, its end."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import MODEL


def run(code: str, **options) -> subprocess.CompletedProcess:
    """Runs a program of Python."""
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(MODEL)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, **options)


def test_neither_import_nor_loading_changes_handlers_of_signals():
    ran = run("""
        import signal, sys
        def handlers():
            lines = [line.split() for line in open("/proc/self/status")]
            masks = {line[0]: int(line[1], 16) for line in lines if line[0] in ("SigIgn:", "SigCgt:", "SigBlk:")}
            # The two signals behind the first 31 are the C library's own, which takes them with the first thread.
            return masks["SigIgn:"], masks["SigBlk:"], masks["SigCgt:"] & 0x7FFFFFFF, [
                signal.getsignal(number) for number in signal.valid_signals()
            ]
        before = handlers()
        from rerank import Reranker
        import numpy
        assert handlers() == before
        with Reranker(sys.argv[1]) as reranker:
            reranker.score([("a", "b")])
        assert handlers() == before
    """)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "" and ran.stderr == ""


def interrupted(code: str) -> subprocess.CompletedProcess:
    """Runs a program that prints a line, and interrupts it then."""
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(MODEL)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    process.send_signal(signal.SIGINT)
    # What it does would take hours.
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


def test_an_interrupt_ends_a_call_and_the_model_goes_on():
    ran = interrupted("""
        import signal, sys, threading
        from rerank import Reranker
        reranker = Reranker(sys.argv[1], dtype="f32")
        pairs = [(f"query {number}", f"moon {number} " * 500) for number in range(100_000)]
        threading.Timer(0.2, lambda: print("ready", flush=True)).start()
        try:
            reranker.score(pairs)
        except KeyboardInterrupt:
            print(len(reranker.score(pairs[:3])))
    """)
    assert (ran.returncode, ran.stdout) == (0, "3\n"), ran.stderr


def test_an_interrupt_that_nobody_catches_ends_the_process():
    ran = interrupted("""
        import sys, threading
        from rerank import Reranker
        reranker = Reranker(sys.argv[1], dtype="f32")
        pairs = [(f"query {number}", f"moon {number} " * 500) for number in range(100_000)]
        threading.Timer(0.2, lambda: print("ready", flush=True)).start()
        reranker.score(pairs)
    """)
    assert ran.returncode == -signal.SIGINT and "KeyboardInterrupt" in ran.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no forks")
def test_a_fork_is_refused_a_model_and_its_parent_is_not():
    ran = run("""
        import os, sys, warnings
        from rerank import Reranker
        warnings.simplefilter("ignore")
        reranker = Reranker(sys.argv[1])
        child = os.fork()
        if child == 0:
            for work in (lambda: reranker.score([("a", "b")]), lambda: Reranker(sys.argv[1])):
                try:
                    work()
                except RuntimeError as error:
                    print(error)
            # It ends as a process does, and waits for no thread of its parent.
            del reranker
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), len(reranker.score([("a", "b")])))
    """)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0 and lines[-1] == "7 1", ran.stderr
    assert len(lines) == 3 and all("before this process was forked" in line for line in lines[:2])


def test_workers_that_were_forked_before_load_models():
    ran = run("""
        import multiprocessing, sys
        import rerank
        def score(number):
            with rerank.Reranker(sys.argv[1], dtype="f32", threads=1) as reranker:
                return reranker.score([("red", "red planet")]).tobytes()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(len(set(pool.map(score, range(4)))))
    """)
    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr


def test_a_process_ends_though_a_thread_still_scores():
    ran = run("""
        import sys, threading, time
        from rerank import Reranker
        reranker = Reranker(sys.argv[1], dtype="f32")
        pairs = [(f"query {number}", f"moon {number} " * 500) for number in range(100_000)]
        threading.Thread(target=reranker.score, args=(pairs,), daemon=True).start()
        time.sleep(0.3)
        print("done")
    """)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


def test_what_was_chosen_is_logged():
    ran = run("""
        import logging, sys
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
        from rerank import Reranker
        Reranker(sys.argv[1], dtype="f32", device="cpu")
    """)
    assert "DEBUG rerank model: qwen3" in ran.stdout and ran.stderr == "", ran.stderr


def test_the_package_has_its_types():
    import rerank

    assert (Path(rerank.__file__).parent / "py.typed").exists()
