"""The service is killed while eight streams run: no take is lost, and none is half there.

`make crash` does it 200 times.
"""

import hashlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import LINE, eventually, write_pack
from crash_server import AT_START, PLACES

from voicesvc.blobs import Folder

STREAMS = 8
LONGEST_S = 20.0
KILLS = int(os.environ.get("CRASH_KILLS", len(PLACES) + len(AT_START) + 4))
SETTLED = {"complete", "failed", "cancelled"}


@dataclass
class Promised:
    """What callers were told, to be kept whatever happens."""

    begun: set[str] = field(default_factory=set)  # takes whose headers came
    heard: dict[str, str] = field(default_factory=dict)  # take -> sha256 of all its samples
    queued: dict[str, list[str]] = field(default_factory=dict)  # key -> takes; none: not heard
    deleted: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


class Service:
    """A service on one folder and port, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audio = Folder(folder / "data" / "audio")
        write_pack(folder / "models", "ann")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        script = Path(__file__).parent / "crash_server.py"
        self.forking = subprocess.Popen(
            [sys.executable, script, folder, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=LONGEST_S)
        self.pid = 0

    def start(self, place: str | None = None, nth: int = 1) -> None:
        """Start it, to be killed at a place."""
        assert self.forking.stdin is not None
        self.forking.stdin.write(json.dumps({"place": place, "nth": nth}) + "\n")
        self.forking.stdin.flush()
        self.pid = self._told()["pid"]

    def ended(self) -> int:
        """Its exit status, -9 when it was killed."""
        return int(self._told()["code"])

    def _told(self) -> Any:
        assert self.forking.stdout is not None
        return json.loads(self.forking.stdout.readline())

    @property
    def alive(self) -> bool:
        """Whether there still is a process."""
        return Path(f"/proc/{self.pid}").exists()

    def ready(self) -> bool:
        """Whether it comes to answer before it is killed."""

        def answers() -> bool:
            try:
                return self.http.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        return eventually(lambda: answers() or not self.alive, LONGEST_S) and self.alive

    def takes(self) -> list[sqlite3.Row]:
        """Every take there is, read past the service."""
        with closing(sqlite3.connect(self.folder / "data" / "takes.db")) as database:
            database.row_factory = sqlite3.Row
            return database.execute("SELECT * FROM takes").fetchall()

    def close(self) -> None:
        """End what it is started by."""
        self.http.close()
        assert self.forking.stdin is not None
        assert self.forking.stdout is not None
        self.forking.stdin.close()
        self.forking.stdout.close()
        self.forking.wait(LONGEST_S)


@contextmanager
def streams(service: Service, promised: Promised) -> Iterator[None]:
    """Eight listeners who ask for line after line until the service is gone."""
    threads = [threading.Thread(target=listen, args=(service, promised, n)) for n in range(STREAMS)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(2 * LONGEST_S)
        assert not thread.is_alive()


def listen(service: Service, promised: Promised, n: int) -> None:
    """One of them. The first two always hear the same, and the last leaves at the first bytes."""
    body: dict[str, Any] = {"actor": "ann", "text": LINE, "format": "pcm_f32le"}
    if n < 2:
        body["seed"] = 1
    with httpx.Client(base_url=service.http.base_url, timeout=LONGEST_S) as http:
        while True:
            try:
                with http.stream("POST", "/v1/speech", json=body) as answer:
                    if answer.status_code != 200:
                        promised.wrong.append(answer.read().decode())
                        return
                    take = answer.headers["Voicesvc-Take"]
                    promised.begun.add(take)
                    digest = hashlib.sha256()
                    for part in answer.iter_bytes():
                        digest.update(part)
                        if n == STREAMS - 1:
                            break
                    else:
                        promised.heard[take] = digest.hexdigest()
            except httpx.TransportError:
                return


def ask_for_takes(service: Service, promised: Promised, line: str, key: str) -> None:
    """Three takes of the line, made when there is time; asked for again, they are the same."""
    promised.queued.setdefault(key, [])
    headers = {"Idempotency-Key": key}
    try:
        answer = service.http.post(f"/v1/lines/{line}/takes", json={"count": 3}, headers=headers)
    except httpx.TransportError:
        return
    asked = [take["id"] for take in answer.json()["takes"]]
    assert promised.queued[key] in ([], asked)
    promised.queued[key] = asked


def delete_one(service: Service, promised: Promised) -> None:
    """An editor deletes a take; its audio goes when the service next starts."""
    kept = sorted(promised.heard.keys() - promised.deleted)
    if not kept:
        return
    try:
        promised.deleted.add(kept[0])  # from now on it may be gone
        tag = {"If-Match": service.http.get(f"/v1/takes/{kept[0]}").headers["ETag"]}
        assert service.http.delete(f"/v1/takes/{kept[0]}", headers=tag).status_code == 204
    except httpx.TransportError:
        return


def nothing_is_lost(service: Service, promised: Promised, *, whole: bool = False) -> None:
    """What must hold whenever the process was killed, before anything is put in order."""
    assert promised.wrong == []
    takes = {take["id"]: take for take in service.takes()}
    for take in takes.values():
        if take["state"] == "complete" and take["purged_ms"] is None:
            assert service.audio.has(take["pcm_sha256"])
        if take["state"] != "complete":
            assert take["pcm_sha256"] is None
    assert promised.begun <= takes.keys()
    for take_id, sha256 in promised.heard.items():
        assert (takes[take_id]["state"], takes[take_id]["pcm_sha256"]) == ("complete", sha256)
        assert takes[take_id]["deleted_ms"] is None or take_id in promised.deleted
    for asked in promised.queued.values():
        assert set(asked) <= takes.keys()
    if whole:
        for sha256 in service.audio.names():
            assert hashlib.sha256(service.audio.read(sha256)).hexdigest() == sha256


def all_is_in_order(service: Service) -> bool:
    """What must come to hold once it has started again: takes ended and measured."""
    takes = service.takes()
    needed = {t["pcm_sha256"] for t in takes if t["purged_ms"] is None} - {None}
    left = list((service.folder / "data" / "audio" / "tmp").glob("*"))
    return (
        {take["state"] for take in takes} <= SETTLED
        and set(service.audio.names()) == needed
        and left == []
        and all(t["purged_ms"] for t in takes if t["deleted_ms"])
        and all(t["measured"] for t in takes if t["state"] == "complete" and not t["deleted_ms"])
    )


def kills(rng: random.Random) -> list[tuple[str | None, int]]:
    """Every place, then moments that nobody chose, then all again."""
    plan: list[tuple[str | None, int]] = []
    while len(plan) < KILLS:
        plan += [(place, rng.randint(1, 3 if "queued" in place else 12)) for place in PLACES]
        plan += [(place, 1) for place in AT_START]
        plan += [(None, 0)] * 4
    return plan[:KILLS]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.close()


def line_of_a_production(service: Service) -> str:
    made = service.http.post("/v1/productions", json={"title": "The Harbour"}).json()
    fields = {"production": made["id"], "actor": "ann", "text": "Hold the line."}
    return str(service.http.post("/v1/lines", json=fields).json()["id"])


def plant(service: Service, n: int) -> None:
    """Audio that is no take's, whole and half written, as a crash leaves it."""
    with service.audio.create() as writer:
        writer.feed(f"no take's audio {n}".encode())
        writer.commit()
    (service.folder / "data" / "audio" / "tmp" / f"left {n}").write_bytes(b"half")


