"""The audition page with the real voice: what it plays, shows, sends and keeps out."""

import io
import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import page_browser
import pytest
import soundfile
from conftest import LINE, Service, eventually
from page_browser import (
    MADE,
    Floats,
    Seen,
    forget_heard,
    heard,
    opened,
    shown,
    sound,
    speak,
    speak_to_end,
    speak_without_dropout,
)
from playwright.sync_api import Page, Route, expect

browser = page_browser.browser
ear = page_browser.ear
page = page_browser.page
seen = page_browser.seen


@pytest.fixture
def service(joe_server: Service) -> str:
    return joe_server.url


def posted(page: Page, service: str, text: str) -> Floats:
    """The samples the API gives for the take that the page shows: its seed, its rate."""
    body = {
        "actor": "joe",
        "text": text,
        "format": "pcm_f32le",
        "seed": int(shown(page, "seed")),
        "sample_rate_hz": page.evaluate("audioContext.sampleRate"),
    }
    answer = httpx.post(f"{service}/v1/speech", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, np.float32)


def test_plays_exactly_what_the_service_sends(ear: Page, service: str) -> None:
    opened(ear, service)
    speak_without_dropout(ear, LINE)
    sent = posted(ear, service, LINE)
    assert sent.size > ear.evaluate("audioContext.sampleRate")
    assert np.abs(sent).max() > 0.05
    assert np.array_equal(sound(heard(ear)), sound(sent))
    rate_hz = ear.evaluate("audioContext.sampleRate")
    assert float(shown(ear, "duration").split()[0]) == pytest.approx(sent.size / rate_hz, abs=0.01)
    assert 0 < int(shown(ear, "first-audio").split()[0]) < 10_000


