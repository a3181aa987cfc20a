"""Several devices, here of the CPU: a program each, and what happens when one ends."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import device_voices
import httpx
import numpy as np
import pytest
from conftest import LINE, MODELS, Service, eventually, metric, served, write_pack

from voicesvc import packs
from voicesvc.config import Settings
from voicesvc.devices.spread import Spread
from voicesvc.engines import tensors
from voicesvc.errors import BadSetting, NotReady
from voicesvc.studio import Studio
from voicesvc.voices import Voices

LONG = " ".join(f"The harbour was quiet on day {n}." for n in range(100))

ONE_SENTENCE = ", and ".join("the harbour was quiet as the boats came in" for _ in range(8))


def write_real(models: Path) -> None:
    """A VITS of random weights, small."""
    joe = packs.read(MODELS / "joe")
    network = joe.vits_network.model_copy(
        update={
            "hidden_channels": 8,
            "hidden_channels_ffn_text_encoder": 16,
            "num_layers_text_encoder": 2,
            "upsample_initial_channel_decoder": 32,
        }
    )
    said = {n: getattr(joe, n) for n in packs.Description.model_fields}
    described = packs.Description(**said | {"actor_id": "real", "vits": network})
    noise = np.random.default_rng(0)
    values = {
        name: noise.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in tensors.expected(network).items()
    }
    packs.write(described, values, models / "real")


def studio_of(models: Path, device: str) -> Studio:
    given: dict[str, Any] = {"check_words": "off", "watermark": "off", "load_wait_s": 120}
    given |= {"device_budget_mb": 500, "host_budget_mb": 0}
    given |= {"models_dir": models, "data_dir": models.parent / device, "actors": ("ann", "bob")}
    return Studio(
        Settings.read({}, device=device, first_audio_s=600, load=1000, **given),
        load=device_voices.load,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices") / "models"
    for actor in ("ann", "bob", "greedy", "guessing"):
        write_pack(folder, actor)
    write_real(folder)
    return folder


@pytest.fixture(scope="module")
def service(models: Path) -> Iterator[Service]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
        studio = studio_of(models, "cpu:0,cpu:1")
        with served(studio) as running:
            yield running
        studio.close()
        assert all(d.life is None and not d._thread.is_alive() for d in studio.cast.voices.devices)


@pytest.fixture(scope="module")
def alone(models: Path) -> Iterator[Service]:
    studio = studio_of(models, "cpu")
    with served(studio) as running:
        yield running
    studio.close()


def said(service: Service, actor: str, text: str = LINE) -> bytes:
    answer = service.speak(text, actor=actor, format="pcm_f32le", seed=3)
    assert answer.status_code == 200, answer.text
    return answer.content


def devices(service: Service) -> dict[str, Any]:
    return {d["device"]: d for d in service.http.get("/readyz").json()["devices"]}


def where(service: Service, actor: str) -> str:
    """The device that has the voice."""
    spread = service.studio.cast.voices
    (found,) = (n for n, v in spread._devices.items() if v.state(actor).name == "ready")
    return found


def kill(service: Service, name: str) -> None:
    (device,) = (d for d in service.studio.cast.voices.devices if d.name == name)
    device.life.process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("actor", "text"),
    [("ann", LINE), ("guessing", LINE), ("real", LINE), ("real", ONE_SENTENCE)],
    ids=["tone", "guessing", "network", "begun before it is planned"],
)
def test_samples_are_those_of_one_process(
    service: Service, alone: Service, actor: str, text: str
) -> None:
    assert said(service, actor, text) == said(alone, actor, text)


def test_a_program_that_is_killed_breaks_its_own_streams_alone(service: Service) -> None:
    whole = said(service, "bob", LONG)
    one, other = where(service, "ann"), where(service, "bob")
    assert one != other  # the second voice went where there were fewer
    body = {"text": LONG, "format": "pcm_f32le", "seed": 3}
    stream = service.http.stream
    with (
        stream("POST", "/v1/speech", json=body | {"actor": "ann"}) as broken,
        stream("POST", "/v1/speech", json=body | {"actor": "bob"}) as goes_on,
    ):
        heard, kept = broken.iter_bytes(), goes_on.iter_bytes()
        next(heard)
        rest = [next(kept)]
        kill(service, one)
        with pytest.raises(httpx.RemoteProtocolError):
            list(heard)
        rest += kept
    assert b"".join(rest) == whole
    assert len(said(service, "ann")) > 0
    assert eventually(lambda: devices(service)[one]["up"], 60)
    assert (devices(service)[one]["restarts"], devices(service)[other]["restarts"]) == (1, 0)
    assert metric("voicesvc_device_restarts_total", device=one) == 1
    assert metric("voicesvc_device_up", device=one) == 1


def test_a_device_out_of_memory_is_said_and_started_anew(service: Service) -> None:
    service.http.post("/v1/actors/greedy/load?wait_s=30")
    at = where(service, "greedy")
    before = devices(service)[at]["restarts"]
    failed = service.speak(actor="greedy")
    assert (failed.status_code, failed.json()["type"]) == (503, "/problems/device-lost")
    assert at in failed.json()["detail"]
    assert "out of memory" in failed.json()["detail"]
    assert failed.headers["Retry-After"] == "2"
    assert eventually(lambda: devices(service)[at]["restarts"] > before, 60)
    assert eventually(lambda: devices(service)[at]["up"], 60)
    assert len(said(service, "ann")) > 0


def test_a_voice_is_asked_for_where_it_is_then_where_there_is_room_and_least_to_do() -> None:
    class Nothing:
        resident_bytes = host_bytes = 10

        def place(self) -> "Nothing":
            return self

        def close(self) -> None:
            pass

    on = {name: Voices(lambda *_: Nothing(), 0, name=name) for name in "abc"}
    spread: Spread[Any] = Spread(on)
    for actor in ("one", "two", "three", "four"):
        spread.declare(actor, 10)
    with pytest.raises(NotReady, match="every device"):
        spread.lease("one", 0.01)
    spread.came_up("a", 10, 0)
    spread.came_up("b", 20, 0)
    held = [spread.lease("one", 5), spread.lease("one", 5)]
    assert on["a"].leases() == {"one": 2}
    held += [spread.lease(actor, 5) for actor in ("two", "three")]
    assert on["b"].leases() == {"two": 1, "three": 1}
    assert not spread.fits("four")
    spread.went_down("b")
    assert spread.states()["two"].name == "idle"
    spread.came_up("c", 10, 0)
    held.append(spread.lease("two", 5))
    assert (on["c"].leases(), spread.held_bytes) == ({"two": 1}, 20)
    for lease in held:
        lease.release()
    spread.close()
    assert spread.held_bytes == 0


def test_a_device_is_named_once() -> None:
    assert Settings.read({}, device="cuda:0,cuda:1").devices == ("cuda:0", "cuda:1")
    for wrong in ("cpu:0,cpu:0", "cpu,cuda", "cuda:0,"):
        with pytest.raises(BadSetting, match="VOICESVC_DEVICE"):
            Settings.read({}, device=wrong)
