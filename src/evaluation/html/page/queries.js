// The best and the worst queries, with their documents.

const DETAILS = new Map(DATA.details.map((details) => [details.query, details]));

function detailsOf(query) {
  return DETAILS.get(query);
}

/** Lists the queries that gained and that lost the most; without a baseline, those with the highest and the lowest values. */
function showQueries() {
  const { order, differences } = view;
  const isCompared = DATA.baseline !== null;
  const best = order.filter((query) => !isCompared || differences[query] > 0).slice(0, DATA.shown);
  const worst = order.filter((query) => !isCompared || differences[query] < 0).slice(-DATA.shown).reverse();
  byId("best-heading").textContent = isCompared ? "Most improved" : "Highest values";
  byId("worst-heading").textContent = isCompared ? "Most damaged" : "Lowest values";
  const list = (queries, empty) => (queries.length ? queries.map(listed) : [element("p", "hint", empty)]);
  byId("best").replaceChildren(...list(best, "No query became better."));
  byId("worst").replaceChildren(...list(worst, "No query became worse."));
  const isWhole = [...best, ...worst].every((query) => DETAILS.has(query));
  byId("list-note").textContent = isWhole ? "" : "Some queries are listed without their documents, so that this page stays small.";
}

/** A query that opens, and shows its documents the first time that it does. */
function listed(query) {
  const difference = view.differences[query];
  const [now, before] = [view.run, DATA.baseline].map((run) => (run === null ? "" : shownValue(view.measure, DATA.runs[run].values[view.measure][query])));
  const text = DATA.query_texts[query];
  const number = DATA.baseline === null ? element("span", "change", now) : element("span", `change ${kindOf(difference)}`, shownDifference(view.measure, difference));
  const about = element("span", "about", foreign("span", "id", DATA.query_ids[query]), ...(before ? [element("span", "", `${before} → ${now}`)] : []));
  const title = element("span", "query", text ? foreign("span", "query-text", text) : "", about);
  if (!DETAILS.has(query)) return element("div", "query-item closed", element("div", "query-line", number, title));
  const item = element("details", "query-item", element("summary", "query-line", number, title));
  item.dataset.query = query;
  item.addEventListener("toggle", () => {
    if (item.open && item.childElementCount === 1) item.append(documentsOf(query, { run: view.run }));
  });
  return item;
}

/** How the documents of a query moved, in the run's order. */
function documentsOf(query, { run }) {
  const { relevant, documents } = DETAILS.get(query);
  const rankIn = (document, place) => (place === null ? null : document.ranks[place]);
  const isNear = (rank) => rank !== null && rank <= DATA.shown;
  const isShown = (document) => isNear(rankIn(document, run)) || isNear(rankIn(document, DATA.baseline)) || isRelevant(document);
  const shown = documents.filter((document) => isShown(document) && (rankIn(document, run) ?? rankIn(document, DATA.baseline)) !== null);
  const place = (document) => [rankIn(document, run) ?? Infinity, rankIn(document, DATA.baseline) ?? Infinity];
  shown.sort((one, other) => {
    const [[a, b], [c, d]] = [place(one), place(other)];
    return a === c ? b - d : a - c;
  });
  const head = DATA.baseline === null ? ["Rank", "Grade", "Document"] : ["Rank", "Before", "Grade", "Document"];
  const rows = shown.map((document) => documentRow(document, rankIn(document, run), rankIn(document, DATA.baseline)));
  const found = shown.filter(isRelevant).length;
  const note = `${counted(relevant, "document was", "documents were")} judged relevant; ${found} of them ${found === 1 ? "is" : "are"} shown.`;
  return element("div", "documents",
    element("table", "", element("caption", "visually-hidden", "How the documents moved"), element("thead", "", row(head, { head: true })), element("tbody", "", ...rows)),
    element("p", "hint", note));
}

function isRelevant(document) {
  return document.grade !== undefined && document.grade >= DATA.level;
}

function documentRow(document, rank, before) {
  const grade = element("span", `grade ${isRelevant(document) ? "relevant" : document.grade === undefined ? "unknown" : ""}`, document.grade === undefined ? "–" : String(document.grade));
  grade.title = document.grade === undefined ? "not judged" : `grade ${document.grade}`;
  const texts = [];
  if (document.title) texts.push(foreign("b", "title", document.title));
  if (document.text) texts.push(foreign("span", "text", document.text));
  texts.push(foreign("span", "id", document.id));
  const cells = [rank === null ? element("span", "hint", "not there") : String(rank)];
  if (DATA.baseline !== null) cells.push(moveOf(rank, before));
  return row([...cells, grade, texts]);
}

function moveOf(rank, before) {
  if (before === null) return element("span", "gain", "new");
  const move = rank === null ? 0 : before - rank;
  const sign = rank === null || move === 0 ? "" : move > 0 ? `▲${move}` : `▼${-move}`;
  const words = move > 0 ? `up ${move}` : move < 0 ? `down ${-move}` : "";
  const seen = element("span", kindOf(move), sign);
  seen.ariaHidden = "true";
  return [`${before} `, seen, element("span", "visually-hidden", words)];
}

/** Opens a query, in the lists or below the bars, and goes there. */
function openQuery(query) {
  if (!DETAILS.has(query)) return;
  let item = document.querySelector(`details[data-query="${query}"]`);
  if (!item) {
    item = listed(query);
    byId("shown").querySelector("button")?.replaceWith(item);
  }
  item.open = true;
  item.querySelector("summary").focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}
