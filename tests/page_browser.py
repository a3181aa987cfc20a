"""The audition page in a real Chromium: fixtures and what the tests of the page share.

What is heard is taken where it leaves the audio graph, so the tests know nothing about how the page
plays. `heard(page)` is every sample since the page was opened, float32 [n].
"""

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright

CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
MADE = "Ready."
WAIT_MS = 30_000  # for what is to come: a machine that is busy with other tests is no fault
expect.set_options(timeout=WAIT_MS)

# Sits between the page and the sound card and keeps what passes, 128 samples at a time.
TAP_WORKLET = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  process([input], [output]) {
    if (input[0]) {
      output[0].set(input[0]);
      this.port.postMessage(input[0].slice());
    }
    return true;
  }
});
"""
TAP = """
window.heard = [];
const addModule = AudioWorklet.prototype.addModule;
AudioWorklet.prototype.addModule = async function (url) {
  await addModule.call(this, URL.createObjectURL(new Blob([TAP], {type: "text/javascript"})));
  return addModule.call(this, url);
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to !== this.context.destination) return connect.call(this, to, ...rest);
  const tap = new AudioWorkletNode(this.context, "tap");
  tap.port.onmessage = ({ data }) => window.heard.push(data);
  connect.call(this, tap);
  return connect.call(tap, to);
};
""".replace("TAP", json.dumps(TAP_WORKLET))
SHOW_CONTEXT = """
window.AudioContext = class extends AudioContext {
  constructor(options) { super(options); window.audioContext = this; }
};
"""
READ_HEARD = """
() => {
  const all = new Float32Array(window.heard.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of window.heard) { all.set(part, at); at += part.length; }
  const bytes = new Uint8Array(all.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
}
"""

Floats = NDArray[np.float32]


@dataclass
class Seen:
    """What a page did beside what it shows; `allowed` are console errors a test asks for."""

    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # path, body
    allowed: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("the page is tested in Chromium; install it with: apt-get install -y chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


def note(seen: Seen, request: Request) -> None:
    seen.asked.append(request.url)
    if request.method == "POST":
        seen.posted.append((urlsplit(request.url).path, json.loads(request.post_data or "")))


@contextmanager
def new_page(browser: Browser, seen: Seen, *, bypass_csp: bool = False) -> Iterator[Page]:
    """A page not yet opened; it must neither log an error nor ask another host for anything."""
    page = browser.new_page(
        viewport={"width": 1440, "height": 900}, color_scheme="dark", bypass_csp=bypass_csp
    )
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(SHOW_CONTEXT)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" else None)
    page.on("requestfailed", lambda r: seen.failed.append((r.url, r.failure or "")))
    page.on("request", lambda r: note(seen, r))
    yield page
    page.close()
    assert [url for url in seen.asked if not re.match(r"(blob:)?http://127\.0\.0\.1:", url)] == []
    unexpected = [e for e in seen.errors if not any(a in e for a in seen.allowed)]
    assert unexpected == []


@pytest.fixture
def page(browser: Browser, seen: Seen) -> Iterator[Page]:
    """The page as a user gets it."""
    with new_page(browser, seen) as page:
        yield page


@pytest.fixture
def ear(browser: Browser, seen: Seen) -> Iterator[Page]:
    """The page with a tap on its sound; the tap is the one script that its policy would refuse."""
    with new_page(browser, seen, bypass_csp=True) as page:
        page.add_init_script(TAP)
        yield page


def opened(page: Page, url: str) -> Page:
    page.goto(url)
    expect(page.get_by_role("button", name="Speak")).to_be_enabled()
    return page


def speak(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Line").fill(text)
    page.get_by_role("button", name="Speak").click()


def speak_to_end(page: Page, text: str) -> None:
    speak(page, text)
    expect(page.locator("#status")).to_have_text(MADE, timeout=60_000)


def speak_without_dropout(page: Page, text: str) -> None:
    """A machine too busy to stream without a dropout gets two more chances."""
    for _ in range(3):
        speak_to_end(page, text)
        if shown(page, "underruns") == "0":
            return
        forget_heard(page)
    pytest.fail("every take had a dropout: the machine is too busy")


def shown(page: Page, reading: str) -> str:
    return page.locator(f"#{reading}").inner_text()


def heard(page: Page) -> Floats:
    page.wait_for_timeout(50)  # the last blocks are on their way when the page says it is done
    return np.frombuffer(base64.b64decode(page.evaluate(READ_HEARD)), np.float32)


def forget_heard(page: Page) -> None:
    page.evaluate("window.heard = []")


def sound(samples: Floats) -> Floats:
    """From the first to the last sample that is not zero."""
    loud = np.flatnonzero(samples)
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples[:0]


def rendered(page: Page, change: Callable[[], object]) -> dict[str, Any]:
    """What is posted to /v1/speech after a change that the page renders by itself."""
    with page.expect_request("**/v1/speech") as request:
        change()
    expect(page.locator("#status")).to_have_text(re.compile("Ready|Playing"))
    body: dict[str, Any] = request.value.post_data_json
    return body


def block(page: Page, word: str) -> Locator:
    """A word in the lane."""
    return page.locator(f'.lane-word[data-text="{word}"] .block')


def words_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for sentence in plan["sentences"] for word in sentence["words"]]


def word_of(plan: dict[str, Any], text: str) -> dict[str, Any]:
    return next(word for word in words_of(plan) if word["text"] == text)


def lasting_ms(word: dict[str, Any]) -> float:
    return sum(p["duration_ms"] for p in word["phonemes"])
