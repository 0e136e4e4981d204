// The names under which files keep queries and candidates.

const NAMES = {
  text: ["text", "document", "passage", "contents", "content", "body", "documenttext", "passagetext", "doctext", "pagecontent", "chunk", "doc"],
  title: ["title"],
  id: ["id", "docid", "documentid", "docno", "passageid", "pid", "did", "corpusid"],
  query: ["query", "question", "querytext"],
  queryId: ["queryid", "qid", "questionid"],
  instruction: ["instruction"],
  list: ["candidates", "documents", "passages", "texts", "docs", "results", "hits", "contexts", "ctxs"],
  ids: ["ids", "docids"],
};

/** What a file may call the text of a candidate, for messages. */
export const TEXT_NAMES = "text, document, passage, contents, content, body, title";

/** A name without what people put between its words: "Doc ID" and "doc_id" are one. */
export function plain(name) {
  return name.toLowerCase().replace(/[\s_.\-]+/g, "");
}

/** Of these names, the one for `field` that stands first in the list above, or undefined. */
export function find(names, field) {
  for (const known of NAMES[field]) {
    const found = names.find((name) => plain(name) === known);
    if (found !== undefined) return found;
  }
  return undefined;
}
