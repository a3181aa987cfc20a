"""`/livez`, `/readyz`, `/metrics`: for whoever runs this."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from voicesvc.api.scopes import needs

router = APIRouter(tags=["operation"])


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """200 once the voices are warmed and one of them can speak; says why where one failed.

    503 from when the service is told to end.
    """
    studio = request.app.state.studio
    actors = studio.cast.actors()
    states = {a["actor_id"]: a["state"] for a in actors}
    ending = request.app.state.pools.compute.ending
    devices = [
        {"device": d.name, "up": d.life is not None, "restarts": d.restarts}
        for d in getattr(studio.cast.voices, "devices", ())
    ]
    can_speak = not {"failed"}.issuperset(states.values())
    ready = studio.cast.warmed and can_speak and not ending
    if devices:
        ready = ready and any(d["up"] for d in devices)
    body = {
        "ready": ready,
        "voices": states,
        "failed": {a["actor_id"]: a["reason"] for a in actors if a["state"] == "failed"},
    }
    if devices:
        body["devices"] = devices
    return JSONResponse(body, 200 if ready else 503, headers={"Cache-Control": "no-store"})


@router.get("/metrics", response_class=Response)
@needs("admin")
async def metrics(request: Request) -> Response:
    """Prometheus' text format, or OpenMetrics with exemplars where that is accepted."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), media_type=content_type)
