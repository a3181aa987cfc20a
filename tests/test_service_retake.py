"""Takes made again to the sample, and with one thing changed."""

import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from conftest import Service, archived, eventually, served, tone_studio, write_pack

from voicesvc import provenance
from voicesvc.audio import Pcm
from voicesvc.config import Settings
from voicesvc.store import takes as rows
from voicesvc.studio import Studio

TEXT = "The harbour was quiet, before the storm came. Nobody knew."


def running(folder: Path) -> Any:
    """A service on a folder with packs, again and again."""
    tones: dict[str, Any] = {}
    studio = tone_studio(folder / "models", tones, {})
    studio.archive = archived(folder / "data")
    return served(studio, tones=tones)


def spoken(service: Service, **fields: Any) -> Any:
    answer = service.speak(TEXT, **{"seed": 3} | fields)
    return take_of(service, answer.headers["Voicesvc-Take"])


def take_of(service: Service, id: str) -> Any:
    return service.http.get(f"/v1/takes/{id}").json()


def samples(service: Service, take: Any) -> Pcm:
    """As they are kept."""
    query = {"format": "pcm_f32le"}
    content = service.http.get(f"/v1/takes/{take['id']}/audio", params=query).content
    return np.frombuffer(content, np.float32)


def words(service: Service, take: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.http.get(f"/v1/takes/{take['id']}/timings").json()[
        "words"
    ]
    return found


def render(service: Service, take: Any, **fields: Any) -> httpx.Response:
    return service.http.post(f"/v1/takes/{take['id']}/render", json=fields)


def retaken(service: Service, take: Any, **asked: Any) -> Any:
    answer = service.http.post(f"/v1/takes/{take['id']}/retake", json=asked)
    assert answer.status_code == 202, answer.text
    (new,) = answer.json()["takes"]
    assert eventually(lambda: take_of(service, new["id"])["state"] not in ("queued", "open"), 30)
    made = take_of(service, new["id"])
    assert made["state"] == "complete", made["reason"]
    return made


def kept(service: Service, old: Any, new: Any, changed: set[int]) -> list[bool]:
    """For each word of the old take that is not changed, whether it has its samples in the new."""
    before, after = samples(service, old), samples(service, new)
    rate_hz = old["sample_rate_hz"]
    answers = []
    for i, (was, is_) in enumerate(zip(words(service, old), words(service, new), strict=True)):
        if i not in changed:
            n = round((was["end_s"] - was["start_s"]) * rate_hz)
            a, b = round(was["start_s"] * rate_hz), round(is_["start_s"] * rate_hz)
            answers.append(bool(np.array_equal(before[a : a + n], after[b : b + n])))
    return answers


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("tone")
    write_pack(folder / "models", "ann")
    tones: dict[str, Any] = {}
    with served(tone_studio(folder / "models", tones, {}), tones=tones) as service:
        yield service


def test_render_has_the_samples_at_any_rate_and_depth(tone: Service) -> None:
    take = spoken(tone)
    planned = tone.tone.planned
    answer = render(tone, take, sample_rate_hz=96000, bit_depth=24)
    pcm, rate_hz = soundfile.read(io.BytesIO(answer.content))
    assert (rate_hz, len(pcm)) == (96000, round(take["samples"] * 96000 / 22050))
    assert answer.headers["Voicesvc-Take"] == take["id"]
    assert "Voicesvc-Drift" not in answer.headers
    assert tone.tone.planned == planned


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"emotion": "happy", "room_tone": True, "breaths": "auto"},
        {"fit": {"seconds": 5.25}},
        {"format": "flac", "sample_rate_hz": 48000},
    ],
)
def test_model_makes_the_same_samples_again(tone: Service, fields: dict[str, Any]) -> None:
    take = spoken(tone, **fields)
    planned = tone.tone.planned
    answer = render(tone, take, source="model", format="pcm_f32le")
    assert tone.tone.planned > planned
    assert np.array_equal(np.frombuffer(answer.content, np.float32), samples(tone, take))
    assert answer.headers["Voicesvc-Take"] == take["id"]


