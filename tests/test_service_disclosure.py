"""What a grant wants said first is said, and the take behind it is as it was."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import grants
import numpy as np
import pytest
from conftest import NO_DEMONSTRATION, Service, eventually, served, tone_studio, write_pack
from wavinfo import WavInfoReader

from voicesvc import archive as archives
from voicesvc.audio import Pcm
from voicesvc.disclosure import GAP_S
from voicesvc.rights import NotLicensed, Permit, Standing, Use, check

TEXT, NOTICE = "We hold the harbour until morning.", "This voice was made by a computer."
RATE_HZ = 48_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`ben`, whose grant wants a notice in the neutral voice, `ann`, on the radio."""
    folder = tmp_path_factory.mktemp("disclosed")
    write_pack(folder / "models", "ann")
    write_pack(folder / "models", "ben", NO_DEMONSTRATION)
    tones: dict[str, Any] = {}
    studio = tone_studio(folder / "models", tones, {}, neutral_actor="ann")
    studio.archive = archives.open_in(studio.settings, "in_test")
    spoken = {"text": NOTICE, "media": ["radio"], "voice": "neutral"}
    with served(studio, tones=tones, granted=False) as running:
        grants.give(studio, spoken_disclosure=spoken)
        yield running


def take_of(service: Service, medium: str | None) -> str:
    headers = {} if medium is None else {"Voicesvc-Use": f"medium={medium}"}
    body = {"actor": "ben", "text": TEXT, "seed": 3, "format": "pcm_f32le"}
    answer = service.http.post("/v1/speech", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    id = answer.headers["Voicesvc-Take"]
    assert eventually(lambda: service.http.get(f"/v1/takes/{id}").json()["state"] == "complete")
    return str(id)


def rendered(service: Service, id: str, **asked: Any) -> tuple[Pcm, str | None]:
    body = {"format": "pcm_f32le", "sample_rate_hz": RATE_HZ, **asked}
    answer = service.http.post(f"/v1/takes/{id}/render", json=body)
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, np.float32), answer.headers.get("Voicesvc-Disclosure")


@pytest.mark.parametrize("source", ["stored", "model"])
def test_the_notice_comes_first_and_the_take_is_as_it_was(service: Service, source: str) -> None:
    plain, untold = rendered(service, take_of(service, "series"), source=source)
    said, told = rendered(service, take_of(service, "radio"), source=source)
    assert untold is None
    assert told is not None
    lead = len(said) - len(plain)
    assert np.array_equal(said[lead:], plain)
    assert told == f"{lead / RATE_HZ:.6f} s; gap={GAP_S} s; voice=ann"
    gap = round(GAP_S * RATE_HZ)
    assert not said[lead - gap : lead].any()
    query = {"actor": "ann", "text": NOTICE, "seed": 0, "format": "pcm_f32le"}
    notice = service.http.post("/v1/speech", json=query | {"sample_rate_hz": RATE_HZ}).content
    assert np.array_equal(said[: lead - gap], np.frombuffer(notice, np.float32))


def test_a_medium_that_nobody_stated_may_be_any(service: Service) -> None:
    _, told = rendered(service, take_of(service, None))
    assert told is not None


def test_an_audition_has_no_notice(service: Service) -> None:
    query = {"format": "pcm_f32le", "sample_rate_hz": RATE_HZ}
    id = take_of(service, "radio")
    heard = service.http.get(f"/v1/takes/{id}/audio", params=query).content
    plain, _ = rendered(service, take_of(service, "series"))
    assert np.array_equal(np.frombuffer(heard, np.float32), plain)


def test_an_export_says_it_and_keeps_its_place(service: Service) -> None:
    service.http.post("/v1/productions", json={"title": "Demo", "fps": "25"})
    line = {"production": "demo", "actor": "ben", "text": TEXT, "timecode_in": "10:00:00:00"}
    id = service.http.post("/v1/lines", json=line).json()["id"]
    for medium in ("radio", "series"):
        headers = {"Voicesvc-Use": f"medium={medium}"}
        body = {"count": 1, "seed": 3}
        answer = service.http.post(f"/v1/lines/{id}/takes", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
    waiting = lambda: service.http.get(f"/v1/lines/{id}").json()["takes"]["waiting"]  # noqa: E731
    assert eventually(lambda: not waiting(), 30)
    answer = service.http.get("/v1/productions/demo/export", params={"takes": "all"})
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    files = json.loads(packed.read("manifest.json"))["files"]
    leads = sorted(f["disclosure_samples"] for f in files)
    assert leads[0] == 0 < leads[1]
    for file in files:
        told = WavInfoReader(io.BytesIO(packed.read(file["file"])))
        begins = told.bext.time_reference + file["disclosure_samples"]
        assert begins == 10 * 3600 * RATE_HZ
    lengths = {f["disclosure_samples"]: f["samples"] for f in files}
    assert lengths[leads[1]] - lengths[0] == leads[1]


def test_a_notice_needs_no_approval_and_no_script() -> None:
    spoken = {"text": NOTICE}
    bound = grants.verified(
        spoken_disclosure=spoken,
        use__new_dialogue=False,
        use__script_sha256="d" * 64,
        approvals={"kind": "line", "approver": grants.keys.kid(grants.UNION)},
    )

    def asked(text: str, certain: bool = True) -> Permit | NotLicensed:
        use = Use(
            "ann",
            grants.MODEL,
            "harbour",
            "en-us",
            text,
            medium="feature",
            episode="reel 1",
            character="Joe",
            territory="US",
            certain=certain,
        )
        return check(use, [bound], Standing(grants.NOW_MS), grants.NOW_MS)

    assert isinstance(asked(NOTICE), Permit)
    assert isinstance(asked(NOTICE, certain=False), NotLicensed)
    assert isinstance(asked("Something else."), NotLicensed)
