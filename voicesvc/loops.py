"""Threads that do one piece of work after another, beside those that compute.

What they do is in `jobs` and `signer`. Knows nothing of takes.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

_POLL_S = 0.05
_log = logging.getLogger(__name__)


class Loop(ABC):
    """A thread that does one piece of work after another until it is stopped."""

    name = "jobs"

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._wake = threading.Event()
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def end(self) -> None:
        """Begin no further piece of work; returns at once."""
        self.stopping.set()
        self._wake.set()

    def stop(self) -> None:
        """End after the piece of work that is being done."""
        self.end()
        if self._thread.is_alive():
            self._thread.join()

    @abstractmethod
    def work(self) -> bool:
        """One piece; False if there was none."""

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                if self.work():
                    continue
            except Exception:  # the edge: one failure must not end what the others wait for
                _log.exception("%s failed", self.name)
            self._wake.wait(self._every_s)
            self._wake.clear()


@dataclass(frozen=True, slots=True)
class Manners:
    """How a heavy piece of work gives way to those who listen.

    Not by its priority: a thread that holds the interpreter's lock and gets no processor, because
    other programs have it, would keep all listeners waiting.
    """

    pressed: Callable[[], bool]  # whether somebody waits for sound now
    patience_s: float = 2.0  # that a piece of work waits for them, at most

    def give_way(self, stopping: threading.Event) -> None:
        """Return once nobody waits for sound, or has for `patience_s`, or `stopping` is set."""
        self.piece(stopping)()

    def piece(self, stopping: threading.Event, longer_s: float = 0.0) -> Callable[[], None]:
        """The same for the steps of one piece of work, to be called between them.

        Together they wait no longer than `patience_s`, or `longer_s` if that is more. A step of a
        few milliseconds is what a listener may find in the way: beside one that takes long, the
        interpreter's lock is waited for again and again, and first audio comes half as late again.
        """
        left_s = max(self.patience_s, longer_s)

        def between() -> None:
            nonlocal left_s
            while left_s > 0 and self.pressed() and not stopping.wait(_POLL_S):
                left_s -= _POLL_S

        return between


class Aside(Loop):
    """A loop whose work is heavy and nobody waits for."""

    def __init__(self, every_s: float, manners: Manners) -> None:
        super().__init__(every_s)
        self._manners = manners

    def give_way(self) -> None:
        """See `Manners.give_way`; returns when the loop is to end, too."""
        self._manners.give_way(self.stopping)

    def piece(self, longer_s: float = 0.0) -> Callable[[], None]:
        """See `Manners.piece`; it waits no more when the loop is to end, too."""
        return self._manners.piece(self.stopping, longer_s)
