"""The load test: what it measures, what it refuses, and a few seconds of it."""

import json
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from conftest import metric, tones_served

LOAD = Path(__file__).resolve().parents[1] / "benchmarks" / "load"
RATE_HZ = 1000


def player():
    from player import Player

    return Player(RATE_HZ)


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(LOAD))


def sound(samples: int, level: int = 9000) -> bytes:
    return array("h", [level] * samples).tobytes()


def test_a_player_runs_dry_where_nothing_comes_in_time() -> None:
    listener = player()
    listener.feed(sound(100, level=0), 0.1)  # silence is no first sound
    assert listener.first_s is None
    listener.feed(sound(500)[:333], 0.2)  # a sample cut in two
    listener.feed(sound(500)[333:], 0.25)
    assert listener.first_s == 0.2
    # 0.6 s of audio from 0.1 s on, so it lasts until 0.7 s
    listener.feed(sound(100), 0.69)
    assert listener.gaps_s == []
    listener.feed(sound(100), 1.0)  # 0.8 s: dry for 0.2 s
    listener.feed(sound(100), 1.1)  # and then again on time, 0.1 s later
    assert listener.gaps_s == pytest.approx([0.2])
    assert listener.audio_s == pytest.approx(0.9)
    assert listener.latency_s == pytest.approx(1.1 / 0.9)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "locust", "-f", LOAD / "locustfile.py"]
    return subprocess.run(
        [*command, "--headless", *options], capture_output=True, text=True, timeout=120
    )


REFUSALS = """
from locustfile import refusal
for host, users, run_s, anywhere in (
    ("http://127.0.0.1:8080", 10, 60, False),
    ("http://10.1.2.3", 10, 60, False),
    ("http://8.8.8.8", 10, 60, False),
    ("http://8.8.8.8", 10, 60, True),
    ("http://localhost", 501, 60, False),
    ("http://localhost", 10, None, False),
    ("localhost", 10, 60, False),
):
    print(refusal(host, users, run_s, anywhere=anywhere))
"""


def test_what_is_too_much_or_elsewhere_is_refused() -> None:
    command = [sys.executable, "-W", "ignore", "-c", REFUSALS]
    done = subprocess.run(command, cwd=LOAD, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "None",
        "None",
        "8.8.8.8 is 8.8.8.8, on the public internet; --public-host-is-mine allows it",
        "None",
        "--users is 501; valid: 1 to 500",
        "--run-time is None; valid: 1 to 3600 s",
        "--host is 'localhost'; valid: http://name:port",
    ]


def test_a_refusal_ends_it() -> None:
    done = run("--host", "http://8.8.8.8", "-t", "2s")
    assert done.returncode == 2
    assert "on the public internet" in done.stderr


def test_a_few_seconds_of_the_mixed_load(tmp_path: Path) -> None:
    html = tmp_path / "load.html"
    with tones_served(tmp_path, delay_s=0.01) as service:
        mixed = ("-u", "10", "-r", "10", "-t", "4s", "--stop-timeout", "3", "--host", service.url)
        done = run(*mixed, "--html", str(html), "--ttfa-p95-ms", "60000")
        assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["failed"] == 0
    assert set(figures["ttfa_ms"]) >= {"Audition", "Leaver", "Live"}
    assert set(figures["latency_ms"]) >= {"Audition", "Batch", "Live"}
    audition = figures["latency_ms"]["Audition"]
    assert 0 < audition["p50"] <= audition["p95"] <= audition["p99"]
    assert figures["ttfa_ms"]["Audition"]["count"] >= 3
    assert "ttfa" in html.read_text("utf-8")


def test_the_run_ends_after_so_many_takes_and_fails_where_first_audio_is_late(
    tmp_path: Path,
) -> None:
    with tones_served(tmp_path, delay_s=0.05) as service:
        few = ("-u", "2", "-r", "2", "-t", "20s", "--most-takes", "3", "--host", service.url)
        done = run(*few, "--ttfa-p95-ms", "1", "Audition")
    assert done.returncode == 1
    assert "at most 1" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["takes"] == 3


def test_who_speaks_live_hears_lines_and_interrupts_some(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=0.01) as service:
        lines = ("-u", "2", "-r", "2", "-t", "60s", "--most-takes", "12", "--host", service.url)
        done = run(*lines, "Live")
        assert done.returncode == 0, done.stderr
        cancelled = metric("voicesvc_takes_total", actor="ann", outcome="cancelled")
    figures = json.loads(done.stdout.splitlines()[-1])
    heard, latency = figures["ttfa_ms"]["Live"], figures["latency_ms"]["Live"]
    assert heard["count"] >= 10
    assert 0 < latency["count"] < heard["count"]
    assert cancelled > 0


def test_without_a_service_it_says_so() -> None:
    done = run("--host", "http://127.0.0.1:9", "-t", "2s", "--wait-ready-s", "0.1")
    assert done.returncode != 0
    assert "no voice is ready at http://127.0.0.1:9" in done.stderr
