"""`/v1/takes`: what was made: listed, marked, heard again, made again."""

import asyncio
from collections.abc import Generator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from voicesvc import again, encode, reading, remake
from voicesvc.access import Need
from voicesvc.api import reach
from voicesvc.api.again import being_made, claim
from voicesvc.api.changes import (
    Body,
    Part,
    Text,
    archive_of,
    changed,
    deleted,
    given_fields,
    key_of,
    listed,
    make_once,
    told,
    who,
)
from voicesvc.api.scopes import demand, needs
from voicesvc.api.stream import AUDIO, Pools, finished, hearing, signed_whole, streamed
from voicesvc.archive import CREDENTIALS
from voicesvc.credentials import EMBEDDED
from voicesvc.disclosure import Disclosures, Lead
from voicesvc.errors import Drift, InvalidRequest
from voicesvc.retake import Retake, check_said
from voicesvc.retake import check as check_retake
from voicesvc.store import By, State, StoredTake, documents
from voicesvc.store import takes as rows
from voicesvc.store.takes import NewTake, TakeFilter
from voicesvc.studio import Studio
from voicesvc.takes import language_of

router = APIRouter(tags=["takes"])
MANIFEST = "application/c2pa"
_Tag = Annotated[Text, Field(min_length=1, max_length=100)]


class TakeEdit(BaseModel):
    """What an editor says of a take; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    circled: bool = Field(False, description="the one to use")
    rating: int | None = Field(None, ge=0, le=5, description="0 to 5, or null")
    note: Text = Field("", max_length=20_000, description="free text")
    tags: tuple[_Tag, ...] = Field((), strict=False, max_length=50, description="short words")
    line: str | None = Field(None, description="id of the line that a take of none is for")


class TakesAsked(Part):
    """Which takes; what is left out does not matter."""

    production: str | None = Field(None, description="id or slug")
    line: str | None = Field(None, description="its id; none: those that belong to no line")
    actor: str | None = Field(None, description="actor id")
    state: list[State] | None = Field(None, description="how far they are; may be repeated")
    circled: bool | None = Field(None, description="whether they are to be used")
    flagged: bool | None = Field(None, description="whether something was measured wrong")
    rating_min: int | None = Field(None, ge=0, le=5, description="lowest rating")
    tag: str | None = Field(None, max_length=100, description="one of their tags")
    q: str | None = Field(None, max_length=200, description="in text or note, in any case")
    parent: str | None = Field(None, description="the take they were made from")
    deleted: bool = Field(False, description="those that were deleted, in place of the others")


@router.get("/v1/takes")
@needs("audition")
def takes(request: Request, asked: Annotated[TakesAsked, Query()]) -> dict[str, Any]:
    """Takes, the newest first; with `line`, in the order of their numbers."""
    filters = asked.filters()
    if asked.production is not None:
        filters["production"] = reach.production(request, asked.production).id
    if asked.line not in (None, rows.NO_LINE):
        reach.line(request, asked.line)
    wanted = TakeFilter(states=filters.pop("state"), **filters)
    given = reach.within(request)
    return listed(
        archive_of(request).database.read(lambda c: rows.find(c, wanted, asked.cut, given))
    )


@router.get("/v1/takes/{take}")
@needs("audition")
def take(take: str, request: Request) -> JSONResponse:
    """One take, deleted ones too."""
    return told(reach.take(request, take).json())


@router.patch("/v1/takes/{take}")
@needs("circle")
def edit(take: str, body: TakeEdit, request: Request) -> JSONResponse:
    """Circle, rate, note or tag a take, or give it to a line. Needs `If-Match`."""
    given = given_fields(body)
    line = given.pop("line", None)
    seen = reach.take(request, take, deleted=line is None)
    if line is not None:
        reach.line(request, line)
        studio: Studio = request.app.state.studio
        studio.door.assigned(seen, line)

    def edited(c: Any, seen: int, by: By) -> StoredTake:
        if line is None:
            return rows.edit(c, take, seen, given, by)
        now = rows.assign(c, take, line, seen, by)
        return rows.edit(c, take, now.version, given, by) if given else now

    return told(changed(request, edited, lambda c: rows.get(c, take)).json())


@router.delete("/v1/takes/{take}", status_code=204, response_class=Response)
@needs("circle")
def delete(take: str, request: Request) -> Response:
    """Delete a take; it can be restored for some time, its record stays. Needs `If-Match`."""
    reach.take(request, take)
    return deleted(request, rows, take)


@router.post("/v1/takes/{take}/restore")
@needs("circle")
def restore(take: str, request: Request) -> JSONResponse:
    """Bring a deleted take back."""
    archive = archive_of(request)
    reach.take(request, take)
    by = archive.by(who(request))
    return told(archive.database.write(lambda c: rows.restore(c, take, by)).json())


class FormAsked(BaseModel):
    """As what a take is to be heard; what is left out is as in `/v1/speech`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field("wav", description="wav, flac, opus, mp3, pcm_s16le or pcm_f32le")
    sample_rate_hz: int | None = Field(None, description="8000 to 96000; unset: the voice's own")
    bit_depth: Literal["16", "24", "32f"] | None = Field(None, description="unset: 16")


