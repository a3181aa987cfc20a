"""Takes by the grant that they were made under, and what is removed of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Float, cast, func, select

from voicesvc.store import takes as rows
from voicesvc.store.objects import By
from voicesvc.store.tables import ledger, takes


@dataclass(frozen=True, slots=True)
class Kept:
    """What there is of takes under a grant."""

    grant: str
    takes: int
    seconds: float


def kept(connection: Connection) -> list[Kept]:
    """How much there is under each grant; takes that are older than the ledger have none."""
    seconds = cast(takes.c.samples, Float) / takes.c.sample_rate_hz
    query = select(ledger.c.grant, func.count(), func.coalesce(func.sum(seconds), 0.0))
    query = query.select_from(takes.join(ledger, takes.c.permit == ledger.c.seq))
    query = query.where(takes.c.purged_ms.is_(None), takes.c.pcm_sha256.is_not(None))
    query = query.where(ledger.c.grant.is_not(None)).group_by(ledger.c.grant)
    return [Kept(*row) for row in connection.execute(query)]


def remove(connection: Connection, grant: str, most: int, by: By) -> tuple[int, Sequence[str]]:
    """Delete takes of a grant for good; gives how many, and the blobs that none needs now."""
    query = select(takes.c.id).select_from(takes.join(ledger, takes.c.permit == ledger.c.seq))
    query = query.where(ledger.c.grant == grant, takes.c.purged_ms.is_(None))
    query = query.where(takes.c.pcm_sha256.is_not(None)).order_by(takes.c.seq).limit(most)
    ids = connection.execute(query).scalars().all()
    hashes = {rows.let_go(connection, id, by, "retention") for id in ids}
    return len(ids), [h for h in hashes if h is not None and not rows.needed(connection, h)]
