// Scores by rank, as a curve: where they drop is where a threshold belongs.

import { shown } from "./ranking.js";

const WIDTH = 600;
const HEIGHT = 64;
const POINTS = 300;
/** A curve of fewer points shows nothing. */
const FEWEST = 8;

const byId = (id) => document.getElementById(id);

/** Draws all results, which are in order; those that the filter leaves out lie below the threshold. */
export function drawCurve(results, { low, high }, { threshold }, { valueOf, name }) {
  byId("curve").hidden = results.length < FEWEST;
  if (results.length < FEWEST) return;
  const values = results.map(valueOf);
  const y = (score) => 2 + (1 - (score - low) / (high - low || 1)) * (HEIGHT - 4);
  const step = Math.max(1, (results.length - 1) / POINTS);
  const points = [];
  for (let at = 0; at < results.length - 1; at += step) points.push(Math.floor(at));
  points.push(results.length - 1);
  const line = points.map((at) => `${((at / (results.length - 1)) * WIDTH).toFixed(1)} ${y(values[at]).toFixed(2)}`).join("L");
  byId("curve-line").setAttribute("d", `M${line}`);
  byId("curve-area").setAttribute("d", `M0 ${y(0)}L${line}L${WIDTH} ${y(0)}Z`);
  byId("curve-zero").setAttribute("d", `M0 ${y(0)}H${WIDTH}`);
  const inside = threshold !== undefined && threshold >= low && threshold <= high;
  byId("curve-threshold").setAttribute("d", inside ? `M0 ${y(threshold)}H${WIDTH}` : "");
  const middle = values[values.length >> 1];
  byId("curve-caption").textContent = `${name} by rank: best ${shown(values[0])}, middle ${shown(middle)}, last ${shown(values.at(-1))}`;
}
