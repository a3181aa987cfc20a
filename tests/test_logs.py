"""The log: readable by programs, and silent about what is said."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, eventually, metric, tones_served

from voicesvc import logs
from voicesvc.config import Settings
from voicesvc.engines.tone import Tone
from voicesvc.errors import StoreFailed

SECRET = "Zanzibar"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged as JSON, at the level where most is."""
    yield from _installed("json")


@pytest.fixture
def text_log() -> Iterator[io.StringIO]:
    yield from _installed("text")


def _installed(form: logs.Format) -> Iterator[io.StringIO]:
    root, own = logging.getLogger(), logging.getLogger("voicesvc")
    before = list(root.handlers), root.level, own.level
    stream = io.StringIO()
    logs.install(form, "debug", stream)
    yield stream
    root.handlers[:], root.level, own.level = before
    logging.captureWarnings(False)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def takes(log: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(log) if line["event"] == "take"]


def test_every_take_has_a_line(log: io.StringIO, tmp_path: Path) -> None:
    with tones_served(tmp_path) as service:
        answer = service.speak(format="flac", seed=3)
        assert eventually(lambda: len(takes(log)) == 1)
    (line,) = takes(log)
    assert line["take"] == answer.headers["Voicesvc-Take"]
    assert line["outcome"] == "complete"
    assert (line["actor"], line["class"], line["format"]) == ("ann", "audition", "flac")
    assert line["first_audio_ms"] >= line["stages_ms"]["first"] > 0
    assert line["audio_s"] > line["compute_s"] > 0
    assert (line["level"], line["logger"]) == ("info", "voicesvc.studio")
    assert line["at"].endswith("Z")


def test_a_take_of_the_queue_is_batch(log: io.StringIO, tmp_path: Path) -> None:
    batch = {"actor": "ann", "format": "wav", "class": "batch"}
    before = metric("voicesvc_audio_seconds_total", **batch)
    with tones_served(tmp_path) as service:
        http = service.http
        assert http.post("/v1/productions", json={"title": "P", "slug": "p"}).status_code == 201
        asked = {"production": "p", "actor": "ann", "text": "Hold fast.", "cue": "1"}
        line = http.post("/v1/lines", json=asked).json()["id"]
        assert http.post(f"/v1/lines/{line}/takes", json={}).status_code == 202
        assert eventually(lambda: len(takes(log)) == 1)
    (said,) = takes(log)
    assert said["class"] == "batch"
    made_s = metric("voicesvc_audio_seconds_total", **batch) - before
    assert made_s == pytest.approx(said["audio_s"], abs=0.001)


class Quoting(Tone):
    """Fails with the words it was to say."""

    def stream(self, plan: Any) -> Any:
        said = " ".join(word.text for word in plan.words)
        if "fails" in said:
            raise ValueError(f"cannot say {said}")
        if "breaks" in said:
            raise KeyError(said)
        return super().stream(plan)


def test_nothing_that_is_said_is_logged(
    log: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conftest.Tone", Quoting)
    with tones_served(tmp_path) as service:
        said = [
            service.speak(f"We sail to {SECRET}."),
            service.speak(f"{SECRET} fails."),
            service.speak(f"{SECRET} breaks."),
            service.speak(f'<speak>{SECRET}<what is="{SECRET}"/></speak>', markup="ssml"),
            service.speak(f"{SECRET} [no such sign"),
            service.speak(f"{SECRET}", emotion={"name": SECRET}),
            service.http.get("/v1/takes", params={"text": SECRET}),
            service.http.get(f"/v1/{SECRET}"),
            service.http.put(f"/v1/lexicons/{SECRET}", content=SECRET),
        ]
        assert eventually(service.idle)
    statuses = [answer.status_code for answer in said]
    assert statuses[:3] == [200, 500, 500]
    assert SECRET.lower() not in log.getvalue().lower()
    told = [line for line in lines(log) if line["level"] == "error"]
    assert {line["error"] for line in told} >= {"EngineFailed < ValueError"}
    assert any("stream" in at for line in told for at in line["at_lines"])
    failed = [line for line in takes(log) if line["outcome"] == "failed"]
    assert len(failed) == 2


def test_what_other_libraries_say_is_a_place(log: io.StringIO) -> None:
    logging.getLogger("sqlalchemy.engine").warning("INSERT %r", (SECRET,))
    logging.getLogger("TTS.tts").error(f"character of {SECRET} not found")
    assert SECRET not in log.getvalue()
    first, second = lines(log)
    assert first["event"].startswith("a message of sqlalchemy.engine at test_logs.py:")
    assert (second["logger"], second["level"]) == ("TTS.tts", "error")


def test_fields_that_are_not_known_are_left_out(log: io.StringIO) -> None:
    logging.getLogger("voicesvc.x").info("take", extra={"take": "tk_1", "text": SECRET})
    (line,) = lines(log)
    assert line["take"] == "tk_1"
    assert SECRET not in log.getvalue()


def test_exceptions_are_named_and_quoted_only_where_they_can_quote_nothing(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("uvicorn", "uvicorn.error"):  # servers of other tests configure them
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "level", logging.INFO)
    own = logging.getLogger("voicesvc.x")
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as e:
            raise StoreFailed(f"row {SECRET}") from e
    except StoreFailed as e:
        own.exception("failed")
        own.error("measuring: %s", e)
        logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=e)
    whole, short, unforeseen = lines(log)
    assert whole["error"] == "StoreFailed < OSError: [Errno 28] No space left on device"
    assert short["event"] == "measuring: StoreFailed"
    assert unforeseen["error"] == whole["error"]
    assert SECRET not in log.getvalue()


def test_warnings_and_worse_are_counted(log: io.StringIO) -> None:
    labels = {"level": "error", "logger": "voicesvc.jobs"}
    before = metric("voicesvc_logged_total", **labels)
    logging.getLogger("voicesvc.jobs").error("one")
    logging.getLogger("voicesvc.jobs").info("not this")
    assert metric("voicesvc_logged_total", **labels) == before + 1


def test_text_is_for_people(text_log: io.StringIO) -> None:
    logging.getLogger("voicesvc.x").info("take", extra={"take": "tk_1", "outcome": "complete"})
    (line,) = text_log.getvalue().splitlines()
    assert "take" in line
    assert "outcome=complete" in line
    assert "\x1b" not in line


def test_serve_logs_json_from_its_first_line() -> None:
    env = {**os.environ, "VOICESVC_LOG_FORMAT": "json", "VOICESVC_ACTORS": "nobody"}
    command = [sys.executable, "-m", "voicesvc", "serve", "--port", "0"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    first = json.loads(done.stderr.splitlines()[0])
    assert (first["event"], first["level"]) == ("voicesvc: starting", "info")


def test_log_formats_are_those_of_the_setting() -> None:
    assert Settings.model_fields["log_format"].annotation == logs.Format


def test_metrics_have_exemplars_where_openmetrics_is_asked_for(tone_server: Service) -> None:
    take = tone_server.speak(format="mp3").headers["Voicesvc-Take"]
    assert eventually(tone_server.idle)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = tone_server.http.get("/metrics", headers=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    named = [line for line in answer.text.splitlines() if f'# {{take="{take}"}}' in line]
    assert {line.partition("{")[0] for line in named} == {
        "voicesvc_first_audio_seconds_bucket",
        "voicesvc_compute_seconds_per_audio_second_bucket",
    }
    assert "exemplar" not in tone_server.http.get("/metrics").text
