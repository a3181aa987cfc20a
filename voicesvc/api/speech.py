"""`POST /v1/speech`: one line in, audio out as it is made."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from voicesvc.api.stream import respond
from voicesvc.encode import FORMATS
from voicesvc.line import Line

router = APIRouter(tags=["speech"])
_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the audio, streamed while it is made",
        "content": {
            f.media_type: {"schema": {"type": "string", "format": "binary"}}
            for f in FORMATS.values()
        },
    }
}


@router.post("/v1/speech", response_class=Response, responses=_AUDIO)
async def speak(line: Line, request: Request) -> Response:
    """Speak one line; the audio starts as soon as its first part is made."""
    return await respond(request, line)
