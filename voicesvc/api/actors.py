"""`/v1/actors`: whose voices there are, what each can do, and which are loaded."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, StreamingResponse

from voicesvc.api import reach
from voicesvc.api.events import Feed
from voicesvc.api.scopes import caller_of, needs
from voicesvc.api.stream import Pools
from voicesvc.cast import Cast, told
from voicesvc.studio import Studio

router = APIRouter(tags=["actors"])
_COMMENT_S = 15.0  # of silence: proxies cut a connection on which nothing comes


@router.get("/v1/actors")
@needs("audition")
async def actors(request: Request) -> dict[str, Any]:
    """Every actor, the licence of the voice, and where it stands."""
    ours = caller_of(request).actors
    every = request.app.state.studio.cast.actors()
    return {"actors": [a for a in every if ours is None or a["actor_id"] in ours]}


@router.get("/v1/actors/events", response_class=StreamingResponse)
@needs("audition")
async def events(request: Request) -> StreamingResponse:
    """Where each voice stands, then each that changes, as it changes (SSE)."""
    studio: Studio = request.app.state.studio
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = _changes(studio.cast, request.app.state.feed, caller_of(request).actors)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


@router.get("/v1/actors/{actor_id}")
@needs("audition")
async def actor(actor_id: str, request: Request) -> dict[str, Any]:
    """One actor: the same, its emotions with how good they were measured to be, its own voice."""
    studio: Studio = request.app.state.studio
    reach.actor(request, actor_id)
    return await asyncio.to_thread(studio.cast.actor, actor_id)


@router.post("/v1/actors/{actor_id}/load")
@needs("speak")
async def load(
    actor_id: str,
    request: Request,
    wait_s: Annotated[
        float, Query(ge=0, le=3600, allow_inf_nan=False, description="seconds to wait for it")
    ] = 0.0,
) -> JSONResponse:
    """Load a voice before it is needed, a failed one anew: 200 ready, 202 while it is loading."""
    studio: Studio = request.app.state.studio
    pools: Pools = request.app.state.pools
    reach.actor(request, actor_id)
    began = partial(_load, studio, actor_id, wait_s)
    stands = await asyncio.get_running_loop().run_in_executor(pools.loading, began)
    return JSONResponse(stands, 200 if stands["state"] == "ready" else 202)


def _load(studio: Studio, actor_id: str, wait_s: float) -> dict[str, Any]:
    studio.cast.pack(actor_id)
    studio.door.demand_actor(actor_id)
    return studio.cast.load(actor_id, wait_s)


@router.post("/v1/actors/{actor_id}/unload")
@needs("admin")
async def unload(actor_id: str, request: Request) -> dict[str, Any]:
    """Give back a voice's memory, at once or when the streams that hold it have ended."""
    studio: Studio = request.app.state.studio
    return await asyncio.to_thread(studio.cast.unload, actor_id)


async def _changes(cast: Cast, feed: Feed, ours: frozenset[str] | None) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    known: dict[str, dict[str, Any]] = {}
    said = loop.time()
    while not feed.closed:
        now = {a: {"actor_id": a, **told(s)} for a, s in cast.voices.states().items()}
        now = {a: facts for a, facts in now.items() if ours is None or a in ours}
        fresh = [v for a, v in now.items() if _steady(v) != _steady(known.get(a, {}))]
        gone = [{"actor_id": a, "state": "gone"} for a in known.keys() - now.keys()]
        for facts in (*fresh, *gone):
            yield f"event: voice\ndata: {json.dumps(facts, ensure_ascii=False)}\n\n"
            said = loop.time()
        known = now
        if loop.time() - said > _COMMENT_S:
            yield ": still here\n\n"
            said = loop.time()
        await feed.wait()


def _steady(facts: dict[str, Any]) -> dict[str, Any]:
    """What of a state is news when it changes: not the seconds that pass while it is loading."""
    return {name: value for name, value in facts.items() if name != "load_s"}
