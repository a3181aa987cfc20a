"""`POST /v1/speech`: one line in, audio out as it is made."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from voicesvc.api.again import speak as speak_once
from voicesvc.api.scopes import needs
from voicesvc.api.stream import AUDIO
from voicesvc.line import Line

router = APIRouter(tags=["speech"])


@router.post("/v1/speech", response_class=Response, responses=AUDIO)
@needs("speak")
async def speak(
    body: Line,
    request: Request,
    line: Annotated[str | None, Query(description="id of a line that it is a take of")] = None,
    production: Annotated[
        str | None, Query(description="id or slug of the production it is for, without a line")
    ] = None,
) -> Response:
    """Speak one line; the audio starts as soon as its first part is made.

    Takes `Idempotency-Key`: sent again, it is answered with the same take.
    """
    return await speak_once(request, body, line, production)