class AudioAsked(FormAsked):
    """The same, and what for."""

    download: bool = Field(False, description="as a file to be kept, which the ledger says")


@router.get("/v1/takes/{take}/audio", response_class=Response, responses=AUDIO)
@needs("audition")
async def audio(take: str, asked: Annotated[AudioAsked, Query()], request: Request) -> Response:
    """The take as a finished file in any format, signed. 304 if `If-None-Match` has its ETag."""
    found = await asyncio.to_thread(partial(reach.take, request, take, deleted=False))
    output = encode.choose(
        asked.format, asked.sample_rate_hz, asked.bit_depth, native_rate_hz=again.rate_of(found)
    )
    n_samples = again.samples_at(found, output.sample_rate_hz)
    studio: Studio = request.app.state.studio
    whole = signed_whole(studio, found, output)
    tag = _tag(studio, found, output, whole)
    headers = {"ETag": tag, "Cache-Control": "private, max-age=31536000, immutable"}
    kind = "downloaded" if asked.download else "heard"
    hear = partial(hearing, request, found, output, headers, kind=kind)
    heard = await asyncio.to_thread(hear)
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    if asked.download:
        headers["Content-Disposition"] = "attachment"  # who links to it says what it is called
    n_bytes = again.plain_bytes(output, n_samples)
    if n_bytes is not None:
        headers["Content-Length"] = str(n_bytes)
    return await streamed(request, heard, output, headers, whole=whole)


def _tag(studio: Studio, take: StoredTake, output: encode.Output, whole: bool) -> str:
    """The ETag: weak where the file is signed, as no two signatures have the same bytes."""
    form = f"{output.format.name}-{output.sample_rate_hz}-{output.bit_depth}"
    if studio.seal is None or not whole:
        return f'"{take.pcm_sha256}-{form}"'
    return f'W/"{take.pcm_sha256}-{form}-{studio.seal.signing.identity.sha256[:16]}"'


@router.get(
    "/v1/takes/{take}/manifest",
    response_class=Response,
    responses={200: {"content": {MANIFEST: {"schema": {"type": "string", "format": "binary"}}}}},
)
@needs("audition")
async def manifest(take: str, asked: Annotated[FormAsked, Query()], request: Request) -> Response:
    """The content credentials of a file that cannot hold them, as a `.c2pa` to lie beside it."""
    studio: Studio = request.app.state.studio
    found = await asyncio.to_thread(partial(reach.take, request, take, deleted=False))
    output = encode.choose(
        asked.format, asked.sample_rate_hz, asked.bit_depth, native_rate_hz=again.rate_of(found)
    )
    sealed = studio.seal
    if sealed is None or signed_whole(studio, found, output):
        why = "nothing is signed" if sealed is None else f"a {asked.format} has them in it"
        valid = [name for name in encode.FORMATS if name not in EMBEDDED]
        raise InvalidRequest(why, where="format", valid=valid)
    heard = await asyncio.to_thread(hearing, request, found, output)
    made = None
    if (asked.format, output.sample_rate_hz) == ("pcm_f32le", again.rate_of(found)):
        kept = partial(documents.get, id=found.id, name=CREDENTIALS)  # those are the kept samples
        made = await asyncio.to_thread(archive_of(request).database.read, kept)
    if made is None:
        pools: Pools = request.app.state.pools
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(pools.loading, lambda: sealed.beside(heard(), found))
    return Response(made, media_type=MANIFEST, headers={"Cache-Control": "no-store"})


