"""Many at once: who is let in is served in time, who is not is told so at once and when to come."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from select import select

import httpx
import numpy as np
import pytest
from conftest import LINE, Service, eventually, metric, tones_served
from test_service_disconnect import SCENE, ask, leave

from voicesvc.compute import Compute
from voicesvc.engines.tone import Tone
from voicesvc.schedule import Asked, Kind

CHUNK_S = 0.1


def not_admitted(reason: str) -> float:
    return metric("voicesvc_not_admitted_total", reason=reason)


class Gate:
    """Lets one chunk through at a time while it is held; for a service with one worker."""

    def __init__(self) -> None:
        self.came = 0  # chunks
        self._held, self._through = False, threading.Semaphore(0)

    def __call__(self) -> None:
        self.came += 1
        if self._held:
            self._through.acquire()

    @contextmanager
    def held(self) -> Iterator[None]:
        """From now on until the block ends."""
        self._through = threading.Semaphore(0)  # or what was let through before counted
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._through.release()

    def last(self) -> None:
        """Have the chunk made that stands before it."""
        self._through.release()

    def one(self) -> None:
        """The same, and the next one stand there."""
        came = self.came
        self.last()
        assert eventually(lambda: self.came > came, 30)


def compute_of(service: Service) -> Compute:
    compute: Compute = service.server.config.app.state.pools.compute
    return compute


@contextmanager
def crowd(service: Service) -> Iterator[Callable[[str, int], socket.socket]]:
    """Asks for a line of a class, with a seed, which then waits for its turn or has it.

    In the end all of them leave.
    """
    compute, askers = compute_of(service), list[socket.socket]()

    def line_up(kind: str, seed: int) -> socket.socket:
        n_open = compute.open
        askers.append(ask(service, kind=kind, seed=seed))
        assert eventually(lambda: compute.open > n_open, 30)
        service.http.get("/livez")  # whose answer comes after the turn was asked for
        return askers[-1]

    try:
        yield line_up
    finally:
        for asker in askers:
            leave(asker, abruptly=True)
    assert eventually(service.idle, 30)


def heard(service: Service) -> list[int]:
    """The seeds of those who have their first audio, in the order in which it was made."""
    return [service.studio.takes.get(id).seed for id in service.studio.takes.ids]


def empty(service: Service) -> bool:
    """Nothing is made, and nobody's place is kept."""
    return service.idle() and compute_of(service).open == 0


def known(service: Service) -> None:
    """Have the service learn what its voice costs."""
    assert service.speak(SCENE[:90]).status_code == 200
    assert eventually(lambda: empty(service))


def test_a_take_has_the_same_samples_under_load(tmp_path: Path) -> None:
    fields = {"seed": 3, "format": "pcm_f32le"}
    with tones_served(tmp_path, delay_s=0.005) as service:
        alone = service.speak(SCENE[:900], **fields).content
        with ThreadPoolExecutor(8) as crowd:
            texts = [SCENE[:900]] * 4 + [LINE] * 12
            beside = list(crowd.map(lambda t: service.speak(t, **fields).content, texts))
        assert beside[:4] == [alone] * 4
        assert len(np.frombuffer(alone, np.float32)) > 22050


def test_who_cannot_be_served_in_time_is_told_at_once_and_when_to_come(tmp_path: Path) -> None:
    gate, options = Gate(), {"delay_s": CHUNK_S, "settings": {"first_audio_s": 0.5}}
    with tones_served(tmp_path, workers=1, gate=gate, **options) as service:
        known(service)
        before, planned = not_admitted("first-audio") + not_admitted("load"), service.tone.planned
        made = service.tone.chunks
        with gate.held():
            askers = [ask(service) for _ in range(30)]
            answered, _, _ = select(askers, [], [], 60)  # nobody, if they waited for a chunk
            assert service.tone.chunks == made
            refused = HTTPResponse(answered[0])
            refused.begin()
        assert not_admitted("first-audio") + not_admitted("load") > before
        assert refused.status == 503
        assert json.loads(refused.read())["type"] == "/problems/overloaded"
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert 1 <= int(refused.headers["Retry-After"]) <= 300
        assert service.tone.planned < planned + 30
        for asker in askers:
            leave(asker, abruptly=True)
        assert eventually(lambda: empty(service), 30)
        assert service.speak().status_code == 200


