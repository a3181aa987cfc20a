"""What is kept until when: takes are removed once the term of their grant says so.

The newest version of a take's grant decides. The row, its deletion and its entries in the ledger
stay; samples, plan and timings go.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from voicesvc import metrics
from voicesvc.archive import Archive
from voicesvc.rights.register import Register
from voicesvc.store import iso, retention

ANNOUNCED_DAYS = 30
_DAY_MS = 86_400_000
_AT_ONCE = 100  # takes removed in one transaction
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """When what was made under a grant is removed; None: its papers do not hold, so not at all."""

    grant: str
    actor: str | None
    at_ms: int | None
    takes: int
    seconds: float

    def json(self, now_ms: int) -> dict[str, Any]:
        """As HTTP answers it."""
        left = None if self.at_ms is None else max(0, (self.at_ms - now_ms) // _DAY_MS)
        return {
            "grant": self.grant,
            "actor": self.actor,
            "delete_at": iso(self.at_ms),
            "days_left": left,
            "takes": self.takes,
            "seconds": round(self.seconds, 3),
        }


def due_ms(register: Register, grant: str) -> int | None:
    """When what was made under a grant is removed, UTC milliseconds since 1970."""
    versions = register.grants.get(grant)
    return None if not versions else round(1000 * versions[-1].grant.term.deletion.timestamp())


def announced(archive: Archive, register: Register) -> list[Due]:
    """What there is under each grant, the soonest removed first."""
    found = []
    for kept in archive.database.read(retention.kept):
        versions = register.grants.get(kept.grant)
        actor = versions[-1].grant.voice.actor if versions else None
        at_ms = due_ms(register, kept.grant)
        found.append(Due(kept.grant, actor, at_ms, kept.takes, kept.seconds))
    return sorted(found, key=lambda d: (d.at_ms is None, d.at_ms or 0, d.grant))


class Reminders:
    """Says in the log and in a metric what is removed soon; each day once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int]] = set()

    def tell(self, every: Iterable[Due], now_ms: int) -> None:
        """What is due within `ANNOUNCED_DAYS`."""
        known = [d for d in every if d.at_ms is not None]
        for days in (7, ANNOUNCED_DAYS):
            within = (d.takes for d in known if (d.at_ms or 0) <= now_ms + days * _DAY_MS)
            metrics.RETENTION.labels(f"{days}d").set(sum(within))
        for due in known:
            days_left = max(0, ((due.at_ms or 0) - now_ms) // _DAY_MS)
            if days_left < ANNOUNCED_DAYS and (due.grant, days_left) not in self._told:
                self._told.add((due.grant, days_left))
                said = (due.takes, due.grant, iso(due.at_ms))
                _log.warning("%d takes under grant %s are removed at %s", *said)


def remove(archive: Archive, grant: str) -> int:
    """Remove everything that was made under a grant; gives how many takes.

    Raises:
        BlobsFailed, StoreFailed: not all of it could be.
    """
    removed = 0
    while True:
        by = archive.by()
        takes, gone = archive.database.write(
            lambda c, by=by: retention.remove(c, grant, _AT_ONCE, by)  # type: ignore[misc]
        )
        archive.let_go(gone)
        removed += takes
        if takes < _AT_ONCE:
            return removed
