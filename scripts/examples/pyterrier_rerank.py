"""rerank as a stage of a PyTerrier pipeline:

pipeline = bm25 % 100 >> pt.text.get_text(index, "text") >> RerankTransformer("Qwen/Qwen3-Reranker-0.6B")
pt.Experiment([bm25, pipeline], topics, qrels, ["ndcg_cut_10"])
"""

import json
import subprocess

import pandas
import pyterrier as pt


class RerankTransformer(pt.Transformer):
    """Takes a frame with qid, query, docno, text, score and rank, and gives it with new scores and ranks.

    Scores are logits, or with --fuse the sums. `options` are rerank's own, as "--top-k", "20". A failure raises
    CalledProcessError, and standard error has rerank's message.
    """

    def __init__(self, model: str, *options: str, program: str = "rerank"):
        formats = ["--input-format", "jsonl", "--output-format", "jsonl", "--no-text", "--quiet"]
        self.command = [program, "--model", model, *formats, *options]

    def transform(self, inp: pandas.DataFrame) -> pandas.DataFrame:
        pt.validate.result_frame(inp, extra_columns=["query", "text"])
        if inp.empty:
            return inp
        # A query's rows have to stand together, in the order of the first stage.
        pairs = inp.sort_values(["qid", "rank"])[["qid", "query", "docno", "text", "score"]]
        lines = "".join(json.dumps(pair) + "\n" for pair in pairs.to_dict("records"))
        output = subprocess.run(self.command, input=lines, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
        rankings = [json.loads(line) for line in output.split("\n")[:-1]]
        rows = [
            # PyTerrier's first rank is 0.
            (ranking["query_id"], result["id"], result.get("fused", result["logit"]), result["rank"] - 1)
            for ranking in rankings
            for result in ranking["results"]
        ]
        ranked = pandas.DataFrame(rows, columns=["qid", "docno", "score", "rank"])
        rest = inp.drop(columns=["score", "rank"])
        return rest.merge(ranked, on=["qid", "docno"]).sort_values(["qid", "rank"], ignore_index=True)
