"""`/v1/ledger`: everything that was made, refused, circled, exported, deleted, and its proofs."""

import json
from collections.abc import Generator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from voicesvc.api import reach
from voicesvc.api.changes import Part, archive_of
from voicesvc.api.scopes import needs
from voicesvc.api.stream import AudioStream, Beside, Pools
from voicesvc.archive import Archive
from voicesvc.rendering import Stream
from voicesvc.rights import keys
from voicesvc.rights.ledger import Head, Row
from voicesvc.store import ledger as rows

router = APIRouter(tags=["ledger"], dependencies=[Depends(reach.everywhere)])
_LINES = "application/x-ndjson"


class EntriesAsked(Part):
    """Which entries; what is left out does not matter."""

    cursor: int | None = Field(None, ge=0, le=2**53, description="`next` of the page before")
    grant: str | None = Field(None, max_length=80, description="under which grant")
    subject: str | None = Field(None, max_length=100, description="what it happened to: a take")
    kind: str | None = Field(None, max_length=12, description="as in docs/rights.md")


@router.get("/v1/ledger")
@needs("grants")
def ledger(request: Request, asked: Annotated[EntriesAsked, Query()]) -> dict[str, Any]:
    """Entries in the order in which they were made."""
    after = -1 if asked.cursor is None else asked.cursor
    kinds = () if asked.kind is None else (asked.kind,)
    found = archive_of(request).database.read(
        lambda c: rows.find(
            c, after, asked.limit + 1, grant=asked.grant, subject=asked.subject, kinds=kinds
        )
    )
    items = found[: asked.limit]
    following = str(items[-1].seq) if len(found) > asked.limit else None
    return {"items": [json.loads(row.body) for row in items], "next": following}


@router.get("/v1/ledger/head")
@needs("grants")
def head(request: Request) -> dict[str, Any]:
    """How many entries there are and the root over them, signed; and the key that signs."""
    archive = archive_of(request)
    return _head(archive).json() | {"key": keys.public(archive.key)}


def _head(archive: Archive) -> Head:
    now_ms = archive.now_ms()
    return archive.database.write(lambda c: rows.head(c, archive.key, now_ms))


@router.get("/v1/ledger/entries", response_class=Response)
@needs("grants")
def entries(request: Request) -> Response:
    """Every entry as one JSON a line, `seq` and `body`, the bytes that are hashed."""
    pools: Pools = request.app.state.pools
    stream = Stream(_lines(archive_of(request)))
    stall_s = request.app.state.studio.settings.stall_s
    return AudioStream(
        stream, _LINES, {"Cache-Control": "no-store"}, Beside(pools.loading), stall_s
    )


def _lines(archive: Archive) -> Generator[bytes]:
    page: list[Row] = archive.database.read(rows.find)
    while page:
        said = ({"seq": row.seq, "body": row.body.decode()} for row in page)
        yield b"".join(json.dumps(line).encode() + b"\n" for line in said)
        page = archive.database.read(partial(rows.find, after=page[-1].seq))


@router.get("/v1/ledger/consistency")
@needs("grants")
def consistency(
    request: Request,
    old: Annotated[int, Query(ge=1, le=2**53, description="size of a head that was handed out")],
) -> dict[str, Any]:
    """That the entries of an older head are there, unchanged, in the newest."""
    archive = archive_of(request)
    now = _head(archive)
    before = archive.database.read(lambda c: rows.signed(c, old))
    path = archive.database.read(lambda c: rows.consistency(c, old, now.size))
    return {"old": before.json(), "head": now.json(), "path": [h.hex() for h in path]}


@router.get("/v1/ledger/{seq}")
@needs("grants")
def entry(seq: Annotated[int, Field(ge=0, le=2**53)], request: Request) -> dict[str, Any]:
    """One entry, with the proof that it is in the ledger."""
    archive = archive_of(request)
    found = archive.database.read(lambda c: rows.get(c, seq))
    now = _head(archive)
    path = archive.database.read(lambda c: rows.inclusion(c, seq, now.size))
    proof = {"head": now.json(), "path": [h.hex() for h in path]}
    return {"seq": seq, "body": found.body.decode(), **proof}
