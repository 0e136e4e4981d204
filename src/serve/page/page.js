// The page: a form, a run, and what is shown of it.

import { documentOf } from "./candidates.js";
import { drawCurve } from "./curve.js";
import { asCurl, asJson, asJsonLines, copy, save } from "./export.js";
import { Form } from "./form.js";
import { watchModel } from "./model.js";
import { chosen, moved, ordered, scaleOf, valueIn } from "./ranking.js";
import { element, ResultList } from "./results.js";
import { rank, ServiceError } from "./service.js";

const byId = (id) => document.getElementById(id);
/** How often the list is brought up to date while results come, in milliseconds. */
const REFRESH = 150;
/** How often screen readers hear of the progress. */
const SPOKEN = 5000;

const list = new ResultList(byId("list"), byId("more"));
/** The run that is shown: `{asked, results, started, …}`. */
let run;
let facts = {};
let key = "";
const form = new Form(() => formChanged());

const model = watchModel({
  key: () => key,
  onFacts: (found) => {
    facts = found;
    form.adapt(found);
  },
  onRefused: () => askForKey(),
});

function formChanged() {
  if (!run) return;
  byId("stale").hidden = Boolean(run.controller) || !isStale();
  const wanted = JSON.stringify([form.filter(), form.raw]);
  if (!run.controller && wanted !== run.shown) showResults({ animate: false });
}

/** What is shown of the results. */
function valueOf() {
  return valueIn(form.raw ? "logit" : "score");
}

/** The results that are shown. */
function visible() {
  return chosen(run.results, form.filter() ?? {}, valueOf());
}

/** Whether the form holds something else than what was ranked. Top-k, threshold and logits apply to what is there. */
function isStale() {
  const now = form.peek();
  const { query, candidates, instruction } = run.asked;
  if (now.candidates === candidates) return now.query !== query || now.instruction !== instruction;
  return now.query !== query || now.instruction !== instruction || now.candidates.length !== candidates.length
    || now.candidates.some((one, at) => one !== candidates[at] && documentOf(one) !== documentOf(candidates[at]));
}

function announce(text) {
  byId("announce").textContent = text;
}

function showError(problem) {
  const status = problem.status ? `The service answered ${problem.status}: ` : "";
  byId("error").replaceChildren(...(status ? [element("strong", "", status)] : []), problem.message);
  byId("error").hidden = false;
}

function askForKey() {
  byId("key-field").hidden = false;
}

async function start() {
  if (run?.controller) return;
  const asked = form.read();
  if (!asked) return;
  key = form.key;
  list.clear();
  const now = performance.now();
  run = { asked, results: [], replies: [], warnings: new Set(), started: now, spoken: now, drawn: 0, controller: new AbortController() };
  const current = run;
  begin(asked.candidates.length);
  try {
    await rank(asked, asked.candidates.map(documentOf), {
      signal: run.controller.signal, key, most: facts.max_client_batch_size,
      onScores: (scores, reply, milliseconds) => take(current, scores, reply, milliseconds),
      onWait: (sentence) => {
        say(sentence);
        announce(sentence);
      },
    });
    run.outcome = "done";
  } catch (problem) {
    run.outcome = problem.name === "AbortError" ? "cancelled" : "failed";
    if (run.outcome === "failed") fail(problem);
  }
  end();
}

function begin(count) {
  for (const id of ["error", "stale", "empty", "figures", "curve", "tools"]) byId(id).hidden = true;
  byId("progress").hidden = false;
  byId("progress").value = 0;
  byId("cancel").hidden = false;
  byId("rank").setAttribute("aria-disabled", "true");
  say(`Scoring ${counted(count, "candidate")}…`);
  announce(`Scoring ${counted(count, "candidate")}.`);
}

function say(sentence) {
  byId("status").textContent = sentence;
  byId("status").hidden = !sentence;
}

