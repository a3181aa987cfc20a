"""The request: what is to be said, by whom, how, and as which audio. One model for every route."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voicesvc import delivery
from voicesvc.delivery import Delivery
from voicesvc.errors import InvalidRequest
from voicesvc.fit import Fit
from voicesvc.lineplan import MAX_SEED, LinePlan


class Words(BaseModel):
    """What is to be said, by whom, and as which audio."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: str | None = Field(None, description="actor id, as listed by /v1/actors; a plan has its")
    text: str | None = Field(
        None, description="what is to be said; or send a plan", examples=["Hold the line."]
    )
    plan: LinePlan | None = Field(
        None, description="a plan of /v1/plans, edited or not, in place of text and delivery"
    )
    markup: Literal["auto", "plain", "marks", "ssml"] = Field(
        "auto", description="auto: SSML where the text begins with <speak, else light marks"
    )
    lenient: bool = Field(
        False, description="skip markup that is not known, and report it, in place of refusing it"
    )
    lexicons: tuple[str, ...] = Field(
        (), strict=False, max_length=20, description="names of lexicons to use, the first wins"
    )
    format: str = Field("wav", description="wav, flac, opus, mp3, pcm_s16le or pcm_f32le")
    sample_rate_hz: int | None = Field(
        None, description="8000 to 96000; unset: the voice's own, or the nearest the format takes"
    )
    bit_depth: Literal[16, 24, "32f"] | None = Field(
        None, description="16, 24 or 32f for wav, 16 or 24 for flac; unset: 16"
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="0 to 2^53 - 1; same seed, same samples; unset: drawn, and reported",
    )
    fit: Fit | None = Field(
        None,
        description="an exact length: seconds, samples with at_hz or frames with fps; or bounds",
    )


class Line(Delivery, Words):
    """What is to be said, by whom, how, and as which audio."""


WITH_PLAN = frozenset({"plan", "actor", "format", "sample_rate_hz", "bit_depth", "fit"})


def check(line: Line) -> None:
    """Every check of one field against another; runs before anything else is done.

    Raises:
        InvalidRequest: says which field is missing or one too many.
    """
    if line.plan is None:
        for name in ("actor", "text"):
            if getattr(line, name) is None:
                raise InvalidRequest(
                    "field required", where=name, valid=Line.model_fields[name].description
                )
        delivery.check(line, len(line.text or ""))
        return
    beside = sorted(line.model_fields_set - WITH_PLAN)
    if beside:
        raise InvalidRequest(
            f"a plan already says all of {beside[0]}: edit the plan",
            where=beside[0],
            valid=sorted(WITH_PLAN),
        )
