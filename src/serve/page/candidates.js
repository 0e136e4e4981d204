// From text and files to queries with candidates, and sentences about what could not be used.

import { find, TEXT_NAMES } from "./fields.js";
import { FileProblem, rowsOf } from "./tables.js";

/** The largest file; more belongs on the command line. */
const MOST_BYTES = 64 * 1024 * 1024;
/** The most names or lines that a sentence lists. */
const MOST_NAMED = 8;

const FOREIGN = {
  parquet: "Parquet", arrow: "Arrow", feather: "Feather", xlsx: "Excel", xls: "Excel", ods: "OpenDocument", pdf: "PDF", docx: "Word",
  zip: "ZIP", zst: "Zstandard", xz: "xz", bz2: "bzip2", png: "PNG", jpg: "JPEG",
};

/** The candidates of a text area: its lines, but for empty ones. */
export function fromLines(text) {
  return text.split(/\r\n|\n|\r/).filter((line) => line.trim() !== "").map((line) => candidate(line));
}

/** Whether lines look like JSON, and not like texts. */
export function looksLikeJson(text) {
  const first = text.trimStart().split("\n", 1)[0];
  if (first === "[") return true;
  try {
    return first[0] === "{" || first[0] === "[" ? typeof JSON.parse(first) === "object" : false;
  } catch {
    return false;
  }
}

/** What a file holds: `{groups: [{query, instruction, candidates}], notes: [sentence]}`. Throws a FileProblem. */
export async function fromFile(file) {
  const [, extension = "", gzip] = /\.(\w+?)(\.gz)?$/i.exec(file.name) ?? [];
  const kind = extension.toLowerCase();
  if (FOREIGN[kind]) throw new FileProblem(`${file.name}: ${FOREIGN[kind]} can’t be read here. JSONL, JSON, CSV, TSV and plain text can.`);
  if (file.size > MOST_BYTES) {
    throw new FileProblem(`${file.name} is larger than 64 MiB, too much for a page. The command line ranks files of any size.`);
  }
  const text = await decoded(file, Boolean(gzip) || kind === "gz");
  return fromText(text, kind, file.name);
}

/** The text of a file in UTF-8, or in UTF-16 with its mark. */
async function decoded(file, gzip) {
  let bytes;
  try {
    const stream = gzip ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
    bytes = new Uint8Array(await bounded(stream, file.name));
  } catch (problem) {
    if (problem instanceof FileProblem) throw problem;
    throw new FileProblem(`${file.name} can’t be read${gzip ? ": it is no complete gzip file" : ""}. Is it a file, and not a folder?`);
  }
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    if (text.includes("\0")) throw new TypeError("binary");
    return text;
  } catch {
    throw new FileProblem(`${file.name} is not text in UTF-8. Save it as UTF-8.`);
  }
}

/** All bytes of a stream; a small file may decompress to a huge one. */
async function bounded(stream, name) {
  const parts = [];
  let size = 0;
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).arrayBuffer();
    size += value.length;
    if (size > MOST_BYTES) throw new FileProblem(`${name} is larger than 64 MiB once it is decompressed, too much for a page.`);
    parts.push(value);
  }
}

/** Reads the text of a file. The format follows from the extension, else from the content. */
export function fromText(text, extension, name) {
  const notes = [];
  const reading = { name, notes, groups: [], unused: new Set(), skipped: new Map() };
  if (extension === "csv" || extension === "tsv" || extension === "tab") {
    readTable(text, extension !== "csv", reading);
  } else if (extension === "json" || extension === "jsonl" || extension === "ndjson" || looksLikeJson(text)) {
    for (const record of jsonRecords(text, reading)) readRecord(record, reading);
  } else if (looksLikeTable(text)) {
    readTable(text, false, reading);
  } else {
    if (extension && extension !== "txt") notes.push(`${name} was read as plain text, a candidate a line.`);
    reading.groups.push({ candidates: fromLines(text) });
  }
  return finished(reading);
}

