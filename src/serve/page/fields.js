// Finds the fields of a record, as the command line does.

import { NAMES } from "./names.js";

/** What a file may call the text of a candidate, for messages. */
export const TEXT_NAMES = [...NAMES.text, ...NAMES.title].join(", ");

/** A name without its case and what people put between its words: "Doc ID" and "doc_id" are one, "_id" and "id" are not. */
function letters(name) {
  const kept = (character, at, all) => at === 0 || at === all.length - 1 || !/[-_ ]/.test(character);
  return [...name.trim()].filter(kept).join("").replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Of these names, the preferred one for `field`, or undefined: one that is written alike comes before one that is not. */
export function find(names, field) {
  const exact = NAMES[field].find((known) => names.includes(known));
  if (exact !== undefined) return exact;
  for (const known of NAMES[field]) {
    const found = names.find((name) => letters(name) === letters(known));
    if (found !== undefined) return found;
  }
  return undefined;
}
