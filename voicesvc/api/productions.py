"""`/v1/productions`: a film, a series, a game."""

import re
import unicodedata
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from voicesvc.access import Need
from voicesvc.api import reach
from voicesvc.api.changes import (
    Body,
    Part,
    Text,
    archive_of,
    changed,
    deleted,
    given_fields,
    listed,
    make_once,
    told,
    who,
)
from voicesvc.api.lines import check_timecodes
from voicesvc.api.scopes import demand, needs
from voicesvc.errors import InvalidRequest
from voicesvc.store import By, Production
from voicesvc.store import lines as script
from voicesvc.store import productions as rows
from voicesvc.studio import Studio

router = APIRouter(tags=["productions"])
# All of `timecode.RATES`.
Fps = Literal["23.976", "24", "25", "29.97", "29.97df", "30", "48", "50", "59.94", "59.94df", "60"]
_SLUG = r"^[a-z0-9][a-z0-9-]{0,98}$"
_SLUG_HELP = "lower-case letters, digits and hyphens, up to 99; unset: made from the title"


class NewProduction(BaseModel):
    """What a production is called, and its frame rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Text = Field(min_length=1, max_length=300, description="as people know it")
    slug: str | None = Field(None, pattern=_SLUG, description=_SLUG_HELP)
    fps: Fps = Field("24", description="of its timecodes")
    notes: Text = Field("", max_length=20_000, description="free text")


class ProductionEdit(BaseModel):
    """What is to be changed; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Text = Field("", min_length=1, max_length=300, description="as people know it")
    slug: str = Field("", pattern=_SLUG, description=_SLUG_HELP)
    fps: Fps = Field("24", description="of its timecodes")
    notes: Text = Field("", max_length=20_000, description="free text")


def slug_of(title: str, id: str) -> str:
    """A title as a slug; where it has no Latin letter or digit, the id's."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:99].strip("-") or id.replace("_", "-")


@router.get("/v1/productions")
@needs("audition")
def productions(request: Request, part: Annotated[Part, Query()]) -> dict[str, Any]:
    """Every production, the oldest first."""
    given = reach.within(request)
    return listed(archive_of(request).database.read(lambda c: rows.find(c, part.cut, given)))


@router.post("/v1/productions", status_code=201)
@needs("speak")
def make(body: NewProduction, raw: Body, request: Request) -> JSONResponse:
    """Make a production. Takes `Idempotency-Key`."""
    studio: Studio = request.app.state.studio
    id, by = studio.new_id("pr"), archive_of(request).by(who(request))
    given = body.model_dump() | {"slug": body.slug or slug_of(body.title, id)}
    demand(request, Need(production=given["slug"]))
    made, _ = make_once(request, raw, lambda c: rows.add(c, id, given, by).json())
    return told(made, 201)


@router.get("/v1/productions/{production}")
@needs("audition")
def production(production: str, request: Request) -> JSONResponse:
    """One production, by id or slug."""
    return told(reach.production(request, production).json())


@router.patch("/v1/productions/{production}")
@needs("speak")
def edit(production: str, body: ProductionEdit, request: Request) -> JSONResponse:
    """Change some fields. Needs `If-Match`."""
    given = given_fields(body)
    found = reach.production(request, production)
    if given.get("slug", found.slug) != found.slug:
        reach.everywhere(request)  # keys name productions by it

    def change(c: Any, seen: int, by: By) -> Production:
        if "fps" in given:
            _check_lines(c, production, given["fps"])
        return rows.edit(c, production, seen, given, by)

    return told(changed(request, change, lambda c: rows.get(c, production)).json())


def _check_lines(connection: Any, production: str, fps: str) -> None:
    """Every timecode of the production's lines is one at this rate, too.

    Raises:
        InvalidRequest: names the first that is not.
    """
    for line in script.timed(connection, rows.get(connection, production).id):
        try:
            check_timecodes({name: getattr(line, name) for name in script.EDITABLE}, fps)
        except InvalidRequest as e:
            detail = f"line {line.number} has {e.where} {getattr(line, e.where or '')}: {e.detail}"
            raise InvalidRequest(detail, where="fps", valid="the rate of its timecodes") from e


@router.delete("/v1/productions/{production}", status_code=204, response_class=Response)
@needs("speak")
def delete(production: str, request: Request) -> Response:
    """Delete a production that has no lines. Needs `If-Match`."""
    reach.production(request, production)
    return deleted(request, rows, production)