def until_killed(service: Service, place: str | None, rng: random.Random) -> bool:
    """Whether it came to the place; without one it is killed at some moment."""
    if place is None:
        time.sleep(rng.uniform(0.02, 0.8))
    came = place is None or eventually(lambda: not service.alive, LONGEST_S)
    if service.alive:
        os.kill(service.pid, signal.SIGKILL)
    return came


def one_kill(
    service: Service, promised: Promised, line: str, kill: tuple[str | None, int], n: int
) -> bool:
    """Started, put in order, loaded and killed; whether it was where it should be."""
    rng, (place, nth) = random.Random(n), kill
    plant(service, n)
    service.start(place, nth)
    if service.ready():
        assert eventually(lambda: all_is_in_order(service) or not service.alive, LONGEST_S)
    if not service.alive:
        assert service.ended() == -signal.SIGKILL
        return place in AT_START
    with streams(service, promised):
        if place is not None:
            with suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGUSR1)
        ask_for_takes(service, promised, line, f"key {n}")
        delete_one(service, promised)
        came = until_killed(service, place, rng)
    assert service.ended() == -signal.SIGKILL
    return came


@pytest.mark.skipif(sys.platform != "linux", reason="a process is watched in /proc")
@pytest.mark.timeout(60 + 15 * KILLS)
def test_no_take_is_lost_when_the_service_is_killed(service: Service) -> None:
    promised, reached = Promised(), Counter[str | None]()
    service.start()
    assert service.ready()
    line = line_of_a_production(service)
    os.kill(service.pid, signal.SIGKILL)
    assert service.ended() == -signal.SIGKILL
    for n, kill in enumerate(kills(random.Random(4))):
        reached[kill[0]] += one_kill(service, promised, line, kill, n)
        nothing_is_lost(service, promised)
    service.start()
    assert service.ready()
    for key in promised.queued:
        ask_for_takes(service, promised, line, key)
    assert eventually(lambda: all_is_in_order(service), LONGEST_S)
    nothing_is_lost(service, promised, whole=True)
    numbers = sorted(take["number"] for take in service.takes() if take["line"] == line)
    assert numbers == list(range(1, 3 * len(promised.queued) + 1))
    os.kill(service.pid, signal.SIGTERM)
    service.ended()
    states = Counter(take["state"] for take in service.takes())
    print(f"{reached.total()} kills, {len(promised.heard)} takes heard to their end, {states}")
    assert {place for place, times in reached.items() if times} >= {*PLACES, *AT_START}
    assert min(states[state] for state in SETTLED) > 0
