#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["playwright==1.65.2", "axe-playwright-python==0.1.8"]
# ///
"""Tests the page of `rerank eval --report` in a headless Chromium. Ends with status 1 if something is wrong, and writes pictures of it.

The numbers that are shown are compared with those that the command line prints. Needs Playwright for Python (`pip install
playwright`) and a Chromium (Debian's, or Playwright's own); with axe-core (`pip install axe-playwright-python`) the page is also
checked for people who use screen readers.

    scripts/test_report.py --rerank target/release/rerank [--page REPORT.html] [--pictures DIRECTORY]

`--page` only takes pictures of a page that is there.
"""

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}
ATTACK = """</script><img src=x onerror="window.attacked=1"><script>window.attacked=1</script>"""
HEBREW = "המאדים נקרא כוכב הלכת האדום"
QUERIES = 60
LOOKS = {
    "light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True}, "phone-dark": {"viewport": PHONE, "has_touch": True, "color_scheme": "dark"},
}


class Wrong(AssertionError):
    """What a check has found."""


def expect(is_right, what):
    if not is_right:
        raise Wrong(what)


def write_runs(folder):
    """Qrels, ranked JSONL with texts and probabilities, and a TREC run of the same queries."""
    numbers = random.Random(7)
    qrels, ranked, other = [], [], []
    for query in range(QUERIES):
        id = f"q{query}"
        text = {0: ATTACK, 1: HEBREW}.get(query, f"what is the {query}th question about?")
        documents = [{"id": f"d{place}", "title": f"Title {place}", "text": f"{text} " * 4, "original_rank": place + 1} for place in range(15)]
        for document in documents:
            grade = max(0, round(numbers.gauss(0.6, 1.1)))
            document["score"] = min(1, max(0, numbers.gauss(0.2 + 0.2 * grade, 0.2)))
            other.append(f"{id} Q0 {document['id']} 1 {numbers.gauss(grade, 2)} other")
            if numbers.random() < 0.8:
                qrels.append(f"{id} 0 {document['id']} {grade}")
        documents.sort(key=lambda document: -document["score"])
        ranked.append(json.dumps({"query_id": id, "query": text, "results": documents}))
    files = {"qrels.txt": qrels, "ranked.jsonl": ranked, "other.trec": other}
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return [str(folder / name) for name in files]


class Visitor:
    """A page in a browser of its own, which notes what no page may do."""

    def __init__(self, browser, page, **context):
        self.context = browser.new_context(viewport=context.pop("viewport", WIDE), reduced_motion="reduce", **context)
        self.page = self.context.new_page()
        self.faults = []
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text))
        self.page.on("pageerror", lambda problem: self.faults.append(str(problem)))
        self.page.on("request", lambda request: request.url.startswith(("file:", "data:")) or self.faults.append(f"a request to {request.url}"))
        self.page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))")
        self.page.goto(Path(page).resolve().as_uri())

    def close(self):
        self.context.close()
        expect(not self.faults, f"the browser reported {self.faults}")

    def text(self, selector):
        return self.page.inner_text(selector)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)


def numbers(visitor, run):
    """The tables have what the command line prints."""
    shown = visitor.page.locator("#measures tbody tr").all_inner_texts()
    for printed, cells in zip(run.table[1:], shown, strict=True):
        expect(printed.split() == [cell.replace("baseline", "").strip() for cell in cells.split("\t")], f"{cells!r} is not {printed!r}")
    for object in run.objects:
        for measure, expected in object.get("comparison", {}).get("measures", {}).items():
            cells = visitor.page.locator("#differences tbody tr", has_text=object["run"]).filter(has_text=measure).all_inner_texts()
            outcome = f"{expected['wins']} / {expected['ties']} / {expected['losses']}"
            expect(len(cells) == 1 and outcome in cells[0], f"{measure} of {object['run']} shows {cells}, and not {outcome}")
            expect(f"{abs(expected['difference']):.4f}" in cells[0], f"{cells} has another difference than {expected}")


def keyboard(visitor, run):
    """Every bar is reached without a mouse."""
    visitor.page.focus("#bars")
    state = lambda: visitor.page.evaluate("[...['now', 'text'].map((name) => document.getElementById('bars').getAttribute('aria-value' + name))]")
    differences = []
    visitor.press("Home")
    for at in range(QUERIES):
        now, text = state()
        expect(int(now) == at + 1, f"the arrow keys lead to bar {now} instead of {at + 1}")
        differences.append(float(text.rsplit(": ", 1)[1].split(";")[0].replace("−", "-")))
        visitor.press("ArrowRight")
    expect(differences == sorted(differences, reverse=True), "the bars are not in the order of their differences")
    expect(len(visitor.page.query_selector_all("#bars:focus-visible")) == 1, "the focus can't be seen")
    visitor.press("End", "ArrowLeft", "Home", "PageDown")
    expect(state()[0] == "7", f"Page Down leads to {state()[0]}")
    visitor.press("Home", "Enter")
    expect(visitor.page.evaluate("document.activeElement.tagName") == "SUMMARY", "Enter does not lead to the documents")
    visitor.page.wait_for_selector("#best details[open] tbody th")
    ranks = visitor.page.locator("#best details[open] tbody th").all_inner_texts()
    expect(ranks[:10] == [str(rank) for rank in range(1, 11)], f"the documents that are shown have the ranks {ranks}")
    visitor.press("Enter")
    expect(visitor.page.locator("details[open]").count() == 0, "the documents can't be closed")


