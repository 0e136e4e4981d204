// A bar for each query: how a run differs from the baseline, or, without one, its value. The largest ones come first.

/** Bars with less room than this stand without gaps, in units of the drawing. */
const GAP_UP_TO = 250;
/** How far Page Up and Page Down go. */
const PAGE_SHARE = 0.1;

/** What is shown: a run, a measure, and the queries in the order of their bars. */
const view = { run: 0, measure: 0, order: [], differences: [], at: 0 };

/** How a query's value differs from the baseline's; the value itself if there is no baseline. */
function differencesOf(run, measure) {
  const values = DATA.runs[run].values[measure];
  if (DATA.baseline === null) return values;
  const before = DATA.runs[DATA.baseline].values[measure];
  // Both have six digits, and so has their difference.
  return values.map((value, query) => Math.round((value - before[query]) * 1e6) / 1e6);
}

/** The queries by difference, largest first, in the order in which the program chose the best and the worst. */
function orderOf(differences) {
  return differences.map((_, query) => query).sort((one, other) => differences[other] - differences[one] || other - one);
}

function showBars(run, measure) {
  Object.assign(view, { run, measure, differences: differencesOf(run, measure), at: 0 });
  view.order = orderOf(view.differences);
  drawBars();
  const { wins, ties, losses } = outcomes();
  const name = DATA.measures[measure].name;
  const baseline = DATA.baseline !== null && DATA.runs[DATA.baseline].name;
  byId("bars-summary").replaceChildren(...(baseline
    ? [`${name} of `, foreign("b", "", DATA.runs[run].name), " less that of ", foreign("b", "", baseline),
      `, each query a bar: better for ${grouped(wins)}, equal for ${grouped(ties)}, worse for ${grouped(losses)}.`]
    : [`${name} of `, foreign("b", "", DATA.runs[run].name), ", each query a bar."]));
  byId("bars").setAttribute("aria-valuemax", view.order.length);
  byId("bars").setAttribute("aria-label", baseline ? "Differences of the queries, largest first" : "Values of the queries, largest first");
  pick(0, { isQuiet: true });
}

/** Counted by the program, where it has compared the runs. */
function outcomes() {
  const counted = DATA.runs[view.run].differences?.[view.measure];
  const count = (is) => view.differences.filter(is).length;
  return counted ?? { wins: count((one) => one > 0), ties: count((one) => one === 0), losses: count((one) => one < 0) };
}

function drawBars() {
  const { order, differences } = view;
  const size = Math.max(...differences.map(Math.abs)) || 1;
  const high = Math.max(0, ...differences) > 0 ? size : size / 20;
  const low = Math.min(0, ...differences) < 0 ? size : 0;
  const count = order.length;
  const width = count <= GAP_UP_TO ? 0.8 : 1;
  // All drawings have the same extent, so that lines keep their thickness.
  byId("bars-plot").setAttribute("viewBox", `0 ${-high} ${count} ${high + low}`);
  const bars = { up: "", down: "" };
  order.forEach((query, at) => {
    const value = differences[query];
    if (value) bars[value > 0 ? "up" : "down"] += `M${at + (1 - width) / 2} 0h${width}v${-value}h${-width}z`;
  });
  byId("bars-up").setAttribute("d", bars.up);
  byId("bars-down").setAttribute("d", bars.down);
  byId("bars-zero").setAttribute("d", `M0 0H${count}`);
  const lines = [size, size / 2, -size / 2, -size].filter((line) => line <= high && line >= -low);
  byId("bars-grid").setAttribute("d", lines.map((line) => `M0 ${-line}H${count}`).join(""));
  const digits = DATA.measures[view.measure].is_count ? 0 : size < 0.1 ? 3 : 2;
  byId("bars-scale").replaceChildren(...[...lines, 0].map((line) => {
    const label = element("span", "", DATA.baseline === null ? line.toFixed(digits) : signed(line, digits));
    label.style.setProperty("top", `${((high - line) / (high + low)) * 100}%`);
    return label;
  }));
}

/** Shows the query of a bar. */
function pick(at, { isQuiet = false } = {}) {
  if (!view.order.length) return;
  view.at = Math.max(0, Math.min(view.order.length - 1, at));
  const query = view.order[view.at];
  const chart = byId("bars");
  const cursor = byId("bars-cursor");
  cursor.hidden = isQuiet;
  cursor.style.setProperty("--from", view.at / view.order.length);
  cursor.style.setProperty("--width", 1 / view.order.length);
  chart.setAttribute("aria-valuenow", view.at + 1);
  const id = DATA.query_ids[query];
  const text = DATA.query_texts[query];
  const values = DATA.runs.map((run) => [run.name, shownValue(view.measure, run.values[view.measure][query])]);
  const difference = shownDifference(view.measure, view.differences[query]);
  const named = values.map(([name, value]) => `${name} ${value}`).join(", ");
  const against = DATA.baseline === null ? "" : `${difference}; `;
  chart.setAttribute("aria-valuetext", `query ${id}${text ? `, ${text}` : ""}: ${against}${named}`);
  byId("shown").replaceChildren(
    element("p", "shown-query", ...(text ? [foreign("span", "shown-text", text), " "] : []), foreign("span", "id", id)),
    element("ul", "values", ...values.map(([name, value], run) => {
      const item = element("li", run === view.run ? "chosen" : "", foreign("span", "", name), element("b", "", value));
      if (run === view.run && DATA.baseline !== null) item.append(element("span", kindOf(view.differences[query]), difference));
      return item;
    })),
  );
  if (detailsOf(query)) {
    const button = element("button", "quiet", "Show how its documents moved");
    button.type = "button";
    button.addEventListener("click", () => openQuery(query));
    byId("shown").append(button);
  }
}

function kindOf(difference) {
  return difference > 0 ? "gain" : difference < 0 ? "loss" : "same";
}

function listenToBars() {
  const chart = byId("bars");
  const plot = byId("bars-plot");
  const atPointer = (event) => {
    const box = plot.getBoundingClientRect();
    return Math.floor(((event.clientX - box.left) / box.width) * view.order.length);
  };
  chart.addEventListener("pointermove", (event) => pick(atPointer(event)));
  chart.addEventListener("pointerdown", (event) => pick(atPointer(event)));
  chart.addEventListener("focus", () => pick(view.at));
  chart.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.round(view.order.length * PAGE_SHARE));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter") {
      // The key would also close what it has just opened, where the focus is then.
      event.preventDefault();
      openQuery(view.order[view.at]);
    } else if (event.key in steps && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      pick(view.at + steps[event.key]);
    }
  });
}
