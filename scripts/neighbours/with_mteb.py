# /// script
# requires-python = ">=3.11"
# dependencies = ["mteb==2.26.24"]
#
# [tool.uv]
# # To import mteb takes them all. Its code that writes predictions needs none.
# exclude-dependencies = [
#     "datasets", "numpy", "polars", "pydantic", "pytrec-eval-terrier", "requests", "rich", "scikit-learn", "scipy",
#     "sentence-transformers", "torch", "tqdm", "transformers", "typing-extensions",
# ]
# ///
"""mteb's own code writes files of predictions, which `rerank eval` reads. It refuses several splits in one file."""

import ast
import json
import random
import subprocess
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace

from data import RERANK, evaluate, judgements, run, write_qrels, write_run

WRITERS = ["_save_task_predictions", "_predictions_path", "prediction_file_name"]


def published() -> SimpleNamespace:
    """A task of mteb with nothing but the published functions that write predictions."""
    source = Path(distribution("mteb").locate_file("mteb/abstasks/abstask.py"))
    tree = ast.parse(source.read_text())
    [task] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "AbsTask"]
    task.bases, task.keywords, task.decorator_list = [], [], []
    task.body = [node for node in task.body if getattr(node, "name", None) in WRITERS]
    assert len(task.body) == len(WRITERS), f"{source} has other functions"
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    names = {"json": json, "Path": Path}
    exec(compile(ast.fix_missing_locations(ast.Module([future, task], [])), source, "exec"), names)
    return names["AbsTask"]()


with tempfile.TemporaryDirectory() as name:
    directory, source = Path(name), random.Random(7)
    grades = judgements(source, 40)
    scores = run(source, grades, ties=True)
    qrels, trec = write_qrels(directory / "qrels", grades), write_run(directory / "run.trec", scores)

    task = published()
    task.metadata = SimpleNamespace(name="NeighboursRetrieval")
    model = SimpleNamespace(mteb_model_meta=SimpleNamespace(name="some/model", revision="1"))
    task._save_task_predictions(scores, model, directory, hf_split="test", hf_subset="default")
    predictions = directory / "NeighboursRetrieval_predictions.json"
    plain = directory / "run.json"
    plain.write_text(json.dumps(scores))

    arguments = "--qrels", qrels, f"trec={trec}", f"mteb={predictions}", f"pytrec_eval={plain}", "--test", "none"
    first, *others = (list(values.values())[1:] for values in evaluate(*arguments))
    assert all(values == first for values in others) and first[-2] > 0, (first, others)
    print("mteb: its predictions have the values of the TREC run")

    task._save_task_predictions(scores, model, directory, hf_split="dev", hf_subset="default")
    refused = subprocess.run([RERANK, "eval", "--qrels", qrels, predictions], capture_output=True, text=True)
    assert refused.returncode == 1 and "several splits" in refused.stderr and "jq" in refused.stderr, refused.stderr
    print("mteb: predictions for two splits are refused with a remedy")
