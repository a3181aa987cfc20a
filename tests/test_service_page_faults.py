"""The audition page with a service that stalls, breaks off, or has no voice to offer."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import page_browser
import pytest
from conftest import LINE
from page_browser import Floats, Seen, heard, opened, shown, sound, speak, speak_to_end
from playwright.sync_api import Page, expect

browser = page_browser.browser
ear = page_browser.ear
page = page_browser.page
seen = page_browser.seen
PLAN = {
    "seed": 7,
    "sentences": [
        {
            "lead_ms": 0,
            "words": [
                {
                    "text": "Hold",
                    "start": 0,
                    "phonemes": [
                        {"symbol": "h", "duration_ms": 400, "pitch_st": 0, "energy_db": 0}
                    ],
                    "pause_ms": 0,
                    "breath": False,
                }
            ],
            "tail_ms": 0,
            "pause_ms": 0,
        }
    ],
}
TAKE = {
    "id": "t1",
    "version": 1,
    "line": None,
    "production": None,
    "number": None,
    "parent": None,
    "made_by": "speech",
    "state": "complete",
    "actor": "joe",
    "text": LINE,
    "seed": 7,
    "asked": {},
    "varied": {},
    "duration_s": 1.0,
    "circled": False,
    "rating": None,
    "note": "",
    "tags": [],
    "measured": None,
    "flags": [],
    "created_at": "2026-11-25T12:00:00.000Z",
    "created_by": None,
    "deleted_at": None,
}
STATIC = Path(__file__).parent.parent / "voicesvc" / "static"


@dataclass
class Paced:
    """A service that sends these parts with these waits before them, cut inside samples.

    It may break off, or leave out the last bytes and end politely.
    """

    parts: list[tuple[float, Floats]]
    breaks: bool = False
    lost_bytes: int = 0
    actors: list[list[dict[str, Any]]] = field(default_factory=list)  # one answer after another
    rate_hz: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        paced = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def send(self, content: bytes, content_type: str) -> None:
                self.send_response(200)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                if self.path == "/v1/actors":
                    now = paced.actors.pop(0) if len(paced.actors) > 1 else paced.actors[0]
                    self.send(json.dumps({"actors": now}).encode(), "application/json")
                elif self.path.startswith("/v1/actors/"):
                    self.send(b"{}", "application/json")
                elif self.path.endswith("/timings"):
                    self.send(b'{"complete": true, "words": []}', "application/json")
                elif self.path == "/v1/events":
                    self.send(b": from here on\n\n", "text/event-stream")
                elif self.path.startswith("/v1/takes/"):
                    self.send(json.dumps(TAKE).encode(), "application/json")
                elif self.path.startswith(("/v1/takes", "/v1/productions")):
                    self.send(b'{"items": [], "next": null}', "application/json")
                else:
                    name = self.path.removeprefix("/static/").strip("/") or "index.html"
                    kind = {"js": "text/javascript", "css": "text/css", "html": "text/html"}
                    suffix = name.rsplit(".", 1)[-1]
                    self.send((STATIC / name).read_bytes(), kind.get(suffix, "image/svg+xml"))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path == "/v1/plans":
                    self.send(json.dumps({"plan": PLAN, "fit": None}).encode(), "application/json")
                    return
                assert body["plan"] == PLAN
                paced.rate_hz = body["sample_rate_hz"]
                self.send_response(200)
                for name, value in (("Take", "t1"), ("Seed", "7"), ("Sample-Rate-Hz", "48000")):
                    self.send_header(f"Voicesvc-{name}", value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                held = b""
                for wait_s, samples in paced.parts:
                    time.sleep(wait_s)
                    raw = held + samples.tobytes()
                    held = raw[-3:]
                    self.send_chunk(raw[:-3])
                self.close_connection = True
                if not paced.breaks:
                    self.send_chunk(held[: 3 - paced.lost_bytes])
                    self.send_chunk(b"")

            def send_chunk(self, raw: bytes) -> None:
                self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

        return Handler


@pytest.fixture
def paced() -> Iterator[tuple[Paced, str]]:
    behaviour = Paced([], actors=[[actor("ready")]])
    server = ThreadingHTTPServer(("127.0.0.1", 0), behaviour.handler())
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield behaviour, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def actor(state: str, reason: str | None = None) -> dict[str, Any]:
    return {
        "actor_id": "joe",
        "name": "Joe",
        "engine": "vits",
        "language": "en-us",
        "sample_rate_hz": 22050,
        "state": state,
        "reason": reason,
        "demonstration": True,
        "licence": {},
    }


def tone(start: int, end: int) -> Floats:
    """Samples start..end of one long 220 Hz tone: joined parts are smooth, cuts are not."""
    n = np.arange(start, end)
    return (0.5 * np.sin(2 * np.pi * 220 * n / 44100)).astype(np.float32)


def test_counts_a_dropout_and_does_not_click(ear: Page, paced: tuple[Paced, str]) -> None:
    behaviour, url = paced
    behaviour.parts = [(0.0, tone(0, 15_000)), (1.5, tone(15_000, 60_000))]
    speak_to_end(opened(ear, url), LINE)
    assert shown(ear, "underruns") == "1"
    steps = np.abs(np.diff(sound(heard(ear))[:-1]))
    assert steps.max() < 2 * np.abs(np.diff(tone(0, 15_000))).max()
    played = sound(heard(ear))
    assert np.array_equal(played[:14_500], tone(1, 14_501))
    assert np.array_equal(played[-44_990:], sound(tone(0, 60_000))[-44_990:])  # nothing is lost

    speak_to_end(ear, LINE)  # the next take waits for more than this service sends at once
    assert shown(ear, "underruns") == "0"


def test_says_that_a_take_broke_off(page: Page, seen: Seen, paced: tuple[Paced, str]) -> None:
    seen.allowed.append("ERR_INCOMPLETE_CHUNKED_ENCODING")
    behaviour, url = paced
    behaviour.parts, behaviour.breaks = [(0.0, tone(0, 20_000)), (0.3, tone(20_000, 40_000))], True
    speak(opened(page, url), LINE)
    expect(page.get_by_role("alert")).to_contain_text("The take broke off after 0.")
    expect(page.locator("#status")).to_have_text("Not finished.")
    expect(page.get_by_role("button", name="Download")).to_be_disabled()


def test_says_that_a_stream_ended_inside_a_sample(page: Page, paced: tuple[Paced, str]) -> None:
    behaviour, url = paced
    behaviour.parts, behaviour.lost_bytes = [(0.0, tone(0, 20_000))], 1
    speak(opened(page, url), LINE)
    expect(page.get_by_role("alert")).to_contain_text("The stream ended inside a sample.")
    expect(page.locator("#status")).to_have_text("Not finished.")


def test_waits_for_an_actor_that_is_loading(page: Page, paced: tuple[Paced, str]) -> None:
    behaviour, url = paced
    behaviour.actors[:] = [[actor("loading")], [actor("loading")], [actor("ready")]]
    page.goto(url)
    expect(page.locator("#actor-note")).to_contain_text("loading")
    expect(page.get_by_role("button", name="Speak")).to_be_disabled()
    expect(page.get_by_role("button", name="Speak")).to_be_enabled()
    expect(page.locator("#actor-note")).to_contain_text("for demonstration only")


def test_says_why_no_actor_can_be_used(page: Page, paced: tuple[Paced, str]) -> None:
    behaviour, url = paced
    behaviour.actors[:] = [[], [actor("failed", "weights.safetensors: sha256 differs")]]
    page.goto(url)
    expect(page.locator("#actor-note")).to_contain_text("no actor packs")
    expect(page.locator("#actor-note")).to_contain_text("weights.safetensors: sha256 differs")
    expect(page.get_by_role("button", name="Speak")).to_be_disabled()


def test_opens_the_sound_card_at_a_rate_the_service_makes(
    page: Page, paced: tuple[Paced, str]
) -> None:
    behaviour, url = paced
    behaviour.parts = [(0.0, tone(0, 20_000))]
    page.add_init_script(
        """window.AudioContext = class extends AudioContext {
             constructor(options) { super({ sampleRate: 192000, ...options }); }
           };"""
    )
    speak_to_end(opened(page, url), LINE)
    assert behaviour.rate_hz == 48_000
