#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["playwright==1.65.2", "axe-playwright-python==0.1.8"]
# ///
"""Tests the page of `rerank serve` in a headless Chromium. Ends with status 1 if something is wrong, and writes pictures of it.

Scores and order are compared with those that the command line gives the same texts. Needs Playwright for Python (`pip install
playwright`) and a Chromium (Debian's, or Playwright's own); with axe-core (`pip install axe-playwright-python`, or `--axe FILE` from the
npm package) the page is also checked for people who use screen readers.

    scripts/test_page.py --rerank target/release/rerank [--model testdata/tiny-reranker] [--url URL] [--pictures DIRECTORY]
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = json.loads((ROOT / "testdata/candidates.jsonl").read_text().splitlines()[0])
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 360, "height": 780}
HEBREW = 'המאדים נקרא "כוכב הלכת האדום" (red planet).'
ARABIC = "المريخ هو الكوكب الأحمر red planet, 4 من الشمس."
ATTACK = """<img src=x onerror="window.attacked=1"><script>window.attacked=1</script><b>red</b> "'&lt; javascript:window.attacked=1"""
MANY = 3000


class Wrong(AssertionError):
    """What a check has found."""


def expect(is_right, what):
    if not is_right:
        raise Wrong(what)


def start_service(rerank, model):
    """A service on a free port, and its address."""
    service = subprocess.Popen([rerank, "serve", "--model", model, "--port", "0"], stderr=subprocess.PIPE, text=True)
    for line in service.stderr:
        if found := re.search(r"listening on (http://\S+)", line):
            return service, found[1]
    raise SystemExit(f"{rerank} serve ended with status {service.wait()} before it listened")


