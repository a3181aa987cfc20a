"""Who leaves stops the work; who fails breaks the stream; who is told to end lets it end."""

import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import LINE, Service, eventually, metric, served, tones_served, write_pack

from voicesvc.api.server import IDLE_S, SEND_BUFFER_BYTES, listen
from voicesvc.config import Settings
from voicesvc.engines.tone import Tone
from voicesvc.plan import Plan
from voicesvc.rendering import Rendering
from voicesvc.studio import Studio
from voicesvc.takes import Take

SCENE = " ".join([LINE] * 40)
CHUNK_S = 0.1


def outcomes() -> dict[str, float]:
    """How many takes ended how, so far."""
    names = ("complete", "cancelled", "failed")
    return {o: metric("voicesvc_takes_total", actor="ann", outcome=o) for o in names}


@contextmanager
def one_more(outcome: str) -> Iterator[None]:
    """In the end, one take more has ended so, and none otherwise."""
    before = outcomes()
    yield
    assert eventually(lambda: outcomes() == before | {outcome: before[outcome] + 1})


def newest(service: Service) -> Take:
    """The take opened last."""
    return service.studio.takes.get(service.studio.takes.ids[-1])


def ask(
    service: Service, received_bytes: int | None = None, kind: str = "audition", **fields: Any
) -> socket.socket:
    """A socket on which a request was sent, that has not been read from."""
    body = json.dumps({"actor": "ann", "text": SCENE} | fields).encode()
    asker = socket.socket()
    if received_bytes is not None:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received_bytes)
    host, port = service.http.base_url.host, service.http.base_url.port
    asker.connect((host, port))
    head = f"POST /v1/speech HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    head += f"Voicesvc-Class: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    asker.sendall(head.encode() + body)
    return asker


def leave(asker: socket.socket, abruptly: bool) -> None:
    """Close the socket, with a reset if abruptly."""
    if abruptly:
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    asker.close()


@pytest.mark.parametrize("abruptly", [False, True])
def test_who_leaves_mid_stream_stops_the_work_within_one_chunk(
    tmp_path: Path, abruptly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tones_served(tmp_path, delay_s=2 * CHUNK_S) as service:
        held = []  # so that the work ends by being closed, not by being forgotten

        def opened(*args: Any) -> Rendering:
            held.append(Studio.open(service.studio, *args))
            return held[-1]

        monkeypatch.setattr(service.studio, "open", opened)
        with one_more("cancelled"):
            asker = ask(service)
            assert asker.recv(12) == b"HTTP/1.1 200"
            assert eventually(lambda: service.tone.chunks >= 3)
            assert metric("voicesvc_active_streams") == 1
            assert service.studio.cast.voices.leases() == {"ann": 1}
            leave(asker, abruptly)
            made = service.tone.chunks
        assert eventually(service.idle)
        assert service.tone.chunks <= made + 1
        assert service.tone.open_streams == 0
        assert newest(service).outcome == "cancelled"
        time.sleep(5 * CHUNK_S)
        assert service.tone.chunks <= made + 1
        assert service.speak("And the next one speaks.").status_code == 200


def test_who_leaves_before_the_first_byte_costs_one_chunk(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=3 * CHUNK_S) as service:
        with one_more("cancelled"):
            asker = ask(service)
            assert eventually(lambda: service.tone.planned == 1)
            asker.close()
        assert eventually(service.idle)
        assert service.tone.open_streams == 0
        time.sleep(4 * CHUNK_S)
        assert service.tone.chunks == 1


def test_who_leaves_while_waiting_for_a_thread_costs_nothing(tmp_path: Path) -> None:
    with tones_served(tmp_path, workers=1, delay_s=5 * CHUNK_S) as service:
        with one_more("cancelled"):
            first = ask(service)
            assert eventually(lambda: service.tone.open_streams == 1)
            ask(service).close()
            assert eventually(lambda: service.tone.chunks == 2)
            first.close()
        assert eventually(service.idle)
        assert service.tone.planned == 1


def test_a_crowd_half_of_which_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=0.003) as service:
        before = sum(outcomes().values())

        def come_and_go(seed: int) -> None:
            dice = random.Random(seed)
            for _ in range(12):
                if dice.random() < 0.5:
                    assert service.speak(seed=seed).status_code == 200
                    continue
                asker = ask(service)
                asker.settimeout(20)
                if dice.random() < 0.7:
                    asker.recv(dice.choice((1, 5000, 200_000)))
                leave(asker, abruptly=dice.random() < 0.5)

        with ThreadPoolExecutor(8) as crowd:
            list(crowd.map(come_and_go, range(8)))
        assert eventually(service.idle)
        assert eventually(lambda: service.tone.open_streams == 0)
        assert sum(outcomes().values()) - before <= 8 * 12
        assert {service.studio.takes.get(t).outcome for t in service.studio.takes.ids} == {
            "complete",
            "cancelled",
        }
        chunks = service.tone.chunks
        time.sleep(0.1)
        assert service.tone.chunks == chunks


