"""`/v1/takes`: what was made: listed, marked, heard again, made again."""

import asyncio
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from voicesvc import again, encode
from voicesvc.api.changes import (
    Part,
    archive_of,
    changed,
    given_fields,
    listed,
    seen_version,
    told,
    who,
)
from voicesvc.api.stream import AUDIO, streamed
from voicesvc.errors import UnknownTake
from voicesvc.store import State
from voicesvc.store import takes as rows
from voicesvc.store.takes import TakeFilter
from voicesvc.studio import Studio

router = APIRouter(tags=["takes"])
_Tag = Annotated[str, Field(min_length=1, max_length=100)]


class TakeEdit(BaseModel):
    """What an editor says of a take; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    circled: bool = Field(False, description="the one to use")
    rating: int | None = Field(None, ge=0, le=5, description="0 to 5, or null")
    note: str = Field("", max_length=20_000, description="free text")
    tags: tuple[_Tag, ...] = Field((), strict=False, max_length=50, description="short words")


class TakesAsked(Part):
    """Which takes; what is left out does not matter."""

    production: str | None = Field(None, description="its id")
    line: str | None = Field(None, description="its id")
    actor: str | None = Field(None, description="actor id")
    state: State | None = Field(None, description="how far they are")
    circled: bool | None = Field(None, description="whether they are to be used")
    flagged: bool | None = Field(None, description="whether something was measured wrong")
    rating_min: int | None = Field(None, ge=0, le=5, description="lowest rating")
    tag: str | None = Field(None, max_length=100, description="one of their tags")
    q: str | None = Field(None, max_length=200, description="in text or note, in any case")
    parent: str | None = Field(None, description="the take they were made from")
    deleted: bool = Field(False, description="those that were deleted, in place of the others")


@router.get("/v1/takes")
def takes(request: Request, asked: Annotated[TakesAsked, Query()]) -> dict[str, Any]:
    """Takes, the newest first; with `line`, in the order of their numbers."""
    wanted = TakeFilter(**asked.filters())
    return listed(archive_of(request).database.read(lambda c: rows.find(c, wanted, asked.cut)))


@router.get("/v1/takes/{take}")
def take(take: str, request: Request) -> JSONResponse:
    """One take, deleted ones too."""
    return told(archive_of(request).take(take).json())


@router.patch("/v1/takes/{take}")
def edit(take: str, body: TakeEdit, request: Request) -> JSONResponse:
    """Circle, rate, note or tag a take. Needs `If-Match`."""
    archive, version = archive_of(request), seen_version(request)
    by, given = archive.by(who(request)), given_fields(body)
    return changed(
        archive,
        lambda c: rows.edit(c, take, version, given, by),
        lambda c: rows.get(c, take),
    )


@router.delete("/v1/takes/{take}", status_code=204, response_class=Response)
def delete(take: str, request: Request) -> Response:
    """Delete a take; it can be restored for some time, its record stays. Needs `If-Match`."""
    archive, version = archive_of(request), seen_version(request)
    by = archive.by(who(request))
    changed(
        archive,
        lambda c: rows.remove(c, take, version, by),
        lambda c: rows.get(c, take),
    )
    return Response(status_code=204)


@router.post("/v1/takes/{take}/restore")
def restore(take: str, request: Request) -> JSONResponse:
    """Bring a deleted take back."""
    archive = archive_of(request)
    by = archive.by(who(request))
    return told(archive.database.write(lambda c: rows.restore(c, take, by)).json())


class FormAsked(BaseModel):
    """As what a take is to be heard; what is left out is as in `/v1/speech`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field("wav", description="wav, flac, opus, mp3, pcm_s16le or pcm_f32le")
    sample_rate_hz: int | None = Field(None, description="8000 to 96000; unset: the voice's own")
    bit_depth: Literal["16", "24", "32f"] | None = Field(None, description="unset: 16")


@router.get("/v1/takes/{take}/audio", response_class=Response, responses=AUDIO)
async def audio(take: str, asked: Annotated[FormAsked, Query()], request: Request) -> Response:
    """The take's samples as they were heard, in any format. 304 if `If-None-Match` has its ETag."""
    archive = archive_of(request)
    found = await asyncio.to_thread(archive.take, take, deleted=False)
    output = encode.choose(
        asked.format, asked.sample_rate_hz, asked.bit_depth, native_rate_hz=again.rate_of(found)
    )
    form = f"{asked.format}-{output.sample_rate_hz}-{output.bit_depth}"
    tag = f'"{found.pcm_sha256}-{form}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=31536000, immutable"}
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return await streamed(request, partial(again.stored, archive, found, output), output, headers)


@router.get("/v1/takes/{take}/plan")
def plan(take: str, request: Request) -> Response:
    """The plan that was rendered, to be edited and sent to `/v1/speech`."""
    return _document(request, take, "plan")


@router.get("/v1/takes/{take}/peaks")
def peaks(take: str, request: Request) -> Response:
    """The waveform as points, to be drawn without reading the audio."""
    return _document(request, take, "peaks")


def _document(request: Request, take: str, name: str) -> Response:
    archive = archive_of(request)
    archive.take(take, deleted=False)
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(archive.document(take, name), media_type="application/json", headers=headers)


@router.get("/v1/takes/{take}/timings", response_class=Response)
def timings(take: str, request: Request) -> Response:
    """When each word and phoneme is heard, in seconds; grows while the take is being made."""
    studio: Studio = request.app.state.studio
    try:
        return Response(studio.takes.get(take).timings_json(), media_type="application/json")
    except UnknownTake:
        return _document(request, take, "timings")