def test_lost_audio_is_made_again(tone: Service) -> None:
    take = spoken(tone, seed=11)
    before = samples(tone, take)
    archive = tone.studio.archive
    assert archive is not None
    archive.blobs.delete(take["pcm_sha256"])
    lost = tone.http.get(f"/v1/takes/{take['id']}/audio")
    assert (lost.status_code, lost.json()["type"]) == (503, "/problems/store-failed")
    again = render(tone, take, format="pcm_f32le").content
    assert np.array_equal(np.frombuffer(again, np.float32), before)
    assert np.array_equal(samples(tone, take), before)  # it was put back
    planned = tone.tone.planned
    assert render(tone, take, source="stored").status_code == 200
    assert tone.tone.planned == planned


def test_lost_audio_is_not_there_as_it_is_stored(tone: Service) -> None:
    take = spoken(tone, seed=14)
    archive = tone.studio.archive
    assert archive is not None
    archive.blobs.delete(take["pcm_sha256"])
    assert render(tone, take, source="stored").status_code == 503


def test_damaged_audio_is_said_and_made_again(tone: Service) -> None:
    take = take_of(tone, tone.speak("Hold.", seed=15).headers["Voicesvc-Take"])
    before = samples(tone, take)
    archive = tone.studio.archive
    assert archive is not None
    assert archive.folder is not None
    (file,) = archive.folder.rglob(take["pcm_sha256"])
    for damaged in (file.read_bytes()[:-4], b"\1" + file.read_bytes()[1:]):
        file.write_bytes(damaged)
        for refused in (
            tone.http.get(f"/v1/takes/{take['id']}/audio"),
            render(tone, take, source="stored"),
        ):
            assert (refused.status_code, refused.json()["type"]) == (500, "/problems/blob-damaged")
            assert take["id"] in refused.json()["detail"]
        again = render(tone, take, format="pcm_f32le")
        assert again.headers["Voicesvc-Take"] == take["id"]
        assert np.array_equal(np.frombuffer(again.content, np.float32), before)
        assert np.array_equal(samples(tone, take), before)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == take["pcm_sha256"]


def test_other_code_is_refused_or_becomes_a_take_of_its_own(tone: Service) -> None:
    take = spoken(tone, seed=12)
    archive = tone.studio.archive
    assert archive is not None
    by = archive.by()
    # as if it had been made by an older release, which spoke otherwise
    changed = {"code": {**take["code"], "torch": "1.0"}}
    closing = rows.Ending(
        "complete",
        changed,
        pcm_sha256=hashlib.sha256(b"").hexdigest(),
        plan_sha256=take["plan_sha256"],
        sample_rate_hz=take["sample_rate_hz"],
        samples=take["samples"],
    )
    archive.database.write(lambda c: rows.close(c, take["id"], closing, by))
    refused = render(tone, take, source="model")
    assert refused.status_code == 409
    assert refused.json()["valid"] == ["code.torch"]
    allowed = render(tone, take, source="model", allow_drift=True, format="pcm_f32le")
    assert allowed.headers["Voicesvc-Drift"] == "code.torch"
    new = take_of(tone, allowed.headers["Voicesvc-Take"])
    assert (new["made_by"], new["parent"], new["drifted"]) == ("drift", take["id"], ["code.torch"])
    assert hashlib.sha256(allowed.content).hexdigest() == new["pcm_sha256"]
    assert new["code"] == provenance.code()
    body = {"source": "model", "allow_drift": True, "format": "pcm_f32le"}
    path, key = f"/v1/takes/{take['id']}/render", {"Idempotency-Key": "once"}
    first, again = (tone.http.post(path, json=body, headers=key) for _ in range(2))
    assert first.headers["Voicesvc-Take"] == again.headers["Voicesvc-Take"] != new["id"]
    assert (first.content, again.headers["Voicesvc-Drift"]) == (again.content, "code.torch")