def command_line(rerank, model, query, texts, *options):
    """The results that `rerank` gives the same texts: (position from 1, score)."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "in.jsonl")
        file.write_text(json.dumps({"query": query, "candidates": [{"text": text} for text in texts]}) + "\n")
        done = subprocess.run([rerank, file, "--model", model, "--quiet", *options], capture_output=True, text=True, check=True)
    return [(int(result["id"]), result["score"]) for result in json.loads(done.stdout)["results"]]


class Visitor:
    """A page in a browser of its own, which notes what no page may do."""

    def __init__(self, browser, url, **context):
        self.context = browser.new_context(viewport=context.pop("viewport", WIDE), accept_downloads=True, **context)
        with contextlib.suppress(Exception):
            self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        self.page = self.context.new_page()
        self.faults, self.expected = [], ()
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.faults.append(message.text))
        self.page.on("pageerror", lambda problem: self.faults.append(str(problem)))
        self.page.on("request", lambda request: self.note(request.url, urlsplit(url).netloc))
        self.page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))")
        self.page.goto(url)
        self.page.wait_for_selector("#model-light.ready")

    def note(self, url, host):
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != host:
            self.faults.append(f"a request to {url}")

    def close(self):
        """Ends the visit, and fails if something was noted that the check did not provoke."""
        self.context.close()
        faults = [fault for fault in self.faults if not any(part in fault for part in self.expected)]
        expect(not faults, f"the browser reported {faults}")

    def fill(self, query, texts):
        self.page.fill("#query", query)
        # Pasted, as Chromium takes minutes to type thousands of lines.
        self.page.evaluate("(text) => navigator.clipboard.writeText(text)", "\n".join(texts))
        self.page.click("#candidates")
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Control+v")

    def drop(self, name, content, kind="text/plain"):
        self.page.evaluate(
            """([name, content, kind]) => {
                const data = new DataTransfer();
                data.items.add(new File([content], name, {type: kind}));
                for (const what of ["dragenter", "dragover", "drop"]) {
                    document.getElementById("drop").dispatchEvent(new DragEvent(what, {dataTransfer: data, bubbles: true, cancelable: true}));
                }
            }""",
            [name, content, kind],
        )

    def rank(self):
        self.page.click("#rank")
        self.wait()

    def wait(self, timeout=120_000):
        self.page.wait_for_selector("#rank:not([aria-disabled])", timeout=timeout)

    def json(self):
        """What the page copies."""
        self.page.click("#copy-json")
        self.page.wait_for_selector("#copy-json:text-is('Copied')")
        return json.loads(self.page.evaluate("navigator.clipboard.readText()"))

    def results(self, kind="score"):
        return [(result["original_rank"], result.get(kind, result["score"])) for result in self.json()["results"]]

    def text(self, selector):
        return self.page.inner_text(selector)


def example(visitor, run):
    visitor.page.click("#example")
    expect(visitor.page.input_value("#query") == EXAMPLE["query"], "the example has another query than testdata/candidates.jsonl")
    visitor.page.keyboard.press("Enter")
    visitor.wait()
    texts = [candidate["text"] for candidate in EXAMPLE["candidates"]]
    expect(visitor.page.input_value("#candidates").split("\n") == texts, "the example has other candidates than testdata/candidates.jsonl")
    expect(visitor.results() == run.cli(EXAMPLE["query"], texts), "the example's results are not the command line's")
    seen = [text.replace("−", "-") for text in visitor.page.locator(".number").all_inner_texts()]
    expect(seen == [f"{score:.4f}" for _, score in run.cli(EXAMPLE["query"], texts)], f"scores shown are {seen}")
    expect(visitor.page.locator(".move").first.inner_text().startswith("▲2"), "the move of the first result is not shown")
    expect("up 2, from 3" in visitor.page.locator(".move").first.text_content(), "the move has no words")
    visitor.page.check("[value=logit]")
    # Where the reply has no logits beside the scores, they are asked for.
    if visitor.page.is_visible("#stale"):
        visitor.rank()
    visitor.page.fill("#query", "another")
    expect(visitor.page.is_visible("#stale"), "a ranking that no longer fits the form is not marked")
    visitor.page.fill("#query", EXAMPLE["query"])
    expect(not visitor.page.is_visible("#stale"), "a ranking that fits the form is marked")
    expect(visitor.results("logit") == run.cli(EXAMPLE["query"], texts, "--score", "raw"), "logits are not the command line's")
    visitor.page.fill("#top-k", "2")
    expect(visitor.page.locator(".item").count() == 2, "top-k does not shorten the list")
    visitor.page.fill("#top-k", "")
    visitor.page.fill("#threshold", "0")
    expect(all(score >= 0 for _, score in visitor.results("logit")) and visitor.results(), "the threshold is not applied")


def curl(visitor, run):
    """The copied command, run in a shell, sends what the page sent."""
    texts = ["it's \"red\"!", "back\\slash \\n $HOME `id`", "tab\there !! ünï 🚀 \u202eright", "red <planet> & 'it''s'", "%s {} \\u0041"]
    visitor.fill("what's \"red\"?! \\o/", texts)
    visitor.rank()
    expected = visitor.results()
    visitor.page.click("#copy-curl")
    visitor.page.wait_for_selector("#copy-curl:text-is('Copied')")
    command = visitor.page.evaluate("navigator.clipboard.readText()")
    expect("!" not in command and "\u202e" not in command, "the command has characters that shells or terminals change")
    for shell in [["bash", "-ic"], ["sh", "-c"]]:
        done = subprocess.run([*shell, command], capture_output=True, text=True, check=False)
        found = [(result["index"] + 1, result["relevance_score"]) for result in json.loads(done.stdout)["results"]]
        expect(found == expected, f"the copied command in {shell[0]} gives {done.stdout} {done.stderr}")


def files(visitor, run):
    visitor.page.fill("#query", "red planet")
    rows = [("a", 'Mars is the "red" planet, they say'), ("b", "two\nlines of red"), ("c", "nothing")]
    table = "\ufeffdoc_id,passage,url\r\n" + "".join('{},"{}",u\r\n'.format(id, text.replace('"', '""')) for id, text in rows) + "d\r\ne,,u\r\n"
    visitor.drop("candidates.csv", table, "text/csv")
    visitor.page.wait_for_selector("#file-card:not([hidden])")
    notes = visitor.text("#file-notes")
    for part in ("line 6", "line 7", "empty text", "url"):
        expect(part in notes, f"the notes on a table do not have {part}: {notes}")
    visitor.rank()
    found = visitor.json()["results"]
    expect(visitor.results() == run.cli("red planet", [text for _, text in rows]), "a table's results are not the command line's")
    expect({result["id"]: result["text"] for result in found} == dict(rows), f"a table's ids or texts are wrong: {found}")

    visitor.page.click("#file-remove")
    visitor.drop("candidates.jsonl", (ROOT / "testdata/candidates.jsonl").read_text())
    visitor.page.wait_for_selector("#file-queries:not([hidden])")
    visitor.page.select_option("#file-query", index=1)
    expect(visitor.page.input_value("#query") == "what is the capital of France", "a file's query is not filled in")
    visitor.rank()
    second = json.loads((ROOT / "testdata/candidates.jsonl").read_text().splitlines()[1])
    expect(visitor.results() == run.cli(second["query"], [one["text"] for one in second["candidates"]]), "JSONL's results are wrong")
    with visitor.page.expect_download() as download:
        visitor.page.click("#download")
    lines = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    expect([line["rank"] for line in lines] == [1, 2, 3, 4, 5] and lines[0]["id"] == "d4", f"the saved lines are {lines}")

    for name, content, sentence in (
        ("a.parquet", "PAR1", "Parquet"), ("a.csv", "x,y\n1,2\n", "none of them is a text"), ("a.csv", 'text\n"open\n', "never closed"),
        ("a.jsonl", '{"x":1}\n', "no text"), ("a.txt", "a\0b", "not text in UTF-8"),
    ):
        visitor.drop(name, content)
        visitor.page.wait_for_selector(f"#candidates-problem:has-text('{sentence}')")
    titled = [{"title": "Mars", "contents": "red", "_id": "9007199254740993"}, {"title": "Venus", "contents": "white", "_id": 2}]
    visitor.drop("beir.jsonl", "".join(json.dumps(one) + "\n" for one in titled).replace('"9007199254740993"', "9007199254740993"))
    visitor.page.wait_for_selector("text=Titles are scored")
    visitor.page.fill("#query", "red planet")
    visitor.rank()
    expect(visitor.results() == run.cli("red planet", ["Mars red", "Venus white"]), "titles are not scored in front of texts")
    expect("9007199254740993" in [result["id"] for result in visitor.json()["results"]], "a large id has lost its last digit")


def foreign_texts(visitor, run):
    texts = [HEBREW, ATTACK, ARABIC, "日本語の赤い惑星 🚀👩‍🚀", "x" * 5000, "red"]
    visitor.fill("red planet", texts)
    visitor.rank()
    expect(visitor.results() == run.cli("red planet", texts), "results of texts from all over are not the command line's")
    expect(not visitor.page.evaluate("window.attacked"), "a document was run as a script")
    expect(visitor.page.locator(".item img, .item script, .item b").count() == 0, "a document became markup")
    shown = visitor.page.locator(".item .text").all_text_contents()
    expect({HEBREW, ATTACK, ARABIC} <= set(shown), "a text is not shown as it is")
    direction = visitor.page.evaluate("(text) => getComputedStyle([...document.querySelectorAll('.text')].find((e) => e.textContent === text)).direction", HEBREW)
    expect(direction == "rtl", "Hebrew is not written from the right")
    more = visitor.page.locator("button:has-text('Show all 5,000 characters')")
    expect(max(map(len, shown)) < 1000, "a huge text is not collapsed")
    more.click()
    expect(max(map(len, visitor.page.locator(".item .text").all_text_contents())) == 5000, "a collapsed text does not open")
    run.picture(visitor.page, "foreign")


def many(visitor, run):
    texts = [f"{'red ' * (number % 7)}planet number {number} of {'many ' * (number % 5)}words" for number in range(MANY)]
    requests = []
    visitor.page.on("request", lambda request: request.method == "POST" and requests.append(len(request.post_data_json["documents"])))
    visitor.fill("red planet", texts)
    visitor.page.click("#rank")
    visitor.page.wait_for_selector(".item")
    expect(visitor.page.is_visible("#progress"), "results of a long list do not stream in")
    visitor.wait()
    expect(max(requests) <= 64 and sum(requests) == MANY, "the list was not sent in parts of 64")
    found, expected = visitor.results(), run.cli("red planet", texts)
    if "logit" not in visitor.json()["results"][0]:
        # Scores alone can't order what rounding made equal in several replies.
        found, expected = (sorted(results, key=lambda result: (-result[1], result[0])) for results in (found, expected))
    expect(found == expected, "the results of a long list are not the command line's")
    expect(visitor.page.locator(".item").count() == 100, "a long list is not shown in part")
    run.picture(visitor.page, "many")
    visitor.page.click("#more-all")
    visitor.page.wait_for_selector(f".item:nth-child({MANY})")


def cancelled(visitor, run):
    visitor.fill("red planet", [f"planet {number}" for number in range(8000)])
    visitor.page.click("#rank")
    visitor.page.wait_for_selector(".item")
    visitor.page.click("#cancel")
    visitor.wait(5000)
    expect("Cancelled" in visitor.text("#status"), "a cancelled run is not reported")
    expect(visitor.page.evaluate("document.activeElement.id") == "rank", "the focus is lost with the button that had it")
    visitor.fill("red planet", ["red", "planet"])
    visitor.rank()
    expect(visitor.page.locator(".item").count() == 2, "after a cancelled run the next one fails")


def faults(visitor, run):
    """What services answer on bad days."""
    visitor.expected = ("Failed to load resource",)
    visitor.fill("red", ["red", "blue"])
    answers = []

    def answer(route):
        status, headers, body = answers.pop(0) if answers else (0, {}, "")
        route.fulfill(status=status, headers=headers, body=body) if status else route.continue_()

    visitor.page.route("**/v1/rerank", answer)
    answers[:] = [(422, {}, json.dumps({"error": {"message": "the query is empty"}}))]
    visitor.rank()
    expect("422" in visitor.text("#error") and "the query is empty" in visitor.text("#error"), "an error is not shown")
    answers[:] = [(429, {"retry-after": "1"}, "{}"), (503, {}, "{}")]
    started = time.monotonic()
    visitor.rank()
    expect(visitor.page.locator(".item").count() == 2 and time.monotonic() - started > 1, "429 and 503 are not waited for")
    answers[:] = [(413, {}, "{}")]
    visitor.rank()
    expect(visitor.page.locator(".item").count() == 2, "a part that is too large is not halved")
    answers[:] = [(401, {}, json.dumps({"message": "a key is needed"}))]
    visitor.rank()
    expect(visitor.page.evaluate("document.activeElement.id") == "key", "the key is not asked for")
    visitor.page.fill("#key", "secret")
    keys = []
    visitor.page.on("request", lambda request: request.method == "POST" and keys.append(request.headers.get("authorization")))
    visitor.rank()
    expect(keys == ["Bearer secret"], f"the key is not sent: {keys}")
    expect(visitor.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == '[{},{},""]', "a key is kept")
    visitor.page.click("#copy-curl")
    visitor.page.wait_for_selector("#copy-curl:text-is('Copied')")
    expect("secret" not in visitor.page.evaluate("navigator.clipboard.readText()"), "the copied command has the key in it")
    visitor.page.fill("#query", "")
    visitor.page.click("#rank")
    expect(visitor.text("#query-problem") == "The query is missing.", "a missing query is not reported")


def keyboard(visitor, run):
    """A whole run without a mouse."""
    press = visitor.page.keyboard.press
    reached = []
    for _ in range(3):
        press("Tab")
        reached.append(visitor.page.evaluate("document.activeElement.id || document.activeElement.className"))
    expect(reached == ["skip", "example", "query"], f"the tab key reaches {reached}")
    visitor.page.keyboard.type("red planet")
    press("Tab")
    visitor.page.keyboard.type("blue\nred planet\n")
    press("Control+Enter")
    visitor.wait()
    expect(visitor.page.locator(".place").first.inner_text() == "1" and visitor.page.locator(".item .text").first.inner_text() == "red planet", "Ctrl+Enter does not rank")
    expect("Ranked 2 candidates" in visitor.page.text_content("#announce"), "the result is not announced")
    expect(visitor.page.evaluate("document.activeElement.id") == "candidates", "the focus was taken away")


def looks(browser, url, run):
    """Pictures, no sideways scrolling, and axe-core's opinion."""
    for name, options in (
        ("light", {"color_scheme": "light"}), ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": PHONE, "has_touch": True}), ("phone-dark", {"viewport": PHONE, "has_touch": True, "color_scheme": "dark"}),
    ):
        visitor = Visitor(browser, url, reduced_motion="reduce", **options)
        run.picture(visitor.page, f"{name}-empty")
        run.check_access(visitor.page, f"{name}, empty")
        visitor.page.click("#example")
        visitor.rank()
        run.picture(visitor.page, name)
        run.check_access(visitor.page, f"{name}, with results")
        visitor.drop("candidates.jsonl", (ROOT / "testdata/candidates.jsonl").read_text())
        visitor.page.wait_for_selector("#file-queries:not([hidden])")
        visitor.page.fill("#top-k", "0")
        visitor.page.click("#rank")
        run.picture(visitor.page, f"{name}-file")
        run.check_access(visitor.page, f"{name}, with a file and a problem")
        wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        expect(wide <= 0, f"{name}: the page is {wide} pixels wider than its window")
        visitor.close()


