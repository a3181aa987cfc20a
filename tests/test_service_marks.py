"""Marked speech over HTTP: in every format, once, the same again, and told of."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from certificates import NOW, issued
from conftest import Service, eventually, served
from typer.testing import CliRunner

from voicesvc.audio import Pcm
from voicesvc.cli import app
from voicesvc.config import Settings
from voicesvc.credentials import Facts, Signing
from voicesvc.credentials.identity import identity
from voicesvc.line import Line
from voicesvc.marks import detector
from voicesvc.marks.watermark import Watermark
from voicesvc.studio import Studio

TEXT = "The harbour was quiet when she came home. Nobody had asked her where she had been."
RATE_HZ = 22_050


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    studio = Studio(Settings.read({}, actors=("joe",), device="cpu", check_words="off"))
    with served(studio) as running:
        yield running


@pytest.fixture(scope="module")
def take(service: Service) -> Any:
    return kept(service, service.speak(TEXT, actor="joe", seed=3, format="pcm_f32le"))


def kept(service: Service, answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    path = f"/v1/takes/{answer.headers['Voicesvc-Take']}"
    assert eventually(lambda: service.http.get(path).json()["state"] != "open")
    return service.http.get(path).json()


def samples(service: Service, take: Any) -> Pcm:
    answer = service.http.get(f"/v1/takes/{take['id']}/audio", params={"format": "pcm_f32le"})
    return np.frombuffer(answer.content, np.float32)


def unmarked(studio: Studio) -> Pcm:
    reader = studio.open(Line(actor="joe", text=TEXT, format="pcm_f32le", seed=3), origin=None)
    return np.frombuffer(b"".join(reader.chunks()), np.float32)


@pytest.mark.parametrize(
    ("format", "rate_hz"),
    [("wav", 48_000), ("flac", 44_100), ("mp3", 24_000), ("opus", 48_000), ("wav", 8000)],
)
def test_every_format_is_marked(service: Service, format: str, rate_hz: int) -> None:
    answer = service.speak(TEXT, actor="joe", seed=4, format=format, sample_rate_hz=rate_hz)
    asked = ["-f", "f32le", "-ar", str(rate_hz), "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", *asked]
    decoded = subprocess.run(command, input=answer.content, capture_output=True, check=True).stdout
    pcm = np.frombuffer(decoded, np.float32)
    assert detector.find(pcm, rate_hz).verdict == "marked"


def test_each_sentence_is_marked_once(service: Service, take: Any, joe_studio: Studio) -> None:
    plain, out = unmarked(joe_studio), samples(service, take)
    assert detector.find(plain, RATE_HZ).verdict == "not marked"
    mark = Watermark(RATE_HZ, 256)
    first = round(1.5 * RATE_HZ)  # of the first sentence, less what the mark looks ahead
    assert np.array_equal(out[:first], mark.feed(plain)[:first])
    assert len(out) == len(plain)
    assert take["watermark"] == "perth"


@pytest.mark.parametrize(
    "edit",
    [{"duration_ms": 150.0}, {"pause_ms": 333.0}, {"pitch_st": 3.0}, {"energy_db": -4.0}],
    ids=lambda edit: next(iter(edit)),
)
def test_what_an_edit_moves_takes_its_mark_with_it(
    service: Service, edit: dict[str, float]
) -> None:
    asked = {"actor": "joe", "text": TEXT, "seed": 3}
    plan = service.http.post("/v1/plans", json=asked).json()["plan"]
    before = spoken(service, **asked)
    word = plan["sentences"][0]["words"][1]
    for one in (word,) if "pause_ms" in edit else word["phonemes"]:
        one.update(edit)
    after = spoken(service, plan=plan)
    rest = before[round(1.5 * RATE_HZ) :]  # from 0.75 s behind the word on
    assert np.abs(after[-len(rest) :] - rest).max() < 1e-5
    assert not np.array_equal(after[: len(before)], before)
    assert detector.find(after, RATE_HZ).verdict == "marked"


def spoken(service: Service, **asked: Any) -> Pcm:
    answer = service.http.post("/v1/speech", json={**asked, "format": "pcm_f32le"})
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, np.float32)


def test_the_model_makes_the_marked_samples_again(service: Service, take: Any) -> None:
    body = {"source": "model", "format": "pcm_f32le"}
    again = service.http.post(f"/v1/takes/{take['id']}/render", json=body)
    assert again.status_code == 200, again.text
    assert "Voicesvc-Drift" not in again.headers
    assert np.array_equal(np.frombuffer(again.content, np.float32), samples(service, take))


def test_a_retake_is_marked_and_keeps_its_samples(service: Service, take: Any) -> None:
    asked = {"edits": [{"word": 1, "say": "lighthouse"}]}
    answer = service.http.post(f"/v1/takes/{take['id']}/retake", json=asked)
    path = f"/v1/takes/{answer.json()['takes'][0]['id']}"
    assert eventually(lambda: service.http.get(path).json()["state"] == "complete", 20)
    new = service.http.get(path).json()
    pcm, old = samples(service, new), samples(service, take)
    n = round(2.0 * RATE_HZ)
    assert np.array_equal(pcm[-n:], old[-n:])
    assert len(pcm) != len(old)
    assert detector.find(pcm, RATE_HZ).verdict == "marked"
    assert new["watermark"] == "perth"


def test_a_service_that_marks_otherwise_says_so(service: Service, take: Any) -> None:
    studio = service.studio
    studio.mark = None
    try:
        asked = {"source": "model", "format": "pcm_f32le"}
        refused = service.http.post(f"/v1/takes/{take['id']}/render", json=asked)
        assert (refused.status_code, refused.json()["valid"]) == (409, ["watermark"])
        stored = service.http.post(f"/v1/takes/{take['id']}/render", json={"format": "pcm_f32le"})
        assert stored.headers["Voicesvc-Drift"] == "watermark"
        assert np.array_equal(np.frombuffer(stored.content, np.float32), samples(service, take))
    finally:
        studio.mark = "perth"


def test_the_command_tells_marked_from_not(service: Service, joe_pcm: Pcm, tmp_path: Path) -> None:
    ours, other = tmp_path / "ours.wav", tmp_path / "other.wav"
    ours.write_bytes(service.speak(TEXT, actor="joe", seed=5).content)
    soundfile.write(other, joe_pcm, RATE_HZ)
    told = CliRunner().invoke(app, ["verify", str(ours)])
    assert (told.exit_code, json.loads(told.stdout)["verdict"]) == (0, "marked")
    told = CliRunner().invoke(app, ["verify", str(other)])
    assert (told.exit_code, json.loads(told.stdout)["verdict"]) == (3, "not marked")
    other.write_text("no audio")
    told = CliRunner().invoke(app, ["verify", str(other)])
    assert told.exit_code == 1


def test_the_command_reads_credentials(joe_pcm: Pcm, tmp_path: Path) -> None:
    one, signed = issued(), tmp_path / "signed.wav"
    plain = tmp_path / "plain.wav"
    soundfile.write(plain, joe_pcm, RATE_HZ)
    facts = Facts(take="tk_1", grant="0" * 32, model_sha256="0" * 64, version="1", watermark=False)
    with plain.open("rb") as source, signed.open("w+b") as target:
        Signing(identity(one.chain, one.key, NOW)).embed(source, target, "audio/wav", facts)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(one.root)
    asked = ["verify", "--no-speeds", str(signed)]
    assert credentials_told(asked)["state"] == "valid"
    assert credentials_told([*asked, "--trust", str(roots)])["state"] == "trusted"
    assert credentials_told(["verify", "--no-speeds", str(plain)])["state"] == "none"
    for option in ("--trust", "--sidecar"):
        told = CliRunner().invoke(app, [*asked, option, str(tmp_path / "none")])
        assert told.exit_code == 1
        assert "cannot read" in told.stderr


def test_the_command_reads_credentials_beside_a_file(joe_pcm: Pcm, tmp_path: Path) -> None:
    one, plain = issued(), tmp_path / "plain.ogg"
    soundfile.write(plain, joe_pcm, RATE_HZ)
    facts = Facts(take="tk_1", grant="0" * 32, model_sha256="0" * 64, version="1", watermark=False)
    with plain.open("rb") as source:
        manifest = Signing(identity(one.chain, one.key, NOW)).beside(source, facts)
    elsewhere = tmp_path / "elsewhere.c2pa"
    elsewhere.write_bytes(manifest)
    asked = ["verify", "--no-speeds", str(plain)]
    assert credentials_told(asked)["state"] == "none"
    assert credentials_told([*asked, "--sidecar", str(elsewhere)])["state"] == "valid"
    (tmp_path / "plain.ogg.c2pa").write_bytes(manifest)
    assert credentials_told(asked)["state"] == "valid"
    (tmp_path / "plain.ogg.c2pa").write_bytes(manifest[: len(manifest) // 2])
    assert credentials_told(asked)["state"] == "unreadable"


def credentials_told(asked: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(CliRunner().invoke(app, asked).stdout)["credentials"]
    return told
