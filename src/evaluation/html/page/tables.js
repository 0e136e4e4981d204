// What was evaluated, the measures of the runs, and how the runs differ.

/** Half the width of the drawing of an interval. */
const REACH = 60;

function drawFacts() {
  byId("made").textContent = `rerank ${DATA.version} · ${DATA.created.replace("T", " ").replace("Z", " UTC")}`;
  const figure = (name, value) => element("div", "", element("dt", "", name), element("dd", "", value));
  const queries = DATA.query_ids.length;
  byId("figures").append(
    figure(queries === 1 ? "query" : "queries", grouped(queries)),
    figure("queries with judgements", grouped(DATA.judged)),
    figure(DATA.runs.length === 1 ? "run" : "runs", grouped(DATA.runs.length)),
    figure(DATA.measures.length === 1 ? "measure" : "measures", grouped(DATA.measures.length)),
  );
  const fact = (name, ...values) => element("div", "", element("dt", "", name), ...values.map((value) => foreign("dd", "", value)));
  const runs = fact("Runs", ...DATA.runs.map((run) => `${run.name}: ${run.file}`));
  runs.className = "wide";
  byId("facts").append(
    fact("Judgements", DATA.qrels),
    fact("Queries that a run lacks", DATA.complete ? "count with empty rankings (--complete)" : "do not count"),
    fact("Documents of a query", DATA.depth === null ? "all count" : `the ${grouped(DATA.depth)} best count (--depth)`),
    fact("Relevant", `from grade ${DATA.level} on, where a measure does not say it itself`),
    runs,
  );
  if (DATA.no_baseline) {
    byId("no-baseline").textContent = `Nothing to compare with: ${DATA.no_baseline}. Name the first stage’s run beside this one to see what changed.`;
    byId("no-baseline").hidden = false;
  }
}

/** Whether a run's value is the best of several. Of counts none is. */
function isBest(run, measure) {
  const best = Math.max(...DATA.runs.map((other) => other.summary[measure]));
  return DATA.runs.length > 1 && !DATA.measures[measure].is_count && run.summary[measure] === best;
}

function drawMeasures() {
  const names = DATA.measures.map((measure) => measure.name);
  const cells = (run) => DATA.measures.map((_, measure) => {
    const value = element(isBest(run, measure) ? "strong" : "span", "", shownValue(measure, run.summary[measure]));
    const p = run.differences?.[measure]?.p;
    const mark = element("span", "mark", p < DATA.significant ? "*" : "");
    return [value, mark];
  });
  const rows = DATA.runs.map((run, at) => row([
    [foreign("span", "", run.name), ...(at === DATA.baseline ? [" ", element("span", "tag", "baseline")] : [])],
    grouped(run.queries), percent(run.ties), ...cells(run),
  ]));
  byId("measures").append(
    element("caption", "visually-hidden", "The measures of each run"),
    element("thead", "", row(["Run", "Queries", "Ties", ...names], { head: true })),
    element("tbody", "", ...rows),
  );
}

/** The interval of a difference, on a scale that all intervals of a measure share. */
function drawnInterval({ difference, interval: [low, high] }, reach) {
  const x = (value) => ((value / reach) * (REACH - 4)).toFixed(1);
  const kind = low > 0 ? "up" : high < 0 ? "down" : "open";
  return shape("svg", { class: `interval ${kind}`, viewBox: `${-REACH} -8 ${2 * REACH} 16`, "aria-hidden": "true", focusable: "false" },
    shape("path", { class: "zero", d: "M0 -8V8" }),
    shape("path", { class: "range", d: `M${x(low)} 0H${x(high)}M${x(low)} -3V3M${x(high)} -3V3` }),
    shape("circle", { cx: x(difference), cy: 0, r: 3 }));
}

function drawDifferences() {
  const compared = DATA.runs.filter((run) => run.differences);
  if (!compared.length) return;
  const baseline = DATA.runs[DATA.baseline].name;
  byId("compared").hidden = false;
  byId("compared-heading").append("Against ", foreign("span", "", baseline));
  const rows = DATA.measures.flatMap((measure, at) => {
    const differences = compared.map((run) => run.differences[at]);
    // A geometric mean is not compared.
    if (!differences.every(Boolean)) return [];
    const reach = Math.max(...differences.flatMap(({ interval }) => interval.map((bound) => Math.abs(bound ?? 0)))) || 1;
    return compared.map((run, place) => differenceRow(run, at, differences[place], reach));
  });
  byId("differences").append(
    element("caption", "visually-hidden", `Differences from ${baseline}`),
    element("thead", "", row(["Run", "Measure", "Difference", element("span", "visually-hidden", "Drawn"), "95% interval", "p", "p, uncorrected", "Win / tie / loss"], { head: true })),
    element("tbody", "", ...rows),
  );
  const corrected = compared.length > 1 ? `, after Holm’s correction for ${compared.length} runs` : "";
  const uncorrected = compared.length > 1 ? ", without that correction" : "";
  const geometric = DATA.measures.filter((_, at) => !compared[0].differences[at]).map((measure) => measure.name);
  const left = geometric.length ? ` Not compared: ${geometric.join(", ")}, as a geometric mean is no mean of differences.` : "";
  byId("test").textContent = `p: ${DATA.test}${corrected}. * marks p < ${DATA.significant}. Intervals have 95% confidence by Student’s t${uncorrected}.${left}`;
}

function differenceRow(run, measure, difference, reach) {
  const { interval: [low, high], p, p_uncorrected: alone, wins, ties, losses } = difference;
  const isKnown = low !== null && high !== null;
  const digits = DATA.measures[measure].is_count ? 1 : 4;
  return row([
    foreign("span", "", run.name), DATA.measures[measure].name,
    [shownDifference(measure, difference.difference), element("span", "mark", p < DATA.significant ? "*" : "")],
    isKnown ? drawnInterval(difference, reach) : "",
    isKnown ? `${signed(low, digits)} to ${signed(high, digits)}` : "not defined",
    shownP(p), shownP(alone), `${grouped(wins)} / ${grouped(ties)} / ${grouped(losses)}`,
  ]);
}
