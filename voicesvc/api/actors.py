"""`GET /v1/actors`: whose voices there are."""

from typing import Any

from fastapi import APIRouter, Request

router = APIRouter(tags=["actors"])


@router.get("/v1/actors")
async def actors(request: Request) -> dict[str, Any]:
    """Every actor, the licence of the voice, and whether it is ready."""
    return {"actors": request.app.state.studio.actors()}
