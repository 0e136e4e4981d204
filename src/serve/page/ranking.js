// The order of results, and what of it is shown.

/** Orders results, best first: by logit, then in the candidates' order. Sets `rank` and `move`. */
export function ordered(results) {
  results.sort((a, b) => b.logit - a.logit || a.index - b.index);
  results.forEach((result, at) => {
    result.rank = at + 1;
    result.move = result.index - at;
  });
  return results;
}

/** What is shown of a result: its score, or its logit where that is wanted. */
export function valueIn(kind) {
  return (result) => result[kind];
}

/** The results that top-k and the threshold leave. */
export function chosen(results, { topK, threshold }, valueOf) {
  const above = threshold === undefined ? results : results.filter((result) => valueOf(result) >= threshold);
  return topK === undefined ? above : above.slice(0, topK);
}

/** The range of bars: from 0 to 1 for probabilities, else wide enough for all scores and 0. */
export function scaleOf(results, valueOf) {
  let low = 0;
  let high = 0;
  for (const result of results) {
    low = Math.min(low, valueOf(result));
    high = Math.max(high, valueOf(result));
  }
  if (low >= 0 && high <= 1) return { low: 0, high: 1 };
  return { low, high };
}

/** A score for the eye: four digits behind the point, and more where these would be zeros. */
export function shown(score) {
  const size = Math.abs(score);
  const text = size !== 0 && (size < 0.0001 || size >= 1e6) ? size.toExponential(1) : size.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 4);
  return score < 0 ? `−${text}` : text;
}

/** A move against the candidates' order, for the eye and in words. */
export function moved({ move, index }) {
  const was = (index + 1).toLocaleString("en");
  const size = Math.abs(move).toLocaleString("en");
  if (move > 0) return { kind: "up", sign: `▲${size}`, words: `up ${size}, from ${was}` };
  if (move < 0) return { kind: "down", sign: `▼${size}`, words: `down ${size}, from ${was}` };
  return { kind: "same", sign: "=", words: "not moved" };
}
