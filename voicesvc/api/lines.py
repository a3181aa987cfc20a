"""`/v1/lines`: the lines of a script, and the takes that are made of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from voicesvc import line as speech_lines
from voicesvc import timecode
from voicesvc.api import reach
from voicesvc.api.changes import (
    Body,
    Part,
    Text,
    archive_of,
    deleted,
    edited,
    given_fields,
    listed,
    make_once,
    stated_of,
    told,
    who,
)
from voicesvc.api.scopes import needs
from voicesvc.archive import Origin
from voicesvc.delivery import Delivery
from voicesvc.errors import InvalidRequest, VoiceError
from voicesvc.lineplan import MAX_SEED
from voicesvc.request import check_speakable
from voicesvc.store import lines as rows
from voicesvc.store import productions
from voicesvc.store import takes as take_rows
from voicesvc.store.lines import LineFilter
from voicesvc.store.takes import NewTake
from voicesvc.studio import Studio
from voicesvc.takes import asked_of, line_of
from voicesvc.variation import VARY, Vary, vary

router = APIRouter(tags=["lines"])
MOST_LINES = 2000
MOST_TAKES = 20
_Short = Field("", max_length=300)


class _LineFields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: str = Field("", max_length=100, description="actor id, as listed by /v1/actors")
    text: Text = Field("", max_length=20_000, description="what is to be said")
    scene: Text = Field("", max_length=300, description="as the script has it")
    cue: Text = Field("", max_length=300, description="cue id, as the cue sheet has it")
    character: Text = Field("", max_length=300, description="who says it in the story")
    markup: Literal["auto", "plain", "marks", "ssml"] = Field("auto", description="as in a request")
    delivery: Delivery = Field(Delivery(), description="how it is to be said, as in a request")
    lexicons: tuple[str, ...] = Field(
        (), strict=False, max_length=20, description="names of lexicons, the first wins"
    )
    timecode_in: str | None = Field(None, max_length=16, description="HH:MM:SS:FF")
    timecode_out: str | None = Field(None, max_length=16, description="HH:MM:SS:FF")
    notes: Text = Field("", max_length=20_000, description="free text")


class NewLine(_LineFields):
    """A line of a script."""


class NewLines(_LineFields):
    """A line, or many in `lines`, for a production."""

    production: str = Field(description="id or slug of the production")
    lines: tuple[NewLine, ...] | None = Field(
        None, strict=False, max_length=MOST_LINES, description="many at once, in order"
    )


class LineEdit(_LineFields):
    """What is to be changed; what is left out stays."""


class Quality(BaseModel):
    """A take whose words are wrong is made again with the next seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_wer: float = Field(0.1, ge=0.0, le=1.0, description="word error rate that is accepted")
    attempts: int = Field(3, ge=1, le=10, description="most attempts; each is reported")


class NewTakes(BaseModel):
    """How many takes of a line, and what is to differ between them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    count: int = Field(1, ge=1, le=MOST_TAKES, description=f"1 to {MOST_TAKES}")
    vary: tuple[Vary, ...] = Field(("seed",), strict=False, description=", ".join(VARY))
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="of the first; unset: drawn")
    delivery: Delivery | None = Field(None, description="in place of the line's own")
    quality: Quality | None = Field(None, description="listen, and make again what is wrong")


def _kept(line: _LineFields) -> dict[str, Any]:
    """A line's fields as they are kept, once they have been checked."""
    for name in ("actor", "text"):
        if not getattr(line, name):
            help_text = _LineFields.model_fields[name].description
            raise InvalidRequest("field required", where=name, valid=help_text)
    kept = line.model_dump(mode="json", include=set(rows.EDITABLE))
    kept["delivery"] = line.delivery.model_dump(mode="json", exclude_defaults=True)
    speech_lines.check(line_of(kept))
    return kept


def _new(line: _LineFields, place: str) -> dict[str, Any]:
    """A new line's fields as they are kept; `place` is where it is in the body."""
    try:
        kept = _kept(line)
        check_speakable(line.text, line.markup)
    except VoiceError as e:
        e.where = f"{place}{e.where}"
        raise
    return kept


def _placed(lines: Sequence[_LineFields]) -> dict[str, _LineFields]:
    """Lines by the place that each has in a body."""
    return {f"lines.{n}.": line for n, line in enumerate(lines)}


def check_timecodes(given: Mapping[str, Any], fps: str) -> None:
    """A line's timecodes are of the production's rate, and the second is not before the first.

    Raises:
        InvalidRequest: says which is not, and what would be.
    """
    frames = [
        timecode.frame_of(given[name], timecode.RATES[fps], name)
        for name in ("timecode_in", "timecode_out")
        if given[name] is not None
    ]
    if len(frames) == 2 and frames[0] > frames[1]:
        raise InvalidRequest(
            "the line ends before it begins", where="timecode_out", valid=given["timecode_in"]
        )


