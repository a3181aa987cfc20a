"""Productions, lines and takes through the front door."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import grants
import httpx
import numpy as np
import pytest
import soundfile
from conftest import Service, archived, eventually, served, tone_studio, tones_served, write_pack
from wavinfo import WavInfoReader

from voicesvc.api.productions import Fps
from voicesvc.errors import BadSetting
from voicesvc.jobs import Measurer
from voicesvc.store import takes as rows
from voicesvc.store.takes import Ending, NewTake
from voicesvc.timecode import RATES, samples_of

ANN = grants.demo_permit("ann")
TEXT = "Hold the line."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("takes")) as running:
        yield running


@pytest.fixture(scope="module")
def production(service: Service) -> str:
    return str(made(service, "/v1/productions", title="The Harbour", fps="25")["id"])


@pytest.fixture
def line(service: Service, production: str) -> Any:
    return made(service, "/v1/lines", production=production, actor="ann", text=TEXT, cue="7")


def made(service: Service, path: str, **fields: Any) -> Any:
    answer = service.http.post(path, json=fields)
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


def get(service: Service, path: str, **query: Any) -> Any:
    answer = service.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def spoken(service: Service, **fields: Any) -> Any:
    """A take that was just spoken, and its audio."""
    answer = service.speak(**fields)
    return get(service, f"/v1/takes/{answer.headers['Voicesvc-Take']}"), answer.content


def take_five(service: Service, line: Any, **fields: Any) -> list[Any]:
    """Takes of a line, once they are made."""
    asked = made(service, f"/v1/lines/{line['id']}/takes", **{"count": 5} | fields)["takes"]
    assert {t["state"] for t in asked} == {"queued"}

    def waiting() -> int:
        return int(get(service, f"/v1/lines/{line['id']}")["takes"]["waiting"])

    assert eventually(lambda: not waiting(), 30)
    return [get(service, f"/v1/takes/{t['id']}") for t in asked]


def patch(service: Service, take: Any, **fields: Any) -> httpx.Response:
    tag = {"If-Match": f'"{take["version"]}"'}
    return service.http.patch(f"/v1/takes/{take['id']}", json=fields, headers=tag)


def test_line_that_is_spoken_becomes_a_take(service: Service) -> None:
    take, _ = spoken(service, seed=7, emotion="sad")
    assert (take["state"], take["made_by"], take["seed"]) == ("complete", "speech", 7)
    assert take["asked"] == {"actor": "ann", "seed": 7, "emotion": "sad"}
    assert take["code"]["voicesvc"]
    assert take["device"] == "any"
    assert take["samples"] == round(take["duration_s"] * take["sample_rate_hz"])
    assert get(service, "/v1/takes", limit=1)["items"] == [take]


@pytest.mark.parametrize(
    "form",
    [
        {"format": "wav", "sample_rate_hz": 48000, "bit_depth": 24},
        {"format": "flac", "sample_rate_hz": 44100},
        {"format": "opus"},
        {"format": "mp3"},
        {"format": "pcm_f32le", "sample_rate_hz": 96000},
        {"format": "wav", "fit": {"seconds": 3.0}, "sample_rate_hz": 44100},
    ],
)
def test_take_is_heard_again_as_it_was(service: Service, form: dict[str, Any]) -> None:
    take, audio = spoken(service, **form)
    planned = service.tone.planned
    asked = {k: v for k, v in form.items() if k != "fit"}
    again = service.http.get(f"/v1/takes/{take['id']}/audio", params=asked)
    assert again.content == audio
    assert service.tone.planned == planned  # no model
    tag = {"If-None-Match": again.headers["ETag"]}
    path = f"/v1/takes/{take['id']}/audio"
    assert service.http.get(path, params=asked, headers=tag).status_code == 304


def test_take_is_heard_again_at_another_rate_and_depth(service: Service) -> None:
    take, audio = spoken(service, format="pcm_f32le")
    other = service.http.get(
        f"/v1/takes/{take['id']}/audio", params={"format": "pcm_f32le", "sample_rate_hz": 48000}
    ).content
    assert len(other) // 4 == round(len(audio) // 4 * 48000 / 22050)
    assert np.abs(np.frombuffer(other, np.float32)).max() > 0.1


def test_take_says_which_lexicons_it_was_read_with(service: Service) -> None:
    entries = {"entries": [{"grapheme": "line", "sounds_like": "LYNE"}]}
    told = service.http.put("/v1/lexicons/film", json=entries).json()
    take, _ = spoken(service, lexicons=["film"])
    assert {"name": "film", "sha256": told["sha256"]} in take["lexicons"]
    assert spoken(service)[0]["lexicons"] == []


def test_every_take_has_every_member(service: Service, line: Any) -> None:
    (made,) = take_five(service, line, count=1)
    (waiting,) = service.http.post(f"/v1/lines/{line['id']}/takes", json={}).json()["takes"]
    one, _ = spoken(service)
    extra = {"begun"}  # of one that was queued
    assert set(one) | extra == set(made) | extra
    assert set(waiting) <= set(made)


def test_take_that_was_left_is_cancelled_and_has_no_audio(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=0.05) as service:
        body = {"actor": "ann", "text": TEXT * 40}
        with service.http.stream("POST", "/v1/speech", json=body) as answer:
            take = answer.headers["Voicesvc-Take"]
            assert get(service, f"/v1/takes/{take}")["state"] == "open"
            next(answer.iter_bytes())
        path = f"/v1/takes/{take}"
        assert eventually(lambda: get(service, path)["state"] == "cancelled")
        assert get(service, path)["reason"] == "the listener left"
        refused = service.http.get(f"{path}/audio")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-made")
        assert list(service.studio.archive.blobs.names()) == []  # type: ignore[union-attr]


def test_take_that_failed_says_why(tmp_path: Path) -> None:
    with tones_served(tmp_path, fail_at=1) as service:
        assert service.speak().status_code == 500
        (take,) = get(service, "/v1/takes")["items"]
        assert take["state"] == "failed"
        assert "chunk 1" in take["reason"]


def measured_of(service: Service, take: Any) -> Any:
    return get(service, f"/v1/takes/{take['id']}")["measured"]


def test_takes_of_a_line_differ_and_can_be_had_again(service: Service, line: Any) -> None:
    fields = {"vary": ["seed", "emotion", "pace"], "seed": 3}
    takes = take_five(service, line, **fields)
    assert [t["number"] for t in takes] == [1, 2, 3, 4, 5]
    assert {t["state"] for t in takes} == {"complete"}
    assert len({t["pcm_sha256"] for t in takes}) == 5
    durations = [t["duration_s"] for t in takes]
    assert max(durations) / min(durations) > 1.2
    assert eventually(lambda: all(measured_of(service, t) for t in takes), 30)
    f0s_hz = [measured_of(service, t)["f0_median_hz"] for t in takes]
    assert max(f0s_hz) / min(f0s_hz) > 1.05
    assert takes[0]["varied"] == {}
    assert len({t["varied"]["emotion"]["name"] for t in takes[1:]}) == 4
    again = take_five(service, line, **fields)
    assert [t["pcm_sha256"] for t in again] == [t["pcm_sha256"] for t in takes]
    assert [t["number"] for t in again] == [6, 7, 8, 9, 10]
    now = get(service, f"/v1/lines/{line['id']}")
    assert (now["status"], now["takes"]["complete"]) == ("takes", 10)
    assert [t["number"] for t in get(service, "/v1/takes", line=line["id"])["items"]] == [
        *range(1, 11)
    ]


@pytest.mark.parametrize(
    "text",
    [" \n\t", "\x00\x07\u200b", "👍 1️⃣", "…", "[pause 1s]", "<speak><break/></speak>"],
    ids=["spaces", "control", "emoji", "marks", "a pause", "SSML"],
)
def test_line_of_nothing_that_can_be_spoken_is_refused(
    service: Service, production: str, line: Any, text: str
) -> None:
    def refused(answer: httpx.Response) -> str:
        told = answer.json()
        assert (answer.status_code, told["type"]) == (422, "/problems/nothing-speakable"), told
        assert "letters" in told["valid"]
        return str(told["where"])

    new = {"actor": "ann", "text": text}
    many = {"production": production, "lines": [{"actor": "ann", "text": TEXT}, new]}
    before = get(service, "/v1/lines", production=production, limit=1)["items"]
    assert refused(service.http.post("/v1/lines", json=new | {"production": production})) == "text"
    assert refused(service.http.post("/v1/lines", json=many)) == "lines.1.text"
    seen, path = {"If-Match": f'"{line["version"]}"'}, f"/v1/lines/{line['id']}"
    assert refused(service.http.patch(path, json={"text": text}, headers=seen)) == "text"
    assert get(service, path)["text"] == TEXT
    assert get(service, "/v1/lines", production=production, limit=1)["items"] == before


def test_where_a_line_of_many_is_wrong_is_told(service: Service, production: str) -> None:
    lines = [{"actor": "ann", "text": TEXT}, {"actor": "ann"}]
    answer = service.http.post("/v1/lines", json={"production": production, "lines": lines})
    assert (answer.status_code, answer.json()["where"]) == (422, "lines.1.text")


def test_take_of_a_line_is_what_speech_makes_of_it(service: Service, production: str) -> None:
    delivery = {"emotion": "happy", "pitch_st": 1.0}
    line = made(
        service, "/v1/lines", production=production, actor="ann", text=TEXT, delivery=delivery
    )
    (take,) = take_five(service, line, count=1, seed=5)
    heard, _ = spoken(service, text=TEXT, seed=5, **delivery)
    assert heard["pcm_sha256"] == take["pcm_sha256"]


def test_takes_that_would_be_the_same_are_refused(service: Service, line: Any) -> None:
    path = f"/v1/lines/{line['id']}/takes"
    refused = service.http.post(path, json={"count": 3, "vary": []}).json()
    assert (refused["where"], refused["valid"]) == ("vary", ["seed", "emotion", "pace"])
    for wrong in ({"count": 21}, {"vary": ["voice"]}, {"many": 1}):
        assert service.http.post(path, json=wrong).status_code == 422


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"text": "a"}, "actor"),
        ({"actor": "ann"}, "text"),
        ({"actor": "ann", "text": "a", "delivery": {"emotion": "glad"}}, "delivery.emotion"),
        ({"actor": "ann", "text": "a", "delivery": {"pitch_st": 10.0}}, "pitch_st"),
        ({"actor": "ann", "text": "a", "scen": "1"}, "scen"),
        ({"lines": []}, "lines"),
    ],
)
def test_line_that_cannot_be_spoken_is_refused(
    service: Service, production: str, fields: Any, where: str
) -> None:
    answer = service.http.post("/v1/lines", json={"production": production} | fields)
    assert (answer.status_code, answer.json()["where"]) == (422, where)


def test_many_lines_come_in_order(service: Service) -> None:
    made(service, "/v1/productions", title="Many", slug="many")
    lines = [{"actor": "ann", "text": f"Line {i}.", "scene": str(i // 50)} for i in range(200)]
    answer = made(service, "/v1/lines", production="many", lines=lines)
    assert [item["number"] for item in answer["items"]] == [*range(1, 201)]
    first = get(service, "/v1/lines", production="many", limit=150)
    rest = get(service, "/v1/lines", production="many", limit=150, cursor=first["next"])
    texts = [item["text"] for item in first["items"] + rest["items"]]
    assert texts == [line["text"] for line in lines]
    assert rest["next"] is None
    assert len(get(service, "/v1/lines", production="many", scene="3")["items"]) == 50


def test_what_is_asked_for_and_unknown_is_refused_with_what_there_is(service: Service) -> None:
    refused = service.http.get("/v1/takes?colour=red").json()
    assert refused["where"] == "colour"
    assert {"line", "circled", "cursor"} <= set(refused["valid"])
    assert service.http.get("/v1/takes?state=odd").json()["where"] == "state"
    assert service.http.get("/v1/takes?limit=1001").status_code == 422
    assert service.http.get("/v1/takes?cursor=abc").status_code == 422


def test_takes_are_asked_for_by_the_slug_of_their_production(service: Service) -> None:
    film = made(service, "/v1/productions", title="By Slug", slug="by-slug")
    line = made(service, "/v1/lines", production="by-slug", actor="ann", text=TEXT)
    (take,) = take_five(service, line, count=1)
    for name in ("by-slug", film["id"]):
        assert [t["id"] for t in get(service, "/v1/takes", production=name)["items"]] == [
            take["id"]
        ]


@pytest.mark.parametrize("what", ["production", "line"])
def test_takes_of_what_is_not_there_are_not_an_empty_list(service: Service, what: str) -> None:
    lost = service.http.get("/v1/takes", params={what: "nowhere"})
    assert (lost.status_code, lost.json()["type"]) == (404, f"/problems/unknown-{what}")


def test_take_is_marked_by_its_editors(service: Service, line: Any) -> None:
    (take,) = take_five(service, line, count=1)
    answer = patch(service, take, circled=True, rating=4, note="the one", tags=["alt"])
    now = answer.json()
    assert (now["circled"], now["rating"], now["note"], now["tags"]) == (
        True,
        4,
        "the one",
        ["alt"],
    )
    assert answer.headers["ETag"] == f'"{take["version"] + 1}"'
    assert get(service, f"/v1/lines/{line['id']}")["circled_take"] == take["id"]
    assert patch(service, now, rating=None).json()["rating"] is None
    for wrong in ({"rating": 6}, {"circled": "yes"}, {"stars": 1}, {"tags": [""]}):
        assert patch(service, now, **wrong).status_code == 422


def test_slower_editor_sees_what_the_faster_one_did(service: Service, line: Any) -> None:
    (take,) = take_five(service, line, count=1)
    assert patch(service, take, note="Ann's").status_code == 200
    lost = patch(service, take, note="Ben's")
    assert lost.status_code == 412
    assert lost.json()["current"] == get(service, f"/v1/takes/{take['id']}")
    assert lost.json()["current"]["note"] == "Ann's"
    bare = service.http.patch(f"/v1/takes/{take['id']}", json={"note": "x"})
    assert (bare.status_code, bare.json()["where"]) == (428, "If-Match")
    odd = service.http.patch(f"/v1/takes/{take['id']}", json={}, headers={"If-Match": "old"})
    assert (odd.status_code, odd.json()["where"]) == (422, "If-Match")


def entries(service: Service, take: str) -> list[str]:
    """What the ledger has of a take, in order; the listening is entered when there is time."""
    found = service.ledger(subject=take)
    return [e["kind"] for e in sorted(found, key=lambda e: e["seq"]) if e["kind"] != "heard"]


def test_deleted_take_is_gone_and_comes_back(service: Service, line: Any) -> None:
    (take,) = take_five(service, line, count=1)
    path, tag = f"/v1/takes/{take['id']}", {"If-Match": f'"{take["version"]}"'}
    assert service.http.delete(path, headers=tag).status_code == 204
    assert get(service, path)["deleted_at"] is not None
    gone = service.http.get(f"{path}/audio")
    assert (gone.status_code, gone.json()["valid"]) == (410, f"POST {path}/restore")
    assert take["id"] in [t["id"] for t in get(service, "/v1/takes", deleted=True)["items"]]
    assert service.http.post(f"{path}/restore").json()["deleted_at"] is None
    assert service.http.get(f"{path}/audio").status_code == 200
    assert entries(service, take["id"])[:4] == ["permit", "made", "deleted", "restored"]


def test_audio_of_a_deleted_take_is_removed_when_its_time_is_up(tmp_path: Path) -> None:
    with tones_served(tmp_path, settings={"deleted_kept_days": 0.0}) as service:
        take, _ = spoken(service)
        tag = {"If-Match": f'"{take["version"]}"'}
        service.http.delete(f"/v1/takes/{take['id']}", headers=tag)
        archive = service.studio.archive
        assert archive is not None
        assert archive.blobs.has(take["pcm_sha256"])
        assert archive.purge(-1) == 1
        assert not archive.blobs.has(take["pcm_sha256"])
        assert service.http.post(f"/v1/takes/{take['id']}/restore").status_code == 410
        assert entries(service, take["id"]) == ["permit", "made", "deleted", "purged"]
        assert get(service, f"/v1/takes/{take['id']}")["pcm_sha256"] == take["pcm_sha256"]


def test_request_that_is_sent_again_makes_nothing(service: Service, production: str) -> None:
    def post(path: str, key: str, **fields: Any) -> httpx.Response:
        return service.http.post(path, json=fields, headers={"Idempotency-Key": key})

    one = {"production": production, "actor": "ann", "text": "Once."}
    first, second = post("/v1/lines", "k1", **one), post("/v1/lines", "k1", **one)
    assert first.json() == second.json()
    assert post("/v1/lines", "k1", **one | {"text": "Twice."}).status_code == 422
    assert post("/v1/lines", "k2", **one).json()["id"] != first.json()["id"]
    path = f"/v1/lines/{first.json()['id']}/takes"
    assert post(path, "k1", count=2).json() == post(path, "k1", count=2).json()
    assert get(service, f"/v1/lines/{first.json()['id']}")["takes"]["total"] == 2
    assert post("/v1/lines", "k" * 256, **one).status_code == 422


def test_production_is_changed_and_deleted(service: Service) -> None:
    film = made(service, "/v1/productions", title="Über den Wolken!")
    assert (film["slug"], film["fps"]) == ("uber-den-wolken", "24")
    tag = {"If-Match": '"1"'}
    path = f"/v1/productions/{film['slug']}"
    changed = service.http.patch(path, json={"fps": "29.97df"}, headers=tag).json()
    assert (changed["fps"], changed["title"], changed["version"]) == ("29.97df", film["title"], 2)
    taken = service.http.post("/v1/productions", json={"title": "x", "slug": film["slug"]})
    assert (taken.status_code, taken.json()["where"]) == (422, "slug")
    assert service.http.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert service.http.get(path).status_code == 404


@pytest.mark.parametrize("fps", ["50", "59.94", "59.94df", "60"])
def test_production_has_any_frame_rate_that_timecodes_have(service: Service, fps: str) -> None:
    assert get_args(Fps) == tuple(RATES)
    slug = "fps-" + fps.replace(".", "-")
    made(service, "/v1/productions", title=fps, slug=slug, fps=fps)
    timecode = f"10:00:00{RATES[fps].separator}{RATES[fps].counted - 1}"
    line = made(service, "/v1/lines", production=slug, actor="ann", text=TEXT, timecode_in=timecode)
    (take,) = take_five(service, line, count=1)
    assert patch(service, take, circled=True).status_code == 200
    packed = zipfile.ZipFile(io.BytesIO(service.http.get(f"/v1/productions/{slug}/export").content))
    (name,) = (n for n in packed.namelist() if n.endswith(".wav"))
    begins = WavInfoReader(io.BytesIO(packed.read(name))).bext.time_reference
    assert begins == samples_of(timecode, fps, 48_000)


def test_frame_rate_is_not_changed_under_timecodes_that_it_does_not_have(service: Service) -> None:
    film = made(service, "/v1/productions", title="Rates", fps="29.97")
    made(service, "/v1/lines", production=film["id"], actor="tone-a", text="One.")
    cue = {"actor": "tone-a", "text": "Two.", "timecode_in": "01:01:00:00"}
    made(service, "/v1/lines", production=film["id"], **cue)
    path, tag = f"/v1/productions/{film['id']}", {"If-Match": '"1"'}
    for fps in ("29.97df", "nonsense"):
        refused = service.http.patch(path, json={"fps": fps}, headers=tag)
        assert (refused.status_code, refused.json()["where"]) == (422, "fps")
    assert (
        "line 2" in service.http.patch(path, json={"fps": "29.97df"}, headers=tag).json()["detail"]
    )
    assert service.http.patch(path, json={"fps": "30"}, headers=tag).json()["fps"] == "30"


def test_line_is_changed_and_its_takes_stay(service: Service, line: Any) -> None:
    (take,) = take_five(service, line, count=1)
    path = f"/v1/lines/{line['id']}"
    tag = {"If-Match": f'"{line["version"]}"', "Voicesvc-User": "Ben"}
    changed = service.http.patch(path, json={"text": "Hold it.", "notes": "n"}, headers=tag).json()
    assert (changed["text"], changed["updated_by"], changed["cue"]) == ("Hold it.", "Ben", "7")
    assert get(service, f"/v1/takes/{take['id']}")["text"] == TEXT
    tag = {"If-Match": '"2"'}
    assert service.http.patch(path, json={"text": ""}, headers=tag).json()["where"] == "text"
    assert service.http.delete(path, headers=tag).status_code == 409
    assert "/problems/not-empty" in service.http.delete(path, headers=tag).json()["type"]


def test_events_tell_what_happens_as_it_happens(service: Service, line: Any) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    begun = threading.Event()

    def listen() -> None:
        with service.http.stream("GET", "/v1/events") as answer:
            kind = ""
            for row in answer.iter_lines():
                begun.set()
                if row.startswith("event: "):
                    kind = row.removeprefix("event: ")
                elif row.startswith("data: "):
                    told.append((kind, json.loads(row.removeprefix("data: "))))
                    if told[-1][1].get("note") == "last":
                        return

    listener = threading.Thread(target=listen)
    listener.start()
    assert begun.wait(5)
    (take,) = take_five(service, line, count=1)
    patch(service, take, note="last")
    listener.join(10)
    mine = [(kind, e["action"], e["line"]) for kind, e in told if e["id"] == take["id"]]
    assert mine[0] == ("take", "created", line["id"])
    assert {("take", "closed", line["id"]), ("take", "updated", line["id"])} <= set(mine)


def test_events_go_on_where_they_were_broken_off(service: Service, line: Any) -> None:
    def first(**asked: Any) -> tuple[int, Any]:
        with service.http.stream("GET", "/v1/events", **asked) as answer:
            id = 0
            for row in answer.iter_lines():
                if row.startswith("id: "):
                    id = int(row.removeprefix("id: "))
                if row.startswith("data: "):
                    return id, json.loads(row.removeprefix("data: "))
        raise AssertionError("no event")

    made(service, f"/v1/lines/{line['id']}/takes")
    one, _ = first(params={"after": 0})
    assert first(headers={"Last-Event-ID": str(one)})[0] == one + 1
    _, mine = first(params={"after": 0, "production": line["production"]})
    assert mine["production"] == line["production"]
    assert service.http.get("/v1/events?production=none").status_code == 404


def test_service_that_ends_goes_on_with_its_queue(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")

    def running(delay_s: float) -> Any:
        studio = tone_studio(tmp_path / "models", {}, {"delay_s": delay_s})
        studio.archive = archived(tmp_path / "data")
        return served(studio, tones={})

    with running(0.05) as service:
        film = made(service, "/v1/productions", title="F")["id"]
        line = made(service, "/v1/lines", production=film, actor="ann", text=TEXT * 6)
        path = f"/v1/lines/{line['id']}/takes"
        asked = [t["id"] for t in made(service, path, count=6)["takes"]]
        assert eventually(lambda: get(service, "/v1/takes", state="open")["items"] != [])
    with running(0.0) as service:

        def states() -> list[tuple[str, str]]:
            takes = get(service, "/v1/takes", line=line["id"])["items"]
            return [(t["id"], t["state"]) for t in takes]

        assert eventually(lambda: states() == [(id, "complete") for id in asked], 20)


def test_open_streams_of_events_do_not_keep_the_service_from_ending(tmp_path: Path) -> None:
    with tones_served(tmp_path) as service:
        service.server.config.timeout_graceful_shutdown = 15
        ended = threading.Event()

        def listen() -> None:
            with service.http.stream("GET", "/v1/events") as answer:
                for _ in answer.iter_lines():
                    begun.set()
            ended.set()

        begun = threading.Event()
        listener = threading.Thread(target=listen)
        listener.start()
        assert begun.wait(5)
        service.server.should_exit = True
        assert ended.wait(10)
        listener.join()


def test_data_folder_belongs_to_one_service(tmp_path: Path) -> None:
    first = archived(tmp_path)
    with pytest.raises(BadSetting, match="another voicesvc has"):
        archived(tmp_path)
    first.close()
    archived(tmp_path).close()


def test_two_services_make_the_same_take_from_the_same_plan(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        write_pack(tmp_path / name / "models", "ann")
        with served(tone_studio(tmp_path / name / "models", {}, {}), tones={}) as service:
            body = {"actor": "ann", "text": TEXT, "seed": 1}
            take = service.http.post("/v1/speech", json=body).headers["Voicesvc-Take"]
            hashes.append(get(service, f"/v1/takes/{take}")["pcm_sha256"])
    assert hashes[0] == hashes[1]


# -- speech that is sent again -------------------------------------------------------------------


def keyed(service: Service, key: str, **fields: Any) -> httpx.Response:
    body = {"actor": "ann", "text": TEXT} | fields
    return service.http.post("/v1/speech", json=body, headers={"Idempotency-Key": key})


def test_speech_that_is_sent_again_is_the_same_take(service: Service) -> None:
    first = keyed(service, "s1", sample_rate_hz=48000)
    planned = service.tone.planned
    second = keyed(service, "s1", sample_rate_hz=48000)
    assert second.content == first.content
    for name in ("Voicesvc-Take", "Voicesvc-Seed"):
        assert second.headers[name] == first.headers[name]
    assert service.tone.planned == planned
    assert keyed(service, "s1", sample_rate_hz=44100).status_code == 422
    assert keyed(service, "s2").headers["Voicesvc-Take"] != first.headers["Voicesvc-Take"]


def test_speech_that_was_left_is_made_with_the_same_seed(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=0.02) as service:
        body = {"actor": "ann", "text": TEXT * 20}
        key = {"Idempotency-Key": "left"}
        with service.http.stream("POST", "/v1/speech", json=body, headers=key) as answer:
            left, seed = answer.headers["Voicesvc-Take"], answer.headers["Voicesvc-Seed"]
            busy = service.http.post("/v1/speech", json=body, headers=key)
            assert (busy.status_code, busy.json()["type"]) == (409, "/problems/key-in-use")
        assert eventually(lambda: get(service, f"/v1/takes/{left}")["state"] == "cancelled")
        again = service.http.post("/v1/speech", json=body, headers=key)
        assert (again.status_code, again.headers["Voicesvc-Seed"]) == (200, seed)
        assert again.headers["Voicesvc-Take"] != left
        third = service.http.post("/v1/speech", json=body, headers=key)
        assert third.headers["Voicesvc-Take"] == again.headers["Voicesvc-Take"]


def test_speech_that_was_refused_can_be_sent_again(service: Service) -> None:
    assert keyed(service, "r1", actor="nobody").status_code == 404
    assert keyed(service, "r1", actor="nobody").status_code == 404


def test_line_is_spoken_at_once_as_its_take(service: Service, line: Any) -> None:
    body = {"actor": "ann", "text": TEXT}
    id = service.http.post("/v1/speech", json=body, params={"line": line["id"]}).headers[
        "Voicesvc-Take"
    ]
    take = get(service, f"/v1/takes/{id}")
    assert (take["line"], take["number"], take["production"]) == (
        line["id"],
        1,
        line["production"],
    )
    lost = service.http.post("/v1/speech", json=body, params={"line": "ln_none"})
    assert (lost.status_code, lost.json()["type"]) == (404, "/problems/unknown-line")


def test_take_of_no_line_is_given_to_one(service: Service, line: Any) -> None:
    take, _ = spoken(service)
    assert take["id"] in [t["id"] for t in get(service, "/v1/takes", line="none")["items"]]
    kept = patch(service, take, line=line["id"], note="keep").json()
    assert (kept["line"], kept["number"], kept["note"]) == (line["id"], 1, "keep")
    assert patch(service, kept, line=line["id"]).status_code == 409
    assert take["id"] not in [t["id"] for t in get(service, "/v1/takes", line="none")["items"]]


def test_name_of_an_editor_may_be_any(service: Service) -> None:
    headers = {"Voicesvc-User": "Zo%C3%AB"}
    made = service.http.post("/v1/productions", json={"title": "Z"}, headers=headers).json()
    assert made["created_by"] == "Zoë"
    long = {"Voicesvc-User": "a" * 101}
    assert (
        service.http.post("/v1/productions", json={"title": "Z"}, headers=long).json()["where"]
        == "Voicesvc-User"
    )


def test_edit_of_nothing_changes_nothing(service: Service, line: Any) -> None:
    (take,) = take_five(service, line, count=1)
    film = get(service, f"/v1/productions/{line['production']}")
    line = get(service, f"/v1/lines/{line['id']}")
    assert patch(service, take).json() == get(service, f"/v1/takes/{take['id']}")
    for path in (
        f"/v1/takes/{take['id']}",
        f"/v1/lines/{line['id']}",
        f"/v1/productions/{film['id']}",
    ):
        before = get(service, path)
        headers = {"If-Match": f'"{before["version"]}"'}
        same = service.http.patch(path, json={}, headers=headers)
        assert (same.status_code, same.headers["ETag"]) == (200, headers["If-Match"])
        assert same.json() == before == get(service, path)
        late = service.http.patch(path, json={}, headers={"If-Match": '"99"'})
        assert (late.status_code, late.json()["current"]) == (412, before)


def test_nul_is_kept_as_what_a_database_takes(service: Service, line: Any) -> None:
    (take,) = take_five(service, line, count=1)
    now = patch(service, take, note="a\0b", tags=["c\0"]).json()
    assert (now["note"], now["tags"]) == (
        "a\N{REPLACEMENT CHARACTER}b",
        ["c\N{REPLACEMENT CHARACTER}"],
    )
    path = f"/v1/lines/{line['id']}"
    answer = service.http.patch(path, json={"notes": "\0"}, headers={"If-Match": '"1"'})
    assert answer.json()["notes"] == get(service, path)["notes"] == "\N{REPLACEMENT CHARACTER}"


# -- files ---------------------------------------------------------------------------------------


def test_raw_audio_says_how_long_it_is(service: Service) -> None:
    take, _ = spoken(service)
    for form in ("wav", "pcm_f32le", "pcm_s16le"):
        query = {"format": form, "sample_rate_hz": 48000}
        answer = service.http.get(f"/v1/takes/{take['id']}/audio", params=query)
        assert int(answer.headers["Content-Length"]) == len(answer.content)
    flac = service.http.get(f"/v1/takes/{take['id']}/audio", params={"format": "flac"})
    assert "Content-Length" not in flac.headers


def test_waveform_is_there_without_the_audio(service: Service) -> None:
    take, audio = spoken(service, format="pcm_f32le")
    peaks = get(service, f"/v1/takes/{take['id']}/peaks")
    assert peaks["points"] == len(peaks["min"]) == len(peaks["max"]) <= 800
    loudest = float(np.abs(np.frombuffer(audio, np.float32)).max())
    assert max(peaks["max"]) / 127 == pytest.approx(loudest, abs=0.01)


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("json", '{"take"'),
        ("srt", "1\n00:00:00,"),
        ("vtt", "WEBVTT"),
        ("textgrid", "File type"),
        ("csv", "tier"),
        ("visemes", "{"),
    ],
)
def test_timings_come_as_files(service: Service, form: str, begins: str) -> None:
    take, _ = spoken(service)
    path = f"/v1/takes/{take['id']}/timings"
    answer = service.http.get(path, params={"format": form})
    assert answer.status_code == 200, answer.text
    assert answer.text.lstrip("\ufeff").startswith(begins)
    service.studio.takes.forget(take["id"])  # as after a restart
    assert service.http.get(path, params={"format": form}).text == answer.text


def test_timings_of_an_unknown_format_are_refused(service: Service) -> None:
    take, _ = spoken(service)
    answer = service.http.get(f"/v1/takes/{take['id']}/timings", params={"format": "ttml"})
    assert (answer.status_code, answer.json()["where"]) == (422, "format")
    assert "textgrid" in answer.json()["valid"]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"timecode_in": "01:00:00:25"}, "timecode_in"),
        ({"timecode_in": "01:00:00;00"}, "timecode_in"),
        ({"timecode_in": "01:00:01:00", "timecode_out": "01:00:00:00"}, "timecode_out"),
    ],
)
def test_timecode_that_is_none_is_refused(
    service: Service, production: str, line: Any, fields: Any, where: str
) -> None:
    asked = {"production": production, "actor": "ann", "text": "a"} | fields
    assert service.http.post("/v1/lines", json=asked).json()["where"] == where
    tag = {"If-Match": '"1"'}
    assert (
        service.http.patch(f"/v1/lines/{line['id']}", json=fields, headers=tag).json()["where"]
        == where
    )


def test_circled_takes_are_exported(service: Service) -> None:
    made(service, "/v1/productions", title="Night/Ferry", slug="ferry", fps="25")
    line = made(
        service,
        "/v1/lines",
        production="ferry",
        actor="ann",
        text=TEXT,
        scene="3",
        cue="3-1",
        timecode_in="10:00:00:00",
    )
    takes = take_five(service, line, count=2)
    patch(service, takes[1], circled=True, note="the one")
    answer = service.http.get("/v1/productions/ferry/export")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ferry.zip"'
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    (name,) = (n for n in packed.namelist() if n.endswith(".wav"))
    assert name == "Night-Ferry_3_3-1_ann_T2.wav" or name.endswith("_3_3-1_ann_T2.wav")
    told = WavInfoReader(io.BytesIO(packed.read(name)))
    assert told.bext.time_reference == 36_000 * 48_000
    assert told.ixml.take == "2"
    (listed,) = json.loads(packed.read("manifest.json"))["files"]
    assert listed["take_id"] == takes[1]["id"]
    query = {"sample_rate_hz": 48000, "bit_depth": 24}
    heard = service.http.get(f"/v1/takes/{takes[1]['id']}/audio", params=query).content
    assert soundfile.read(io.BytesIO(packed.read(name)))[0].tolist() == (
        soundfile.read(io.BytesIO(heard))[0].tolist()
    )
    everything = service.http.get("/v1/productions/ferry/export", params={"takes": "all"}).content
    assert len(zipfile.ZipFile(io.BytesIO(everything)).namelist()) == 4
    wrong = service.http.get("/v1/productions/ferry/export", params={"template": "{colour}"})
    assert (wrong.status_code, wrong.json()["where"]) == (422, "template")


def test_what_nobody_has_measured_yet_is_exported_with_its_loudness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Measurer, "work", lambda _: False)  # others are before it
    with tones_served(tmp_path) as service:
        made(service, "/v1/productions", title="Ferry", slug="ferry")
        line = made(service, "/v1/lines", production="ferry", actor="ann", text=TEXT)
        (take,) = take_five(service, line, count=1)
        assert get(service, f"/v1/takes/{take['id']}")["measured"] is None
        exported = "/v1/productions/ferry/export?takes=all"
        packed = zipfile.ZipFile(io.BytesIO(service.http.get(exported).content))
    (name,) = (n for n in packed.namelist() if n.endswith(".wav"))
    bext = WavInfoReader(io.BytesIO(packed.read(name))).bext
    assert -70 < bext.loudness_value < 0
    assert -70 < bext.max_true_peak < 1


def filmed(service: Service, slug: str) -> list[Any]:
    """Two takes of a line of a new production, circled."""
    made(service, "/v1/productions", title=slug, slug=slug)
    line = made(service, "/v1/lines", production=slug, actor="ann", text=TEXT * 3)
    takes = take_five(service, line, count=2)
    for take in takes:
        assert patch(service, take, circled=True).status_code == 200
    return takes


def test_export_of_lost_audio_is_refused_and_says_whose(service: Service) -> None:
    takes = filmed(service, "lost")
    archive = service.studio.archive
    assert archive is not None
    assert archive.folder is not None
    (file,) = archive.folder.rglob(takes[0]["pcm_sha256"])
    file.write_bytes(file.read_bytes()[:-4])
    archive.blobs.delete(takes[1]["pcm_sha256"])
    refused = service.http.get("/v1/productions/lost/export")
    assert (refused.status_code, refused.json()["type"]) == (500, "/problems/blob-damaged")
    assert refused.json()["takes"] == [take["id"] for take in takes]
    assert service.ledger(kind="exported", subject=takes[0]["id"]) == []
    for take in takes:
        assert service.http.post(f"/v1/takes/{take['id']}/render", json={}).status_code == 200
    assert service.http.get("/v1/productions/lost/export").status_code == 200


def test_export_that_breaks_off_says_at_which_take(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    first, take = filmed(service, "broken")
    assert measured(service, first)  # or its measuring would find the damage before all else
    assert measured(service, take)
    archive = service.studio.archive
    assert archive is not None
    assert archive.folder is not None
    (file,) = archive.folder.rglob(take["pcm_sha256"])
    file.write_bytes(b"\1" + file.read_bytes()[1:])
    with pytest.raises(httpx.RemoteProtocolError):
        service.http.get("/v1/productions/broken/export")
    assert f"an export breaks off at take {take['id']}" in caplog.text
    with service.http.stream("GET", "/v1/events?production=broken&after=0") as answer:
        told = (json.loads(x[6:]) for x in answer.iter_lines() if x.startswith("data: "))
        damaged = next(event for event in told if event["action"] == "damaged")
    assert damaged["id"] == take["id"]


# -- what is measured ----------------------------------------------------------------------------


def measured(service: Service, take: Any) -> Any:
    path = f"/v1/takes/{take['id']}"
    assert eventually(lambda: get(service, path)["measured"] is not None, 60)
    return get(service, path)


def test_take_is_measured_in_the_background(service: Service) -> None:
    take = measured(service, spoken(service)[0])
    figures = take["measured"]
    assert figures["duration_s"] == take["duration_s"]
    assert -30 < figures["loudness_lufs"] < -5
    assert 100 < figures["f0_median_hz"] < 520
    assert take["flags"] == []
    assert figures.get("wer") is None  # nobody listens here
    assert take["version"] == 1  # nobody has changed it


def test_take_that_clips_is_flagged(tmp_path: Path) -> None:
    with tones_served(tmp_path) as service:
        archive = service.studio.archive
        assert archive is not None
        loud = np.clip(np.sin(np.arange(22050) * 0.05).astype(np.float32) * 3, -1, 1)
        with archive.blobs.create() as writer:
            writer.feed(loud.tobytes())
            sha256 = writer.commit()
        by, facts = archive.by(), {"asked": {}}
        new = NewTake(
            "tk_loud",
            "speech",
            "complete",
            "ann",
            TEXT,
            1,
            "0" * 64,
            facts,
            grants.demo_permit("ann"),
        )
        ending = Ending("complete", pcm_sha256=sha256, sample_rate_hz=22050, samples=22050)
        archive.database.write(lambda c: rows.add(c, [new], by))
        archive.database.write(lambda c: rows.close(c, "tk_loud", ending, by))
        take = measured(service, {"id": "tk_loud"})
        assert take["flags"] == ["clipping"]
        assert [t["id"] for t in get(service, "/v1/takes", flagged=True)["items"]] == [take["id"]]


def test_take_that_cannot_be_measured_does_not_keep_the_others(tmp_path: Path) -> None:
    with tones_served(tmp_path) as service:
        archive = service.studio.archive
        assert archive is not None
        by = archive.by()
        lost = NewTake(
            "tk_lost",
            "speech",
            "complete",
            "ann",
            TEXT,
            1,
            "0" * 64,
            {"asked": {}},
            grants.demo_permit("ann"),
        )
        ending = Ending("complete", pcm_sha256="0" * 64, sample_rate_hz=22050, samples=9)
        archive.database.write(
            lambda c: (rows.add(c, [lost], by), rows.close(c, "tk_lost", ending, by))
        )
        take = measured(service, spoken(service)[0])
        assert take["measured"]["duration_s"] == take["duration_s"]
        assert "lost" in measured(service, {"id": "tk_lost"})["measured"]["not_measured"]["audio"]


def test_who_deletes_too_late_sees_what_there_is(service: Service, line: Any) -> None:
    path = f"/v1/lines/{line['id']}"
    service.http.patch(path, json={"notes": "n"}, headers={"If-Match": '"1"'})
    late = service.http.delete(path, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["current"]["notes"]) == (412, "n")


def test_measuring_does_not_come_in_an_editor_s_way(service: Service) -> None:
    seen, _ = spoken(service)
    measured(service, seen)
    assert patch(service, seen, circled=True).status_code == 200


def test_plans_of_two_takes_are_compared(service: Service) -> None:
    one, _ = spoken(service, seed=1)
    two, _ = spoken(service, seed=1, rate=0.5)
    path = f"/v1/takes/{one['id']}/differences"
    told = get(service, path, **{"with": two["id"]})
    assert "longer" in json.dumps(told)
    assert "longer" not in json.dumps(get(service, path, **{"with": one["id"]}))
    assert service.http.get(path).json()["where"] == "with"


def test_quality_is_refused_where_nobody_listens(service: Service, line: Any) -> None:
    asked = {"quality": {"max_wer": 0.1, "attempts": 3}}
    answer = service.http.post(f"/v1/lines/{line['id']}/takes", json=asked)
    assert (answer.status_code, answer.json()["where"]) == (422, "quality")


def test_half_a_character_is_spoken_round_and_refused_where_it_is_kept(
    service: Service, production: str
) -> None:
    half = '{"actor": "ann", "text": "Hold \\ud83d the line."}'
    answer = service.post(half)
    assert answer.status_code == 200
    take = get(service, f"/v1/takes/{answer.headers['Voicesvc-Take']}")
    assert take["text"] == "Hold ? the line."
    sent = half.replace('{"actor"', f'{{"production": "{production}", "actor"')
    refused = service.post(sent, "/v1/lines")
    assert (refused.status_code, refused.json()["where"]) == (422, "text")