def test_other_weights_are_refused_and_the_kept_samples_are_not(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")

    with running(tmp_path) as service:
        take = spoken(service)
        before = samples(service, take)
    manifest = tmp_path / "models" / "ann" / "pack.toml"
    old = take["model_sha256"]
    manifest.write_text(manifest.read_text("utf-8").replace(old, "a" * 64), "utf-8")
    with running(tmp_path) as service:
        assert service.studio.cast.pack("ann").model_sha256 != old
        answer = render(service, take, format="pcm_f32le")
        assert np.array_equal(np.frombuffer(answer.content, np.float32), before)
        assert answer.headers["Voicesvc-Drift"] == "model_sha256"
        assert render(service, take, source="model").json()["valid"] == ["model_sha256"]
        drifted = render(service, take, source="model", allow_drift=True)
        assert drifted.status_code == 200
        asked = {"edits": [{"word": 0, "pitch_st": 1.0}]}
        refused = service.http.post(f"/v1/takes/{take['id']}/retake", json=asked)
        assert (refused.status_code, refused.json()["valid"]) == (409, ["model_sha256"])


def test_take_that_was_not_made_cannot_be_rendered(tone: Service) -> None:
    with tone.http.stream("POST", "/v1/speech", json={"actor": "ann", "text": TEXT * 200}) as left:
        id = left.headers["Voicesvc-Take"]
    assert eventually(lambda: take_of(tone, id)["state"] == "cancelled")
    for asked in ({}, {"source": "model"}):
        assert render(tone, {"id": id}, **asked).json()["type"] == "/problems/not-made"


# -- one thing changed ---------------------------------------------------------------------------

EDITS: list[tuple[dict[str, Any], set[int]]] = [
    ({"word": 1, "say": "lighthouse"}, {1}),
    ({"word": 2, "ipa": "wˈɒz"}, {2}),
    ({"word": 1, "pitch_st": 3.0, "energy_db": 3.0}, {1}),
    ({"words": [4, 6], "emotion": "sad"}, {4, 5, 6}),
    ({"word": 3, "pause_ms": 700.0}, set()),
    ({"word": 7, "pause_ms": 900.0}, set()),
    ({"word": 0, "rate": 0.5}, {0}),
    ({"word": 9, "emphasis": "strong", "rate": 0.8}, {9}),
]


@pytest.mark.parametrize(("edit", "changed"), EDITS)
def test_everything_outside_an_edit_keeps_its_samples(
    joe_server: Service, edit: dict[str, Any], changed: set[int]
) -> None:
    take = spoken(joe_server)
    new = retaken(joe_server, take, edits=[edit])
    assert (new["made_by"], new["parent"], new["edits"]) == ("retake", take["id"], [edit])
    assert new["pcm_sha256"] != take["pcm_sha256"]
    assert kept(joe_server, take, new, changed) == [True] * (10 - len(changed))
    assert new["samples"] == len(samples(joe_server, new))
    timed = words(joe_server, new)
    assert all(a["end_s"] <= b["start_s"] for a, b in itertools.pairwise(timed))
    assert timed[-1]["end_s"] <= new["duration_s"]


def test_retake_is_made_again_to_the_sample(joe_server: Service) -> None:
    take = spoken(joe_server)
    first = retaken(joe_server, take, edits=[{"word": 1, "say": "lighthouse"}])
    second = retaken(joe_server, first, edits=[{"word": 3, "pitch_st": -2.0}])
    assert kept(joe_server, first, second, {3}) == [True] * 9
    for made in (first, second):
        answer = render(joe_server, made, source="model", format="pcm_f32le")
        assert np.array_equal(np.frombuffer(answer.content, np.float32), samples(joe_server, made))


def test_pause_is_as_long_as_it_is_asked_to_be(joe_server: Service) -> None:
    """The silence that is heard: the stop at the end of "quiet" is not released, and counts."""
    take = spoken(joe_server)
    new = retaken(joe_server, take, edits=[{"word": 3, "pause_ms": 700.0}])
    pcm, timed = samples(joe_server, new), words(joe_server, new)
    power = np.mean(np.square(pcm[: len(pcm) // 22 * 22]).reshape(-1, 22), axis=1)
    loud = np.flatnonzero(power > power.max() * 1e-4) * 22 / 22050
    border_s = timed[4]["start_s"] - 0.1
    silent_s = loud[loud > border_s].min() - loud[loud < border_s].max()
    assert silent_s == pytest.approx(0.7, abs=0.01)
    closure_s = timed[3]["end_s"] - loud[loud < border_s].max()
    assert closure_s > 0.1
    assert timed[4]["start_s"] - timed[3]["end_s"] < 0.6


def test_edited_plan_is_taken_as_it_is(joe_server: Service) -> None:
    take = spoken(joe_server)
    plan = joe_server.http.get(f"/v1/takes/{take['id']}/plan").json()
    word = plan["sentences"][0]["words"][1]
    for phoneme in word["phonemes"]:
        phoneme["duration_ms"] *= 1.5
    new = retaken(joe_server, take, plan=plan)
    assert kept(joe_server, take, new, {1}) == [True] * 9
    said = joe_server.http.get(f"/v1/takes/{new['id']}/plan").json()
    assert said["sentences"] == plan["sentences"]
    was, is_ = words(joe_server, take)[1], words(joe_server, new)[1]
    assert (is_["end_s"] - is_["start_s"]) > 1.3 * (was["end_s"] - was["start_s"])


def test_word_that_is_taken_out_leaves_the_others(joe_server: Service) -> None:
    take = spoken(joe_server)
    plan = joe_server.http.get(f"/v1/takes/{take['id']}/plan").json()
    del plan["sentences"][0]["words"][2]
    new = retaken(joe_server, take, plan=plan)
    said = [w["text"] for w in words(joe_server, new)]
    assert said == [w["text"] for i, w in enumerate(words(joe_server, take)) if i != 2]
    before, after = samples(joe_server, take), samples(joe_server, new)
    last = words(joe_server, take)[3]
    rate_hz = take["sample_rate_hz"]
    tail = len(before) - round(last["end_s"] * rate_hz)
    assert np.array_equal(before[-tail:], after[-tail:])


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({}, "edits"),
        ({"edits": [{"pitch_st": 1.0}]}, "edits.0"),
        ({"edits": [{"word": 0, "words": [0, 1], "pitch_st": 1.0}]}, "edits.0"),
        ({"edits": [{"word": 10, "pitch_st": 1.0}]}, "edits.0.words"),
        ({"edits": [{"words": [3, 2], "pitch_st": 1.0}]}, "edits.0.words"),
        ({"edits": [{"word": 1}]}, "edits.0"),
        ({"edits": [{"word": 1, "sing": True}]}, "edits.0.sing"),
        ({"edits": [{"word": 9, "breath": True}]}, "edits.0.breath"),
        ({"edits": [{"word": 1, "say": "a"}, {"words": [0, 1], "say": "b"}]}, "edits.1"),
        ({"edits": [{"word": 1, "say": "\N{COLLISION SYMBOL}"}]}, "edits.say"),
        ({"edits": [{"word": 1, "ipa": "QQQ"}]}, "text, characters 0 to 1, phoneme character 0"),
    ],
)
def test_edit_that_means_nothing_is_refused(tone: Service, asked: Any, where: str) -> None:
    take = spoken(tone)
    answer = tone.http.post(f"/v1/takes/{take['id']}/retake", json=asked)
    assert (answer.status_code, answer.json()["where"]) == (422, where)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ({"word": 1, "say": "…"}, "spoken"),
        ({"word": 1, "say": "a [pause 2s] b"}, "pauses"),
        ({"word": 1, "say": "*loud*"}, "styles"),
        ({"word": 9, "breath": True}, "breath"),
    ],
)
def test_retake_that_cannot_be_said_is_refused_at_once_and_says_why(
    tone: Service, edit: Any, why: str
) -> None:
    take = spoken(tone)
    answer = tone.http.post(f"/v1/takes/{take['id']}/retake", json={"edits": [edit]})
    assert answer.status_code == 422
    assert why in answer.json()["detail"]
    assert tone.http.get("/v1/takes", params={"parent": take["id"]}).json()["items"] == []


