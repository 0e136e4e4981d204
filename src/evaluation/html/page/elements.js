// What all parts of the page use: the data, elements, and numbers for the eye.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

/** An element with a class, text and children. Texts are only ever set as text. */
function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** A text of somebody else's, in its own writing direction. */
function foreign(name, className, text) {
  const made = element(name, className, text);
  made.dir = "auto";
  return made;
}

/** An element of a drawing, with its attributes. */
function shape(name, attributes, ...content) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...content);
  return made;
}

/** A table's row. A cell is a text, an element, or a list of these. */
function row(cells, { head = false } = {}) {
  const made = element("tr", "");
  cells.forEach((cell, at) => {
    const isHead = head || at === 0;
    const madeCell = element(isHead ? "th" : "td", "", ...[cell].flat());
    if (isHead) madeCell.scope = head ? "col" : "row";
    made.append(madeCell);
  });
  return made;
}

/** A select's options. */
function fill(select, names, chosen) {
  select.replaceChildren(...names.map(({ name, value }) => new Option(name, value, false, value === chosen)));
}

const grouped = (number) => number.toLocaleString("en");

function counted(count, one, several) {
  return `${grouped(count)} ${count === 1 ? one : several}`;
}

const percent = (share) => `${(share * 100).toFixed(1)}%`;

/** A measure's value with as many digits as trec_eval prints. */
function shownValue(measure, value) {
  return DATA.measures[measure].is_count ? value.toFixed(0) : value.toFixed(4);
}

/** A difference with its sign. */
function signed(value, digits = 4) {
  const size = Math.abs(value).toFixed(digits);
  if (Number(size) === 0) return size;
  return `${value < 0 ? "−" : "+"}${size}`;
}

function shownDifference(measure, value) {
  return signed(value, DATA.measures[measure].is_count ? 0 : 4);
}

/** A p-value, which is never shown as zero. */
function shownP(p) {
  return p < 0.0001 ? "<0.0001" : p.toFixed(4);
}

/** A score for the eye. */
function shownScore(score) {
  const size = Math.abs(score);
  return `${score < 0 ? "−" : ""}${size >= 100 ? size.toFixed(0) : size.toFixed(size >= 10 ? 1 : 2)}`;
}
