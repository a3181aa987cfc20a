"""`/v1/actors`: whose voices there are, and what each can do."""

from typing import Any

from fastapi import APIRouter, Request

from voicesvc.studio import Studio

router = APIRouter(tags=["actors"])


@router.get("/v1/actors")
async def actors(request: Request) -> dict[str, Any]:
    """Every actor, the licence of the voice, and whether it is ready."""
    return {"actors": request.app.state.studio.cast.actors()}


@router.get("/v1/actors/{actor_id}")
async def actor(actor_id: str, request: Request) -> dict[str, Any]:
    """One actor: the same, its emotions with how good they were measured to be, its own voice."""
    studio: Studio = request.app.state.studio
    return studio.cast.actor(actor_id)