def test_breath_after_a_sentence_is_before_the_next(joe_server: Service) -> None:
    take = spoken(joe_server)
    new = retaken(joe_server, take, edits=[{"word": 7, "breath": True}])
    _, second = joe_server.http.get(f"/v1/takes/{new['id']}/plan").json()["sentences"]
    assert second["breath"]
    assert new["duration_s"] == pytest.approx(take["duration_s"] + 0.45, abs=0.02)
    assert kept(joe_server, take, new, set()) == [True] * 10
    back = retaken(joe_server, new, edits=[{"word": 7, "breath": False}])
    assert back["duration_s"] == pytest.approx(take["duration_s"], abs=0.02)


AGAIN = """
    import hashlib, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from conftest import archived
    from voicesvc import remake
    from voicesvc.config import Settings
    from voicesvc.studio import Studio
    archive = archived(Path({folder!r}))
    read = {{"check_words": "off", "load_wait_s": 600}}
    settings = Settings.read({{}}, actors=("joe",), device="cpu", **read)
    studio = Studio(settings, archive=archive)
    for id in {takes!r}:
        made = remake.by_model(studio, archive.take(id), allow_drift=False, who=None)
        print(hashlib.sha256(made.pcm.tobytes()).hexdigest())
    studio.close()
    archive.close()
"""


