//! The text that follows the options in the help and the man page: formats, examples, environment, exit statuses.

/// A heading and its lines. A line that begins with two spaces is printed as it is; any other line is a paragraph and is
/// wrapped.
pub(super) type Section = (&'static str, &'static str);

pub(super) const SECTIONS: [Section; 5] = [
    (
        "Input formats",
        "\
JSONL: a query with its candidates or a pair on each line. Lists and objects over several lines are read too.
  {\"query_id\":\"q1\",\"query\":\"…\",
   \"candidates\":[{\"id\":\"d1\",\"text\":\"…\",\"title\":\"…\",\"score\":12.3}]}
  {\"query_id\":\"q1\",\"query\":\"…\",\"id\":\"d1\",\"text\":\"…\"}
CSV and TSV have a header with such names. The field's other names are understood too, in any case and with anything between their words (doc_id, docId, Doc ID): qid, docid, documents, passages, contents, hits and more, as are documents of LangChain, LlamaIndex and Haystack, answers of Elasticsearch and Solr, requests of rerank services, and pos/neg lists. Only query and text are required. Rows of one query must follow one another, unless --group is given. A title is scored in front of the text; what else a candidate has is carried to the output. A record has at most 64 MiB.
Double quotes hold cells together in CSV and are text in TSV (--quotes). White space around cells is dropped if the header has some. A run of TREC (query Q0 document rank score tag), MS MARCO (query, document, rank) or Tevatron (query, document, score), or one in JSON (scores by documents by queries), needs --queries and --collection; records of other formats that have ids in the place of texts need the one whose texts they lack. Where a run's ranks do not order the documents of a query, their scores do, as in trec_eval. Parquet and Arrow files have a row for each pair, for each query with lists of candidates, or for each line of a run, with such names of columns. In other inputs scores do so where all candidates of a query have one rank.",
    ),
    (
        "Output formats",
        "\
JSONL: a query on each line, best first by logit, then by original rank; score is P(yes), or what --score and the model's files make of the logit.
  {\"query_id\":\"q1\",\"query\":\"…\",
   \"results\":[{\"rank\":1,\"id\":\"d1\",\"score\":0.98,\"logit\":3.9,…}]}
The output's extension determines the format: .trec or .run, .csv, .tsv, .parquet, else JSONL; behind text, .gz or .zst compresses. A Parquet file is there when it is whole, and is not resumed. Every ranking is written as soon as it is complete, and is on the disk within seconds. Two runs never write to one file at a time, and a file that is read is never overwritten. Nor is an output that exists, without --overwrite: --resume goes on with it, to the bytes of a run that was never broken off. OUTPUT.run.json records which run that is: its model, recipe, precision, options and input. An input that has grown is another one; a pipe is known by the order of its queries.",
    ),
    (
        "Examples",
        "\
Rank a file with the default model, downloaded once:
  rerank candidates.jsonl --output ranked.jsonl
In a pipeline, the ten best per query, without the texts:
  bm25 queries.txt | rerank --top-k 10 --no-text | jq -c '.results[].id'
A TREC run with its collection, to a run for trec_eval:
  rerank --input bm25.trec --queries queries.tsv --collection corpus.jsonl \\
         --output reranked.trec
Begin a long run, or go on with it if it was broken off:
  rerank big.jsonl.zst --output ranked.jsonl.zst --resume
One of 256 workers of a Slurm array, and what makes one output of their parts:
  rerank big.jsonl.zst --output parts --shard auto
  rerank merge parts --output ranked.jsonl.zst
A CSV file whose columns have other names:
  rerank pairs.csv --columns query=question,text=passage --output ranked.csv
A table without a header, as MS MARCO's top1000:
  rerank top1000.tsv --no-header --columns query_id,id,query,text \\
         --output-format msmarco
Are the scores of this model right? They are compared with published ones:
  rerank check --model BAAI/bge-reranker-v2-m3
How good are these rankings, by judgements, and is one better than the other?
  rerank eval --qrels qrels.txt bm25.trec ranked.jsonl
What would it cost? Counts, token lengths and time, no weights needed:
  rerank candidates.jsonl --dry-run",
    ),
    (
        "Environment",
        "  HF_HOME, HF_HUB_CACHE  where downloaded models are kept
  HF_TOKEN               for gated models on the Hugging Face hub
  HF_ENDPOINT            another hub
  HF_HUB_OFFLINE         1 uses downloaded files only
  HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT
                         seconds to wait for the hub: answers, data
  RAYON_NUM_THREADS      threads, if --threads is not given
  RERANK_INSTRUCTIONS    kernels of the CPU (see below)
  TMPDIR                 where a compressed collection is unpacked
  HTTPS_PROXY            a proxy on the way to the hub
RERANK_INSTRUCTIONS=LEVEL/products=UNIT/attention=UNIT, each part of which may be left out, forces kernels: LEVEL is plain (on AArch64 neon), avx2, avx512, avx512-bf16 or amx, the best that the processor has by default; UNIT is bf16 or f32 and selects the instructions that multiply the operands of linear layers in bf16, and of attention in bf16 and int8: by default those that are measured to be faster in linear layers. --verbose and --stats report what ran, in the same form; on other kernels scores differ by rounding.",
    ),
    (
        "Exit status",
        "  0    done
  1    failed, records were skipped, a score is off in rerank check, or
       not all shards are done in rerank status
  2    wrong usage
  129  hung up, 130 interrupted, 143 terminated: complete rankings are written",
    ),
];

/// The sections as the help shows them.
pub(super) fn after_help() -> String {
    let mut text = String::new();
    for (heading, lines) in SECTIONS {
        let break_before = if text.is_empty() { "" } else { "\n\n" };
        text += &format!("{break_before}{heading}:");
        for line in lines.lines() {
            text += &format!("\n  {line}");
        }
    }
    text
}
