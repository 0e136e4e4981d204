"""The command that comes with the package is the program itself: its exit statuses, signals and pipes."""

import signal
import subprocess

from conftest import COMMAND, MODEL, TESTDATA, command


def test_exit_statuses_are_those_of_the_program():
    assert command("--model", MODEL, TESTDATA / "candidates.jsonl").returncode == 0
    assert command("--model", "./missing", TESTDATA / "candidates.jsonl").returncode == 2
    assert command("--model", MODEL, input="{").returncode == 1


def test_a_signal_lets_it_finish_its_batch():
    arguments = [COMMAND, "--model", "fake", "--input-format", "jsonl"]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdin.write(b'{"query": "red", "candidates": [{"text": "red"}]}\n')
    process.stdin.flush()
    assert process.stdout.readline().startswith(b'{"query_id":"1"')
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143


def test_a_reader_that_has_enough_ends_it():
    line = '{"query": "red", "candidates": [{"text": "red"}]}\n'
    with open("/dev/null", "w") as nowhere:
        process = subprocess.Popen(
            [COMMAND, "--model", "fake"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=nowhere, text=True
        )
        process.stdin.write(line)
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.communicate(line * 10_000, timeout=60)
        except (BrokenPipeError, ValueError):
            process.wait(timeout=60)
    assert process.returncode == 0