class LinesAsked(Part):
    """Which lines; what is left out does not matter."""

    production: str | None = Field(None, description="id or slug")
    scene: str | None = Field(None, description="exactly")
    actor: str | None = Field(None, description="exactly")
    character: str | None = Field(None, description="exactly")
    status: Literal["empty", "making", "takes", "circled"] | None = Field(
        None, description="how far they are"
    )
    q: str | None = Field(
        None, max_length=200, description="in text, cue, character or notes, in any case"
    )


@router.get("/v1/lines")
@needs("audition")
def lines(request: Request, asked: Annotated[LinesAsked, Query()]) -> dict[str, Any]:
    """Lines in the order of the script."""
    wanted = LineFilter(**asked.filters())
    given = reach.within(request)
    return listed(
        archive_of(request).database.read(lambda c: rows.find(c, wanted, asked.cut, given))
    )


@router.post("/v1/lines", status_code=201)
@needs("speak")
def make(body: NewLines, raw: Body, request: Request) -> JSONResponse:
    """Add a line, or many in `lines`, to a production. Takes `Idempotency-Key`."""
    studio: Studio = request.app.state.studio
    many = {"": body} if body.lines is None else _placed(body.lines)
    given = [(studio.new_id("ln"), _new(line, place)) for place, line in many.items()]
    if not given:
        raise InvalidRequest("no lines", where="lines", valid=f"1 to {MOST_LINES}")
    reach.production(request, body.production)
    for each in many.values():
        reach.actor(request, each.actor)
    by = archive_of(request).by(who(request))

    def add(c: Any) -> dict[str, Any]:
        fps = productions.get(c, body.production).fps
        for _, fields in given:
            check_timecodes(fields, fps)
        return {"items": [line.json() for line in rows.add(c, body.production, given, by)]}

    made, _ = make_once(request, raw, add)
    return told(made["items"][0], 201) if body.lines is None else JSONResponse(made, 201)


@router.get("/v1/lines/{line}")
@needs("audition")
def line(line: str, request: Request) -> JSONResponse:
    """One line."""
    return told(reach.line(request, line).json())


@router.patch("/v1/lines/{line}")
@needs("speak")
def edit(line: str, body: LineEdit, request: Request) -> JSONResponse:
    """Change some fields; takes that were made stay as they are. Needs `If-Match`."""
    found = reach.line(request, line)
    now = {name: getattr(found, name) for name in rows.EDITABLE} | given_fields(body)
    whole = LineEdit.model_validate_json(json.dumps(now))
    _kept(whole)
    if body.model_fields_set & {"text", "markup"}:
        check_speakable(whole.text, whole.markup)
    reach.actor(request, now["actor"])
    owner = reach.production(request, found.production)
    check_timecodes(now, owner.fps)
    return edited(request, rows, line, body)


@router.delete("/v1/lines/{line}", status_code=204, response_class=Response)
@needs("speak")
def delete(line: str, request: Request) -> Response:
    """Delete a line that has no takes. Needs `If-Match`."""
    reach.line(request, line)
    return deleted(request, rows, line)


@router.post("/v1/lines/{line}/takes", status_code=202)
@needs("speak")
def make_takes(line: str, body: NewTakes, raw: Body, request: Request) -> JSONResponse:
    """Have takes made; they are `queued` until their turn comes. Takes `Idempotency-Key`."""
    studio: Studio = request.app.state.studio
    archive = archive_of(request)
    if body.quality is not None and request.app.state.inspector is None:
        raise InvalidRequest(
            "takes are not listened to here",
            where="quality",
            valid="null, or the qc extra and VOICESVC_CHECK_WORDS=auto",
        )
    found = reach.line(request, line)
    asked = {name: getattr(found, name) for name in rows.EDITABLE}
    spoken = line_of(asked)
    delivery = body.delivery or spoken
    if "language" not in delivery.model_fields_set:  # of the text, which is the line's
        delivery = delivery.model_copy(update={"language": spoken.language})
    seed = studio.draw_seed() if body.seed is None else body.seed
    by = archive.by(who(request))
    origin = Origin(who=by.who, line=found.id, stated=stated_of(request))
    permit = studio.check(spoken, origin, body.count)
    use = origin.stated.json()
    new = []
    for variant in vary(body.count, body.vary, seed, delivery):
        fields = {n: getattr(variant.delivery, n) for n in Delivery.model_fields}
        whole = spoken.model_copy(update=fields)
        speech_lines.check(whole)
        facts = {"asked": asked_of(whole), "varied": variant.varied, "use": use}
        if body.quality is not None:
            facts["quality"] = body.quality.model_dump()
        new.append(
            NewTake(
                id=studio.new_id("tk"),
                made_by="line",
                state="queued",
                actor=found.actor,
                text=found.text,
                seed=variant.seed,
                model_sha256=permit.use.model_sha256,
                facts=facts,
                permit=permit,
                line=found.id,
            )
        )
    made, _ = make_once(
        request, raw, lambda c: {"takes": [t.json() for t in take_rows.add(c, new, by)]}
    )
    request.app.state.maker.wake()
    return JSONResponse(made, 202)
