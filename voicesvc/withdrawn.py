"""Voices that are not granted any more: let go of, and their imported weights removed."""

import contextlib
import logging
import threading

from voicesvc.cast import Cast
from voicesvc.errors import PackRefused, UnknownActor
from voicesvc.noted import Notes
from voicesvc.rights import register as registers
from voicesvc.rights.register import Register

_log = logging.getLogger(__name__)


class Withdrawals:
    """Follows the register. A suspended voice leaves memory; a revoked one leaves the disk too."""

    def __init__(self, cast: Cast, notes: Notes) -> None:
        self._cast, self._notes = cast, notes
        self._standing: frozenset[str] = frozenset()
        self._gone: frozenset[str] | None = None  # None: not looked at yet
        self._lock = threading.Lock()

    @property
    def standing(self) -> frozenset[str]:
        """Actors that a grant stood for when that was last looked at."""
        return self._standing

    def follow(self, register: Register, now_ms: int) -> None:
        """Let go of voices that no grant stands for now, and of the weights of revoked ones."""
        standing = registers.standing(register, now_ms)
        revoked = registers.withdrawn(register, now_ms)
        with self._lock:
            gone, self._standing = self._standing - standing, standing
            before, self._gone = self._gone, revoked
        for actor in gone:
            with contextlib.suppress(UnknownActor, PackRefused):
                self._cast.unload(actor)
        for actor in revoked - (before or frozenset()):
            self._forget(actor, fresh=before is not None)

    def sweep(self) -> None:
        """Remove what a load that was under way has left of a revoked voice since."""
        for actor in self._gone or ():
            self._forget(actor, fresh=False)

    def _forget(self, actor: str, *, fresh: bool) -> None:
        try:
            removed = self._cast.forget(actor)
        except OSError as e:
            _log.error("the weights of %s cannot be removed: %s", actor, e.strerror)
            return
        if removed or fresh:
            self._notes.withdrawn(actor, removed)