class Run:
    """What the checks share."""

    def __init__(self, arguments, axe):
        self.arguments, self.axe = arguments, axe

    def cli(self, query, texts, *options):
        return command_line(self.arguments.rerank, self.arguments.model, query, texts, *options)

    def picture(self, page, name):
        if self.arguments.pictures:
            self.arguments.pictures.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=self.arguments.pictures / f"{name}.png", full_page="phone" in name)

    def check_access(self, page, where):
        if not self.axe:
            return
        # The page's policy keeps scripts out, so that this one comes through the debugger.
        page.evaluate(self.axe)
        found = page.evaluate("axe.run()")["violations"]
        serious = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]
        for one in found:
            print(f"  axe, {where}: {one['impact']}, {one['help']}")
        expect(not serious, f"{where}: {serious}")


def axe_script(given):
    """The text of axe-core, if it is found."""
    if given:
        return given.read_text()
    found = importlib.util.find_spec("axe_playwright_python")
    file = Path(found.origin).parent / "axe.min.js" if found else None
    return file.read_text() if file and file.is_file() else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", default=str(ROOT / "target/release/rerank"), help="the program")
    parser.add_argument("--model", default=str(ROOT / "testdata/tiny-reranker"), help="its model")
    parser.add_argument("--url", help="a running service with the same model; by default one is started")
    parser.add_argument("--pictures", type=Path, help="where pictures of the page are written")
    parser.add_argument("--axe", type=Path, help="axe.min.js")
    parser.add_argument("--only", help="a check's name")
    arguments = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("skipped: Playwright for Python is not installed")
        return 0
    axe = axe_script(arguments.axe)
    if not axe:
        print("axe-core was not found: what it would check is left out")
    run = Run(arguments, axe)
    service, url = (None, arguments.url) if arguments.url else start_service(arguments.rerank, arguments.model)
    failed = 0
    checks = (example, curl, files, foreign_texts, many, cancelled, faults, keyboard)
    try:
        with sync_playwright() as playwright:
            # Chromium refuses to run as root in its sandbox.
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"] if os.geteuid() == 0 else [])
            for check in (*checks, looks):
                if arguments.only and arguments.only != check.__name__:
                    continue
                started = time.monotonic()
                try:
                    if check is looks:
                        looks(browser, url, run)
                    else:
                        visitor = Visitor(browser, url, reduced_motion="reduce")
                        check(visitor, run)
                        visitor.close()
                    print(f"{check.__name__}: right, {time.monotonic() - started:.1f} s")
                except Exception as problem:
                    failed += 1
                    print(f"{check.__name__}: {str(problem)[:2000]}")
                    if not isinstance(problem, Wrong):
                        traceback.print_tb(problem.__traceback__, limit=2)
            browser.close()
    finally:
        if service:
            service.terminate()
            service.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