def test_an_idle_connection_outlives_the_pools_of_clients(tmp_path: Path) -> None:
    """Closed at the moment of the next request, that would be lost, and a POST is not repeated."""
    assert IDLE_S > 60  # for what the proxies of clouds keep theirs
    with tones_served(tmp_path) as service:
        kept = http.client.HTTPConnection(service.http.base_url.host, service.http.base_url.port)
        with closing(kept):
            kept.auto_open = 0  # or it would connect again
            kept.connect()
            for pause_s in (0.0, 5.5):  # uvicorn's own is 5 s
                time.sleep(pause_s)
                kept.request("GET", "/livez")
                assert kept.getresponse().read()


def test_a_slow_reader_holds_the_work_back(tmp_path: Path) -> None:
    pages = "\n\n".join([SCENE] * 30)
    with tones_served(tmp_path) as service, one_more("cancelled"):
        asker = ask(service, 65536, text=pages, format="pcm_f32le", sample_rate_hz=96000)
        assert asker.recv(12) == b"HTTP/1.1 200"
        made = -1
        while made < service.tone.chunks:
            made = service.tone.chunks
            time.sleep(0.5)
        take = newest(service)
        assert take.audio_s * 96000 * 4 < 24e6  # some MB wait in the kernel; 1.3 GB is to come
        assert take.outcome == "open"
        asker.close()
        assert eventually(service.idle)


def test_what_waits_in_the_kernel_for_a_slow_reader_is_bounded() -> None:
    with listen(Settings.read({}, port=0)) as listener, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        reader.connect(listener.getsockname())
        sender, _ = listener.accept()
        with sender:
            sender.settimeout(0.5)
            with pytest.raises(TimeoutError):
                sender.sendall(bytes(3 * SEND_BUFFER_BYTES))


def test_a_listener_who_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    pages = "\n\n".join([SCENE] * 30)
    with (
        tones_served(tmp_path, settings={"stall_s": 0.5}) as service,
        one_more("cancelled"),
        ask(service, 65536, text=pages, format="pcm_f32le", sample_rate_hz=96000) as asker,
    ):
        assert asker.recv(12) == b"HTTP/1.1 200"
        assert eventually(lambda: newest(service).outcome == "cancelled", 20)
        assert eventually(service.idle)


def test_a_failure_mid_stream_breaks_the_connection(tmp_path: Path) -> None:
    with tones_served(tmp_path, fail_at=3) as service:
        for format in ("wav", "mp3"):
            body = {"actor": "ann", "text": LINE, "format": format}
            with one_more("failed"), service.http.stream("POST", "/v1/speech", json=body) as answer:
                assert answer.status_code == 200
                arriving = answer.iter_raw()
                assert next(arriving)
                with pytest.raises(httpx.RemoteProtocolError):
                    list(arriving)
            assert newest(service).outcome == "failed"
            assert not service.timings(answer)["complete"]
            assert service.idle()
            assert service.tone.open_streams == 0


