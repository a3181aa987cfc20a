"""What every route that keeps something shares: who, which version, and requests sent again."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol
from urllib.parse import unquote

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response

from voicesvc.access import LOCAL
from voicesvc.api.scopes import caller_of
from voicesvc.archive import Archive
from voicesvc.errors import ChangedMeanwhile, InvalidRequest, VersionNeeded
from voicesvc.rights import stated
from voicesvc.rights.stated import Stated
from voicesvc.store import By, Cut, Page, record
from voicesvc.studio import Studio
from voicesvc.takes import storable

Edit = Callable[[Any, int, By], Any]
Text = Annotated[str, AfterValidator(storable)]  # as a database takes it: without NUL
LONGEST_WHO = 100
LONGEST_KEY = 255


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]


def archive_of(request: Request) -> Archive:
    """Where this service keeps its takes."""
    studio: Studio = request.app.state.studio
    assert studio.archive is not None, "create_app asks for a studio with an archive"
    return studio.archive


def who(request: HTTPConnection) -> str | None:
    """Who asks: whose key it is, or else whom `Voicesvc-User` names.

    What is not ASCII comes percent-encoded, as UTF-8.

    Raises:
        InvalidRequest: the name is too long.
    """
    caller = caller_of(request)
    if caller is not LOCAL:
        return caller.who
    name = unquote(request.headers.get("Voicesvc-User", "")).strip()
    if len(name) > LONGEST_WHO:
        raise InvalidRequest(
            f"{len(name)} characters", where="Voicesvc-User", valid=f"up to {LONGEST_WHO}"
        )
    return name or None


def stated_of(request: HTTPConnection) -> Stated:
    """What `Voicesvc-Use` states of the use; a socket's browser sends no headers, but `?use=`.

    Raises:
        InvalidRequest: it is not valid.
    """
    asked = request.query_params.get("use", "") if request.scope["type"] == "websocket" else ""
    return stated.read(request.headers.get("Voicesvc-Use", asked))


def seen_version(request: Request) -> int:
    """The version that a change was made to.

    Raises:
        InvalidRequest: `If-Match` is no version.
        VersionNeeded: there is no `If-Match`.
    """
    given = request.headers.get("If-Match")
    if given is None:
        raise VersionNeeded(
            "a change says which version it was made to",
            where="If-Match",
            valid='the ETag of the answer it is based on, as "3"',
        )
    found = re.fullmatch(r'(?:W/)?"?(\d{1,9})"?', given.strip())
    if found is None:
        raise InvalidRequest("If-Match names no version", where="If-Match", valid='as "3"')
    return int(found[1])


def told(thing: Mapping[str, Any], status: int = 200) -> JSONResponse:
    """One thing as an answer, with its version as ETag."""
    headers = {"ETag": f'"{thing["version"]}"', "Cache-Control": "no-cache"}
    return JSONResponse(dict(thing), status, headers=headers)


def listed(page: Page[Any]) -> dict[str, Any]:
    """A page of a list as an answer."""
    following = None if page.next is None else str(page.next)
    return {"items": [item.json() for item in page.items], "next": following}


class Part(BaseModel):
    """Which part of a list is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cursor: int | None = Field(None, ge=0, le=2**53, description="`next` of the page before")
    limit: int = Field(100, ge=1, le=1000, description="most items of a page")

    @property
    def cut(self) -> Cut:
        """The same for the store."""
        return Cut(self.cursor, self.limit)

    def filters(self) -> dict[str, Any]:
        """Everything else that was asked."""
        return self.model_dump(exclude=set(Part.model_fields))


def key_of(request: Request, body: bytes) -> record.Key | None:
    """The request's Idempotency-Key; it counts for one route and one user.

    Raises:
        InvalidRequest: the key is too long.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidRequest(
            f"{len(key)} characters", where="Idempotency-Key", valid=f"1 to {LONGEST_KEY}"
        )
    scope = f"{request.method} {request.url.path} {who(request) or ''}"[:LONGEST_KEY]
    return record.Key(key, scope, hashlib.sha256(body).hexdigest())


def make_once(
    request: Request, body: bytes, make: Callable[[Any], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """What `make`, given a connection, makes, or made when this request first came.

    Raises:
        KeyInUse, KeyReused: the key is another request's.
    """
    archive, key = archive_of(request), key_of(request, body)
    now_ms = archive.now_ms()
    answer: tuple[dict[str, Any], bool] = archive.database.write(
        lambda c: record.once(c, key, now_ms, lambda: make(c))
    )
    return answer


def given_fields(body: BaseModel) -> dict[str, Any]:
    """The fields that were sent, as they are kept."""
    return body.model_dump(mode="json", include=body.model_fields_set)


def changed(request: Request, edit: Edit, current: Callable[[Any], Any]) -> Any:
    """What an edit of the version that `If-Match` names leaves.

    `edit` is given a connection, that version and who asks. If somebody else was faster the
    answer is 412, with what is there now.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        VersionNeeded: there is no `If-Match`.
    """
    archive, version = archive_of(request), seen_version(request)
    by = archive.by(who(request))
    try:
        return archive.database.write(lambda c: edit(c, version, by))
    except ChangedMeanwhile as e:
        e.extra = {"current": archive.database.read(current).json()}
        raise


class Rows(Protocol):
    """A kind of thing that is kept: `store.productions`, `store.lines`."""

    def get(self, connection: Any, id: str) -> Any:
        """One of them."""

    def edit(self, connection: Any, id: str, expected: int, given: Any, by: By) -> Any:
        """Change some of its fields."""

    def delete(self, connection: Any, id: str, expected: int, by: By) -> Any:
        """Delete it."""


def edited(request: Request, rows: Rows, id: str, body: BaseModel) -> JSONResponse:
    """One of `rows` with the fields changed that were sent."""
    given = given_fields(body)
    now = changed(
        request, lambda c, seen, by: rows.edit(c, id, seen, given, by), lambda c: rows.get(c, id)
    )
    return told(now.json())


def deleted(request: Request, rows: Rows, id: str) -> Response:
    """204 once one of `rows` is deleted."""
    changed(request, lambda c, seen, by: rows.delete(c, id, seen, by), lambda c: rows.get(c, id))
    return Response(status_code=204)
