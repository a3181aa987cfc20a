"""What tests share: services on real sockets, with the tone engine or the real voice."""

import json
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grants
import httpx
import numpy as np
import postgres
import pytest
import s3_server
import uvicorn
from hypothesis import HealthCheck, settings
from prometheus_client import REGISTRY

from voicesvc import archive
from voicesvc.api import create_app
from voicesvc.api.server import Server, listen
from voicesvc.archive import Archive
from voicesvc.audio import Pcm
from voicesvc.config import Settings
from voicesvc.engines.tone import Tone
from voicesvc.line import Line
from voicesvc.packs import Pack
from voicesvc.studio import Studio

# A machine that others use too is slow at times, which is no fault of what is tested.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-row", action="store_true", help="all rows of tables, not a sample")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a table marked `sampled(n)` every n-th row is run; `make test-full` runs all."""
    if config.getoption("--every-row"):
        return
    seen: dict[str, int] = {}
    left: list[pytest.Item] = []
    for item in items:
        sampled = item.get_closest_marker("sampled")
        of = item.nodeid.partition("[")[0]
        seen[of] = seen.get(of, -1) + 1
        if sampled is not None and seen[of] % sampled.args[0]:
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


MODELS = Path(__file__).parent.parent / "models"
LINE = "The harbour was quiet before the storm came."
TIMEOUT_S = 60.0
NO_DEMONSTRATION = ("demonstration = true", "demonstration = false")  # an edit of a manifest
EVERYBODY = {"first_audio_s": 600.0, "load": 1000.0}  # let in, however busy the machine is

postgres_server = postgres.postgres_server
postgres_url = postgres.postgres_url
databases = postgres.databases
s3_environment = s3_server.s3_environment
s3 = s3_server.s3


def metric(name: str, **labels: str) -> float:
    """The value of one sample of this process's metrics; 0 where there is none yet."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def eventually(happens: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether it happens within the time; asks every 5 ms."""
    until = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


@dataclass
class Service:
    """A running service, and what a test looks at behind it."""

    http: httpx.Client
    studio: Studio
    tones: dict[str, Tone]
    server: uvicorn.Server

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return str(self.http.base_url).rstrip("/")

    @property
    def tone(self) -> Tone:
        """The engine of the actor `ann`."""
        return self.tones["ann"]

    def speak(self, text: str = LINE, **fields: Any) -> httpx.Response:
        """POST /v1/speech, whole."""
        body = {"actor": "ann" if self.tones else "joe", "text": text} | fields
        return self.post(json.dumps(body))

    def post(self, content: Any, path: str = "/v1/speech", **headers: str) -> httpx.Response:
        """POST a body as it is, as JSON if no other content type is given."""
        headers = {"Content-Type": "application/json"} | headers
        return self.http.post(path, content=content, headers=headers)

    def timings(self, answer: httpx.Response) -> Any:
        """GET the timings of the take that `answer` is."""
        return self.http.get(f"/v1/takes/{answer.headers['Voicesvc-Take']}/timings").json()

    def ledger(self, **asked: str) -> Any:
        """What the ledger has of what is asked for."""
        return self.http.get("/v1/ledger", params=asked).json()["items"]

    def idle(self) -> bool:
        """Nothing is being made and no voice is held."""
        held = any(self.studio.cast.voices.leases().values())
        return metric("voicesvc_active_streams") == 0 and not held


def write_pack(models_dir: Path, actor: str, *edits: tuple[str, str]) -> Path:
    """A pack folder as joe's, for another actor, with its manifest edited; no weights needed."""
    folder = models_dir / actor
    folder.mkdir(parents=True)
    said = (MODELS / "joe" / "pack.toml").read_text("utf-8")
    for old, new in (('actor_id = "joe"', f'actor_id = "{actor}"'), *edits):
        assert old in said, old
        said = said.replace(old, new)
    (folder / "pack.toml").write_text(said, "utf-8")
    return folder


def tone_of(pack: Pack, **options: Any) -> Tone:
    """The tone engine with a pack's symbols."""
    symbols = frozenset(s for s in pack.text.symbols if s)
    return Tone(symbols, pack.model_sha256, pack.sample_rate_hz, **options)