function counted(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** Takes the scores of a part, and shows them if the list was not brought up to date just now. */
function take(current, scores, reply, milliseconds) {
  current.results.push(...scores);
  current.replies.push(milliseconds);
  const tokens = reply.usage?.total_tokens ?? reply.usage?.prompt_tokens;
  if (Number.isFinite(tokens)) current.tokens = (current.tokens ?? 0) + tokens;
  // Where documents are marked, they need no warning.
  if (scores.every((score) => !score.truncated)) reply.meta?.warnings?.forEach((warning) => current.warnings.add(String(warning)));
  current.wait ??= setTimeout(() => {
    current.wait = undefined;
    if (current === run && current.controller) showProgress();
  }, current.drawn ? REFRESH : 0);
}

function showProgress() {
  const total = run.asked.candidates.length;
  const done = run.results.length;
  run.drawn += 1;
  byId("progress").value = done / total;
  say(`${done.toLocaleString("en")} of ${counted(total, "candidate")} scored, ${perSecond(done)} pairs per second.`);
  if (performance.now() - run.spoken > SPOKEN) {
    run.spoken = performance.now();
    announce(`${Math.floor((done / total) * 100)} percent scored.`);
  }
  showResults({ animate: false });
}

function perSecond(pairs) {
  const rate = pairs / (((run.ended ?? performance.now()) - run.started) / 1000);
  return rate >= 10 ? Math.round(rate).toLocaleString("en") : rate.toPrecision(2);
}

function fail(problem) {
  if (!(problem instanceof ServiceError)) console.error(problem);
  showError(problem instanceof ServiceError ? problem : new ServiceError(0, `The page has failed: ${problem.message}`));
  if (problem.status === 401) {
    askForKey();
    byId("key").focus();
  }
  if (problem.status === 0) model.look();
}

function end() {
  run.ended = performance.now();
  run.controller = undefined;
  clearTimeout(run.wait);
  const cancelFocused = document.activeElement === byId("cancel");
  byId("cancel").hidden = true;
  byId("progress").hidden = true;
  byId("rank").removeAttribute("aria-disabled");
  if (cancelFocused) byId("rank").focus();
  const { results, asked, outcome } = run;
  const isWhole = outcome === "done";
  const warnings = [...run.warnings].slice(0, 3).map((warning) => `${warning}.`).join(" ");
  const part = `${results.length.toLocaleString("en")} of ${counted(asked.candidates.length, "candidate")} had been scored`;
  say(isWhole ? warnings : outcome === "cancelled" ? `Cancelled. ${part}.` : results.length ? `Broken off. ${part}.` : "");
  byId("tools").hidden = results.length === 0;
  byId("empty").hidden = results.length > 0 || outcome === "failed";
  showResults({ animate: isWhole });
  showFigures();
  const best = results[0] && `First, ${moved(results[0]).words}: ${documentOf(asked.candidates[results[0].index]).slice(0, 160)}`;
  if (isWhole) announce(`Ranked ${counted(results.length, "candidate")} in ${duration(run.ended - run.started)}. ${best}`);
  else if (outcome === "cancelled") announce(`Cancelled. ${part}.`);
  byId("stale").hidden = !isStale();
  // Where the panels stand one below the other, the results would go unnoticed.
  const heading = byId("results-heading");
  if (outcome !== "cancelled" && heading.getBoundingClientRect().top > innerHeight - 80) heading.scrollIntoView({ behavior: "smooth" });
}

function showResults({ animate }) {
  const { asked, results, controller } = run;
  if (!results.length) return;
  const filter = form.filter();
  if (!filter) return;
  ordered(results);
  run.shown = JSON.stringify([filter, form.raw]);
  const scale = scaleOf(results, valueOf());
  const left = visible();
  list.show(left, { candidates: asked.candidates, scale, valueOf: valueOf(), isFinal: !controller && run.outcome === "done", animate });
  const hidden = results.length - left.length;
  byId("results-heading").textContent = hidden ? `Results: ${left.length.toLocaleString("en")} of ${results.length.toLocaleString("en")}` : "Results";
  if (!controller) drawCurve(results, scale, filter, { valueOf: valueOf(), name: form.raw ? "Logits" : "Scores" });
}

function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  return seconds < 60 ? `${seconds.toFixed(2)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function showFigures() {
  const { results, replies, tokens } = run;
  if (!results.length) return;
  const median = [...replies].sort((a, b) => a - b)[replies.length >> 1];
  const truncated = results.filter((result) => result.truncated).length;
  const figures = [
    ["candidates", results.length.toLocaleString("en")],
    [replies.length > 1 ? `in ${replies.length.toLocaleString("en")} requests, median ${duration(median)}` : "round trip", duration(run.ended - run.started)],
    ["pairs per second", perSecond(results.length)],
  ];
  if (tokens !== undefined) figures.push(["tokens", tokens.toLocaleString("en")]);
  if (truncated) figures.push(["truncated", truncated.toLocaleString("en")]);
  byId("figures").replaceChildren(...figures.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
  byId("figures").hidden = false;
}

/** Does what a button promises, and reports it in the button for a moment. */
function onClick(id, done, work) {
  const button = byId(id);
  const name = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await work(run, visible());
      button.style.minWidth = `${button.offsetWidth}px`;
      button.textContent = done;
      announce(`${done}.`);
    } catch (problem) {
      showError(problem);
    }
    setTimeout(() => { button.textContent = name; }, 1600);
  });
}

onClick("copy-json", "Copied", ({ asked }, results) => copy(asJson(asked, results)));
onClick("copy-curl", "Copied", ({ asked }) => copy(asCurl(asked, asked.candidates, { ...form.filter(), raw: form.raw, hasKey: key !== "", most: facts.max_client_batch_size })));
onClick("download", "Saved", ({ asked }, results) => save("ranked.jsonl", asJsonLines(asked, results)));

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
byId("cancel").addEventListener("click", () => run?.controller?.abort());
byId("key").addEventListener("change", () => {
  if (!form.checkKey()) return;
  key = form.key;
  model.look();
});
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
    event.preventDefault();
    start();
  } else if (event.key === "Escape" && !event.isComposing && event.target.tagName !== "SELECT") {
    run?.controller?.abort();
  }
});
if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("shortcut").textContent = "⌘ ↵";
