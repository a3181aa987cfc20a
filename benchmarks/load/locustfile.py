"""A load test of a running service: people who audition lines, games, a queue, some who leave.

    make load                                        # against `make serve` on this machine
    LOAD_KEY=vsk_… make load                         # against one that asks for keys
    locust -f benchmarks/load/locustfile.py --headless -u 20 -t 2m --html load.html Audition Leaver

What is measured, as Locust's own entries beside those of HTTP:

- `ttfa`: milliseconds from asking to the first audible sample;
- `latency`: milliseconds of waiting per second of generated audio;
- `underrun`: milliseconds for which a listener, who plays from the first sample on, had nothing;
- `refused`: answers 503; who gets one asks again after `Retry-After`.

Who: `Audition` listens to a line, thinks, and asks for the next; `Leaver` hangs up at the first
sound; `Slow` takes audio no faster than it is played; `Live` keeps a socket open, says line after
line and interrupts one of four; `Batch` has takes made by the queue and waits for them. All of them
together, each in its share, are the mixed load, with churn.

Bounds: at most 500 users, an hour, and `--most-takes` takes. The host is this machine unless named;
one on the public internet is refused without `--public-host-is-mine`. Ends in one JSON line; the
exit status is 1 where something failed, or where first audio was later than `--ttfa-p95-ms`.
"""

import ipaddress
import json
import logging
import os
import random
import socket
import sys
import time
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped, unused-ignore]
import websocket
from locust import HttpUser, User, between, constant, events, task
from locust.env import Environment
from locust.exception import StopUser
from player import Player

MOST_USERS, MOST_S = 500, 3600
RATE_HZ = 22050
LINES = (
    "Hold the line.",
    "We crossed the river before dawn, and nobody spoke.",
    "You said that the harbour was safe, and I believed you, because I wanted it to be true.",
    "When the old keeper finally told us what he had seen that night, nobody at the table said a "
    "word, because each of us had heard the same bell ringing under the water.",
)
_POLL_S = 0.5
_log = logging.getLogger("voicesvc.load")


class State:
    """What the users of this process share."""

    takes = 0
    actors: tuple[str, ...] = ()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def _options(parser: ArgumentParser) -> None:
    parser.set_defaults(host="http://127.0.0.1:8080")
    parser.add_argument("--most-takes", type=int, default=10_000, help="end after this many")
    parser.add_argument("--seed", type=int, default=1, help="of lines and pauses")
    parser.add_argument("--wait-ready-s", type=float, default=10.0, help="for the service's voices")
    parser.add_argument("--ttfa-p95-ms", type=float, default=0.0, help="fail above; 0: never")
    parser.add_argument("--public-host-is-mine", action="store_true", help="allow any host")


def refusal(host: str, users: int, run_s: float | None, *, anywhere: bool) -> str | None:
    """Why this load is not to be run, or None."""
    if not 0 < users <= MOST_USERS:
        return f"--users is {users}; valid: 1 to {MOST_USERS}"
    if run_s is None or not 0 < run_s <= MOST_S:
        return f"--run-time is {run_s}; valid: 1 to {MOST_S} s"
    name = urlsplit(host).hostname
    if name is None:
        return f"--host is {host!r}; valid: http://name:port"
    try:
        found = {info[4][0] for info in socket.getaddrinfo(name, None)}
    except OSError as e:
        return f"{name} is not found: {e.strerror or e}"
    public = sorted(a for a in map(str, found) if ipaddress.ip_address(a).is_global)
    if public and not anywhere:
        return f"{name} is {public[0]}, on the public internet; --public-host-is-mine allows it"
    return None


