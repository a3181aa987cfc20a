"""Takes as traces, read from the SDK's own exporter in memory."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Service, eventually, served, tone_of, write_pack
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from voicesvc.config import Settings
from voicesvc.engines.tone import Tone
from voicesvc.packs import Pack
from voicesvc.studio import Studio
from voicesvc.traces import Traces, to_collector

SECRET = "Zanzibar"
STAGES = ["queue", "text", "voice", "plan", "first", "rest", "keep"]
Traced = tuple[Service, InMemorySpanExporter]


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    exporter = InMemorySpanExporter()
    traces = Traces(SimpleSpanProcessor(exporter))
    write_pack(tmp_path / "models", "ann")
    tones: dict[str, Tone] = {}

    def load(pack: Pack, *_: object) -> Tone:
        return tones.setdefault(pack.actor_id, tone_of(pack))

    folders = {"models_dir": tmp_path / "models", "data_dir": tmp_path / "data"}
    settings = Settings.read({}, check_words="off", **folders)
    studio = Studio(settings, load=load, traced=traces.take)
    with served(studio, tones=tones) as service:
        yield service, exporter
    traces.close()


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """By name, of the one take there was."""
    assert eventually(lambda: any(s.name == "take" for s in exporter.get_finished_spans()))
    return {span.name: span for span in exporter.get_finished_spans()}


def test_each_stage_of_a_take_is_a_span(traced: Traced) -> None:
    service, exporter = traced
    answer = service.speak(f"We sail to {SECRET}.", format="flac")
    found = spans(exporter)
    assert list(found) == [*STAGES, "take"]
    take = found.pop("take")
    assert take.parent is None
    assert take.attributes is not None
    told = dict(take.attributes)
    assert told["voicesvc.take"] == answer.headers["Voicesvc-Take"]
    assert told["voicesvc.outcome"] == "complete"
    assert told["voicesvc.audio_s"] > told["voicesvc.compute_s"] > 0
    for span in found.values():
        assert span.parent is not None
        assert span.parent.span_id == take.context.span_id
        assert take.start_time <= span.start_time <= span.end_time <= take.end_time
    ends = [found[name].end_time for name in STAGES]
    assert ends == sorted(ends)
    assert take.resource.attributes["service.name"] == "voicesvc"
    assert SECRET not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_a_caller_who_traces_finds_the_take_in_its_trace(traced: Traced) -> None:
    service, exporter = traced
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    headers = {"traceparent": f"00-{trace}-{parent}-01", "Idempotency-Key": "once"}
    body = {"actor": "ann", "text": "Hold fast."}
    assert service.http.post("/v1/speech", json=body, headers=headers).status_code == 200
    take = spans(exporter)["take"]
    assert f"{take.context.trace_id:032x}" == trace
    assert take.parent is not None
    assert f"{take.parent.span_id:016x}" == parent


@pytest.mark.parametrize("sent", ["nonsense", "00-0-0-00", ""])
def test_a_trace_that_is_none_is_left_out(traced: Traced, sent: str) -> None:
    service, exporter = traced
    body = {"actor": "ann", "text": "Hold fast."}
    headers = {"traceparent": sent}
    assert service.http.post("/v1/speech", json=body, headers=headers).status_code == 200
    assert spans(exporter)["take"].parent is None


def test_a_take_that_fails_is_an_error(traced: Traced) -> None:
    service, exporter = traced
    service.tone.fail_at = 1
    assert service.speak().status_code == 500
    found = spans(exporter)
    assert not found["take"].status.is_ok
    assert "rest" not in found
    assert found["take"].attributes["voicesvc.outcome"] == "failed"


def test_traces_go_nowhere_unless_they_are_wanted() -> None:
    assert to_collector(Settings.read({})) is None


WITHOUT = """
import sys
for name in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None
from voicesvc.config import Settings
from voicesvc.errors import BadSetting
from voicesvc.traces import to_collector
try:
    to_collector(Settings.read({}, traces="otlp"))
except BadSetting as e:
    print(e)
"""


def test_without_the_extra_it_is_said_how_to_get_it() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert "traces need the extra [otel]" in done.stdout, done.stderr
    assert "VOICESVC_TRACES" in done.stdout
