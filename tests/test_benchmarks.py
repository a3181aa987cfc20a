"""The measuring tools measure what they say: a benchmark that is wrong is worse than none."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import grants
import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RATE_HZ = 22050


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def tone(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)


def is_running(pid: int) -> bool:
    """Neither gone nor a zombie, which is what is left where process 1 buries nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_first_audible_is_neither_header_nor_silence():
    from common import listen

    quiet, loud = np.full(100, 3, "<i2").tobytes(), np.full(100, 9000, "<i2").tobytes()
    sent_s = time.perf_counter()

    def pieces():
        yield b"\xff" * 44 + quiet[:51]  # a sample is cut in two at the border of pieces
        yield quiet[51:]
        time.sleep(0.05)
        yield loud
        time.sleep(0.05)
        yield loud

    heard = listen(pieces(), sent_s, RATE_HZ, "<i2", header_bytes=44)
    assert 0.05 <= heard.first_audible_s < heard.total_s - 0.04
    assert len(heard.pcm) == 300
    assert heard.pcm[-1] == pytest.approx(9000 / 32768)


@pytest.mark.parametrize("raised", ["BenchmarkFailed", "IncompleteRead", "ConnectionResetError"])
def test_a_soak_says_why_a_client_ended(raised):
    import builtins
    import http.client

    import soak
    from common import BenchmarkFailed

    kinds = {**vars(builtins), **vars(http.client), "BenchmarkFailed": BenchmarkFailed}

    class Failing:
        def speak(self, text, seed):
            raise kinds[raised](b"so far")

    heard = soak.Heard()
    soak.listen(Failing(), 1, time.monotonic() + 60, heard)
    assert len(heard.failed) == 1
    assert "so far" in heard.failed[0] or "6 bytes" in heard.failed[0]


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("/env/bin/python3.11 -m voicesvc.qc --nice 19", "voicesvc.qc"),
        ("/env/bin/python -I /lib/espeak_words/serve.py", "serve.py"),
        ("/usr/bin/sleep 5", "sleep"),
        ("", "ended"),
    ],
)
def test_a_process_is_named_by_what_it_runs(command, named):
    import memory

    assert memory.run_by(command) == named


