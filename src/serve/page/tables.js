// CSV and TSV.

/** A problem of a file, as a sentence. */
export class FileProblem extends Error {}

/** The delimiter of a table whose first line is `header`: a tab, or the commoner of comma and semicolon. */
function delimiterOf(header) {
  const bare = header.replace(/"[^"]*"/g, "");
  if (bare.includes("\t")) return "\t";
  return bare.split(";").length > bare.split(",").length ? ";" : ",";
}

/** The rows of a table as `{line, cells}`. In TSV a double quote is text, unless the header stands in quotes. */
export function rowsOf(text, isTsv) {
  const declared = /^sep=(.)\r?\n/i.exec(text);
  const start = declared ? declared[0].length : 0;
  const header = /^[^\r\n]*/.exec(text.slice(start))[0];
  const delimiter = declared?.[1] ?? (isTsv ? "\t" : delimiterOf(header));
  const firstLine = declared ? 2 : 1;
  if (delimiter === "\t" && !header.startsWith('"')) {
    return text.slice(start).split(/\r\n|\n|\r/).map((line, at) => ({ line: at + firstLine, cells: line.split("\t") }))
      .filter((row) => row.cells.length > 1 || row.cells[0] !== "");
  }
  return quotedRows(text.slice(start), delimiter, firstLine);
}

function quotedRows(text, delimiter, firstLine) {
  const rows = [];
  let line = firstLine;
  let row = { line, cells: [] };
  let at = 0;
  const endRow = () => {
    if (row.cells.length > 1 || row.cells[0] !== "") rows.push(row);
    row = { line, cells: [] };
  };
  while (at < text.length) {
    const cell = text[at] === '"' ? quotedCell(text, at, line) : bareCell(text, at, delimiter);
    row.cells.push(cell.value);
    line += cell.lines;
    at = cell.end;
    if (text[at] === delimiter) {
      at += 1;
      if (at === text.length) row.cells.push("");
    } else if (at < text.length && text[at] !== "\n" && text[at] !== "\r") {
      throw new FileProblem(`Line ${line} has text behind a closing quote; quotes within a cell are doubled.`);
    } else {
      if (text[at] === "\r" && text[at + 1] === "\n") at += 1;
      at += 1;
      line += 1;
      endRow();
    }
  }
  if (row.cells.length) endRow();
  return rows;
}

function bareCell(text, at, delimiter) {
  let end = at;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && text[end] !== "\r") end += 1;
  return { value: text.slice(at, end), end, lines: 0 };
}

function quotedCell(text, at, line) {
  const parts = [];
  let from = at + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw new FileProblem(`The quote that opens a cell in line ${line} is never closed.`);
    parts.push(text.slice(from, quote));
    if (text[quote + 1] !== '"') {
      const value = parts.join('"');
      return { value, end: quote + 1, lines: value.split("\n").length - 1 };
    }
    from = quote + 2;
  }
}
