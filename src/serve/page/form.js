// What the form holds, and where it is wrong.

import { fromFile, fromLines, fromText, looksLikeJson } from "./candidates.js";
import { element } from "./results.js";
import { FileProblem } from "./tables.js";

const byId = (id) => document.getElementById(id);
/** The most queries of a file that one can choose from, and the candidates that are shown of it. */
const MOST_QUERIES = 1000;
const PREVIEW = 3;
/** Documents of one list beyond which a browser becomes slow. */
const MOST_CANDIDATES = 100_000;

const EXAMPLE = {
  query: "Which planet is known as the Red Planet?",
  lines: [
    "Venus shines so brightly at dusk that it is called the evening star.",
    "The Red Sea lies between Africa and Arabia.",
    "Mars is called the Red Planet, because iron oxide colors its dust.",
    "Jupiter is the largest planet of the solar system and has more than ninety moons.",
    "Penguins keep their eggs warm on top of their feet.",
  ],
};

function counted(candidates) {
  return `${candidates.toLocaleString("en")} ${candidates === 1 ? "candidate" : "candidates"}`;
}

/** Shows a problem at a field, or takes it away. */
function complain(id, problem, field = id) {
  const place = byId(`${id}-problem`);
  place.textContent = problem ?? "";
  place.hidden = !problem;
  if (problem) byId(field).setAttribute("aria-invalid", "true");
  else byId(field).removeAttribute("aria-invalid");
}

/** The form. `changed` is called whenever what it holds has changed. */
export class Form {
  #groups;
  #group;
  #changed;
  #counting = 0;
  /** The candidates of the text area, as long as that has the same text. */
  #lines = { text: "", candidates: [] };
  /** How many files were taken: one that is read before another may come after it. */
  #taken = 0;

