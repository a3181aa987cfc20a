"""`/v1/plans`: a line made explicit, to be edited and sent back to `/v1/speech`."""

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from voicesvc.api import reach
from voicesvc.api.scopes import needs
from voicesvc.api.stream import Pools, actor_of, asked_of, begin
from voicesvc.line import Line
from voicesvc.lineplan import LinePlan
from voicesvc.script import skipped_header
from voicesvc.studio import Studio

router = APIRouter(tags=["plans"])


class PlanAnswer(BaseModel):
    """A plan, and what was found out while it was made."""

    model_config = ConfigDict(frozen=True)

    plan: LinePlan
    duration_s: float = Field(description="length of the whole line")
    fit: dict[str, Any] | None = Field(description="what a length that was asked for did")
    delivery: dict[str, str] = Field(description="what does each thing that was asked for")
    ignored: list[dict[str, Any]] = Field(description="markup that was skipped, and why")


@router.post("/v1/plans")
@needs("speak")
async def plan(line: Line, request: Request, response: Response) -> PlanAnswer:
    """The words, phonemes, durations and pauses that `/v1/speech` would speak."""
    studio: Studio = request.app.state.studio
    pools: Pools = request.app.state.pools
    reach.actor(request, actor_of(line))
    voice = f"{actor_of(line)}, planned"  # costs otherwise than to speak
    seat = pools.compute.enter(asked_of(request, voice, speaks=False))
    try:
        planning = begin(request, seat, line, partial(studio.plan, line))
        document, score, asked = await asyncio.wrap_future(planning)
    finally:
        seat.end()
    if asked.skipped:
        response.headers["Voicesvc-Skipped"] = skipped_header(asked.skipped)
    return PlanAnswer(
        plan=document,
        duration_s=round(float(score.length_s or document.duration_ms / 1000), 6),
        fit=None if score.fitted is None else score.fitted.json(),
        delivery=(asked.sources or {}) | score.limited(),
        ignored=[asdict(i) for i in asked.ignored],
    )