def test_openai_clients_are_told_when_to_come_too(tmp_path: Path) -> None:
    with tones_served(tmp_path, workers=1, delay_s=CHUNK_S, settings={"load": 0.01}) as service:
        known(service)
        with ask(service) as asker:
            assert asker.recv(12) == b"HTTP/1.1 200"
            body = {"model": "tts-1", "input": LINE, "voice": "ann"}
            refused = service.http.post("/v1/audio/speech", json=body)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["error"]["code"] == "overloaded"


def test_a_service_that_was_just_started_knows_what_its_voice_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tone, "warm", lambda _: [(0.1, 0.2)] * 20)
    with (
        tones_served(tmp_path, workers=1, delay_s=CHUNK_S, settings={"load": 0.01}) as service,
        ask(service) as asker,
    ):
        assert asker.recv(12) == b"HTTP/1.1 200"
        assert service.speak().status_code == 503


def test_streams_are_bounded(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=CHUNK_S, settings={"streams": 2}) as service:
        before = not_admitted("streams")
        held = [ask(service) for _ in range(2)]
        assert all(asker.recv(12) == b"HTTP/1.1 200" for asker in held)
        refused = service.speak()
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
        assert not_admitted("streams") == before + 1
        for asker in held:
            leave(asker, abruptly=False)
        assert eventually(service.idle)
        assert eventually(lambda: service.speak().status_code == 200)


@pytest.mark.parametrize("sounding", [False, True], ids=["that is new", "that sounds"])
def test_an_audition_waits_for_no_batch(tmp_path: Path, sounding: bool) -> None:
    gate, batch, audition, late = Gate(), [1, 2, 3, 4], 5, 6
    with tones_served(tmp_path, workers=1, gate=gate) as service:
        known(service)
        before = heard(service)
        with crowd(service) as line_up:
            with gate.held():
                askers = [line_up("batch", seed) for seed in batch]
                for asker in askers if sounding else ():
                    gate.one()
                    assert asker.recv(12) == b"HTTP/1.1 200"
                line_up("audition", audition)
                line_up("batch", late)
                made = service.tone.chunks
                gate.one()
                gate.one()
                assert heard(service)[-1] == audition
                assert service.tone.chunks == made + 2  # what was being made, then its own
            order = [*batch, audition, late] if sounding else [1, audition, 2, 3, 4, late]
            assert eventually(lambda: heard(service) == before + order, 30)


def test_takes_that_are_queued_wait_for_who_listens(tmp_path: Path) -> None:
    gate, first, second, queued = Gate(), 1, 2, 3
    with tones_served(tmp_path, workers=1, gate=gate) as service:
        known(service)
        http = service.http
        production = http.post("/v1/productions", json={"title": "A", "slug": "a"}).json()
        made = {"production": production["id"], "text": SCENE[:600], "actor": "ann"}
        line = http.post("/v1/lines", json=made).json()
        with crowd(service) as line_up:
            with gate.held():
                line_up("audition", first)
                http.post(f"/v1/lines/{line['id']}/takes", json={"count": 1, "seed": queued})
                leases = service.studio.cast.voices.leases
                assert eventually(lambda: leases() == {"ann": 2}, 30)  # its turn is asked for
                line_up("audition", second)
                gate.one()
                gate.one()
                assert heard(service)[-2:] == [first, second]
            assert eventually(lambda: heard(service)[-1] == queued, 30)


def test_an_unknown_class_is_refused_with_those_there_are(tone_server: Service) -> None:
    refused = tone_server.post('{"actor": "ann", "text": "Hold."}', **{"Voicesvc-Class": "urgent"})
    assert refused.status_code == 422
    assert refused.json()["where"] == "Voicesvc-Class"
    assert refused.json()["valid"] == ["live", "audition", "batch"]


