"""Work that nobody waits for with an open ear: takes that are queued, what is measured, upkeep.

Each kind has one thread. What is to be done is read from the database, so a service that ended in
the middle goes on where it was. Knows nothing of HTTP.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from voicesvc import remake
from voicesvc.archive import HEARTBEAT_MS, Archive
from voicesvc.errors import BlobsFailed, StoreFailed, VoiceError
from voicesvc.store import StoredTake, record
from voicesvc.store import takes as rows
from voicesvc.store.takes import Ending
from voicesvc.studio import Studio
from voicesvc.takes import Rendering

_IDLE_S = 1.0  # how often the database is asked when nobody said that there is something
_PURGE_EVERY = 360  # heartbeats: an hour
KEYS_KEPT_MS = 24 * 3600 * 1000
_log = logging.getLogger(__name__)
T = TypeVar("T")
Run = Callable[[Callable[[], T]], T]


class _Loop:
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

    def stop(self) -> None:
        """End after the piece of work that is being done."""
        self.stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def work(self) -> bool:
        """One piece; False if there was none."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                if self.work():
                    continue
            except Exception:  # the edge: one failure must not end what the others wait for
                _log.exception("%s failed", self.name)
            self._wake.wait(self._every_s)
            self._wake.clear()


class Maker(_Loop):
    """Makes the takes that are queued, the oldest first, one at a time.

    Args:
        studio: one with an archive.
        run: has a piece of work done where takes are computed, so that a chunk of a queued take
            waits its turn among those that somebody listens to.
    """

    name = "maker"

    def __init__(self, studio: Studio, run: Run[Any]) -> None:
        super().__init__(_IDLE_S)
        assert studio.archive is not None, "without an archive nothing is queued"
        self._studio, self._archive, self._run_there = studio, studio.archive, run

    def work(self) -> bool:
        """The next take of the queue."""
        by = self._archive.by()
        take = self._archive.database.write(lambda c: rows.claim(c, self._archive.instance, by))
        if take is None:
            return False
        try:
            self._make(take)
        except VoiceError as e:
            self._ended(take, "refused" if e.status < 500 else "failed", str(e))
        except Exception:
            self._ended(take, "failed", "the service failed; its log says how")
            raise
        return True

    def _make(self, take: StoredTake) -> None:
        rendering = self._run_there(lambda: remake.begin(self._studio, take))
        try:
            self._drain(rendering)
        finally:
            rendering.close()
        if self.stopping.is_set() and rendering.take.outcome == "cancelled":
            by = self._archive.by()
            self._archive.database.write(lambda c: rows.requeue(c, take.id, by))

    def _drain(self, rendering: Rendering) -> None:
        while not self.stopping.is_set() and self._run_there(rendering.chunk) is not None:
            pass

    def _ended(self, take: StoredTake, state: Any, reason: str) -> None:
        if self._archive.take(take.id).state == "open":
            self._archive.end(take.id, Ending(state, {"reason": reason}))


class Keeper(_Loop):
    """Says that this process lives, ends takes of those that do not, and removes what is due."""

    name = "keeper"

    def __init__(self, archive: Archive, deleted_kept_ms: int) -> None:
        super().__init__(HEARTBEAT_MS / 1000)
        self._archive, self._kept_ms = archive, deleted_kept_ms
        self._beats = 0

    def work(self) -> bool:
        """One heartbeat; False, so that the next one waits."""
        try:
            self._archive.beat()
            if self._beats == 0:
                self._archive.remove_orphans()
            if self._beats % _PURGE_EVERY == 0:
                self._archive.purge(self._kept_ms)
                before_ms = self._archive.now_ms() - KEYS_KEPT_MS
                self._archive.database.write(lambda c: record.forget(c, before_ms))
        except (StoreFailed, BlobsFailed) as e:
            _log.error("upkeep: %s", e)
        self._beats += 1
        return False