def test_a_process_and_its_children_hold_memory():
    import memory

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        held = memory.resident_by(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert held.keys() >= {"service", Path(sys.executable).name}
    assert held["service"] > 20
    assert memory.resident_mb(os.getpid()) >= held["service"]


def test_a_soak_tells_which_process_grows():
    import soak

    held = [{"service": 100.0 + i, "voicesvc.qc": 500.0 + (-1) ** i} for i in range(40)]
    held[10].pop("voicesvc.qc")
    found = soak.by_process(held, every_s=36.0)
    assert found["service"]["mb_per_hour"][1] == pytest.approx(100.0)
    assert found["service"]["after_warming_mb"] == 110.0
    assert not found["service"]["level"]
    assert abs(found["voicesvc.qc"]["end_mb"] - 500.0) == 1.0


class _Halting(http.server.BaseHTTPRequestHandler):
    """Says 0.1 s of silence and 0.4 s of sound, waits longer than that, and says the rest."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/full":
            self.send_response(503)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        sound = (tone(1.0) * 32767).astype("<i2").tobytes()
        cut = 2 * round(0.4 * RATE_HZ) + 1  # a sample is cut in two
        self.wfile.write(bytes(2 * round(0.1 * RATE_HZ)) + sound[:cut])
        self.wfile.flush()
        time.sleep(0.7)
        self.wfile.write(sound[cut:])

    def log_message(self, *_):
        pass


def test_concurrency_hears_when_a_listener_would_have_run_dry():
    from concurrency import Burst, listen

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Halting) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            heard = listen(server.server_port, "/", {}, 0)
            refused = listen(server.server_port, "/full", {}, 0)
        finally:
            server.shutdown()
    assert heard.audio_s == pytest.approx(1.1, abs=1e-4)
    assert heard.gaps_s == [pytest.approx(0.3, abs=0.1)]
    assert heard.first_s < 0.5
    assert (refused.status, refused.retry_after_s) == (503, 7)
    figures = Burst([heard, refused], [2.0]).figures()
    assert (figures["underrun_streams"], figures["refused"]) == (1, 1)


def test_nothing_audible_is_a_failure():
    from common import BenchmarkFailed, listen

    with pytest.raises(BenchmarkFailed, match="nothing audible"):
        listen([np.zeros(100, "<f4").tobytes()], time.perf_counter(), RATE_HZ, "<f4")


def test_a_click_at_a_border_is_found_and_sound_that_goes_on_is_not():
    from measures import borders

    at = [5120, 15360]
    clean = tone(1.0)
    clicked = clean.copy()
    clicked[15360:] += 0.2
    assert borders(clean, at, RATE_HZ)["click"] < 1.1
    assert borders(clicked, at, RATE_HZ)["click"] > 5
    assert borders(clicked, [5120], RATE_HZ)["click"] < 1.1


def test_snr_and_log_mel_distance_grow_apart_with_noise():
    from common import BenchmarkFailed
    from measures import log_mel_db, snr_db

    noise = np.random.default_rng(1).standard_normal(RATE_HZ).astype(np.float32)
    clean = tone(1.0)
    noisy = clean + np.float32(0.01 * np.sqrt(0.045)) * noise
    assert snr_db(clean, noisy) == pytest.approx(40, abs=0.3)
    assert log_mel_db(clean, clean, RATE_HZ) == 0
    assert log_mel_db(clean, noisy, RATE_HZ) > 1
    with pytest.raises(BenchmarkFailed, match="lengths differ"):
        snr_db(clean, clean[1:])


def test_jobs_take_turns():
    from common import interleaved

    calls: list[str] = []
    interleaved({n: lambda _, n=n: calls.append(n) for n in "abc"}, 3)
    assert "".join(calls) == "abcbcacab"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children of a killed parent")
def test_children_die_with_a_killed_benchmark():
    program = (
        "import sys, time; from common import Child;"
        "c = Child([sys.executable, '-c', 'import time; time.sleep(60)'], {});"
        "print(c.process.pid, flush=True); time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env
    ) as parent:
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline_s = time.monotonic() + 5
    while is_running(child):
        assert time.monotonic() < deadline_s, "the child outlived its parent"
        time.sleep(0.05)


def test_without_a_gpu_gpu_check_says_so_in_one_line():
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu_check.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    line = json.loads(done.stdout)
    assert line["device"] is None
    assert line["reason"] == "no CUDA device"


def test_the_table_names_every_speaker_and_its_figures():
    from run import table

    results = {
        "rtf": {
            "rtf": {"voicesvc": {"short": 0.05, "medium": 0.04, "long": 0.0321}},
            "cpu_rtf": {"voicesvc": {"long": 0.0456}},
            "versions": {"voicesvc": "1.2.3"},
            "machine": {"cpu": "Some CPU", "cores": 2, "system": "Linux"},
            "rounds": 7,
            "commit": "abc1234",
            "at": "2026-01-02T03:04:05+00:00",
        },
        "first_byte": {
            "audio_s": {"short": 1.9, "15 s": 15.2},
            "ttfa_ms": {"voicesvc": {"short": 36.4, "15 s": 120.2}},
            "versions": {"voicesvc": "1.2.3"},
        },
    }
    text = table(results)
    assert "| **voicesvc**, over HTTP 1.2.3 | 36 | 120 |" in text
    assert "| **voicesvc**, over HTTP 1.2.3 | 0.050 | 0.040 | 0.032 | 0.046 |" in text
    assert "abc1234, 2026-01-02" in text


def test_control_finds_what_was_asked_for_and_says_so_in_one_line(tmp_path):
    document = tmp_path / "control.md"
    marks = "<!-- measured by benchmarks/control.py: {} -->"
    document.write_text(f"before\n{marks.format('begin')}\nold\n{marks.format('end')}\nafter\n")
    command = [sys.executable, str(BENCHMARKS / "control.py"), "--quick", "--lines", "1"]
    done = subprocess.run(
        [*command, "--only", "length,rate", "--write", str(document)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    controls = json.loads(done.stdout)["controls"]
    assert [c["control"] for c in controls] == ["length"] * 5 + ["rate"] * 5
    assert all(c["reached"] for c in controls)
    assert [c["achieved"] for c in controls[5:]] == pytest.approx([0.7, 0.85, 1.15, 1.3, 1.6], 0.05)
    text = document.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "| length | x0.75 |" in text
    assert "old" not in text


def test_praat_measures_what_a_signal_was_made_to_have():
    import control_acoustics as acoustics

    voice = tone(0.5) * np.float32(0.5)
    gap = np.zeros(round(0.3 * RATE_HZ), np.float32)
    whole = np.concatenate([voice, gap, voice])
    assert acoustics.pause_s(whole, RATE_HZ, 0.5, 0.8) == pytest.approx(0.3, abs=0.006)
    assert acoustics.speech_s(whole, RATE_HZ, [(0.55, 0.75)]) == pytest.approx(1.0, abs=0.01)
    assert acoustics.speech_s(whole, RATE_HZ) == pytest.approx(1.3, abs=0.01)
    assert np.median(acoustics.f0(whole, RATE_HZ)) == pytest.approx(220, abs=0.5)
    louder = acoustics.loudness_lufs(2 * whole, RATE_HZ) - acoustics.loudness_lufs(whole, RATE_HZ)
    assert louder == pytest.approx(6.02, abs=0.05)


def test_the_lists_of_the_store_find_what_they_say(tmp_path):
    import store
    from sqlalchemy import select
    from store import BY, Ending, NewTake, Spoken, take_rows, takes

    with closing(store.Database(f"sqlite:///{tmp_path}/takes.db")) as database:
        one = NewTake(
            "tk_1",
            "speech",
            "open",
            "joe",
            "A line by the river.",
            1,
            "0" * 64,
            {"asked": {}},
            grants.demo_permit(),
        )
        plain = {"plan": b"{}"}
        database.write(lambda c: takes.add(c, [one], BY))
        database.write(lambda c: takes.close(c, "tk_1", Ending("complete", documents=plain), BY))
        row = database.read(lambda c: dict(c.execute(select(take_rows)).one()._mapping))
        model = Spoken(row, {"plan": b""}, plain)
        production = store.fill(database, model, 120)
        found = {
            name: len(database.read(which).items)
            for name, which in store.lists(production, 120).items()
        }
        assert store.inserts_per_s(database, model, 20, 4) > 0
        kept = database.read(lambda c: c.execute(select(take_rows.c.state)).scalars().all())
    assert kept == ["complete"] * (1 + 120 + 20)
    assert {name: n for name, n in found.items() if n < 100} == {
        "takes, deep page": 59,
        "takes of a line": 50,
        "takes of an actor": 0,
        "takes of an actor, deep": 0,
        "circled": 3,
        "circled of a production": 3,
        "circled of an actor": 0,
        "flagged": 6,
        "failed, of which there are none": 0,
        "rated 5": 20,
        "with a tag": 3,
        "deleted, of which there are none": 0,
        "text, 1 in 1,000": 1,
        "text that is nowhere": 0,
        "text that is nowhere in a production": 0,
        "two letters, 1 in 1,000": 1,
        "two letters that are nowhere": 0,
        "lines with a text that is nowhere": 0,
        "lines that are circled": 3,
        "lines that are empty": 97,
        "productions, with counts": 1,
    }


def test_voices_of_mere_bytes_come_and_go():
    from voices import churn

    found = churn(200)
    assert found["loads"] == 200
    assert found["loads_per_s"] > 0