@events.init.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def _check(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    anywhere = options.public_host_is_mine
    why = refusal(
        environment.host or "", options.num_users or 1, options.run_time, anywhere=anywhere
    )
    if why is not None:
        print(f"load: {why}", file=sys.stderr)
        sys.exit(2)
    random.seed(options.seed)


@events.test_start.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def _wait_until_ready(environment: Environment, **_: Any) -> None:
    import requests

    options = environment.parsed_options
    assert options is not None
    deadline_s = time.monotonic() + options.wait_ready_s
    while True:
        try:
            said = requests.get(
                f"{environment.host}/v1/actors", headers=bearer(), timeout=5
            ).json()["actors"]
            State.actors = tuple(a["actor_id"] for a in said if a["state"] == "ready")
        except (requests.RequestException, KeyError):
            State.actors = ()
        if State.actors:
            return
        if time.monotonic() > deadline_s:
            print(f"load: no voice is ready at {environment.host}", file=sys.stderr)
            sys.exit(2)
        time.sleep(_POLL_S)


def note(environment: Environment, kind: str, name: str, ms: float) -> None:
    """One measurement as an entry of Locust's."""
    environment.events.request.fire(  # type: ignore[no-untyped-call, unused-ignore]
        request_type=kind,
        name=name,
        response_time=ms,
        response_length=0,
        exception=None,
        context={},
    )


def bearer() -> dict[str, str]:
    """The key in LOAD_KEY, for a service that asks for one."""
    key = os.environ.get("LOAD_KEY")
    return {} if key is None else {"Authorization": f"Bearer {key}"}


class Speaker(HttpUser):  # type: ignore[misc, unused-ignore]
    """Somebody who has lines spoken."""

    abstract = True
    leaves = False  # at the first sound
    plays = False  # takes audio no faster than it is heard

    def on_start(self) -> None:
        """Who this is."""
        self.client.headers.update(bearer())

    def speak(self) -> None:
        """One line, from asking until its last byte, or until this listener leaves."""
        count(self.environment)
        name = type(self).__name__
        player = Player(RATE_HZ)
        asked = {
            "actor": random.choice(State.actors),
            "text": random.choice(LINES),
            "format": "pcm_s16le",
            "sample_rate_hz": RATE_HZ,
        }
        begin_s = time.perf_counter()
        with self.client.post(
            "/v1/speech", json=asked, stream=True, catch_response=True, name=f"speech {name}"
        ) as answer:
            if answer.status_code == 503:
                note(self.environment, "refused", name, 1e3 * (time.perf_counter() - begin_s))
                answer.success()
                time.sleep(min(5.0, float(answer.headers.get("Retry-After", 1))))
                return
            if answer.status_code != 200:
                answer.failure(f"HTTP {answer.status_code}")
                return
            for piece in answer.iter_content(4096):
                player.feed(piece, time.perf_counter() - begin_s)
                if self.leaves and player.first_s is not None:
                    break
                if self.plays:
                    time.sleep(len(piece) / 2 / RATE_HZ)
        self.tell(player)

    def tell(self, player: Player) -> None:
        """What this listener heard."""
        name = type(self).__name__
        if player.first_s is not None:
            note(self.environment, "ttfa", name, 1e3 * player.first_s)
        if not (self.leaves or self.plays):
            note(self.environment, "latency", name, 1e3 * player.latency_s)
            if player.gaps_s:
                note(self.environment, "underrun", name, 1e3 * sum(player.gaps_s))


def count(environment: Environment) -> None:
    """One more take; ends the run, and this user, where there were enough."""
    options, runner = environment.parsed_options, environment.runner
    assert options is not None
    assert runner is not None
    if State.takes >= options.most_takes:
        gevent.spawn(runner.quit)  # it ends the users, of whom this is one
        raise StopUser
    State.takes += 1


class Audition(Speaker):
    """A sound editor: hears a line out, thinks, asks for the next."""

    weight = 6
    wait_time = between(0.2, 2)

    @task
    def audition(self) -> None:
        """One line."""
        self.speak()


class Leaver(Speaker):
    """Hangs up as soon as it hears something: the service must stop working for it."""

    weight = 2
    wait_time = between(0.2, 2)
    leaves = True

    @task
    def leave(self) -> None:
        """One line's beginning, on a connection that is closed."""
        self.speak()


class Slow(Speaker):
    """Plays while it loads, so that the service has to wait for it."""

    weight = 1
    wait_time = constant(0)
    plays = True

    @task
    def play(self) -> None:
        """One line, at the speed of sound."""
        self.speak()


class Live(User):  # type: ignore[misc, unused-ignore]
    """A game: one socket, line after line, each to be heard as soon as it was said."""

    weight = 2
    wait_time = between(0.2, 2)
    interrupts = 4  # one of so many lines, at its first sound

    def on_start(self) -> None:
        """Nothing was said yet."""
        self.socket: websocket.WebSocket | None = None
        self.lines = 0

    def on_stop(self) -> None:
        """Leave."""
        if self.socket is not None:
            self.socket.close()

    def _opened(self) -> websocket.WebSocket:
        if self.socket is None:
            where = f"{self.environment.host}/v1/speech/live".replace("http", "ws", 1)
            self.socket = websocket.create_connection(where, header=bearer(), timeout=60)
            self.socket.send(
                json.dumps(
                    {
                        "actor": random.choice(State.actors),
                        "format": "pcm_s16le",
                        "sample_rate_hz": RATE_HZ,
                    }
                )
            )
        return self.socket

    @task
    def say(self) -> None:
        """One line, until it was heard or interrupted."""
        count(self.environment)
        begin_s = time.perf_counter()
        error: Exception | None = None
        try:
            self._say(self._opened())
        except (OSError, websocket.WebSocketException) as e:
            self.socket, error = None, e
        self.environment.events.request.fire(  # type: ignore[no-untyped-call, unused-ignore]
            request_type="WS",
            name="live",
            response_time=1e3 * (time.perf_counter() - begin_s),
            response_length=0,
            exception=error,
            context={},
        )

    def _say(self, socket_: websocket.WebSocket) -> None:
        self.lines += 1
        player, interrupts = Player(RATE_HZ), self.lines % self.interrupts == 0
        begin_s, interrupted = time.perf_counter(), False
        socket_.send(json.dumps({"text": random.choice(LINES) + " ", "flush": True}))
        while True:
            said = socket_.recv()
            now_s = time.perf_counter() - begin_s
            if isinstance(said, bytes):
                player.feed(said, now_s)
                if interrupts and not interrupted and player.first_s is not None:
                    socket_.send(json.dumps({"cancel": True}))
                    interrupted = True
                continue
            told = json.loads(said)
            if told["event"] in ("flushed", "cancelled"):
                break
            if told["event"] == "problem":
                self.socket = None
                if told["status"] != 503:
                    raise websocket.WebSocketException(told["detail"])
                note(self.environment, "refused", "Live", 1e3 * now_s)
                time.sleep(min(5.0, told.get("retry_after_s") or 1.0))
                return
        if player.first_s is not None:
            note(self.environment, "ttfa", "Live", 1e3 * player.first_s)
        if not interrupted and player.audio_s:
            note(self.environment, "latency", "Live", 1e3 * player.latency_s)
            if player.gaps_s:
                note(self.environment, "underrun", "Live", 1e3 * sum(player.gaps_s))


class Batch(HttpUser):  # type: ignore[misc, unused-ignore]
    """A script's lines, made by the queue; nobody listens."""

    weight = 1
    wait_time = between(0.5, 2)
    line = ""

    def on_start(self) -> None:
        """A production with one line."""
        self.client.headers.update(bearer())
        title = f"load test {random.randrange(10**6)}"
        made = self.client.post("/v1/productions", json={"title": title}, name="productions")
        line = {"production": made.json()["id"], "actor": State.actors[0], "text": LINES[1]}
        self.line = self.client.post("/v1/lines", json=line, name="lines").json()["id"]

    @task
    def make(self) -> None:
        """Two takes, from being queued until both are there."""
        count(self.environment)
        begin_s = time.perf_counter()
        path = f"/v1/lines/{self.line}/takes"
        queued = self.client.post(path, json={"count": 2}, name="queue").json()["takes"]
        audio_s, waiting = 0.0, {take["id"] for take in queued}
        while waiting:
            time.sleep(_POLL_S)
            for take_id in sorted(waiting):
                with self.client.get(
                    f"/v1/takes/{take_id}", name="take", catch_response=True
                ) as answer:
                    take = answer.json()
                    if take["state"] in ("queued", "open"):
                        continue
                    waiting.discard(take_id)
                    if take["state"] != "complete":
                        answer.failure(f"the take is {take['state']}")
                audio_s += take.get("duration_s") or 0.0
        if audio_s:
            latency_ms = 1e3 * (time.perf_counter() - begin_s) / audio_s
            note(self.environment, "latency", "Batch", latency_ms)


@events.quitting.add_listener  # type: ignore[untyped-decorator, unused-ignore]
def _report(environment: Environment, **_: Any) -> None:
    options, stats = environment.parsed_options, environment.stats
    assert options is not None
    figures: dict[str, Any] = {"benchmark": "load", "host": environment.host, "takes": State.takes}
    for (name, kind), entry in sorted(stats.entries.items()):
        if kind in ("ttfa", "latency", "underrun", "refused"):
            figures.setdefault(f"{kind}_ms", {})[name] = {
                "count": entry.num_requests,
                **{f"p{q}": entry.get_response_time_percentile(q / 100) for q in (50, 95, 99)},
            }
    figures["failed"] = stats.total.num_failures
    figures["users"], figures["seconds"] = options.num_users, options.run_time
    print(json.dumps(figures), flush=True)
    late = [
        f"ttfa p95 of {name} is {of['p95']:.0f} ms"
        for name, of in figures.get("ttfa_ms", {}).items()
        if 0 < options.ttfa_p95_ms < of["p95"]
    ]
    for line in late:
        print(f"load: {line}; at most {options.ttfa_p95_ms:.0f}", file=sys.stderr)
    if late or figures["failed"] or not State.takes:
        environment.process_exit_code = 1
