"""The application: settings in, ASGI app out."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from voicesvc.api import (
    actors,
    health,
    lexicons,
    openai,
    plans,
    problems,
    reference,
    speech,
    takes,
)
from voicesvc.api.limits import BodyLimit, CountRequests
from voicesvc.api.stream import Pools
from voicesvc.studio import Studio

STATIC = Path(__file__).resolve().parents[1] / "static"
_LOADERS = 4  # threads that may wait for voices being loaded
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def create_app(studio: Studio, workers: int) -> FastAPI:
    """The service around one studio, with `workers` compute threads."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        compute = ThreadPoolExecutor(workers, thread_name_prefix="compute")
        loading = ThreadPoolExecutor(_LOADERS, thread_name_prefix="loading")
        app.state.pools = Pools(compute, loading)
        warming = asyncio.get_running_loop().run_in_executor(loading, studio.warm)
        yield
        await warming
        for pool in (compute, loading):
            pool.shutdown()
        studio.close()

    app = FastAPI(
        title="voicesvc",
        version=version("voicesvc"),
        summary="Licensed actors' voices, streamed.",
        lifespan=lifespan,
        docs_url=None,  # ours is in `reference`; this one would load from the internet
        redoc_url=None,
    )
    app.state.studio = studio
    for module in (speech, plans, openai, takes, actors, lexicons, health):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.get("/", include_in_schema=False)(_page)
    app.add_middleware(BodyLimit, max_bytes=studio.settings.max_body_bytes)
    app.add_middleware(CountRequests)
    reference.install(app)
    problems.install(app)
    return app


async def _page() -> FileResponse:
    headers = {"Content-Security-Policy": _PAGE_POLICY, "X-Content-Type-Options": "nosniff"}
    return FileResponse(STATIC / "index.html", headers=headers)
