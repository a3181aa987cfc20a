"""One key's productions and actors are not another's: nothing of them is read, heard or told."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from conftest import LINE, eventually
from guarded import Guarded, guarded
from websockets.sync.client import connect

from voicesvc.api.live_messages import PATH

SCOPES = ("speak", "audition", "circle", "export", "grants")


@dataclass
class Two:
    """Two productions with a line and a take each; a key for either, and one for one actor."""

    asked: Guarded
    harbour: httpx.Client
    lagoon: httpx.Client
    ann: httpx.Client
    lines: dict[str, str]
    takes: dict[str, str]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with guarded(tmp_path_factory.mktemp("two"), ("ann", "bob")) as asked:
        lines, takes = {}, {}
        for slug, actor in (("harbour", "ann"), ("lagoon", "bob")):
            asked.admin.post("/v1/productions", json={"title": slug, "slug": slug})
            line = {"production": slug, "actor": actor, "text": f"{LINE} At the {slug}."}
            lines[slug] = asked.admin.post("/v1/lines", json=line).json()["id"]
            said = {"actor": actor, "text": LINE}
            made = asked.admin.post("/v1/speech", params={"line": lines[slug]}, json=said)
            assert made.status_code == 200, made.text
            takes[slug] = made.headers["Voicesvc-Take"]
            kept = asked.admin.get(f"/v1/takes/{takes[slug]}").json()
            circle = {"If-Match": f'"{kept["version"]}"'}
            path = f"/v1/takes/{takes[slug]}"
            assert (
                asked.admin.patch(path, json={"circled": True}, headers=circle).status_code == 200
            )
        with (
            asked.client(*SCOPES, productions=["harbour"]) as harbour,
            asked.client(*SCOPES, productions=["lagoon"]) as lagoon,
            asked.client(*SCOPES, actors=["ann"]) as ann,
        ):
            yield Two(asked, harbour, lagoon, ann, lines, takes)


def ids(answer: httpx.Response) -> set[str]:
    return {item["id"] for item in answer.json()["items"]}


def test_lists_have_what_is_ones_own(two: Two) -> None:
    for client, slug, other in (
        (two.harbour, "harbour", "lagoon"),
        (two.lagoon, "lagoon", "harbour"),
        (two.ann, "harbour", "lagoon"),
    ):
        assert ids(client.get("/v1/takes")) == {two.takes[slug]}
        assert ids(client.get("/v1/lines")) == {two.lines[slug]}
        assert ids(client.get("/v1/lines", params={"q": "harbour"})) <= {two.lines[slug]}
        assert two.takes[other] not in client.get("/v1/takes", params={"q": "a"}).text
    assert {p["slug"] for p in two.harbour.get("/v1/productions").json()["items"]} == {"harbour"}
    assert two.harbour.get("/v1/lines", params={"production": "lagoon"}).status_code == 404
    assert [a["actor_id"] for a in two.ann.get("/v1/actors").json()["actors"]] == ["ann"]


def test_a_take_of_another_production_is_not_there(two: Two) -> None:
    stolen, own = two.takes["lagoon"], two.takes["harbour"]
    seen = {"If-Match": '"1"'}
    tries: list[tuple[str, str, dict[str, Any]]] = [
        *(("GET", f"/v1/takes/{stolen}{part}", {}) for part in ("", "/audio", "/plan", "/peaks")),
        ("GET", f"/v1/takes/{stolen}/timings", {}),
        ("GET", f"/v1/takes/{own}/differences", {"params": {"with": stolen}}),
        ("GET", f"/v1/takes/{stolen}/differences", {"params": {"with": own}}),
        ("PATCH", f"/v1/takes/{stolen}", {"json": {"rating": 1}, "headers": seen}),
        ("DELETE", f"/v1/takes/{stolen}", {"headers": seen}),
        ("POST", f"/v1/takes/{stolen}/restore", {}),
        ("POST", f"/v1/takes/{stolen}/render", {"json": {}}),
        ("POST", f"/v1/takes/{stolen}/retake", {"json": {"edits": [{"kind": "pause"}]}}),
    ]
    for client in (two.harbour, two.ann):
        for method, path, more in tries:
            stolen_answer = client.request(method, path, **more)
            if stolen_answer.status_code == 422:
                continue  # the body is not valid for anybody
            assert stolen_answer.status_code == 404, (path, stolen_answer.text)
            params = {k: v.replace(stolen, "tk_never") for k, v in more.get("params", {}).items()}
            never = {**more, **({"params": params} if params else {})}
            answer = client.request(method, path.replace(stolen, "tk_never"), **never)
            assert answer.text.replace("tk_never", stolen) == stolen_answer.text
    now = two.asked.admin.get(f"/v1/takes/{stolen}").json()
    assert (now["rating"], now["deleted_at"]) == (None, None)


def test_a_line_and_a_production_of_others_are_not_there(two: Two) -> None:
    line, own = two.lines["lagoon"], two.takes["harbour"]
    seen = {"If-Match": '"1"'}
    said = {"actor": "bob", "text": LINE}
    for client in (two.harbour, two.ann):
        for method, path, more in (
            ("GET", f"/v1/lines/{line}", {}),
            ("PATCH", f"/v1/lines/{line}", {"json": {"notes": "x"}, "headers": seen}),
            ("DELETE", f"/v1/lines/{line}", {"headers": seen}),
            ("POST", f"/v1/lines/{line}/takes", {"json": {}}),
            ("PATCH", f"/v1/takes/{own}", {"json": {"line": line}, "headers": seen}),
        ):
            assert client.request(method, path, **more).status_code == 404, path
    for method, path, more in (
        ("GET", "/v1/productions/lagoon", {}),
        ("GET", "/v1/productions/lagoon/export", {}),
        ("GET", "/v1/events", {"params": {"production": "lagoon"}}),
        ("PATCH", "/v1/productions/lagoon", {"json": {"notes": "x"}, "headers": seen}),
        ("DELETE", "/v1/productions/lagoon", {"headers": seen}),
        ("POST", "/v1/lines", {"json": {"production": "lagoon", **said}}),
        ("POST", "/v1/speech", {"params": {"production": "lagoon"}, "json": said}),
        ("POST", "/v1/speech", {"params": {"line": line}, "json": said}),
    ):
        assert two.harbour.request(method, path, **more).status_code == 404, path


def test_what_is_for_everybody_takes_a_key_for_everything(two: Two) -> None:
    said = {"actor": "ann", "text": LINE}
    version = two.harbour.get("/v1/productions/harbour").json()["version"]
    seen = {"If-Match": f'"{version}"'}
    for client, method, path, more in (
        (two.harbour, "GET", "/v1/ledger", {}),
        (two.harbour, "GET", "/v1/ledger/entries", {}),
        (two.harbour, "POST", "/v1/grants", {"json": {"content": {}}}),
        (two.harbour, "DELETE", "/v1/lexicons/names", {}),
        (two.harbour, "PATCH", "/v1/productions/harbour", {"json": {"slug": "x"}, "headers": seen}),
        (two.harbour, "POST", "/v1/productions", {"json": {"title": "Lagoon 2"}}),
        (two.harbour, "POST", "/v1/speech", {"json": said}),  # for no production
        (two.ann, "POST", "/v1/speech", {"json": {**said, "actor": "bob"}}),
        (two.ann, "POST", "/v1/plans", {"json": {**said, "actor": "bob"}}),
        (two.ann, "POST", "/v1/actors/bob/load", {}),
        (two.ann, "GET", "/v1/actors/bob", {}),
    ):
        answer = client.request(method, path, **more)
        assert (answer.status_code, answer.json()["title"]) == (403, "This is not allowed"), path
        assert "you are here" in answer.json()["detail"]
    spoken = two.harbour.post("/v1/speech", params={"production": "harbour"}, json=said)
    assert spoken.status_code == 200


def test_an_export_has_ones_own_takes(two: Two) -> None:
    whole = two.asked.admin.get("/v1/productions/harbour/export")
    mine = two.ann.get("/v1/productions/harbour/export")
    none = two.ann.get("/v1/productions/lagoon/export")
    names = [zipfile.ZipFile(io.BytesIO(a.content)).namelist() for a in (whole, mine, none)]
    assert names[0] == names[1]
    assert not any(name.endswith(".wav") for name in names[2])
    assert any(name.endswith(".wav") for name in names[0])


@pytest.mark.parametrize("who", ["harbour", "ann"])
def test_events_tell_of_ones_own(two: Two, who: str) -> None:
    client: httpx.Client = getattr(two, who)
    told = ""
    with client.stream("GET", "/v1/events", params={"after": 0}) as events:
        for line in events.iter_lines():
            told += line
            if two.takes["harbour"] in line and '"circled"' in told:
                break
    assert two.takes["lagoon"] not in told
    assert two.lines["lagoon"] not in told


def test_a_socket_speaks_for_ones_own(two: Two) -> None:
    url = two.asked.service.url.replace("http", "ws") + PATH
    headers = dict(two.harbour.headers)
    given = {"Authorization": headers["authorization"]}
    for query, status in (("?production=lagoon", 404), ("", 403)):
        with connect(url + query, additional_headers=given) as socket:
            socket.send(json.dumps({"actor": "ann", "text": ""}))
            told = json.loads(socket.recv(timeout=10))
            assert (told["event"], told["status"]) == ("problem", status)


def test_a_key_asks_no_more_than_it_may(two: Two) -> None:
    with two.asked.client("audition", per_minute=3, at_once=2) as client:
        with client.stream("GET", "/v1/events"), client.stream("GET", "/v1/events"):
            busy = client.get("/v1/takes")
            assert (busy.status_code, busy.headers["Retry-After"]) == (429, "1")
            assert busy.json()["type"] == "/problems/too-many-requests"
        assert eventually(lambda: client.get("/v1/takes").status_code == 200)
        answers = (client.get("/v1/takes") for _ in range(20))
        refused = next(a for a in answers if a.status_code == 429)
        assert 1 < int(refused.headers["Retry-After"]) <= 20, "a third of a minute for each"
    assert two.asked.admin.get("/v1/takes").status_code == 200
