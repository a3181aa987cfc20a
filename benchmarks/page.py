"""Is the audition page quick with a film's worth of takes: 2,000 lines, 10,000 takes?

What is measured, in Chromium as the tests have it, on a production of `--lines` lines with five
takes each:

- **first paint** of the page, with an empty cache and opened again, and when the lines are there;
  beside it, in turns, that of `/livez`, a line of text: what the browser takes for any page;
- **interactions**: from the key or the pointer to the next paint, as the browser itself says it
  (Event Timing, https://www.w3.org/TR/event-timing/): going through the script by key, opening a
  line by click, searching it letter by letter, choosing takes, A and B, circling, rating, the
  spectrogram, dialogs. Longest and median, in ms;
- **long tasks**: how long, beyond 50 ms, nothing else could have been done at a time;
- **changes**: from the key that moves a control to the first sound of the line said anew, as the
  page itself shows it, in a short, a medium and a long line; 1 s is what is allowed;
- **scrolling**: the longest time between two frames while 10,000 takes are scrolled through by the
  wheel, and how many rows are in the document then.

Rows are copies of one take that the demonstration voice spoke, so their waveforms, timings and
plans are as long as real ones. A first round is not counted: it fills the caches of the browser.
Ends in one JSON line on stdout.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from common import LINES, arguments, median, report, say
from ledger_rows import permits
from playwright.sync_api import Browser, Page, sync_playwright
from servers import Service
from sqlalchemy import Connection, insert, select, update

from voicesvc import archive
from voicesvc.config import Settings
from voicesvc.line import Line
from voicesvc.store import By, lines, productions
from voicesvc.store.tables import documents as document_rows
from voicesvc.store.tables import lines as line_rows
from voicesvc.store.tables import takes as take_rows
from voicesvc.studio import Studio

TAKES_EACH = 5
LIMIT_MS = 100  # what an editor takes for at once
BY = By("Ann", 1_764_072_000_000)
PRODUCTION = "pr_" + "0" * 20
AT_ONCE = 500  # rows
SCROLLED = 40  # turns of the wheel
CONTROLS = ("Rate", "Pitch", "Range", "Energy", "Tilt", "Breathiness", "Pauses")
OBSERVE = """
window.seen = { events: [], tasks: [], paint: null };
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) {
    if (e.interactionId) window.seen.events.push({ name: e.name, ms: e.duration });
  }
}).observe({ type: "event", durationThreshold: 16, buffered: true });
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) window.seen.tasks.push(e.duration);
}).observe({ type: "longtask", buffered: true });
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) {
    if (e.name === "first-contentful-paint") window.seen.paint = e.startTime;
  }
}).observe({ type: "paint", buffered: true });
"""
FRAMES = """
() => {
  window.gaps = [];
  let last = performance.now();
  const frame = (now) => {
    window.gaps.push(now - last);
    last = now;
    window.frame = requestAnimationFrame(frame);
  };
  window.frame = requestAnimationFrame(frame);
}
"""


def fill(folder: Path, n_lines: int) -> None:
    """A data folder with one production, its lines, and copies of one spoken take for each."""
    settings = Settings.read({}, actors=("joe",), device="cpu", data_dir=folder)
    with (
        closing(archive.open_in(settings, "benchmark")) as kept,
        closing(Studio(settings, archive=kept)) as studio,
    ):
        rendering = studio.open(Line(actor="joe", text=LINES["medium"], seed=1))
        for _ in rendering.chunks():
            pass
        kept.database.write(lambda c: _copy(c, n_lines))


def _copy(c: Connection, n_lines: int) -> None:
    row = dict(c.execute(select(take_rows)).one()._mapping)
    documents = [dict(d._mapping) for d in c.execute(select(document_rows)).all()]
    levels = {"loudness_lufs": -23.1, "true_peak_dbtp": -3.0, "f0_median_hz": 118.2}
    about = {"title": "The Harbour", "slug": "the-harbour", "fps": "24", "notes": ""}
    productions.add(c, PRODUCTION, about, BY)
    made = lines.add(c, PRODUCTION, [(f"ln_{i:020x}", _line(i)) for i in range(n_lines)], BY)
    rows = [
        {k: v for k, v in row.items() if k != "seq"}
        | {
            "id": f"tk_{line.number * TAKES_EACH + k:020x}",
            "production": PRODUCTION,
            "line": line.id,
            "number": k + 1,
            "measured": levels | {"loudness_lufs": -20.0 - k},
            "circled": k == 2 and line.number % 3 == 0,
            "flags": ["words"] if k == 4 else [],
            "flagged": k == 4,
        }
        for line in made
        for k in range(TAKES_EACH)
    ]
    for taken, seq in zip(rows, permits(c, BY, [str(r["id"]) for r in rows]), strict=True):
        taken["permit"] = seq
    kept = [d | {"take": take["id"]} for take in rows for d in documents]
    for table, values in ((take_rows, rows), (document_rows, kept)):
        for at in range(0, len(values), AT_ONCE):
            c.execute(insert(table), values[at : at + AT_ONCE])
    c.execute(update(line_rows).values(takes_made=TAKES_EACH))


def _line(i: int) -> dict[str, Any]:
    return {
        "scene": str(i // 12 + 1),
        "cue": f"H{i:04}",
        "character": ("ELENA", "MARTIN", "THE OLD MAN")[i % 3],
        "actor": "joe",
        "text": LINES["medium"],
        "markup": "auto",
        "delivery": {},
        "lexicons": [],
        "notes": "",
    }


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of the tests."""
    args = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        found = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=found, args=args)
        yield browser
        browser.close()


