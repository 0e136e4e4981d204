// The page: what is chosen in it, and in which colors it is shown.

/** The first run that is not the baseline. */
const FIRST_RUN = Math.max(0, DATA.runs.findIndex((_, run) => run !== DATA.baseline));

function show() {
  showBars(Number(byId("run").value), Number(byId("measure").value));
  showQueries();
}

function offerChoices() {
  const runs = DATA.runs.map(({ name }, value) => ({ name, value }));
  fill(byId("run"), runs.filter(({ value }) => value !== DATA.baseline), FIRST_RUN);
  fill(byId("scores-run"), runs, FIRST_RUN);
  fill(byId("measure"), DATA.measures.slice(0, DATA.measures_by_query).map(({ name }, value) => ({ name, value })), 0);
  byId("run").addEventListener("change", show);
  byId("measure").addEventListener("change", show);
  byId("scores-run").addEventListener("change", () => showScores(Number(byId("scores-run").value)));
}

/** The button names the colors that it leads to. */
function offerTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen;
  const isDark = () => (chosen ?? (dark.matches ? "dark" : "light")) === "dark";
  const name = () => {
    byId("theme").textContent = isDark() ? "Light colors" : "Dark colors";
  };
  byId("theme").addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    document.documentElement.style.setProperty("color-scheme", chosen);
    name();
  });
  dark.addEventListener("change", name);
  name();
}

document.title = `${DATA.runs.map((run) => run.name).join(", ")}: evaluation`;
drawFacts();
drawMeasures();
drawDifferences();
offerChoices();
offerTheme();
listenToBars();
show();
showScores(FIRST_RUN);