def choices(visitor, run):
    """Another run and another measure change what is shown."""
    first = visitor.text("#bars-summary")
    visitor.page.select_option("#measure", label="RR@10")
    second = visitor.text("#bars-summary")
    expect(first != second and second.startswith("RR@10 of ranked less that of other"), f"the summary is {second!r}")
    expected = next(object for object in run.objects if object["run"] == "ranked")["comparison"]["measures"]["RR@10"]
    expect(f"better for {expected['wins']}, equal for {expected['ties']}, worse for {expected['losses']}" in second, f"{second!r} is not {expected}")
    best = visitor.page.locator("#best .change").all_inner_texts()
    worst = visitor.page.locator("#worst .change").all_inner_texts()
    expect(len(best) == min(10, expected["wins"]) and len(worst) == min(10, expected["losses"]), f"{len(best)} best and {len(worst)} worst queries")
    expect(all(one.startswith("+") for one in best) and all(one.startswith("−") for one in worst), f"{best} and {worst}")
    expect("Expected calibration error" in visitor.text("#calibration"), "probabilities have no calibration")
    visitor.page.select_option("#scores-run", label="other")
    expect("Not available" in visitor.text("#calibration-hint") and not visitor.text("#calibration"), "a TREC run has a calibration")


def foreign_texts(visitor, run):
    visitor.page.focus("#bars")
    seen = set()
    for _ in range(QUERIES):
        seen.add(visitor.page.text_content("#shown .shown-text"))
        visitor.press("ArrowRight")
    expect({ATTACK, HEBREW} <= seen, "a text is not shown as it is")
    expect(not visitor.page.evaluate("window.attacked"), "a text was run as a script")
    expect(visitor.page.locator("img").count() == 0, "a text became markup")


def colors(visitor, run):
    ground = lambda: visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    before = ground()
    visitor.page.click("#theme")
    expect(ground() != before, "the button does not change the colors")
    visitor.page.click("#theme")
    expect(ground() == before, "the button does not change the colors back")


def looks(browser, page, run):
    """Pictures, no sideways scrolling, and axe-core's opinion."""
    for name, options in LOOKS.items():
        visitor = Visitor(browser, page, **options)
        visitor.page.locator("#best summary").first.click()
        visitor.page.focus("#bars")
        visitor.press("ArrowRight", "ArrowRight")
        run.picture(visitor.page, name)
        run.check_access(visitor.page, name)
        wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        expect(wide <= 0, f"{name}: the page is {wide} pixels wider than its window")
        if run.pictures and name == "light":
            visitor.page.pdf(path=run.pictures / "print.pdf")
        visitor.close()


class Run:
    """What the checks share."""

    def __init__(self, pictures, axe):
        self.pictures, self.axe = pictures, axe

    def evaluate(self, rerank, folder):
        """Writes a page, and notes what the command line prints of the same runs."""
        qrels, ranked, other = write_runs(folder)
        command = [rerank, "eval", "--qrels", qrels, other, ranked, "--quiet"]
        printed = lambda *options: subprocess.run([*command, *options], capture_output=True, text=True, check=True).stdout
        self.table = printed("--report", folder / "report.html").split("\n\n")[0].splitlines()
        self.objects = [json.loads(line) for line in printed("--format", "jsonl").splitlines()]
        return folder / "report.html"

    def picture(self, page, name):
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    def check_access(self, page, where):
        if not self.axe:
            return
        # The page's policy keeps scripts out, so that this one comes through the debugger.
        page.evaluate(self.axe)
        found = page.evaluate("axe.run()")["violations"]
        for one in found:
            print(f"  axe, {where}: {one['impact']}, {one['help']}")
        serious = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]
        expect(not serious, f"{where}: {serious}")


def axe_script():
    """The text of axe-core, if it is found."""
    found = importlib.util.find_spec("axe_playwright_python")
    file = Path(found.origin).parent / "axe.min.js" if found else None
    return file.read_text() if file and file.is_file() else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", default=str(ROOT / "target/release/rerank"), help="the program")
    parser.add_argument("--page", type=Path, help="a page that is there")
    parser.add_argument("--pictures", type=Path, help="where pictures of the page are written")
    arguments = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("skipped: Playwright for Python is not installed")
        return 0
    run = Run(arguments.pictures, axe_script())
    if not run.axe:
        print("axe-core was not found: what it would check is left out")
    failed = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = arguments.page or run.evaluate(arguments.rerank, Path(folder))
        # Chromium refuses to run as root in its sandbox.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else [])
        checks = () if arguments.page else (numbers, keyboard, choices, foreign_texts, colors)
        for check in (*checks, looks):
            started = time.monotonic()
            try:
                if check is looks:
                    looks(browser, page, run)
                else:
                    visitor = Visitor(browser, page)
                    check(visitor, run)
                    visitor.close()
                print(f"{check.__name__}: right, {time.monotonic() - started:.1f} s")
            except Exception as problem:
                failed += 1
                print(f"{check.__name__}: {str(problem)[:2000]}")
                if not isinstance(problem, Wrong):
                    traceback.print_tb(problem.__traceback__, limit=2)
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
