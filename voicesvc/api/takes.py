"""`/v1/takes`: what was made."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from voicesvc.studio import Studio

router = APIRouter(tags=["takes"])


@router.get("/v1/takes/{take}/timings", response_class=Response)
async def timings(take: str, request: Request) -> Response:
    """When each word and phoneme is heard, in seconds; grows while the take is being made."""
    studio: Studio = request.app.state.studio
    return Response(studio.takes.get(take).timings_json(), media_type="application/json")
