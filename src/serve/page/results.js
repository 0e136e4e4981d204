// The list of results. Texts are only ever set as text.

import { moved, shown } from "./ranking.js";

/** How many results are shown at first, and how many more at a time. */
const FIRST = 100;
const STEP = 200;
/** How many are added before the browser may paint and listen again. */
const SLICE = 250;
/** A text longer than this is shown in part. */
const LONG_TEXT = 420;
const LONG_LINES = 6;
/** Lists up to this length show how they are put in order. */
const ANIMATED = 60;

/** An element with a class, text and children. */
export function element(name, className, ...content) {
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

/** The beginning of a long text, or undefined if it is short. */
function beginningOf(text) {
  const lines = text.split("\n", LONG_LINES + 1);
  if (text.length <= LONG_TEXT && lines.length <= LONG_LINES) return undefined;
  const cut = lines.slice(0, LONG_LINES).join("\n").slice(0, LONG_TEXT - 40);
  // Half of a surrogate pair would be shown as a replacement character.
  return `${/[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}

function textOf(candidate) {
  const beginning = beginningOf(candidate.text);
  const text = foreign("p", "text", beginning ?? candidate.text);
  if (beginning === undefined) return [text];
  const size = candidate.text.length.toLocaleString("en");
  const more = element("button", "quiet", `Show all ${size} characters`);
  more.type = "button";
  more.ariaExpanded = "false";
  more.addEventListener("click", () => {
    const open = more.ariaExpanded !== "true";
    more.ariaExpanded = String(open);
    text.textContent = open ? candidate.text : beginning;
    more.textContent = open ? "Show less" : `Show all ${size} characters`;
  });
  return [text, more];
}

/** The list, and the buttons below it. */
export class ResultList {
  #list;
  #more;
  #items = new Map();
  #results = [];
  #view = {};
  #limit = FIRST;
  #slice = 0;

  constructor(list, more) {
    this.#list = list;
    this.#more = more;
    const [some, all] = more.querySelectorAll("button");
    some.addEventListener("click", () => this.#extend(STEP));
    all.addEventListener("click", () => this.#extend(Infinity));
  }

  /** Begins anew, with other candidates. */
  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#more.hidden = true;
    this.#results = [];
    this.#limit = FIRST;
  }

  /** Shows results in their order. `view` is `{candidates, scale, valueOf, isFinal, animate}`, and `valueOf` gives what is shown of a result. */
  show(results, view) {
    this.#results = results;
    this.#view = view;
    const animated = view.animate && results.length <= ANIMATED && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    const before = animated ? this.#places([...results].sort((a, b) => a.index - b.index)) : undefined;
    this.#fill(Math.min(this.#limit, results.length, Math.max(this.#list.childElementCount, FIRST)));
    if (before) this.#slide(before);
  }

  #extend(by) {
    const first = this.#list.childElementCount;
    this.#limit += by;
    this.#fill(Math.min(first + SLICE, this.#limit, this.#results.length));
    const next = this.#list.children[first];
    if (next) {
      next.tabIndex = -1;
      next.focus({ preventScroll: true });
    }
  }

  /** Brings the first `count` results into the list, and what else is wanted in slices. */
  #fill(count) {
    cancelAnimationFrame(this.#slice);
    this.#place(this.#results.slice(0, count));
    const wanted = Math.min(this.#limit, this.#results.length);
    this.#list.classList.toggle("long", wanted > FIRST + STEP);
    if (count < wanted) this.#slice = requestAnimationFrame(() => this.#fill(Math.min(count + SLICE, wanted)));
    const rest = this.#results.length - count;
    this.#more.hidden = rest === 0;
    this.#more.querySelector("span").textContent = `${count.toLocaleString("en")} of ${this.#results.length.toLocaleString("en")} shown`;
    this.#more.querySelector("button").textContent = `Show ${Math.min(rest, STEP).toLocaleString("en")} more`;
  }

  /** Makes the list's items those of `results`, moving only those that stand elsewhere. */
  #place(results) {
    let at = this.#list.firstElementChild;
    for (const result of results) {
      const item = this.#item(result);
      if (item === at) at = at.nextElementSibling;
      else this.#list.insertBefore(item, at);
    }
    while (at) {
      const next = at.nextElementSibling;
      at.remove();
      at = next;
    }
  }

  #item(result) {
    let item = this.#items.get(result.index);
    if (!item) {
      item = this.#made(result);
      this.#items.set(result.index, item);
    }
    this.#update(item, result);
    return item;
  }

  #made(result) {
    const candidate = this.#view.candidates[result.index];
    const body = element("div", "body");
    if (candidate.title) body.append(foreign("h3", "title", candidate.title));
    if (candidate.text) body.append(...textOf(candidate));
    const facts = element("p", "about");
    if (candidate.id !== undefined) facts.append(element("span", "visually-hidden", "id "), foreign("bdi", "id", candidate.id));
    facts.append(element("span", "was", `was ${(result.index + 1).toLocaleString("en")}`));
    body.append(facts);
    const bar = element("span", "bar", element("span", "fill"));
    bar.ariaHidden = "true";
    const score = element("p", "score", element("span", "visually-hidden", "score "), element("span", "number"), bar);
    const rank = element("p", "rank", element("span", "visually-hidden", "rank "), element("span", "place"), element("span", "move"));
    return element("li", "item", rank, body, score);
  }

  #update(item, result) {
    const isFinal = this.#view.isFinal;
    const { low, high } = this.#view.scale;
    const value = this.#view.valueOf(result);
    const state = `${result.rank} ${value} ${isFinal} ${low} ${high}`;
    if (item.state === state) return;
    item.state = state;
    item.querySelector(".place").textContent = result.rank.toLocaleString("en");
    const { kind, sign, words } = moved(result);
    const move = item.querySelector(".move");
    const seen = element("span", "", isFinal ? sign : "·");
    seen.ariaHidden = "true";
    move.className = `move ${isFinal ? kind : "same"}`;
    move.replaceChildren(seen, element("span", "visually-hidden", isFinal ? `, ${words}` : ""));
    const number = item.querySelector(".number");
    number.textContent = shown(value);
    number.title = String(value);
    const span = high - low || 1;
    // The policy allows properties set by a script, and no style attributes in markup.
    const fill = item.querySelector(".fill");
    fill.style.setProperty("left", `${((Math.min(value, 0) - low) / span) * 100}%`);
    fill.style.setProperty("width", `${(Math.abs(value) / span) * 100}%`);
    fill.classList.toggle("negative", value < 0);
    if (result.truncated && !item.querySelector(".cut")) {
      item.querySelector(".about").append(element("span", "cut", "truncated"));
    }
  }

  /** Where items stand if the list has this order. */
  #places(results) {
    this.#place(results);
    return new Map([...this.#list.children].map((item) => [item, item.getBoundingClientRect().top]));
  }

  #slide(before) {
    for (const [item, top] of before) {
      const by = top - item.getBoundingClientRect().top;
      if (by && item.isConnected) {
        item.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 420, easing: "cubic-bezier(.2,.7,.2,1)" });
      }
    }
  }
}
