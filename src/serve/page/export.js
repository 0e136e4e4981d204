// The results in forms that other programs read.

import { documentOf } from "./candidates.js";
import { address, bodyOf, RANKING } from "./service.js";

/** The longest body that stands among curl's arguments: Linux allows 128 KiB for each. */
const LONGEST_ARGUMENT = 100_000;

function entry(result, candidates) {
  const { id, title, text } = candidates[result.index];
  return {
    rank: result.rank,
    id: id ?? String(result.index + 1),
    score: result.score,
    logit: result.logit,
    original_rank: result.index + 1,
    ...(result.truncated ? { truncated: true } : {}),
    ...(title ? { title } : {}),
    text,
  };
}

/** One object, as `rerank` writes it for a query. */
export function asJson({ query, candidates }, results) {
  return JSON.stringify({ query, results: results.map((result) => entry(result, candidates)) }, null, 2);
}

/** A line a result, which `rerank` also reads. */
export function asJsonLines({ query, candidates }, results) {
  return results.map((result) => `${JSON.stringify({ query, ...entry(result, candidates) })}\n`).join("");
}

function escaped(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * The request as a command. JSON itself writes what shells, terminals and their histories would change: `'`, `!`, `\` and control
 * characters, those of writing direction too. So single quotes are enough, in sh, bash, zsh and, for bodies that fit into arguments, fish.
 */
export function asCurl(request, candidates, { topK, threshold, raw, hasKey, most }) {
  if (candidates.length > most) {
    throw new Error(`A request can have at most ${most.toLocaleString("en")} documents, and these are ${candidates.length.toLocaleString("en")}: one command can’t rank them.`);
  }
  // What is undefined stands in no JSON.
  const body = { ...bodyOf(request, candidates.map(documentOf)), raw_scores: raw || undefined, top_n: topK, score_threshold: threshold };
  const json = JSON.stringify(body)
    .replaceAll("\\\\", "\\u005c")
    .replace(/['!\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, escaped);
  const key = hasKey ? ' \\\n  -H "Authorization: Bearer $RERANK_API_KEY"' : "";
  const start = `curl -sS '${address(RANKING)}' \\\n  -H 'Content-Type: application/json'${key} \\\n  `;
  return json.length > LONGEST_ARGUMENT ? `${start}--data-binary @- <<'JSON'\n${json}\nJSON\n` : `${start}--data-binary '${json}'\n`;
}

/** Puts text on the clipboard. Browsers give pages without TLS no clipboard but on loopback, so there is the old way too. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    if (!done) throw new Error("The browser gives this page no clipboard.");
  }
}

/** Saves text as a file. */
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
