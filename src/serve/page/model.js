// The state of the model, at the top of the page.

import { info, isReady, ServiceError } from "./service.js";
import { element } from "./results.js";

const byId = (id) => document.getElementById(id);
const INTERVAL_LOADING = 1000;
const INTERVAL_READY = 20_000;

function show(light, sentence, name = "", facts = []) {
  byId("model-light").className = `light ${light}`;
  // A live region repeats what is set, even if it is the same.
  if (byId("model-state").textContent !== sentence) byId("model-state").textContent = sentence;
  if (byId("model-name").textContent !== name) byId("model-name").textContent = name;
  const items = facts.map((fact) => element("li", "", fact));
  if (byId("model-facts").textContent !== facts.join("")) byId("model-facts").replaceChildren(...items);
}

/** The facts that are worth a look. None of them has to be there. */
function factsOf(found) {
  const facts = [];
  const text = (value) => typeof value === "string" && value !== "" && value;
  if (text(found.adapter)) facts.push(`adapter ${found.adapter}`);
  if (text(found.model_dtype)) facts.push(found.model_dtype);
  if (text(found.device)) facts.push(found.device);
  if (text(found.recipe)) facts.push(found.recipe);
  if (Number.isFinite(found.max_input_length)) facts.push(`${found.max_input_length.toLocaleString("en")} tokens`);
  return facts;
}

/** Looks after the model until the page is closed. `look` looks at once. */
export function watchModel({ key, onFacts, onRefused }) {
  let timer;
  let known = "";
  const look = async () => {
    clearTimeout(timer);
    let next = INTERVAL_READY;
    try {
      if (await isReady(key())) {
        const found = await info(key());
        show("ready", "ready", found.served_model_name || found.model_id || "a model without a name", factsOf(found));
        if (JSON.stringify(found) !== known) onFacts(found);
        known = JSON.stringify(found);
      } else {
        show("loading", "The model is loading…");
        next = INTERVAL_LOADING;
      }
    } catch (problem) {
      if (problem.status === 401) {
        show("gone", key() ? "The service does not know this API key." : "The service wants an API key.");
        onRefused();
      } else {
        const hasStatus = problem instanceof ServiceError && problem.status > 0;
        const isFailing = problem.status === 503;
        show("gone", hasStatus && !isFailing ? `The service answered ${problem.status} when it was asked for its state.` : problem.message);
      }
    }
    clearTimeout(timer);
    timer = setTimeout(look, next);
  };
  document.addEventListener("visibilitychange", () => !document.hidden && look());
  look();
  return { look };
}
