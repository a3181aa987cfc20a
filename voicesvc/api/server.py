"""The process that serves: studio, application and uvicorn put together."""

import gc
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from voicesvc import archive
from voicesvc.api import create_app, gate
from voicesvc.compute import Compute
from voicesvc.config import Settings
from voicesvc.errors import BadSetting
from voicesvc.studio import Studio
from voicesvc.traces import to_collector

_POLL_S = 0.05
SEND_BUFFER_BYTES = 256 * 1024  # 6 s of speech at 22050 Hz and 16 bits
# How long an idle connection stays open: longer than clients (5 to 60 s) and proxies (60 s) keep
# theirs. Whoever closes first cannot run into a request that is on its way, which is not repeated.
IDLE_S = 75
_LAST_S = 1  # that connections get to end once all streams have, or their time is over


class Server(uvicorn.Server):
    """Told to end, it lets nobody in, lets those who are in end, and only then stops listening."""

    def __init__(self, config: uvicorn.Config) -> None:
        config.timeout_keep_alive = IDLE_S
        super().__init__(config)
        assert isinstance(config.app, FastAPI), "made by create_app"
        self._state = config.app.state
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, the next is that of somebody who does not wait."""
        if self._draining or not self.started:
            super().handle_exit(sig, frame)
            return
        self._draining = True
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        given: Settings = self._state.studio.settings
        compute: Compute = self._state.pools.compute
        begin_s = time.monotonic()
        compute.end_within(max(given.drain_s, given.grace_s))
        self._state.maker.stopping.set()  # what it makes is queued again, for the next service
        self._state.feed.close()
        while not self.should_exit:
            passed_s = time.monotonic() - begin_s
            over = passed_s >= given.grace_s or not compute.open
            if over and passed_s >= given.drain_s:
                self.should_exit = True
            time.sleep(_POLL_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; those who wait for events are ended first."""
        self._state.feed.close()
        await super().shutdown(sockets)


def run(settings: Settings, say: Callable[[str], None], begin: float) -> None:
    """Serve until a signal; progress goes to `say`. `begin` is when the process was started.

    Raises:
        BadSetting: the address cannot be listened on, the data folder is in use, or others reach
            the service and it would ask nobody who they are.
        EngineFailed: the device that was asked for is not there.
    """
    gate.check_settings(settings)
    traces = to_collector(settings)
    listener = listen(settings)
    from voicesvc.engines import memory
    from voicesvc.engines.device import pick_dtype, pin

    several = len(settings.devices) > 1
    device = pin("cpu" if several else settings.device)
    on_gpu = device.type == "cuda" or settings.device.startswith("cuda:")
    workers = settings.workers or (len(settings.devices) if on_gpu else os.cpu_count() or 1)
    if not several:  # else the programs of the devices see what there is
        memory.watch(device)
        settings = memory.with_budgets(settings, device)
    kept = archive.open_in(settings, f"in_{secrets.token_hex(10)}")
    studio = Studio(settings, say=say, archive=kept, traced=traces.take if traces else None)
    server = Server(
        uvicorn.Config(
            create_app(studio, workers),
            host=settings.host,
            port=settings.port,
            log_config=None,  # ours: see voicesvc.logs
            access_log=False,  # an address may have a text that is searched for
            timeout_graceful_shutdown=_LAST_S,
        )
    )
    decoder = pick_dtype(settings.precision, device)
    room = f"{settings.device_budget_mb} MiB" if settings.device_budget_mb else "no limit"
    said = settings.device if several else f"{device}, decoder {decoder}"
    say(f"device: {said}, {workers} workers, voices: {room}")
    memory.give_back_slack()
    told = threading.Thread(target=_announce, args=(server, studio, say, begin), daemon=True)
    told.start()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again when it has ended
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        if traces is not None:
            traces.close()


def listen(settings: Settings) -> socket.socket:
    """Taken before anything is loaded: a port that is in use is said at once.

    What waits in the kernel for a slow reader is bounded, so that what was sent is about what the
    listener has.

    Raises:
        BadSetting: it cannot be listened there.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # of each
        return listener
    except OSError as e:
        where = f"{settings.host}:{settings.port}"
        raise BadSetting(
            f"cannot listen on {where}: {e.strerror or e}",
            where="VOICESVC_PORT",
            valid="an address of this machine and a port that nothing else listens on",
        ) from e


def settle() -> None:
    """Look no more for garbage among what is there now, because it stays.

    A full search of the libraries and voices takes 0.18 s of processor time, every 60 lines or so,
    and somebody's first audio waits for it. Voices that are dropped are freed all the same: nothing
    of them is in a cycle.
    """
    gc.collect()
    gc.freeze()


def _announce(
    server: uvicorn.Server, studio: Studio, say: Callable[[str], None], begin: float
) -> None:
    """Say where the service listens, then which voices are ready once none is loading."""
    while not server.started:
        if server.should_exit:
            return
        time.sleep(_POLL_S)
    sockets = [s for one in server.servers for s in one.sockets]
    host, port = sockets[0].getsockname()[:2]
    say(f"listening on http://{host}:{port}  (voices are being warmed)")
    while not studio.cast.warmed:
        if server.should_exit:
            return
        time.sleep(_POLL_S)
    settle()
    ready = (
        ", ".join(a["actor_id"] for a in studio.cast.actors() if a["state"] == "ready") or "none"
    )
    took = time.perf_counter() - begin
    say(f"ready after {took:.1f} s: http://{host}:{port}  voices: {ready}")
