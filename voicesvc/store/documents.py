"""Documents of takes: a plan, timings, peaks, credentials and what is still to be done, by name."""

import zlib
from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from voicesvc.store.tables import documents


def keep(connection: Connection, id: str, content: Mapping[str, bytes]) -> None:
    """Keep documents of a take, in place of any others of the names."""
    if not content:
        return
    connection.execute(
        delete(documents).where(documents.c.take == id, documents.c.name.in_(content))
    )
    rows = [{"take": id, "name": n, "content": zlib.compress(c)} for n, c in content.items()]
    connection.execute(insert(documents), rows)


def get(connection: Connection, id: str, name: str) -> bytes | None:
    """A document of a take; None where it has none of the name."""
    content = connection.scalar(
        select(documents.c.content).where(documents.c.take == id, documents.c.name == name)
    )
    return None if content is None else zlib.decompress(content)


def having(connection: Connection, name: str, limit: int) -> list[str]:
    """Takes that have a document of the name, in no order that means anything."""
    query = select(documents.c.take).where(documents.c.name == name)
    return list(connection.execute(query.order_by(documents.c.take).limit(limit)).scalars())


def drop(connection: Connection, id: str, name: str) -> None:
    """Keep a document of a take no longer."""
    connection.execute(delete(documents).where(documents.c.take == id, documents.c.name == name))


def remove(connection: Connection, id: str) -> None:
    """Keep none of a take's documents."""
    connection.execute(delete(documents).where(documents.c.take == id))