def test_metrics_tell_who_waits_and_who_ran_dry(tmp_path: Path) -> None:
    def metrics(name: str) -> float:
        return metric(f"voicesvc_{name}", **{"class": "audition"})

    with tones_served(tmp_path, workers=1, delay_s=0.6) as service:
        dry, waited = metrics("underruns_total"), metrics("queue_wait_seconds_count")
        with ThreadPoolExecutor(2) as crowd:
            spoken = [crowd.submit(service.speak) for _ in range(2)]
            assert eventually(lambda: metrics("queue") == 1)
            assert [s.result().status_code for s in spoken] == [200, 200]
        assert metrics("queue") == 0
        assert metrics("queue_wait_seconds_count") == waited + 2
        assert metrics("underruns_total") > dry  # 0.6 s for the 0.46 s of its second chunk
        assert metrics("underrun_seconds_total") > 0


@pytest.mark.parametrize("path", ["/v1/plans", "/v1/speech"])
def test_who_plans_or_speaks_leaves_no_seat_taken(tmp_path: Path, path: str) -> None:
    with tones_served(tmp_path, settings={"streams": 1}) as service:
        for text in (LINE, "", LINE):
            answer = service.http.post(path, json={"actor": "ann", "text": text})
            assert answer.status_code == (200 if text else 422)
            assert eventually(service.idle)
            time.sleep(0.05)
        with (
            pytest.raises(httpx.ReadTimeout),
            service.http.stream("POST", path, json={"actor": "ann", "text": SCENE}, timeout=0.0001),
        ):
            pass
        assert eventually(
            lambda: service.http.post(path, json={"actor": "ann", "text": LINE}).status_code == 200
        )


def rss_mb() -> float:
    """Memory of this process, which is the service's too."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_slow_readers_are_paused_and_cost_little_memory(tmp_path: Path) -> None:
    n = 100  # of 2 minutes each: 5 MB as 16-bit samples
    with tones_served(tmp_path, settings={"waiting": n, "stall_s": 600.0}) as service:
        known(service)
        before_mb = rss_mb()
        readers = [ask(service, 8192) for _ in range(n)]
        assert all(reader.recv(12) == b"HTTP/1.1 200" for reader in readers)

        def paused() -> bool:
            made = service.tone.chunks
            time.sleep(0.5)
            return service.tone.chunks == made

        assert eventually(paused, 60)
        grown_mb = rss_mb() - before_mb
        assert grown_mb < n * 1.0  # 500 MB for 500
        assert service.speak("And who listens is served.").status_code == 200
        for reader in readers:
            leave(reader, abruptly=True)
        assert eventually(service.idle, 60)


def test_a_first_chunk_that_is_too_short_for_a_crowd_is_heard_with_the_next(
    tmp_path: Path,
) -> None:
    gate = Gate()
    with (
        tones_served(tmp_path, workers=1, gate=gate) as service,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        compute = compute_of(service)
        compute.paced("ann", [(0.25, 1.0)] * 9)  # so long may others have the worker

        def first_piece() -> bytes:
            body = {"actor": "ann", "text": LINE, "format": "pcm_s16le", "seed": 1}
            with service.http.stream("POST", "/v1/speech", json=body) as answer:
                return next(answer.iter_raw())

        def first_of(chunks: int, others: int) -> bytes:
            came = gate.came
            with gate.held():
                piece = elsewhere.submit(first_piece)
                assert eventually(lambda: gate.came > came, 30)
                for _ in range(chunks - 1):
                    gate.one()
                    assert not piece.done()
                gate.last()
                heard = piece.result(30)
            assert eventually(lambda: compute.open == others, 30)
            return heard

        alone = first_of(1, 0)
        seat = compute.enter(Asked("bob", Kind.AUDITION, "ann", 40))
        crowded = first_of(2, 1)
        seat.end()
        assert crowded.startswith(alone)
        assert len(crowded) > len(alone)
