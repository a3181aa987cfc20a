"""Which keys and sessions count now, in this process: read again whenever that was changed.

Knows nothing of HTTP.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from voicesvc.access import SCOPES, Caller, Key, Secret, denied, keys, sessions
from voicesvc.access.denied import Tally
from voicesvc.errors import BadSetting, StoreFailed
from voicesvc.rights.keys import derived
from voicesvc.store import By, Database, iso
from voicesvc.store import access as rows

REFRESH_MS = 500  # how old what is known of keys may become before it is read again
STALE_MS = 5_000  # how old before nobody is let in
_PEPPER = "voicesvc api keys"


class Keyring:
    """Any method may be called from any thread.

    Args:
        database: where keys are.
        own: the service's own key, which makes the secret that they are hashed with.
        now_ms: UTC milliseconds since 1970.
        first: a file with a key that may do everything, so that somebody can make the others.
        tally: who is not let in is counted there; None: nowhere.

    Raises:
        BadSetting: that file has no key.
    """

    def __init__(
        self,
        database: Database,
        own: OKPKey,
        now_ms: Callable[[], int],
        first: Path | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._database, self._now_ms = database, now_ms
        self._tally = tally or Tally(now_ms)
        self._pepper = derived(own, _PEPPER)
        self._first = None if first is None else self._read(first)
        self._keys: dict[str, Key] = {}
        self._ended: frozenset[str] = frozenset()  # sessions that were logged out of
        self._stamp = (-1, -1, -1)
        self._as_of_ms = 0
        self._changed: Callable[[], None] = lambda: None
        self.refresh()

    def _read(self, path: Path) -> Key:
        """The key of a file, for everything."""
        try:
            content = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise BadSetting(f"{path} cannot be read", where="VOICESVC_ADMIN_KEY") from e
        if (parts := keys.parted(content)) is None:
            raise BadSetting(
                f"{path} has no key",
                where="VOICESVC_ADMIN_KEY",
                valid="a file with vsk_, 12 hex digits, _ and 43 characters of base64url",
            )
        return Key(parts[0], "first admin", frozenset(SCOPES), secrets=(self._kept(content),))

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called after each refresh, on whichever thread it was."""
        self._changed = call

    @property
    def empty(self) -> bool:
        """Whether there is no key that could be used."""
        now_ms = self._now_ms()
        return not any(key.over(now_ms) is None for key in self._keys.values())

    def refresh(self) -> None:
        """Read what changed.

        Raises:
            StoreFailed: the database does not answer.
        """
        at_ms = self._now_ms()
        stamp = self._database.read(rows.stamp)
        if stamp != self._stamp:
            every = {key.id: key for key in self._database.read(rows.every)}
            if self._first is not None:
                every[self._first.id] = self._first
            self._ended = self._database.read(rows.ended)
            self._keys, self._stamp = every, stamp
        self._as_of_ms = at_ms
        self._changed()

    @property
    def is_stale(self) -> bool:
        """Whether it is to be refreshed before it is asked: nobody does so, or that is slow."""
        return self._now_ms() - self._as_of_ms > 4 * REFRESH_MS

    def caller(self, presented: str) -> Caller:
        """Who has the key that is presented.

        Raises:
            NotAuthenticated: nobody, or it counts no more.
            StoreFailed: which keys count is not known.
        """
        now_ms = self._fresh_ms()
        found = keys.found(self._keys, self._pepper, presented, now_ms)
        over = "the key is not valid" if found is None else found[0].over(now_ms)
        if found is None or over is not None:
            reason, subject = "key", "keys"
            if found is not None:
                reason = "key-revoked" if found[0].revoked_ms is not None else "key-expired"
                subject = found[0].id
            self._tally.add(reason, subject)
            raise denied.error(reason, over or "", valid="Bearer vsk_…")
        return found[0].caller(found[1])

    def session(self, presented: str) -> tuple[Caller, str]:
        """A session for whoever has the key that is presented.

        Raises:
            NotAuthenticated, StoreFailed: as `caller` does.
        """
        caller = self.caller(presented)
        until_ms = self._now_ms() + 1000 * sessions.LASTS_S
        return caller, sessions.sealed(self._pepper, caller, until_ms)

    def of_session(self, presented: str) -> Caller:
        """Who has a session.

        Raises:
            NotAuthenticated: nobody, or it has ended.
            StoreFailed: which keys count is not known.
        """
        now_ms = self._fresh_ms()
        found = sessions.found(self._keys, self._pepper, presented, now_ms)
        if found is None or found[0].over(now_ms) is not None or self.is_ended(presented):
            self._tally.add("session", "sessions")
            raise denied.error(
                "session", "the session has ended", where="Cookie", valid="log in again"
            )
        caller = found[0].caller(found[1])
        ends = [t for t in (caller.until_ms, found[2]) if t is not None]
        return replace(caller, until_ms=min(ends), session=sessions.digest(presented))

    def session_until_ms(self, presented: str) -> int | None:
        """When a session of a key ends by itself; None where it is none, or has ended."""
        found = sessions.found(self._keys, self._pepper, presented, self._now_ms())
        return None if found is None else found[2]

    def is_ended(self, presented: str) -> bool:
        """Whether a session, of a key or a person, was logged out of.

        Raises:
            StoreFailed: that is not known.
        """
        self._fresh_ms()
        return sessions.digest(presented) in self._ended

    def end(self, presented: str, until_ms: int) -> None:
        """End a session that counts until `until_ms`, at once here, soon in other processes.

        Raises:
            StoreFailed: the database does not answer; it is not ended.
        """
        digest, now_ms = sessions.digest(presented), self._now_ms()
        self._database.write(lambda c: rows.end(c, digest, until_ms, now_ms))
        self.refresh()

    def _fresh_ms(self) -> int:
        now_ms = self._now_ms()
        if now_ms - self._as_of_ms > STALE_MS:
            raise StoreFailed("which keys were revoked is not known", where="database")
        return now_ms

    def stands(self, caller: Caller) -> bool:
        """Whether a caller who was let in before would be now."""
        now_ms = self._now_ms()
        if caller.until_ms is not None and now_ms >= caller.until_ms:
            return False
        if caller.session in self._ended:
            return False
        if not caller.proof:
            return True
        key = self._keys.get(caller.id)
        if key is None or key.over(now_ms) is not None:
            return False
        return any(
            s.digest == caller.proof and (s.until_ms is None or now_ms < s.until_ms)
            for s in key.secrets
        )

    # -- what admins do ----------------------------------------------------------------------------

    def every(self) -> list[Key]:
        """All keys that are kept, the oldest first."""
        return self._database.read(rows.every)

    def get(self, id: str) -> Key:
        """One that is kept.

        Raises:
            UnknownKey: there is none.
        """
        return self._database.read(lambda c: rows.get(c, id))

    def make(self, asked: Key, who: str | None) -> tuple[Key, str]:
        """Keep a key as `asked`, with an id and a secret; gives it as it is shown, once."""
        id, shown = keys.new(secrets.token_bytes)
        key, by = replace(asked, id=id, secrets=(self._kept(shown),)), By(who, self._now_ms())
        made = self._database.write(lambda c: rows.add(c, key, by))
        self.refresh()
        return made, shown

    def rotate(self, id: str, overlap_s: float, who: str | None) -> tuple[Key, str]:
        """Give a key another secret; the one it had counts for `overlap_s` more.

        Raises:
            UnknownKey: there is none, or it was revoked.
        """
        _, shown = keys.new(secrets.token_bytes, self.get(id).id)
        now_ms, kept = self._now_ms(), self._kept(shown)
        by, until_ms = By(who, now_ms), now_ms + round(1000 * overlap_s)
        now = self._database.write(lambda c: rows.rotate(c, id, kept, until_ms, by))
        self.refresh()
        return now, shown

    def revoke(self, id: str, who: str | None) -> Key:
        """End a key at once.

        Raises:
            UnknownKey: there is none.
        """
        by = By(who, self._now_ms())
        revoked = self._database.write(lambda c: rows.revoke(c, id, by))
        self.refresh()
        return revoked

    def _kept(self, shown: str) -> Secret:
        parts = keys.parted(shown)
        assert parts is not None, "made by keys.new"
        return Secret(keys.digest(self._pepper, *parts))


def told(key: Key, shown: str | None = None) -> dict[str, Any]:
    """A key as an answer; `shown` is the key itself, for the one time that it is."""
    said = {
        "id": key.id,
        "name": key.name,
        "scopes": [s for s in SCOPES if s in key.scopes],
        "actors": None if key.actors is None else sorted(key.actors),
        "productions": None if key.productions is None else sorted(key.productions),
        "created_at": iso(key.created_ms),
        "created_by": key.created_by,
        "expires_at": iso(key.expires_ms),
        "revoked_at": iso(key.revoked_ms),
        "per_minute": key.per_minute,
        "at_once": key.at_once,
        "secrets": [{"until": iso(s.until_ms)} for s in key.secrets],
    }
    return said if shown is None else {**said, "key": shown}
