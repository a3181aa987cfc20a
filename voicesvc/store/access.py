"""API keys' rows, each change an entry of the ledger in the same transaction; ended sessions."""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from voicesvc.access import SCOPES, Key, Secret
from voicesvc.errors import UnknownKey
from voicesvc.rights.ledger import Entry
from voicesvc.store import permits
from voicesvc.store.objects import By
from voicesvc.store.tables import api_keys, ended_sessions


def stamp(connection: Connection) -> tuple[int, int, int]:
    """Another one after each change.

    Keys are never removed, and count their changes; ended sessions have a number each.
    """
    row = connection.execute(select(func.count(), func.sum(api_keys.c.version))).one()
    last = connection.execute(select(func.max(ended_sessions.c.seq))).scalar()
    return row[0], row[1] or 0, last or 0


def ended(connection: Connection) -> frozenset[str]:
    """Digests of the sessions that were logged out of."""
    return frozenset(connection.execute(select(ended_sessions.c.digest)).scalars())


def end(connection: Connection, digest: str, until_ms: int, now_ms: int) -> None:
    """A session counts no more; those that have ended by themselves since are forgotten."""
    connection.execute(delete(ended_sessions).where(ended_sessions.c.until_ms <= now_ms))
    known = select(ended_sessions.c.seq).where(ended_sessions.c.digest == digest)
    if connection.execute(known).first() is None:
        connection.execute(insert(ended_sessions).values(digest=digest, until_ms=until_ms))


def every(connection: Connection) -> list[Key]:
    """All of them, revoked ones too, the oldest first."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_ms, api_keys.c.id))
    return [_key(row) for row in rows]


def get(connection: Connection, id: str) -> Key:
    """One of them.

    Raises:
        UnknownKey: there is none.
    """
    row = connection.execute(select(api_keys).where(api_keys.c.id == id)).first()
    if row is None:
        raise UnknownKey(f"no key {id!r}", where="key", valid="an id of GET /v1/keys")
    return _key(row)


def add(connection: Connection, key: Key, by: By) -> Key:
    """Keep a new one."""
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            name=key.name,
            scopes=sorted(key.scopes),
            actors=_listed(key.actors),
            productions=_listed(key.productions),
            secrets=_secrets(key.secrets),
            per_minute=key.per_minute,
            at_once=key.at_once,
            created_ms=by.now_ms,
            created_by=by.who,
            expires_ms=key.expires_ms,
        )
    )
    facts = {
        "scopes": sorted(key.scopes),
        "actors": _listed(key.actors),
        "productions": _listed(key.productions),
        "expires_ms": key.expires_ms,
    }
    _note(connection, key, "made", facts, by)
    return get(connection, key.id)


def rotate(connection: Connection, id: str, secret: Secret, until_ms: int, by: By) -> Key:
    """Give a key another secret; the newest of those it had counts until `until_ms`.

    Raises:
        UnknownKey: there is none, or it was revoked.
    """
    key = get(connection, id)
    if key.revoked_ms is not None:
        raise UnknownKey(f"key {id!r} was revoked", where="key", valid="one that was not")
    last = key.secrets[-1]
    before = Secret(last.digest, min(t for t in (last.until_ms, until_ms) if t is not None))
    _change(connection, id, secrets=_secrets((before, secret)))
    _note(connection, key, "rotated", {"before_until_ms": before.until_ms}, by)
    return get(connection, id)


def revoke(connection: Connection, id: str, by: By) -> Key:
    """End a key for good; once more changes nothing.

    Raises:
        UnknownKey: there is none.
    """
    key = get(connection, id)
    if key.revoked_ms is None:
        _change(connection, id, revoked_ms=by.now_ms)
        _note(connection, key, "revoked", {}, by)
    return get(connection, id)


def _change(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(
        update(api_keys).where(api_keys.c.id == id).values(version=api_keys.c.version + 1, **values)
    )


def _note(connection: Connection, key: Key, action: str, facts: dict[str, Any], by: By) -> None:
    entry = Entry("key", key.id, {"action": action, **facts}, {"name": key.name})
    permits.note(connection, entry, by)


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _secrets(secrets: tuple[Secret, ...]) -> list[dict[str, Any]]:
    return [{"digest": s.digest.hex(), "until_ms": s.until_ms} for s in secrets]


def _key(row: Any) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(s for s in SCOPES if s in row.scopes),
        actors=None if row.actors is None else frozenset(row.actors),
        productions=None if row.productions is None else frozenset(row.productions),
        created_ms=row.created_ms,
        created_by=row.created_by,
        expires_ms=row.expires_ms,
        revoked_ms=row.revoked_ms,
        per_minute=row.per_minute,
        at_once=row.at_once,
        secrets=tuple(Secret(bytes.fromhex(s["digest"]), s["until_ms"]) for s in row.secrets),
    )