def test_another_process_makes_the_same_samples(tmp_path: Path) -> None:
    """The real voice, marked: text with emotion, and a retake, in a new one with other threads."""
    studio = Studio(
        Settings.read({}, check_words="off", actors=("joe",), device="cpu"),
        archive=archived(tmp_path),
    )
    with served(studio) as service:
        take = spoken(service, emotion="tender", breaths="auto")
        new = retaken(service, take, edits=[{"word": 1, "say": "lighthouse"}])
    tests, ids = str(Path(__file__).parent), [take["id"], new["id"]]
    code = AGAIN.format(tests=tests, folder=str(tmp_path), takes=ids)
    threads = {f"{name}_NUM_THREADS": "3" for name in ("OMP", "MKL", "OPENBLAS")}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    run = subprocess.run(
        command, env=os.environ | threads, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [take["pcm_sha256"], new["pcm_sha256"]]


def test_edits_are_kept_as_they_were_sent(tone: Service) -> None:
    take = spoken(tone)
    edit = {"words": [0, 2], "emotion": {"name": "sad", "intensity": 0.5}}
    new = retaken(tone, take, edits=[edit])
    assert new["edits"] == [edit]
    assert json.loads(json.dumps(new["asked"])) == take["asked"]


def test_take_of_an_actor_who_is_gone_is_heard(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    write_pack(tmp_path / "models", "eve")

    with running(tmp_path) as service:
        take = spoken(service)
        before = samples(service, take)
    shutil.rmtree(tmp_path / "models" / "ann")
    with running(tmp_path) as service:
        answer = render(service, take, format="pcm_f32le")
        assert np.array_equal(np.frombuffer(answer.content, np.float32), before)
        assert answer.headers["Voicesvc-Drift"] == "model_sha256"
        assert render(service, take, source="model").status_code == 404


def test_take_that_cannot_be_kept_is_not_spoken(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    tones: dict[str, Any] = {}
    with served(tone_studio(tmp_path / "models", tones, {}), tones=tones) as service:
        archive = service.studio.archive
        assert archive is not None
        archive.database.write(lambda c: c.exec_driver_sql("ALTER TABLE takes RENAME TO gone"))
        answer = service.speak(TEXT)
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/store-failed"
        assert eventually(service.idle)
        archive.database.write(lambda c: c.exec_driver_sql("ALTER TABLE gone RENAME TO takes"))
        assert service.speak(TEXT).status_code == 200