function finished({ name, notes, groups, unused, skipped }) {
  const usable = groups.filter((group) => group.candidates.length > 0);
  for (const [reason, places] of skipped) notes.push(`Left out: ${listed(places)}, ${places.length === 1 ? "which has" : "which have"} ${reason}.`);
  const empty = groups.filter((group) => group.query !== undefined && group.candidates.length === 0).length;
  if (empty) notes.push(`Left out: ${empty.toLocaleString("en")} ${empty === 1 ? "query" : "queries"} without candidates.`);
  const twice = new Set(usable.flatMap(({ candidates }) => repeated(candidates.map(({ id }) => id))));
  if (twice.size) notes.push(`Ids that stand twice among a query’s candidates: ${listed([...twice])}. The command line refuses them.`);
  if (unused.size) notes.push(`Fields that this page does not use: ${listed([...unused])}.`);
  if (!usable.length && !notes.length) throw new FileProblem(`${name} is empty.`);
  if (!usable.length) throw new FileProblem([`${name} has no candidates that can be used.`, ...notes].join(" "));
  return { groups: usable, notes };
}

/** The ids that stand twice; some have none. */
function repeated(ids) {
  const seen = new Set();
  return ids.filter((id) => id !== undefined && (seen.has(id) || !seen.add(id)));
}