def test_a_failure_before_the_first_byte_is_a_problem(tmp_path: Path) -> None:
    with tones_served(tmp_path, fail_at=1) as service:
        with one_more("failed"):
            answer = service.speak()
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/engine-failed"
        assert "ann" in answer.json()["detail"]
        assert "Voicesvc-Take" not in answer.headers
        assert not service.studio.takes.ids
        assert service.idle()
        service.tone.fail_at = None
        with one_more("complete"):
            assert service.speak().status_code == 200


class Broken(Tone):
    """A tone with a mistake in its code."""

    def plan(self, *_: object) -> Plan:
        raise KeyError("mistake")


def test_a_failure_that_nobody_foresaw_is_a_problem_too(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    given = Settings.read({}, check_words="off", watermark="off", models_dir=tmp_path / "models")
    with served(Studio(given, load=lambda *_: Broken(frozenset("a"), "ab" * 32))) as service:
        with one_more("failed"):
            answer = service.speak(actor="ann")
        assert answer.status_code == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/internal"
        assert "mistake" not in answer.text
        assert service.idle()
        assert service.http.get("/livez").status_code == 200


def test_a_stream_that_outlasts_the_grace_is_broken(tmp_path: Path) -> None:
    body = {"actor": "ann", "text": SCENE}
    with (
        tones_served(tmp_path, delay_s=CHUNK_S) as service,
        one_more("cancelled"),
        service.http.stream("POST", "/v1/speech", json=body) as answer,
    ):
        service.server.should_exit = True
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()


@contextmanager
def process(tmp_path: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service as a user starts it, with joe ready, and where it listens."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VOICESVC_")}
    environment |= {"VOICESVC_DEVICE": "cpu", "XDG_DATA_HOME": str(tmp_path), **settings}
    with subprocess.Popen(
        [sys.executable, "-m", "voicesvc", "serve", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr
            told: list[str] = []
            while not told or "  voices: " not in told[-1]:
                told.append(server.stderr.readline())
                assert told[-1], told
            assert "device: cpu" in "".join(told)
            assert told[-1].endswith("voices: joe\n")
            yield server, re.findall(r"http://[\d.:]+", told[-1])[0]
        finally:
            server.kill()


def test_told_to_end_the_server_lets_a_stream_end(tmp_path: Path) -> None:
    """SIGTERM while joe speaks: not ready, nobody else let in, the take whole, then exit code 0."""
    with process(tmp_path, VOICESVC_GRACE_S="60") as (server, url):
        body = {"actor": "joe", "text": " ".join([LINE] * 24), "sample_rate_hz": 96000}
        with httpx.stream("POST", f"{url}/v1/speech", json=body, timeout=60) as answer:
            arriving = answer.iter_raw()
            received = len(next(arriving))
            server.send_signal(signal.SIGTERM)
            assert eventually(lambda: httpx.get(f"{url}/readyz").status_code == 503)
            refused = httpx.post(f"{url}/v1/speech", json=body | {"text": "Too late."})
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
            assert 1 <= int(refused.headers["Retry-After"]) <= 60
            assert httpx.get(f"{url}/livez").status_code == 200
            received += sum(len(part) for part in arriving)
        assert received > 96000 * 2 * 24
        assert server.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez")


def test_told_to_end_it_listens_as_long_as_it_is_set_to(tmp_path: Path) -> None:
    with tones_served(tmp_path, settings={"drain_s": 1.0}) as service:
        begin = time.monotonic()
        service.server.handle_exit(signal.SIGTERM, None)
        assert eventually(lambda: service.http.get("/readyz").status_code == 503)
        assert service.http.get("/v1/actors").status_code == 200
        assert not service.server.should_exit
        assert eventually(lambda: service.server.should_exit)
        assert time.monotonic() - begin >= 1.0


def test_who_tells_it_twice_does_not_wait(tmp_path: Path) -> None:
    with tones_served(tmp_path, settings={"drain_s": 600.0}) as service:
        service.server.handle_exit(signal.SIGTERM, None)
        assert not service.server.should_exit
        service.server.handle_exit(signal.SIGTERM, None)
        assert service.server.should_exit