  constructor(changed) {
    this.#changed = changed;
    byId("form").addEventListener("input", (event) => this.#input(event));
    byId("example").addEventListener("click", () => this.#fillExample());
    byId("file-choose").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", () => {
      this.#take([...byId("file").files]);
      byId("file").value = "";
    });
    byId("file-remove").addEventListener("click", () => {
      this.#removeFile();
      byId("candidates").focus();
    });
    byId("file-query").addEventListener("change", () => this.#useGroup(this.#groups[byId("file-query").selectedIndex]));
    byId("read-records").addEventListener("click", () => this.#readRecords());
    this.#listenToDrops();
    this.#count();
  }

  /** What is to be ranked, or undefined after it has been shown what is missing. */
  read() {
    const { query, candidates } = this.peek();
    let problem;
    if (candidates.length === 0) problem = "Candidates are missing: write one a line, or choose a file.";
    if (candidates.length > MOST_CANDIDATES) {
      problem = `These are ${counted(candidates.length)}, and this page ranks up to ${MOST_CANDIDATES.toLocaleString("en")}. The command line ranks any number.`;
    }
    complain("query", query.trim() === "" ? "The query is missing." : undefined);
    complain("candidates", problem);
    this.checkKey();
    const isFiltered = this.filter() !== undefined;
    const wrong = document.querySelector("#form [aria-invalid]");
    if (wrong) (wrong.offsetParent ? wrong : byId("file-name")).focus();
    if (wrong || !isFiltered) return undefined;
    return this.peek();
  }

  /** What the form holds, right or wrong. */
  peek() {
    return {
      query: byId("query").value,
      candidates: this.#group?.candidates ?? this.#fromLines(),
      instruction: byId("instruction").hidden ? "" : byId("instruction").value.trim(),
    };
  }

  #fromLines() {
    const text = byId("candidates").value;
    if (text !== this.#lines.text) this.#lines = { text, candidates: fromLines(text) };
    return this.#lines.candidates;
  }

  /** Whether logits are wanted, and not scores. */
  get raw() {
    return document.querySelector('[name="kind"]:checked').value === "logit";
  }

  /** Whether the key can be sent, after it has been shown what is wrong with it. */
  checkKey() {
    const isGood = /^[\x21-\x7e]*$/.test(this.key);
    complain("key", isGood ? undefined : "The key has a character that no key can have. It may have come with copying: type the key.");
    return isGood;
  }

  /** The key of the service. */
  get key() {
    return byId("key").value.trim();
  }

  /** Top-k and the threshold; undefined if one of them is no number. */
  filter() {
    const [topK, threshold] = ["top-k", "threshold"].map((id) => byId(id));
    const badTopK = topK.validity.badInput || (topK.value !== "" && !(Number.isInteger(topK.valueAsNumber) && topK.valueAsNumber > 0));
    const badThreshold = threshold.validity.badInput;
    complain("options", badThreshold ? "The threshold is a number." : undefined, "threshold");
    if (badTopK) complain("options", "Top-k is a whole number from 1 on.", "top-k");
    else topK.removeAttribute("aria-invalid");
    if (badTopK || badThreshold) return undefined;
    return { topK: topK.value === "" ? undefined : topK.valueAsNumber, threshold: threshold.value === "" ? undefined : threshold.valueAsNumber };
  }

  /** Adapts to the model: its instruction, or that it takes none. */
  adapt({ instruction, takes_instruction: takes }) {
    byId("instruction").placeholder = instruction ? `The model’s own: ${instruction}` : "The model’s own";
    byId("instruction").hidden = takes === false;
    byId("no-instruction").hidden = takes !== false;
    this.#changed();
  }

  #input({ target }) {
    if (target.id === "query" && target.value.trim()) complain("query");
    if (target.id === "candidates") {
      complain("candidates");
      clearTimeout(this.#counting);
      this.#counting = setTimeout(() => this.#count(), 120);
    }
    if (target.id !== "key") this.#changed();
  }

  #count() {
    const text = byId("candidates").value;
    const size = this.#group?.candidates.length ?? this.#fromLines().length;
    byId("candidates-count").textContent = size ? counted(size) : "";
    byId("read-records").hidden = Boolean(this.#group) || !looksLikeJson(text);
  }

  #fillExample() {
    this.#removeFile();
    byId("query").value = EXAMPLE.query;
    byId("candidates").value = EXAMPLE.lines.join("\n");
    complain("query");
    complain("candidates");
    this.#count();
    this.#changed();
    byId("rank").focus();
  }

  async #take(files) {
    if (!files.length) return;
    this.#taken += 1;
    const number = this.#taken;
    try {
      const found = await fromFile(files[0]);
      if (number !== this.#taken) return;
      this.#useFile(files[0].name, found);
      for (const { name } of files.slice(1)) this.#note(`${name} was not taken: one file at a time.`);
    } catch (problem) {
      if (number !== this.#taken) return;
      complain("candidates", problem instanceof FileProblem ? problem.message : `The page can’t read ${files[0].name}: ${problem.message}`);
    }
  }

  #readRecords() {
    try {
      this.#useFile("The lines above", fromText(byId("candidates").value, "jsonl", "The lines above"));
      byId("file-name").focus();
    } catch (problem) {
      if (!(problem instanceof FileProblem)) throw problem;
      complain("candidates", problem.message);
    }
  }

  #useFile(name, { groups, notes }) {
    this.#removeFile();
    complain("candidates");
    this.#groups = groups;
    byId("file-name").textContent = name;
    byId("file-card").hidden = false;
    byId("candidates").hidden = true;
    notes.forEach((note) => this.#note(note));
    if (groups.length > MOST_QUERIES) {
      this.#note(`Only the first ${MOST_QUERIES} of ${groups.length.toLocaleString("en")} queries can be chosen here. The command line ranks them all.`);
    }
    byId("file-queries").hidden = groups.length === 1;
    byId("file-query").replaceChildren(...groups.slice(0, MOST_QUERIES).map((group, at) => {
      const words = group.query ?? `Query ${group.queryId ?? at + 1}`;
      return element("option", "", `${words.length > 90 ? `${words.slice(0, 90)}…` : words} (${group.candidates.length.toLocaleString("en")})`);
    }));
    this.#useGroup(groups[0]);
  }

  /** Takes a query of the file with its candidates. A file without a query leaves the one that is there. */
  #useGroup(group) {
    this.#group = group;
    if (group.query !== undefined) byId("query").value = group.query;
    if (group.query?.trim()) complain("query");
    if (group.instruction !== undefined) {
      byId("instruction").value = group.instruction;
      if (byId("instruction").hidden) this.#note("The file has an instruction, and this model’s prompt has no place for one.");
    }
    const titled = group.candidates.some(({ title }) => title);
    byId("file-summary").textContent = [
      `${counted(group.candidates.length)}.`,
      group.query === undefined ? "The file has no query: write one above." : "The query is the file’s.",
      titled ? "Titles are scored in front of the texts." : "",
    ].join(" ").trim();
    byId("file-preview").replaceChildren(...group.candidates.slice(0, PREVIEW).map(({ title, text }) => {
      const line = element("li", "", (title ? `${title}: ${text}` : text).slice(0, 300));
      line.dir = "auto";
      return line;
    }));
    this.#count();
    this.#changed();
  }

  #note(text) {
    byId("file-notes").append(element("li", "", text));
  }

  #removeFile() {
    this.#groups = this.#group = undefined;
    byId("file-card").hidden = true;
    byId("file-notes").replaceChildren();
    byId("candidates").hidden = false;
    this.#count();
    this.#changed();
  }

  /** Files may be dropped anywhere: beside the field, the browser would open them in place of the page. */
  #listenToDrops() {
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    let depth = 0;
    const cover = (by) => {
      depth = Math.max(0, depth + by);
      document.body.classList.toggle("dragging", depth > 0);
    };
    addEventListener("dragenter", (event) => hasFiles(event) && cover(1));
    addEventListener("dragleave", (event) => hasFiles(event) && cover(-1));
    addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      cover(-Infinity);
      this.#take([...event.dataTransfer.files]);
    });
  }
}