class Measured:
    """A page, and what it was slow at."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.ms: dict[str, list[float]] = {}
        self.tasks: dict[str, list[float]] = {}

    def do(self, name: str, act: Callable[[], object], wait_ms: int = 400) -> None:
        """Do something; keep how long its keys and clicks waited for their paint."""
        self.page.evaluate("window.seen.events = []; window.seen.tasks = [];")
        act()
        self.page.wait_for_timeout(wait_ms)
        seen = self.page.evaluate("window.seen")
        # What the browser does not tell was painted within its 16 ms.
        self.ms.setdefault(name, []).append(max([e["ms"] for e in seen["events"]], default=16))
        self.tasks.setdefault(name, []).extend(seen["tasks"])


def opened(browser: Browser) -> Page:
    """A window, with nothing in it yet."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(OBSERVE)
    return page


def opening_ms(page: Page, url: str) -> dict[str, float]:
    """Open the page at the production; how long that took."""
    page.goto(url)
    page.wait_for_selector(".script-line")
    readable = page.evaluate("performance.now()")
    page.wait_for_function("() => !document.querySelector('#speak').disabled")
    page.wait_for_timeout(1500)
    seen = page.evaluate("window.seen")
    return {
        "first_paint": round(seen["paint"], 1),
        "lines_there": round(readable, 1),
        "longest_task": round(max(seen["tasks"], default=0), 1),
    }


def cold_ms(browser: Browser, url: str) -> dict[str, float]:
    """Open the page in a browser that knows nothing of it, after any other page."""
    with closing(browser.new_context(viewport={"width": 1440, "height": 900})) as context:
        page = context.new_page()
        page.add_init_script(OBSERVE)
        page.goto(url + "/livez")
        page.wait_for_timeout(300)
        text = page.evaluate("window.seen.paint")
        return opening_ms(page, url) | {"first_paint_of_a_line_of_text": round(text, 1)}


def interact(at: Measured) -> None:
    """Everything an editor does, once."""
    page = at.page
    box, search = page.locator("#lines"), page.locator("#line-search")
    page.locator("#line-close").click() if page.locator("#line-close").is_visible() else None
    box.evaluate("(box) => box.scrollTo(0, 0)")
    at.do("open a line by click", lambda: page.locator(".script-line").nth(3).click(), 900)
    for _ in range(6):
        at.do("next line by key", lambda: page.keyboard.press("ArrowDown"), 250)
    at.do("to the end of the script", lambda: page.keyboard.press("End"), 900)
    search.click()
    for letter in "marti":
        at.do("search, a letter", lambda letter=letter: page.keyboard.press(letter), 150)  # type: ignore[misc]
    at.do("search, cleared", lambda: search.fill(""), 200)
    page.locator("#take-title").click()
    page.wait_for_timeout(800)
    for digit in "12345":
        at.do("choose a take", lambda digit=digit: page.keyboard.press(digit), 300)  # type: ignore[misc]
    at.do("play", lambda: page.keyboard.press("l"), 300)
    for _ in range(4):
        at.do("A/B while it plays", lambda: page.keyboard.press("b"), 250)
    at.do("stop", lambda: page.keyboard.press("k"))
    at.do("circle", lambda: page.keyboard.press("c"))
    at.do("rate", lambda: page.keyboard.press("Shift+Digit3"))
    at.do("undo", lambda: page.keyboard.press("Control+z"))
    at.do("spectrogram", lambda: page.keyboard.press("s"), 1200)
    at.do("spectrogram, gone", lambda: page.keyboard.press("s"))
    at.do("list of keys", lambda: page.keyboard.press("?"))
    at.do("list of keys, gone", lambda: page.keyboard.press("Escape"))
    at.do("note", lambda: page.keyboard.press("n"))
    at.do("note, a letter", lambda: page.keyboard.press("a"))
    page.keyboard.press("Escape")


