"""Who was not let in, counted: for a ledger that no flood can fill.

What comes first is told at once; what comes after it is told as a count, a minute later, then
after twice as long each time, up to an hour, until nothing has come for as long.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voicesvc import metrics
from voicesvc.errors import NotAuthenticated

REASONS = {
    "key": "no such key",
    "key-revoked": "a key that was revoked",
    "key-expired": "a key that has expired",
    "session": "a session of a page that has ended, or never was",
    "token-form": "what came is no token that is read here",
    "token-algorithm": "it is signed by an algorithm that does not count here, or not at all",
    "token-key": "it names a key that its issuer does not have",
    "token-signature": "the signature is not its issuer's",
    "token-issuer": "it is of another issuer",
    "token-audience": "it is for somebody else",
    "token-client": "it was issued to a client whose tokens do not count here",
    "token-expired": "it has expired",
    "token-early": "it is not valid yet",
    "token-claims": "it lacks something, or is bound to a proof that is not asked for here",
    "token-role": "its person has no role here",
    "login-state": "the answer to a login is not that browser's, or came too late",
    "login-refused": "the provider refused a login",
    "login-code": "the provider did not take the code that a browser brought, or the proof for it",
    "login-nonce": "the token of a login was made for another",
}
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 60_000, 3_600_000
MOST_ROWS = 1_000  # what is counted apart, at most; the rest by its reason alone


def error(
    reason: str,
    detail: str,
    *,
    where: str = "Authorization",
    valid: Iterable[str] | str | None = None,
) -> NotAuthenticated:
    """Somebody is not let in, for one of `REASONS`."""
    made = NotAuthenticated(detail, where=where, valid=valid)
    made.reason = reason
    return made


@dataclass(frozen=True, slots=True)
class Denied:
    """How often something was refused since a time, in UTC milliseconds."""

    reason: str
    subject: str
    count: int
    since_ms: int


@dataclass(slots=True)
class _Row:
    count: int = 0
    since_ms: int = 0
    told_ms: int | None = None
    pause_ms: int = FIRST_PAUSE_MS


class Tally:
    """What was refused and is not told yet. Any method may be called from any thread."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._rows: dict[tuple[str, str], _Row] = {}
        self._lock = threading.Lock()

    def add(self, reason: str, subject: str) -> None:
        """One more; `subject` is the key, or the kind of thing that was shown."""
        assert reason in REASONS, reason
        metrics.DENIED.labels(reason).inc()
        with self._lock:
            at = (reason, subject)
            if at not in self._rows and len(self._rows) >= MOST_ROWS:
                at = (reason, "others")
            row = self._rows.setdefault(at, _Row())
            row.since_ms = row.since_ms if row.count else self._now_ms()
            row.count += 1

    def due(self) -> list[Denied]:
        """What is to be told now."""
        with self._lock:
            now_ms = self._now_ms()
            return [d for at in list(self._rows) if (d := self._due(at, now_ms)) is not None]

    def rest(self) -> list[Denied]:
        """All that was not told; for the end."""
        with self._lock:
            rows, self._rows = self._rows, {}
            return [Denied(*at, r.count, r.since_ms) for at, r in rows.items() if r.count]

    def _due(self, at: tuple[str, str], now_ms: int) -> Denied | None:
        row = self._rows[at]
        if row.told_ms is not None and 0 <= now_ms - row.told_ms < row.pause_ms:
            return None
        if not row.count:
            del self._rows[at]
            return None
        if row.told_ms is not None:
            row.pause_ms = min(2 * row.pause_ms, LONGEST_PAUSE_MS)
        told = Denied(*at, row.count, row.since_ms)
        row.count, row.told_ms = 0, now_ms
        return told
