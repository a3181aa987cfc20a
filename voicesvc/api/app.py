"""The application: settings in, ASGI app out."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute

from voicesvc import qc
from voicesvc.access import terms
from voicesvc.access.denied import Tally
from voicesvc.api import (
    actors,
    documents,
    events,
    exports,
    grants,
    health,
    keys,
    ledger,
    lexicons,
    lines,
    live,
    oidc,
    openai,
    page,
    plans,
    problems,
    productions,
    reference,
    session,
    speech,
    statements,
    takes,
    verify,
)
from voicesvc.api.events import Feed
from voicesvc.api.gate import Doorkeeper, Gate
from voicesvc.api.limits import BodyLimit, CountRequests
from voicesvc.api.secure import SecureHeaders
from voicesvc.api.stream import Pools
from voicesvc.archive import Archive
from voicesvc.compute import Compute
from voicesvc.config import Settings
from voicesvc.disclosure import Disclosures
from voicesvc.jobs import Auditor, Keeper, Maker, Measurer, Printer, Watcher
from voicesvc.keyring import Keyring
from voicesvc.loops import Manners
from voicesvc.people import People
from voicesvc.provider import Provider
from voicesvc.schedule import Limits
from voicesvc.signer import Signer
from voicesvc.studio import Studio

_SPOKEN = (speech, live, plans, openai, actors, lexicons, health, page, session, oidc)
_KEPT = (productions, lines, takes, documents, exports, events, ledger, grants, statements, keys)
_WAITERS = 32  # threads that may wait for voices being loaded


def create_app(studio: Studio, workers: int) -> FastAPI:
    """The service around one studio that has an archive, with `workers` compute threads."""
    archive, settings = studio.archive, studio.settings
    assert archive is not None, "takes are kept: give the studio an archive"
    tally = Tally(archive.now_ms)
    keyring = Keyring(archive.database, archive.key, archive.now_ms, settings.admin_key, tally)
    people = _people(settings, archive, keyring, tally)

    def lifespan(app: FastAPI) -> AbstractAsyncContextManager[None]:
        return _running(app, studio, archive, keyring, doorkeeper, workers)

    app = FastAPI(
        title="voicesvc",
        version=version("voicesvc"),
        summary="Licensed actors' voices, streamed.",
        lifespan=lifespan,
        docs_url=None,  # ours is in `reference`; this one would load from the internet
        redoc_url=None,
    )
    app.state.studio, app.state.keyring, app.state.people = studio, keyring, people
    app.state.tally = tally
    app.state.disclosures = Disclosures(studio)
    routes = _routed(app, settings)
    doorkeeper = Doorkeeper(settings, keyring, people, routes, app.routes)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, streamed=(verify.PATH,))
    app.add_middleware(Gate, keeper=doorkeeper)
    app.add_middleware(SecureHeaders)
    app.add_middleware(CountRequests)
    reference.install(app)
    problems.install(app)
    return app


def _routed(app: FastAPI, settings: Settings) -> list[BaseRoute]:
    """Give the application its routes, which are returned with those of `/docs`."""
    routers = [*(module.router for module in (*_SPOKEN, *_KEPT)), verify.router_of(settings)]
    for router in routers:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=page.STATIC), name="static")
    return [route for router in (*routers, reference.router) for route in router.routes]


@asynccontextmanager
async def _running(
    app: FastAPI,
    studio: Studio,
    archive: Archive,
    keyring: Keyring,
    doorkeeper: Doorkeeper,
    workers: int,
) -> AsyncIterator[None]:
    """What computes, waits and looks after things while the service is there."""
    compute = Compute(workers, _limits(studio.settings))
    studio.cast.paced, studio.cast.batched = compute.paced, compute.batched
    loading = ThreadPoolExecutor(_WAITERS, thread_name_prefix="loading")
    app.state.pools = Pools(compute, loading)
    app.state.speaking = set()  # takes of requests with a key, until their first audio
    feed = app.state.feed = Feed(asyncio.get_running_loop())
    inspector = app.state.inspector = _inspector(studio)
    maker = app.state.maker = Maker(studio, compute, inspector)
    archive.database.on_commit(feed.changed)
    untold = studio.cast.voices.on_change(feed.changed)
    keeper = Keeper(archive, studio.door, round(studio.settings.deleted_kept_days * 86_400_000))
    watcher = Watcher(studio.door, keyring)
    aside = Manners(lambda: compute.pressed)
    desk = app.state.desk = verify.Desk(studio, archive, aside)
    measurer, printer = Measurer(studio, inspector, aside), Printer(archive, aside)
    loops = [maker, measurer, printer, keeper, watcher, Auditor(archive, app.state.tally)]
    signer = app.state.signer = _signer(studio, archive, aside)
    if signer is not None:
        loops.append(signer)
    doorkeeper.open()
    for loop in loops:
        loop.start()
    warming = asyncio.get_running_loop().run_in_executor(loading, studio.warm)
    yield
    await warming
    untold()
    feed.close()
    for loop in loops:
        loop.end()
    if inspector is not None:
        inspector.close()
    for loop in loops:
        await asyncio.to_thread(loop.stop)
    if app.state.people is not None:
        await app.state.people.provider.close()
    await asyncio.to_thread(desk.close)
    loading.shutdown()
    compute.shutdown()
    studio.close()
    archive.close()


def _people(settings: Settings, archive: Archive, keyring: Keyring, tally: Tally) -> People | None:
    """Who has tokens of a provider, where there is one."""
    asked = terms.of(settings)
    if asked is None:
        return None
    provider, is_ended = Provider(asked), keyring.is_ended
    return People(asked, provider, archive.key, archive.now_ms, tally, is_ended)


def _signer(studio: Studio, archive: Archive, manners: Manners) -> Signer | None:
    """What signs takes as they are kept, where anything is signed."""
    if studio.seal is None:
        return None
    return Signer(archive, studio.seal, studio.settings.c2pa_tsa_url, manners)


def _inspector(studio: Studio) -> qc.Inspector | None:
    """What listens to takes, where it is wanted and installed."""
    wanted = studio.settings.check_words == "auto" and qc.available()
    return qc.Inspector(niceness=studio.settings.check_nice) if wanted else None


def _limits(settings: Settings) -> Limits:
    return Limits(settings.first_audio_s, settings.load, settings.waiting, settings.streams)