def changes(browser: Browser, url: str, rounds: int) -> dict[str, list[float]]:
    """From a change of a control to the sound of the line with it, in ms, by line."""
    found: dict[str, list[float]] = {}
    with closing(opened(browser)) as page:
        page.goto(url)
        page.wait_for_function("() => !document.querySelector('#speak').disabled")
        heard = page.locator("#first-audio")

        def hear(act: Callable[[], object]) -> float:
            heard.evaluate("(shown) => { shown.textContent = ''; }")
            act()
            page.wait_for_function(
                "() => / ms$/.test(document.querySelector('#first-audio').textContent)"
            )
            return float(heard.inner_text().removesuffix(" ms"))

        for line, text in LINES.items():
            page.get_by_role("textbox", name="Line").fill(text)
            hear(page.get_by_role("button", name="Speak").click)
            for _ in range(rounds):
                for control in CONTROLS:
                    page.wait_for_timeout(1000)
                    slider = page.get_by_role("slider", name=control, exact=True)
                    ms = hear(lambda slider=slider: slider.press("ArrowRight"))  # type: ignore[misc]
                    found.setdefault(line, []).append(ms)
    return found


def scroll(page: Page, n_takes: int) -> dict[str, float]:
    """All takes in one list, scrolled through as far as they have come."""
    page.locator("#take-scope").select_option("all")
    page.wait_for_selector(".take-row")
    page.wait_for_timeout(500)
    page.locator("#take-list").hover()
    page.evaluate(FRAMES)
    page.evaluate("window.seen.tasks = []")
    most_rows = 0
    for _ in range(SCROLLED):
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(30)
        most_rows = max(most_rows, page.locator(".take-row").count())
    page.evaluate("cancelAnimationFrame(window.frame)")
    for _ in range(n_takes // 100):  # on to the end, page after page
        come = page.evaluate(
            """() => { const box = document.querySelector("#take-list");
                 box.scrollTop = box.scrollHeight;
                 return document.querySelector("#take-count").textContent; }"""
        )
        if come == str(n_takes):
            break
        page.wait_for_timeout(120)
    gaps = page.evaluate("window.gaps")
    return {
        "longest_frame": round(max(gaps), 1),
        "median_frame": round(median(gaps), 1),
        "longest_task": round(max(page.evaluate("window.seen.tasks"), default=0), 1),
        "most_rows": most_rows,
        "takes_listed": int(page.locator("#take-count").inner_text().rstrip("+")),
    }


def measure(url: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, in one browser."""
    with chromium() as browser:
        empty = [cold_ms(browser, url) for _ in range(options.rounds)]
        page = opened(browser)
        opening_ms(page, url)
        again = [opening_ms(page, url) for _ in range(options.rounds)]
        interact(Measured(page))  # fills the caches
        at = Measured(page)
        for _ in range(options.rounds):
            interact(at)
        scrolled = scroll(page, options.lines * TAKES_EACH)
        page.close()
        changed = changes(browser, url, options.rounds)
    return {
        "opening_cold_ms": {k: median([o[k] for o in empty], 1) for k in empty[0]},
        "opening_again_ms": {k: median([o[k] for o in again], 1) for k in again[0]},
        "interaction_ms": {k: {"median": median(v), "longest": max(v)} for k, v in at.ms.items()},
        "long_tasks_ms": {k: [round(x) for x in v] for k, v in at.tasks.items() if v},
        "changes_ms": {k: {"median": median(v), "longest": max(v)} for k, v in changed.items()},
        "scrolling_ms": scrolled,
        "slow": [k for k, v in at.ms.items() if max(v) > LIMIT_MS],
    }


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, rounds=3, lines=2000).parse_args()
    with tempfile.TemporaryDirectory() as name:
        say(f"{options.lines} lines of {TAKES_EACH} takes")
        fill(Path(name), options.lines)
        service = Service({"VOICESVC_DATA_DIR": name, "VOICESVC_CHECK_WORDS": "off"})
        try:
            figures = measure(f"http://127.0.0.1:{service.port}", options)
        finally:
            service.close()
    for what, ms in figures["interaction_ms"].items():
        say(f"  {what:24} {ms['median']:5.0f} ms, longest {ms['longest']:5.0f} ms")
    for line, ms in figures["changes_ms"].items():
        say(f"  a change, {line:14} {ms['median']:5.0f} ms, longest {ms['longest']:5.0f} ms")
    report("page", {"lines": options.lines} | figures, {"voicesvc": metadata.version("voicesvc")})


if __name__ == "__main__":
    main()