function listed(names) {
  const rest = names.length - MOST_NAMED;
  return rest > 0 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${rest.toLocaleString("en")} more` : names.join(", ");
}

/** Whether the first line is a header that names a text. */
function looksLikeTable(text) {
  const header = /^[^\r\n]*/.exec(text)[0];
  if (!/[,;\t]/.test(header) || header.length > 1000) return false;
  return find(header.split(/[,;\t]/).map((name) => name.replaceAll('"', "")), "text") !== undefined;
}

function readTable(text, isTsv, reading) {
  const [header, ...rows] = rowsOf(text, isTsv);
  if (!header) throw new FileProblem(`${reading.name} is empty.`);
  const names = header.cells.map((name) => name.trim());
  const twice = names.find((name, at) => names.indexOf(name) < at);
  if (twice !== undefined) throw new FileProblem(`${reading.name} has two columns with the name “${twice}” in its first line. Give one of them another name.`);
  if (!find(names, "text") && !find(names, "title")) {
    throw new FileProblem(`${reading.name} has the columns ${listed(names)} in its first line, and none of them is a text. `
      + `Name one of them text (${TEXT_NAMES} are understood).`);
  }
  for (const { line, cells } of rows) {
    if (cells.length !== names.length) skip(reading, `line ${line}`, `not as many cells as the header (${names.length})`);
    else readRecord({ place: `line ${line}`, value: Object.fromEntries(names.map((name, at) => [name, cells[at]])) }, reading);
  }
}

/** The records of JSON or JSONL as `{place, value}`. */
function jsonRecords(text, reading) {
  let whole;
  try {
    whole = parsed(text);
  } catch {
    return text.split("\n").flatMap((line, at) => {
      if (line.trim() === "") return [];
      try {
        return [{ place: `line ${at + 1}`, value: parsed(line) }];
      } catch {
        skip(reading, `line ${at + 1}`, "no valid JSON");
        return [];
      }
    });
  }
  return Array.isArray(whole) ? whole.map((value, at) => ({ place: `record ${at + 1}`, value })) : [{ place: "record 1", value: whole }];
}

/** JSON whose large whole numbers keep all digits: ids are often such. */
function parsed(text) {
  return JSON.parse(text, (_, value, context) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? context?.source ?? value : value));
}

function skip(reading, place, reason) {
  if (!reading.skipped.has(reason)) reading.skipped.set(reason, []);
  reading.skipped.get(reason).push(place);
}

/** Reads a query with its candidates, a pair, or a candidate alone. */
function readRecord({ place, value }, reading) {
  if (typeof value === "string") return addPair(reading, {}, candidate(value), place);
  if (value === null || typeof value !== "object" || Array.isArray(value)) return skip(reading, place, "neither a text nor an object");
  const names = namesOf(value);
  const list = find(names, "list");
  const queryId = Array.isArray(value[list]) ? "groupQueryId" : "queryId";
  const head = headOf(value, { names, queryId }, reading, place);
  if (list === undefined || !Array.isArray(value[list])) {
    const found = candidateOf(value, names, reading, ["query", "queryId", "instruction"]);
    return found ? addPair(reading, head, found, place) : skip(reading, place, `no text (fields: ${listed(names)})`);
  }
  const ids = value[find(names, "ids")];
  const used = new Set([list, ...["query", "groupQueryId", "instruction", "ids"].map((field) => find(names, field))]);
  names.filter((name) => !used.has(name)).forEach((name) => reading.unused.add(name));
  const group = { ...head, candidates: [] };
  value[list].forEach((entry, at) => {
    const isObject = entry !== null && typeof entry === "object";
    const found = typeof entry === "string" ? candidate(entry) : isObject ? candidateOf(entry, namesOf(entry), reading, []) : undefined;
    if (!found) return skip(reading, `candidate ${at + 1} of ${place}`, "no text");
    if (Array.isArray(ids) && found.id === undefined && ids[at] != null) found.id = String(ids[at]);
    if (usableText(found, reading, `candidate ${at + 1} of ${place}`)) group.candidates.push(found);
  });
  reading.groups.push(group);
}

/** The names of an object's fields. One that is null counts as absent. */
function namesOf(value) {
  return Object.keys(value).filter((name) => value[name] !== null);
}

/** The query, its id and the instruction of a record. */
function headOf(value, { names, queryId }, reading, place) {
  const head = {};
  for (const field of ["query", "instruction"]) {
    const found = value[find(names, field)];
    if (found == null || found === "") continue;
    const text = typeof found === "object" ? found.text : found;
    if (typeof text === "string") head[field] = text;
    else skip(reading, place, `no text as its ${field}`);
  }
  const id = value[find(names, queryId)];
  if (id != null) head.queryId = String(id);
  return head;
}

/** The candidate that an object holds, or undefined if it holds no text. */
function candidateOf(value, names, reading, others) {
  const field = find(names, "text");
  const title = find(names, "title");
  let text = value[field];
  if (text && typeof text === "object" && !Array.isArray(text)) {
    const inner = candidateOf(text, namesOf(text), reading, []);
    if (inner && inner.id === undefined && value[find(names, "id")] != null) inner.id = String(value[find(names, "id")]);
    return inner;
  }
  if (field === undefined && title === undefined) return undefined;
  if (text != null && typeof text !== "string") return undefined;
  text ??= "";
  const used = new Set(["text", "title", "id", ...others].map((name) => find(names, name)));
  names.filter((name) => !used.has(name)).forEach((name) => reading.unused.add(name));
  const id = value[find(names, "id")];
  return candidate(text, typeof value[title] === "string" ? value[title] : undefined, id == null ? undefined : String(id));
}

/** A candidate. As on the command line, a title is scored in front of the text. */
function candidate(text, title, id) {
  return { text, title: title || undefined, id };
}

/** The text that the model scores. */
export function documentOf({ text, title }) {
  const trimmed = (title ?? "").replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
  return trimmed ? `${trimmed} ${text}` : text;
}

function usableText(found, reading, place) {
  if (documentOf(found).trim() !== "") return true;
  skip(reading, place, "an empty text");
  return false;
}

/** Adds a candidate to the query that it names, which is the last one's in most files. */
function addPair(reading, head, found, place) {
  if (!usableText(found, reading, place)) return;
  const last = reading.groups.at(-1);
  const isSame = last && (head.queryId === undefined && last.queryId === undefined
    ? head.query === undefined || head.query === last.query
    : head.queryId === last.queryId && (head.query === undefined || last.query === undefined || head.query === last.query));
  if (isSame) {
    last.candidates.push(found);
    last.query ??= head.query;
  } else {
    reading.groups.push({ ...head, candidates: [found] });
  }
}