def tone_studio(
    models_dir: Path,
    tones: dict[str, Tone],
    options: dict[str, Any],
    entropy: random.Random | None = None,
    **settings: Any,
) -> Studio:
    """A studio whose every pack is spoken by a tone, kept in `tones` once loaded.

    Its samples are not marked and its files not signed, so that they can be compared with what
    was asked for.
    """

    def load(pack: Pack, _: Settings, __: Callable[[str], None]) -> Tone:
        tones[pack.actor_id] = tone_of(pack, **options)
        return tones[pack.actor_id]

    folders = {"models_dir": models_dir, "data_dir": models_dir.parent / "data"}
    given = {
        **folders,
        **EVERYBODY,
        "check_nice": 0,
        "check_words": "off",
        "watermark": "off",
        "c2pa": "off",
    }
    read = Settings.read({}, **{**given, **settings})
    return Studio(read, load=load, entropy=entropy or random.Random(7))


def archived(folder: str | Path) -> Archive:
    """Takes kept in a SQLite file and a folder."""
    return archive.open_in(Settings.read({}, data_dir=Path(folder)), "in_test")


@contextmanager
def served(
    studio: Studio,
    workers: int = 2,
    tones: dict[str, Tone] | None = None,
    *,
    warmed: bool = True,
    granted: bool = True,
    listener: socket.socket | None = None,
) -> Iterator[Service]:
    """The studio behind a real socket, until the block ends; its voices `warmed` at the start.

    `listener` is one that was opened before, to know its port. Each voice without a grant gets
    one, unless it is to have none.

    Where it has no archive it gets one in a folder of its own.
    """
    with ExitStack() as lent:
        if studio.archive is None:
            studio.archive = archived(lent.enter_context(tempfile.TemporaryDirectory()))
            lent.callback(setattr, studio, "archive", None)
        if granted:
            grants.give(studio)
        yield from _served(studio, workers, tones, warmed, listener)


def _served(
    studio: Studio,
    workers: int,
    tones: dict[str, Tone] | None,
    warmed: bool,
    given: socket.socket | None,
) -> Iterator[Service]:
    config = uvicorn.Config(
        create_app(studio, workers),
        log_level="critical",
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    server = Server(config)
    with (
        given or listen(Settings.read({}, port=0)) as listener,
        httpx.Client(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=TIMEOUT_S
        ) as http,
    ):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            service = Service(http, studio, {} if tones is None else tones, server)
            assert eventually(lambda: server.started and studio.cast.warmed >= warmed, 120)
            yield service
        finally:
            server.should_exit = True
            thread.join(20)


@contextmanager
def tones_served(
    tmp_path: Path, *, workers: int = 2, settings: dict[str, Any] | None = None, **options: Any
) -> Iterator[Service]:
    """A service with the actor `ann`, spoken by a tone with these options."""
    write_pack(tmp_path / "models", "ann")
    tones: dict[str, Tone] = {}
    studio = tone_studio(tmp_path / "models", tones, options, **(settings or {}))
    with served(studio, workers, tones) as service:
        yield service


@pytest.fixture
def licensed(tmp_path: Path) -> Iterator[Service]:
    """`ann`, a demonstration; `ben`, who is none, and whom no grant is for."""
    write_pack(tmp_path / "models", "ann")
    write_pack(tmp_path / "models", "ben", NO_DEMONSTRATION)
    tones: dict[str, Tone] = {}
    studio = tone_studio(tmp_path / "models", tones, {})
    studio.archive = archive.open_in(studio.settings, "in_test")
    with served(studio, tones=tones, granted=False) as running:
        yield running


@pytest.fixture(scope="session")
def tone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that only ask; the actor `ann` is spoken by a tone."""
    with tones_served(tmp_path_factory.mktemp("tone")) as service:
        yield service


@pytest.fixture(scope="session")
def joe_studio() -> Iterator[Studio]:
    """The real voice, imported once into the user's cache folder."""
    read = {**EVERYBODY, "check_words": "off", "watermark": "off", "load_wait_s": 600}
    studio = Studio(Settings.read({}, actors=("joe",), device="cpu", **read))
    yield studio
    studio.close()


@pytest.fixture(scope="session")
def joe_server(joe_studio: Studio) -> Iterator[Service]:
    """The real voice behind a real socket."""
    with served(joe_studio) as service:
        yield service


@pytest.fixture
def client(tone_server: Service) -> httpx.Client:
    """A client of the tone service."""
    return tone_server.http


@pytest.fixture(scope="session")
def joe_pcm(joe_studio: Studio) -> Pcm:
    """A line of the real voice: 2.4 s at 22050 Hz."""
    reader = joe_studio.open(Line(actor="joe", text=LINE, format="pcm_f32le", seed=1))
    return np.frombuffer(b"".join(reader.chunks()), np.float32)