class RenderAsked(BaseModel):
    """As what a take is to be made again, and from what."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: str = Field("wav", description="wav, flac, opus, mp3, pcm_s16le or pcm_f32le")
    sample_rate_hz: int | None = Field(None, description="8000 to 96000; unset: the voice's own")
    bit_depth: Literal[16, 24, "32f"] | None = Field(None, description="unset: 16")
    source: Literal["auto", "stored", "model"] = Field(
        "auto", description="from its samples, or once more by the model; auto: what is whole"
    )
    allow_drift: bool = Field(
        False, description="make it even if weights or code are others now, as a new take"
    )


@router.post("/v1/takes/{take}/render", response_class=Response, responses=AUDIO)
@needs("audition")
async def render(take: str, body: RenderAsked, raw: Body, request: Request) -> Response:
    """The take to the sample, at any rate, format and depth. What drifted is in the headers.

    Where its grant wants a notice to be said first, it is. Takes `Idempotency-Key`, for the take
    that it makes where `allow_drift` lets it.
    """
    studio: Studio = request.app.state.studio
    archive = archive_of(request)
    found = await asyncio.to_thread(partial(reach.take, request, take, deleted=False))
    native_hz = again.rate_of(found)
    output = encode.choose(
        body.format, body.sample_rate_hz, body.bit_depth, native_rate_hz=native_hz
    )
    pools: Pools = request.app.state.pools
    loop = asyncio.get_running_loop()
    permit = await asyncio.to_thread(studio.door.again, found, "hear")
    disclosures: Disclosures = request.app.state.disclosures
    asking = partial(disclosures.before, found, permit, output.sample_rate_hz)
    lead = await loop.run_in_executor(pools.loading, asking)
    stored = body.source == "stored" or (
        body.source == "auto" and await asyncio.to_thread(archive.is_whole, found)
    )
    if stored:
        names = await loop.run_in_executor(pools.loading, remake.known_differences, studio, found)
        return await _stored(request, found, output, names, lead)
    demand(request, Need("speak"))
    known: dict[str, Any] = {"take": None}
    if body.allow_drift and key_of(request, raw) is not None:
        known, before = await claim(request, raw)
        if before is not None:
            return await _stored(request, before, output, before.facts["drifted"], lead)
    by_model = partial(remake.by_model, studio, found, who=who(request), id=known["take"])
    with being_made(request, known["take"]):
        asked = partial(by_model, allow_drift=body.allow_drift)
        made = await loop.run_in_executor(pools.loading, asked)
    kept = made.kept or found
    permit = await asyncio.to_thread(studio.door.again, kept, "hear")
    studio.door.notes.use("downloaded", kept, permit, who(request))
    n_samples = again.samples_at(kept, output.sample_rate_hz)
    headers = _told(kept, made.drifted, lead)
    first = None if lead is None else lead.pcm

    def file() -> Generator[bytes]:
        chunks = again.encoded([made.pcm], native_hz, output, n_samples, first)
        return finished(studio, kept, output, chunks, headers)

    whole = signed_whole(studio, kept, output)
    return await streamed(request, file, output, headers, whole=whole)


async def _stored(
    request: Request,
    take: StoredTake,
    output: encode.Output,
    drifted: Sequence[str],
    lead: Lead | None,
) -> Response:
    """The take as it is kept."""
    headers = _told(take, drifted, lead)
    heard = await asyncio.to_thread(hearing, request, take, output, headers, lead, "downloaded")
    whole = signed_whole(request.app.state.studio, take, output)
    return await streamed(request, heard, output, headers, whole=whole)


def _told(take: StoredTake, drifted: Sequence[str], lead: Lead | None) -> dict[str, str]:
    drift = {"Voicesvc-Drift": ", ".join(drifted)} if drifted else {}
    said = {} if lead is None else {"Voicesvc-Disclosure": lead.header}
    return {"Voicesvc-Take": take.id, "Cache-Control": "no-store", **drift, **said}


@router.post("/v1/takes/{take}/retake", status_code=202)
@needs("speak")
def retake(take: str, body: Retake, raw: Body, request: Request) -> JSONResponse:
    """Have the take made with changes; all else keeps its samples. Takes `Idempotency-Key`."""
    studio: Studio = request.app.state.studio
    archive = archive_of(request)
    parent = reach.take(request, take, deleted=False)
    names = [n for n in remake.differences(studio, parent) if n == "model_sha256"]
    if names:
        raise Drift("the voice has other weights now", where="take", valid=names)
    n_words = len(archive.json_document(parent.id, "timings")["words"])
    check_retake(body, n_words)
    pack = studio.cast.pack(parent.actor)
    pack = pack.speaking(language_of(parent, pack))
    lexicons = studio.lexicons.of(body.lexicons, pack.folder)
    check_said(body, reading.anew(pack, studio.cast.phonemizer(pack), lexicons))
    by, id = archive.by(who(request)), studio.new_id("tk")
    edits = [e.model_dump(mode="json", exclude_none=True) for e in body.edits]
    new = NewTake(
        id=id,
        made_by="retake",
        state="queued",
        actor=parent.actor,
        text=parent.text,
        seed=parent.seed,
        model_sha256=parent.model_sha256,
        facts={"asked": parent.facts["asked"], "use": parent.facts.get("use", {}), "edits": edits},
        permit=studio.door.again(parent, "speak"),
        production=parent.production,
        line=parent.line,
        parent=parent.id,
    )

    def add(c: Any) -> dict[str, Any]:
        made = rows.add(c, [new], by)
        documents.keep(c, id, {remake.EDITED: raw})
        return {"takes": [t.json() for t in made]}

    made, _ = make_once(request, raw, add)
    request.app.state.maker.wake()
    return JSONResponse(made, 202)
