"""`POST /v1/speech`: one line in, audio out as it is made."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from voicesvc.api.stream import AUDIO, respond
from voicesvc.line import Line

router = APIRouter(tags=["speech"])


@router.post("/v1/speech", response_class=Response, responses=AUDIO)
async def speak(line: Line, request: Request) -> Response:
    """Speak one line; the audio starts as soon as its first part is made."""
    return await respond(request, line)
