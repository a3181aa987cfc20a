"""`POST /v1/audio/speech`: the request that OpenAI's clients send, spoken by our actors.

What cannot be honoured is refused, not ignored.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voicesvc.api.again import speak as speak_once
from voicesvc.api.scopes import needs
from voicesvc.line import Line
from voicesvc.lineplan import MAX_SEED

router = APIRouter(tags=["speech"])
FORMATS = {"mp3": "mp3", "opus": "opus", "flac": "flac", "wav": "wav", "pcm": "pcm_s16le"}
PCM_RATE_HZ = 24_000  # what OpenAI's `pcm` is


class OpenAiSpeech(BaseModel):
    """OpenAI's fields. `model` names nothing here: the actor's pack decides; any text is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str = Field(description="taken as it comes; the voice's own model speaks")
    input: str = Field(description="what is to be said")
    voice: str = Field(description="actor id, as listed by /v1/actors")
    response_format: Literal["mp3", "opus", "flac", "wav", "pcm"] = Field(
        "mp3", description="aac is not made here"
    )
    speed: Annotated[float, Field(ge=0.5, le=2.0, allow_inf_nan=False)] = Field(
        1.0, description="speaking rate, 0.5 to 2.0"
    )
    stream_format: Literal["audio"] = Field("audio", description="server-sent events are not made")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="ours, 0 to 2^53 - 1: same seed, same samples"
    )


@router.post("/v1/audio/speech", response_class=Response)
@needs("speak")
async def speak(body: OpenAiSpeech, request: Request) -> Response:
    """OpenAI-compatible speech, streamed. Takes `Idempotency-Key`."""
    line = Line(
        actor=body.voice,
        text=body.input,
        format=FORMATS[body.response_format],
        sample_rate_hz=PCM_RATE_HZ if body.response_format == "pcm" else None,
        seed=body.seed,
        rate=body.speed,
        markup="plain",
    )
    return await speak_once(request, line)
