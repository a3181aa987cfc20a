"""One device: its program, started, asked, and started anew after it ended."""

import itertools
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from voicesvc import metrics
from voicesvc.config import Settings
from voicesvc.devices.engine import RemotePrepared
from voicesvc.devices.wire import NOBODY, Begun, Failed, Line, PrepareEngine, Ready, Ref
from voicesvc.errors import DeviceLost
from voicesvc.packs import Pack

_log = logging.getLogger(__name__)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0  # before a program is started again; doubled each time
_LONG_S = 60.0  # who lived as long is started again at once
_ENDING_S = 5.0


class Life:
    """One process of a device's program, from its start to its end. Any thread may ask."""

    def __init__(self, name: str, number: int, begun: Begun, say: Callable[[str], None]) -> None:
        self.name, self.number, self._say = name, number, say
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "voicesvc.devices", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self._line = Line(Connection(ours.detach()))
        self._numbers = itertools.count(NOBODY + 1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self.over = False
        self._reason = "its program ended"
        self.tell(begun)

    def ask(self, what: str, *said: Any) -> Any:
        """The answer to a question.

        Raises:
            DeviceLost: the program ended before it answered.
            VoiceError, RuntimeError: what went wrong there.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self.over:
                raise self._lost()
            number = next(self._numbers)
            self._waiting[number] = future
        try:
            self._line.send(number, what, *said)
        except OSError as e:
            with self._lock:
                self._waiting.pop(number, None)
            raise self._lost() from e
        answer = future.result()
        if isinstance(answer, Failed):
            if answer.fault:
                raise self._lost() from answer.error
            raise answer.error
        return answer

    def tell(self, *said: Any) -> None:
        """Say something that is not answered; nothing happens where the program has ended."""
        if not self.over:
            try:
                self._line.send(NOBODY, *said)
            except OSError:
                _log.debug("%s: its program has ended", self.name)

    def listen(self, ready: Callable[[Ready], None]) -> None:
        """Give out answers until the program has ended; then who still waits is told."""
        try:
            while True:
                number, answer = self._line.read()
                if isinstance(answer, Failed) and answer.fault:
                    self._reason = str(answer.error)
                if number != NOBODY:
                    with self._lock:
                        future = self._waiting.pop(number)
                    future.set_result(answer)
                elif isinstance(answer, Ready):
                    ready(answer)
                else:
                    self._say(answer)
        except (EOFError, OSError):
            with self._lock:
                self.over = True
                waiting, self._waiting = self._waiting, {}
            for future in waiting.values():
                future.set_exception(self._lost())
        self.process.wait()

    def end(self) -> None:
        """Kill the program."""
        self.process.kill()

    def _lost(self) -> DeviceLost:
        return DeviceLost(f"device {self.name} failed: {self._reason}", where="actor")


class Device:
    """A device that is kept running. Any method may be called from any thread.

    `changed` is called when it comes up, with what there is room for, and, with None, when it is
    lost.
    """

    def __init__(
        self,
        name: str,
        prepare: PrepareEngine,
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.name, self._say = name, say
        own = "cpu" if name.startswith("cpu") else name
        self._begun = Begun(prepare, settings.model_copy(update={"device": own}))
        self.restarts = 0
        self.life: Life | None = None  # while it is up
        self._running: Life | None = None
        self._closed = threading.Event()
        self.changed: Callable[[Ready | None], None] = lambda _: None
        self._thread = threading.Thread(target=self._keep, name=f"device-{name}", daemon=True)

    def start(self) -> None:
        """Begin; `changed` tells when it is up."""
        metrics.DEVICE_UP.labels(self.name).set(0)
        self._thread.start()

    def prepare(self, pack: Pack, _: Settings, __: Callable[[str], None]) -> RemotePrepared:
        """The pack's voice in the host memory of the device's program.

        Raises:
            DeviceLost: it is not up, or was lost meanwhile.
            VoiceError: the pack is refused there.
        """
        life = self.life
        if life is None:
            raise DeviceLost(f"device {self.name} is being started", where="actor")
        ref, host_bytes = life.ask("prepare", pack)
        assert isinstance(ref, Ref)
        return RemotePrepared(life, ref, host_bytes)

    def close(self) -> None:
        """End its program, for good."""
        self._closed.set()
        if self._running is not None:
            self._running.end()
        if self._thread.ident is not None:
            self._thread.join(_ENDING_S)

    def _keep(self) -> None:
        wait_s = 0.0
        for number in itertools.count():
            if self._closed.wait(wait_s):
                return
            if number:
                self.restarts = number
                metrics.DEVICE_RESTARTS.labels(self.name).inc()
            begin_s = time.monotonic()
            life = self._running = Life(self.name, number, self._begun, self._say)
            if self._closed.is_set():
                life.end()
            life.listen(partial(self._up, life))
            self.life = None
            metrics.DEVICE_UP.labels(self.name).set(0)
            self.changed(None)
            if time.monotonic() - begin_s > _LONG_S:
                wait_s = 0.0
            wait_s = min(max(2 * wait_s, FIRST_WAIT_S), LONGEST_WAIT_S)
            if not self._closed.is_set():
                status = life.process.returncode
                said = f"device {self.name}: its program ended with {status}, again in {wait_s:g} s"
                _log.warning(said)
                self._say(said)

    def _up(self, life: Life, ready: Ready) -> None:
        self.life = life
        metrics.DEVICE_UP.labels(self.name).set(1)
        self.changed(ready)