def test_the_header_is_painted_before_the_rest_is_laid_out(page: Page, service: str) -> None:
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
             window.begun = getComputedStyle(document.querySelector("main")).contentVisibility;
           });"""
    )
    opened(page, service)
    assert page.evaluate("window.begun") == "hidden"
    assert page.locator("main").evaluate("(e) => getComputedStyle(e).contentVisibility") == (
        "visible"
    )


def test_sounds_while_it_is_made_and_stop_ends_the_making(
    ear: Page, joe_server: Service, seen: Seen
) -> None:
    service = joe_server.url
    opened(ear, service)
    scene = " ".join(f"{LINE} They had waited, {n} of them, for the tide." for n in range(2, 200))
    speak(ear, scene)
    ear.wait_for_function("parseFloat(document.querySelector('#position').textContent) > 0.3")
    assert shown(ear, "status") == "Making and playing…"
    before_s, held_s = (
        ear.evaluate("audioContext.currentTime"),
        float(shown(ear, "duration")[:-3]),
    )
    ear.wait_for_timeout(300)
    assert ear.evaluate("audioContext.currentTime") > before_s + 0.1
    assert float(shown(ear, "duration").removesuffix(" s…")) >= held_s

    ear.get_by_role("button", name="Stop").click()
    expect(ear.locator("#status")).to_contain_text("Stopped after")
    ear.wait_for_timeout(300)
    assert [(url, why) for url, why in seen.failed if url.endswith("/v1/speech")] == [
        (f"{service}/v1/speech", "net::ERR_ABORTED")
    ]
    assert eventually(joe_server.idle, within_s=10)
    timings = httpx.get(f"{service}/v1/takes/{shown(ear, 'take')}/timings").json()
    assert (timings["complete"], timings["outcome"]) == (False, "cancelled")
    was = heard(ear).size
    ear.wait_for_timeout(300)
    assert not np.any(heard(ear)[was:])


def test_words_stand_under_the_wave_at_their_times(ear: Page, service: str) -> None:
    opened(ear, service)
    speak_to_end(ear, LINE)
    expect(ear.locator("#words button")).to_have_count(len(LINE.split()))
    words: list[dict[str, Any]] = ear.evaluate(
        """[...document.querySelectorAll("#words button")].map((b) => ({
             text: b.textContent, startS: +b.dataset.startS, endS: +b.dataset.endS,
             leftPx: b.getBoundingClientRect().left
                     - document.querySelector("#wave").getBoundingClientRect().left}))"""
    )
    assert [w["text"].strip(".,").lower() for w in words] == LINE.strip(".").lower().split()
    rate_hz = ear.evaluate("audioContext.sampleRate")
    sent = posted(ear, service, LINE)
    duration_s = sent.size / rate_hz
    bounds_s = [t for w in words for t in (w["startS"], w["endS"])]
    assert bounds_s == sorted(bounds_s)
    assert bounds_s[0] >= 0
    assert bounds_s[-1] <= duration_s
    px_per_s = ear.evaluate("document.querySelector('#wave').clientWidth") / duration_s
    for word in words:
        assert word["leftPx"] == pytest.approx(word["startS"] * px_per_s, abs=3)

    forget_heard(ear)
    ear.get_by_role("button", name="harbour", exact=True).click()
    ear.wait_for_function("window.heard.some((part) => part.some((sample) => sample !== 0))")
    expect(ear.locator("#status")).to_have_text(MADE)
    harbour = words[1]
    start, end = (round(harbour[k] * rate_hz) for k in ("startS", "endS"))
    alone, fade = sound(heard(ear)), round(0.006 * rate_hz)
    assert alone.size == pytest.approx(end - start, abs=2 * fade)
    middle = sent[start + fade : end - fade]
    assert any(
        np.array_equal(alone[at : at + middle.size], middle) for at in range(fade - 8, fade + 8)
    )


def test_wave_is_drawn_from_the_samples(page: Page, service: str) -> None:
    opened(page, service)
    speak_to_end(page, LINE)
    tops, bottoms = page.evaluate(
        """() => {
          const wave = document.querySelector("#wave");
          const { width, height } = wave;
          const { data } = wave.getContext("2d").getImageData(0, 0, width, height);
          const inked = (x, y) => data[4 * (y * width + x) + 1] > 150;  // green: the wave is light
          const rows = Array.from({ length: height - 20 }, (_, n) => n + 20);  // under the ruler
          const columns = Array.from({ length: width - 12 }, (_, x) => x);  // before the playhead
          return [columns.map((x) => rows.find((y) => inked(x, y))),
                  columns.map((x) => rows.findLast((y) => inked(x, y)))];
        }"""
    )
    sent = posted(page, service, LINE)
    windows = np.arange(0, len(tops) - 12, 12)
    edges = np.round(np.append(windows, windows[-1] + 12) / (len(tops) + 12) * sent.size)
    parts = [sent[a:b] for a, b in pairwise(edges.astype(int))]
    highest = [-min(tops[at : at + 12]) for at in windows]
    lowest = [-max(bottoms[at : at + 12]) for at in windows]
    assert np.corrcoef(highest, [part.max() for part in parts])[0, 1] > 0.95
    assert np.corrcoef(lowest, [part.min() for part in parts])[0, 1] > 0.95


def test_keeps_the_seed_only_when_asked(page: Page, service: str) -> None:
    opened(page, service)
    speak_to_end(page, "Hold fast.")
    first = shown(page, "seed")
    page.get_by_role("checkbox", name="Keep this seed").check()
    speak_to_end(page, "Hold faster.")
    assert shown(page, "seed") == first
    page.get_by_role("checkbox", name="Keep this seed").uncheck()
    speak_to_end(page, "Hold fast.")
    assert shown(page, "seed") != first


@pytest.mark.parametrize(("label", "subtype"), [("WAV 24-bit", "PCM_24"), ("WAV 16-bit", "PCM_16")])
def test_downloads_the_same_take_as_a_whole_wav(
    page: Page, service: str, label: str, subtype: str
) -> None:
    opened(page, service)
    speak_to_end(page, "Hold fast.")
    page.get_by_label("File").select_option(label=label)
    page.get_by_label("Sample rate").select_option(label="44.1 kHz")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"joe_hold-fast_seed{shown(page, 'seed')}.wav"
    raw = Path(download.value.path()).read_bytes()
    data_at = raw.index(b"data")
    assert struct.unpack_from("<I", raw, 4)[0] == len(raw) - 8
    assert struct.unpack_from("<I", raw, data_at + 4)[0] == len(raw) - data_at - 8
    with soundfile.SoundFile(io.BytesIO(raw)) as wav:
        assert (wav.samplerate, wav.subtype, wav.channels) == (44100, subtype, 1)
        samples = wav.read(dtype="float32")
    body = {
        "actor": "joe",
        "text": "Hold fast.",
        "seed": int(shown(page, "seed")),
        "format": "pcm_f32le",
        "sample_rate_hz": 44100,
    }
    answer = httpx.post(f"{service}/v1/speech", json=body, timeout=60)
    assert np.allclose(samples, np.frombuffer(answer.content, np.float32), atol=2**-14)


def test_shows_what_was_wrong_and_what_is_valid(page: Page, service: str, seen: Seen) -> None:
    seen.allowed.append("404")

    def for_nobody(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        route.continue_(post_data=json.dumps(body | {"actor": "nobody"}))

    page.route("**/v1/plans", for_nobody)
    speak(opened(page, service), LINE)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("No such actor")
    expect(alert).to_contain_text("nobody")
    expect(alert).to_contain_text("Valid: joe")
    expect(page.locator("#status")).to_have_text("Not made.")
    page.unroute("**/v1/plans", for_nobody)
    speak_to_end(page, "Hold fast.")
    expect(alert).to_be_hidden()


def test_shows_the_licence_of_the_voice(page: Page, service: str) -> None:
    opened(page, service)
    licence = httpx.get(f"{service}/v1/actors").json()["actors"][0]["licence"]
    assert licence["note"]
    page.get_by_text("Licence", exact=True).click()
    expect(page.locator("#licence-terms")).to_contain_text(licence["note"])
    expect(page.locator("#actor-note")).to_contain_text("for demonstration only")


def test_says_what_was_not_spoken(page: Page, service: str) -> None:
    speak_to_end(opened(page, service), "Hold fast \N{GRINNING FACE} now.")
    expect(page.locator("#skipped")).to_contain_text("Not spoken:")


def test_keyboard_speaks_pauses_and_seeks(page: Page, service: str) -> None:
    opened(page, service)
    line = page.get_by_role("textbox", name="Line")
    line.fill(f"{LINE} {LINE} {LINE}")
    line.press("End")
    line.press("Control+Enter")
    expect(page.locator("#status")).to_contain_text("laying")
    line.press("Space")
    assert line.input_value().endswith(". ")
    wave = page.get_by_role("slider", name="Position in the take")
    wave.focus()
    wave.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.wait_for_timeout(100)
    wave.press("Home")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    wave.press("Space")
    page.wait_for_timeout(100)
    assert float(shown(page, "position").split()[0]) < 1.5
    line.press("Escape")


def test_lets_no_inline_script_run(page: Page, service: str, seen: Seen) -> None:
    seen.allowed.append("Content Security Policy")
    opened(page, service)
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ranInline = true";
          document.body.append(script);
        }"""
    )
    assert page.evaluate("window.ranInline") is None
    assert any("Content Security Policy" in error for error in seen.errors)
