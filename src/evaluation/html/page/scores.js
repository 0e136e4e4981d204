// Scores: how they are distributed for each grade, and whether probabilities keep what they promise.

const RIDGE = { width: 400, height: 44 };
const SQUARE = 260;

function showScores(at) {
  const run = DATA.runs[at];
  drawDistribution(run);
  drawCalibration(run);
}

function gradeName({ grade, and_above: isOpen }) {
  return grade === null ? "not judged" : `grade ${grade}${isOpen ? " and above" : ""}`;
}

function drawDistribution({ name, distribution }) {
  const { low, high, is_rank: isRank, grades } = distribution;
  byId("distribution-hint").replaceChildren("The scores by which ", foreign("b", "", name), ` ranks${isRank
    ? " (it has ranks only: rank 1 is on the right)" : ", the logit where it has one"}: a row for each grade, as tall as its fullest bin; a dashed line is the mean.`);
  const shownEnd = (value) => (isRank ? `rank ${grouped(-value)}` : shownScore(value));
  const rows = [...grades].reverse().map((histogram) => {
    const count = histogram.bins.reduce((sum, one) => sum + one, 0);
    const x = high > low ? ((histogram.mean - low) / (high - low)) * RIDGE.width : RIDGE.width / 2;
    const mean = isRank ? `mean rank ${(-histogram.mean).toFixed(1)}` : `mean ${shownScore(histogram.mean)}`;
    return element("div", "ridge",
      element("div", "ridge-name", element("b", "", gradeName(histogram)), element("span", "hint", `${counted(count, "document", "documents")}, ${mean}`)),
      histogramOf(histogram.bins, x, count));
  });
  const axis = element("div", "axis", element("span", "", shownEnd(low)), element("span", "", isRank ? "" : shownEnd((low + high) / 2)), element("span", "", shownEnd(high)));
  byId("distribution").replaceChildren(...rows, axis);
}

function histogramOf(bins, mean, count) {
  const most = Math.max(...bins) || 1;
  const width = RIDGE.width / bins.length;
  const bars = bins.map((bin, at) => (bin ? `M${at * width} ${RIDGE.height}h${width - 1}v${-(bin / most) * (RIDGE.height - 2)}h${1 - width}z` : "")).join("");
  const drawing = shape("svg", { viewBox: `0 0 ${RIDGE.width} ${RIDGE.height}`, preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${counted(count, "document", "documents")}` },
    shape("path", { class: "bins", d: bars }), shape("path", { class: "mean", d: `M${mean} 0V${RIDGE.height}` }), shape("path", { class: "zero", d: `M0 ${RIDGE.height}H${RIDGE.width}` }));
  return drawing;
}

function drawCalibration({ name, calibration }) {
  const place = byId("calibration");
  const hint = byId("calibration-hint");
  if (!calibration) {
    hint.replaceChildren("Not available: ", foreign("b", "", name), " has no probabilities. They are the scores from 0 to 1 in ranked JSONL, as rerank writes it without --score raw.");
    place.replaceChildren();
    return;
  }
  hint.replaceChildren("If ", foreign("b", "", name), `’s scores are probabilities, of documents with 0.8 about 80% are relevant (grade ${DATA.level} and above), and the bars reach the diagonal. `
    + `All ${grouped(calibration.documents)} documents with a judgement count, at any rank.`);
  place.replaceChildren(
    element("p", "headline", "Expected calibration error ", element("b", "", calibration.error.toFixed(4))),
    reliability(calibration), binTable(calibration));
}

/** A reliability diagram: shares of relevant documents as bars, mean probabilities as marks, and below the documents of each bin. */
function reliability({ bins, documents, error }) {
  const width = SQUARE / bins.length;
  const below = 44;
  const most = Math.max(...bins.map((bin) => bin.count));
  const y = (share) => SQUARE - share * SQUARE;
  const filled = bins.map((bin, at) => ({ ...bin, x: at * width })).filter((bin) => bin.count);
  const bar = ({ x, relevant }) => `M${x + 2} ${SQUARE}h${width - 4}V${y(relevant)}h${4 - width}z`;
  const mark = ({ x, mean }) => `M${x + 2} ${y(mean)}h${width - 4}`;
  const size = ({ x, count }) => `M${x + 2} ${SQUARE + 28 + below}h${width - 4}v${-Math.max(1, (count / most) * below)}h${4 - width}z`;
  const label = (text, x, at, anchor) => shape("text", { x, y: at, "text-anchor": anchor }, text);
  const description = `Reliability diagram of ${counted(documents, "document", "documents")}, expected calibration error ${error.toFixed(4)}; the table below has its numbers`;
  return shape("svg", { class: "reliability", viewBox: `-34 -8 ${SQUARE + 44} ${SQUARE + below + 46}`, role: "img", "aria-label": description },
    shape("path", { class: "grid", d: [0, 0.25, 0.5, 0.75, 1].map((share) => `M0 ${y(share)}H${SQUARE}`).join("") }),
    shape("path", { class: "bins", d: filled.map(bar).join("") }),
    shape("path", { class: "diagonal", d: `M0 ${SQUARE}L${SQUARE} 0` }),
    shape("path", { class: "marks", d: filled.map(mark).join("") }),
    shape("path", { class: "sizes", d: filled.map(size).join("") }),
    ...[0, 0.5, 1].map((share) => label(String(share), -6, y(share) + 4, "end")),
    ...[0, 0.5, 1].map((share) => label(String(share), share * SQUARE, SQUARE + 15, "middle")),
    label("n", -6, SQUARE + 26 + below, "end"));
}

function binTable({ bins }) {
  const rows = bins.map((bin, at) => row([
    `${(at / bins.length).toFixed(1)} to ${((at + 1) / bins.length).toFixed(1)}`, grouped(bin.count),
    bin.count ? bin.mean.toFixed(3) : "–", bin.count ? bin.relevant.toFixed(3) : "–",
  ]));
  const table = element("table", "", element("caption", "visually-hidden", "Calibration by bins of the probability"),
    element("thead", "", row(["Probability", "Documents", "Mean probability", "Relevant share"], { head: true })), element("tbody", "", ...rows));
  const scroll = element("div", "scroll", table);
  scroll.tabIndex = 0;
  scroll.role = "region";
  scroll.ariaLabel = "Calibration by bins of the probability";
  return element("div", "reading",
    element("ul", "legend", element("li", "key-bar", "share of relevant documents"), element("li", "key-mark", "mean probability"), element("li", "key-size", "documents in the bin")),
    element("details", "numbers", element("summary", "", "The numbers"), scroll));
}
