"""`/v1/takes/{take}/…`: what is kept beside a take's audio: its plan, waveform and timings."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voicesvc import differences, lineplan
from voicesvc import timings as timing_files
from voicesvc.api import reach
from voicesvc.api.changes import archive_of
from voicesvc.api.scopes import needs
from voicesvc.errors import UnknownTake
from voicesvc.store import ALL
from voicesvc.studio import Studio

router = APIRouter(tags=["takes"])


@router.get("/v1/takes/{take}/plan")
@needs("audition")
def plan(take: str, request: Request) -> Response:
    """The plan that was rendered, to be edited and sent to `/v1/speech`."""
    return _document(request, take, "plan")


class WithAsked(BaseModel):
    """What a take is compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    with_: str = Field(alias="with", description="id of the other take")


@router.get("/v1/takes/{take}/differences")
@needs("audition")
def differing(take: str, asked: Annotated[WithAsked, Query()], request: Request) -> dict[str, Any]:
    """What differs between the plans of two takes, word by word, in words and figures."""
    archive = archive_of(request)
    plans = []
    for id in (take, asked.with_):
        reach.take(request, id, deleted=False)
        plans.append(lineplan.read(archive.document(id, "plan")))
    return differences.between(*plans).json()


@router.get("/v1/takes/{take}/peaks")
@needs("audition")
def peaks(take: str, request: Request) -> Response:
    """The waveform as points, to be drawn without reading the audio."""
    return _document(request, take, "peaks")


def _document(request: Request, take: str, name: str) -> Response:
    archive = archive_of(request)
    reach.take(request, take, deleted=False)
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(archive.document(take, name), media_type="application/json", headers=headers)


class TimingsAsked(BaseModel):
    """As which file a take's times are wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field("json", description=", ".join(timing_files.FORMATS))
    fps: str | None = Field(None, description="visemes as frames at this rate, as 60 or 24000/1001")


@router.get("/v1/takes/{take}/timings", response_class=Response)
@needs("audition")
def timings(take: str, asked: Annotated[TimingsAsked, Query()], request: Request) -> Response:
    """When each word and phoneme is heard, in seconds; grows while the take is being made."""
    studio: Studio = request.app.state.studio
    if reach.within(request) != ALL:
        reach.take(request, take, deleted=False)
    try:
        live = studio.takes.get(take)
        content, kind = live.timings_json(), live.line.markup
        text = live.line.text
    except UnknownTake:
        archive = archive_of(request)
        found = archive.take(take, deleted=False)
        content = archive.document(take, "timings")
        text, kind = found.text, found.facts["asked"].get("markup", "auto")
    if asked.format == "json" and asked.fps is None:
        return Response(content, media_type="application/json")
    body, media_type = timing_files.write(
        content, asked.format, text=text, markup=kind, fps=asked.fps
    )
    return Response(body, media_type=media_type)
