"""Who asks: keys and scopes at every route, and nobody but this machine without them."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from conftest import LINE, Service, archived, eventually, tone_studio, write_pack
from fastapi import FastAPI
from guarded import Guarded, bearer, guarded
from starlette.routing import BaseRoute, Mount
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voicesvc import logs
from voicesvc.access import SCOPES
from voicesvc.access.asked import NewKey
from voicesvc.api import create_app, gate, scopes, server
from voicesvc.api.live_messages import PATH
from voicesvc.cli import app as cli
from voicesvc.config import Settings
from voicesvc.errors import BadSetting

LONG = " ".join([LINE] * 400)
SECRET_AT = len("vsk_0123456789ab_")
WORDS = {"actor": "ann", "text": LINE}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("keys")) as running:
        yield running


def walked(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """Every route of an application, those of the routers that it includes, too."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walked(inner.routes)
        else:
            yield route


# -- every route ---------------------------------------------------------------------------------


def test_every_route_says_who_may_use_it(asked: Guarded) -> None:
    app = create_app(asked.service.studio, workers=1)
    found = list(walked(list(app.routes)))
    described = {(p, m.upper()) for p, ms in app.openapi()["paths"].items() for m in ms}
    seen = {(getattr(r, "path", ""), m) for r in found for m in getattr(r, "methods", None) or ()}
    assert described <= seen, "a route was not walked"
    for route in found:
        path = getattr(route, "path", "")
        if isinstance(route, Mount):
            assert f"{path}/" in scopes.PUBLIC_FOLDERS
        elif path not in (*scopes.PUBLIC, "/redoc"):
            assert scopes.said_of(route) in SCOPES, f"{path} says nothing of who may use it"


def test_without_a_key_every_route_but_the_public_ones_is_shut(asked: Guarded) -> None:
    paths = create_app(asked.service.studio, workers=1).openapi()["paths"]
    http = asked.service.http
    for path, methods in paths.items():
        for method in methods:
            answer = http.request(
                method.upper(), path.replace("{slug}", "not-allowed"), content="{"
            )
            open_to_all = path in (*scopes.PUBLIC, "/metrics")
            assert (answer.status_code == 401) is not open_to_all, (path, answer.status_code)
            if not open_to_all:
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="voicesvc"'
                assert answer.json()["type"] == "/problems/not-authenticated"
    assert http.get("/").headers["Location"] == "/login"
    for path in ("/login", "/docs", "/live", "/static/app.js", "/docs/ui/swagger-ui.css", "/livez"):
        assert http.get(path).status_code == 200, path
    assert http.get("/v1/none").status_code == 404
    assert http.get("/static/../v1/takes").status_code in (401, 404)


def test_a_route_that_says_nothing_is_open_to_nobody(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    studio = tone_studio(tmp_path / "models", {}, {}, access="keys")
    studio.archive = archived(tmp_path)
    app = create_app(studio, workers=1)
    assert isinstance(app, FastAPI)

    @app.get("/v1/forgotten")
    def forgotten() -> str:
        return "open"

    _, shown = app.state.keyring.make(_of("admin"), None)

    async def get(headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            return await http.get("/v1/forgotten", headers=headers)

    assert asyncio.run(get({})).status_code == 401
    refused = asyncio.run(get(bearer(shown)))
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-allowed")
    studio.archive.close()


def _of(*given: str) -> Any:
    return NewKey(name="Dana", scopes=given).key(0)


# -- scopes --------------------------------------------------------------------------------------


def test_a_key_does_what_its_scopes_say_and_no_more(asked: Guarded) -> None:
    with asked.client("audition") as hears, asked.client("speak") as speaks:
        refused = hears.post("/v1/speech", json=WORDS)
        assert (refused.status_code, refused.json()["scope"]) == (403, "speak")
        assert 'error="insufficient_scope", scope="speak"' in refused.headers["WWW-Authenticate"]
        assert speaks.post("/v1/speech", json=WORDS).status_code == 200
        assert hears.get("/v1/takes").status_code == 200
        assert speaks.get("/v1/takes").status_code == 403
        for path in ("/v1/keys", "/v1/grants", "/v1/ledger"):
            assert hears.get(path).status_code == 403


def test_the_client_of_openai_speaks_with_a_key(asked: Guarded) -> None:
    key, _ = asked.make("speak")
    said = {"model": "any", "voice": "ann", "input": LINE, "response_format": "wav"}
    with openai.OpenAI(base_url=f"{asked.service.url}/v1", api_key=key) as client:
        assert client.audio.speech.create(**said).content[:4] == b"RIFF"  # type: ignore[arg-type]
    with (
        openai.OpenAI(base_url=f"{asked.service.url}/v1", api_key="vsk_no") as client,
        pytest.raises(openai.AuthenticationError, match="not valid"),
    ):
        client.audio.speech.create(**said)  # type: ignore[arg-type]


def test_wrong_and_unknown_keys_are_answered_the_same(asked: Guarded) -> None:
    key, id = asked.make("speak")
    wrong = key[:-4] + ("AAAA" if key[-4:] != "AAAA" else "BBBB")
    unknown = key.replace(id, "0123456789ab")
    answers = [
        asked.service.http.get("/v1/actors", headers=bearer(k))
        for k in (wrong, unknown, "vsk_no", "vsk_" + "%00" * 30)
    ]
    assert {(a.status_code, a.text, a.headers["WWW-Authenticate"]) for a in answers} == {
        (401, answers[0].text, 'Bearer realm="voicesvc", error="invalid_token"')
    }
    basic = asked.service.http.get("/v1/actors", headers={"Authorization": "Basic YTpi"})
    assert basic.status_code == 401


def test_what_is_done_is_done_by_the_key(asked: Guarded) -> None:
    key, id = asked.make("speak", "audition")
    with asked.with_key(key) as http:
        said = http.post("/v1/speech", json=WORDS, headers={"Voicesvc-User": "somebody else"})
        take = http.get(f"/v1/takes/{said.headers['Voicesvc-Take']}").json()
    assert take["created_by"] == f"Dana ({id})"


def test_who_may_verify_is_a_setting(tmp_path: Path) -> None:
    text = {"Content-Type": "text/plain"}  # refused before anything is examined
    with guarded(tmp_path, verify="keys") as asked:
        http = asked.service.http
        assert http.post("/v1/verify", content=b"x", headers=text).status_code == 401
        unknown = {**text, **bearer("vsk_no")}
        assert http.post("/v1/verify", content=b"x", headers=unknown).status_code == 401
        for scope in SCOPES:
            with asked.client(scope) as client:
                known = client.post("/v1/verify", content=b"x", headers=text)
                assert known.json()["type"] == "/problems/unknown-kind", scope
        assert http.get("/verify").headers["Location"] == "/login?next=/verify"
        assert 'data-next="/verify"' in http.get("/login?next=/verify").text
        key, _ = asked.make("speak")
        with httpx.Client(base_url=asked.service.url) as browser:
            browser.post("/v1/session", json={"key": key})
            assert browser.get("/verify").status_code == 200
            foreign = browser.post("/v1/verify", content=b"x", headers=text)
            assert (foreign.status_code, foreign.json()["where"]) == (403, "Origin")


def test_anybody_may_verify_unless_the_setting_says_otherwise(asked: Guarded) -> None:
    text = {"Content-Type": "text/plain"}
    assert asked.service.http.post("/v1/verify", content=b"x", headers=text).status_code == 415
    assert asked.service.http.get("/verify").status_code == 200


# -- the life of a key ---------------------------------------------------------------------------


def test_a_key_is_shown_once_and_rotated_without_a_gap(asked: Guarded) -> None:
    key, id = asked.make("audition")
    shown = asked.admin.get(f"/v1/keys/{id}").text + asked.admin.get("/v1/keys").text
    assert key[SECRET_AT:] not in shown
    rotated = asked.admin.post(f"/v1/keys/{id}/rotate", json={}).json()
    with asked.with_key(key) as old, asked.with_key(rotated["key"]) as new:
        assert old.get("/v1/takes").status_code == new.get("/v1/takes").status_code == 200
        last = asked.admin.post(f"/v1/keys/{id}/rotate", json={"overlap_s": 0}).json()["key"]
        assert old.get("/v1/takes").status_code == new.get("/v1/takes").status_code == 401
    with asked.with_key(last) as newest:
        assert newest.get("/v1/takes").status_code == 200
        assert asked.admin.post(f"/v1/keys/{id}/revoke").json()["revoked_at"]
        assert newest.get("/v1/takes").json()["detail"] == "the key was revoked"
    for of in (id, "0" * 12, "0"):
        refused = asked.admin.post(f"/v1/keys/{of}/rotate", json={})
        assert (refused.status_code, refused.json()["type"]) == (404, "/problems/unknown-key")
    entries = asked.admin.get("/v1/ledger", params={"subject": id}).json()["items"]
    entries = [e for e in entries if e["kind"] == "key"]  # what was refused is there too, in time
    assert [e["action"] for e in entries] == ["made", "rotated", "rotated", "revoked"]
    assert all("who_sha256" in e and "name" not in e for e in entries)


def test_a_key_expires(asked: Guarded) -> None:
    studio = asked.service.studio
    assert studio.archive is not None
    soon = studio.archive.now_ms() + 2500
    with asked.client("audition", expires_ms=soon) as http:
        assert http.get("/v1/takes").status_code == 200
        assert eventually(lambda: http.get("/v1/takes").status_code == 401, 10)
        assert http.get("/v1/takes").json()["detail"] == "the key has expired"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"scopes": ["speak", "all"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"], "productions": ["a"]}, "scopes"),
        ({"scopes": ["speak"], "expires_ms": 1}, "expires_ms"),
        ({"scopes": ["speak"], "secret": "x"}, "secret"),
    ],
)
def test_a_key_that_is_not_valid_is_not_made(asked: Guarded, body: Any, where: str) -> None:
    refused = asked.admin.post("/v1/keys", json={"name": "Dana", **body})
    assert (refused.status_code, refused.json()["where"]) == (422, where)


def test_revoking_a_key_breaks_off_what_it_hears(asked: Guarded) -> None:
    key, id = asked.make("speak", "audition")
    url = asked.service.url.replace("http", "ws") + PATH
    said = {**WORDS, "text": LONG}
    with (
        asked.with_key(key) as http,
        http.stream("POST", "/v1/speech", json=said) as speech,
        http.stream("GET", "/v1/events") as events,
        connect(url, additional_headers=bearer(key)) as socket,
        ThreadPoolExecutor() as pool,
    ):
        assert speech.status_code == events.status_code == 200
        heard, told = speech.iter_bytes(), events.iter_lines()
        assert next(heard)
        assert next(told)
        socket.send(json.dumps({"actor": "ann"}))
        assert "started" in str(socket.recv(timeout=10))
        asked.admin.post(f"/v1/keys/{id}/revoke")

        def rest(parts: Iterator[Any]) -> None:
            for _ in parts:
                pass

        for ended in [pool.submit(rest, heard), pool.submit(rest, told)]:
            with pytest.raises(httpx.RemoteProtocolError):
                ended.result(timeout=5)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
        assert socket.close_code == 1008
    assert eventually(asked.service.idle)


# -- sockets -------------------------------------------------------------------------------------


def test_a_socket_takes_a_key_in_a_header_or_as_a_protocol(asked: Guarded) -> None:
    key, _ = asked.make("speak")
    url = asked.service.url.replace("http", "ws") + PATH
    with connect(url, additional_headers=bearer(key)) as socket:
        assert socket.subprotocol is None
    with connect(url, subprotocols=["voicesvc", f"bearer.{key}"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "voicesvc"
        socket.send(json.dumps({"actor": "ann", "text": ""}))
        assert "started" in str(socket.recv(timeout=10))
    hears, _ = asked.make("audition")
    for headers, status in ((None, 401), (bearer("vsk_no"), 401), (bearer(hears), 403)):
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
            pass
        assert refused.value.response.status_code == status


# -- this machine alone --------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "voices.example"])
def test_without_keys_it_is_not_served_to_others(host: str, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="nobody would be asked") as caught:
        gate.check_settings(Settings.read({}, host=host))
    assert caught.value.where == "VOICESVC_ACCESS"
    gate.check_settings(Settings.read({}, host=host, access="keys"))
    for near in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        gate.check_settings(Settings.read({}, host=near))
    with pytest.raises(BadSetting, match="nobody has a key") as caught:
        gate.check_settings(Settings.read({}, verify="keys"))
    assert caught.value.where == "VOICESVC_VERIFY"


def test_nothing_is_begun_where_others_would_come_in_without_keys() -> None:
    with pytest.raises(BadSetting, match="VOICESVC_ACCESS"):
        server.run(Settings.read({}, host="0.0.0.0", port=0), print, 0.0)


def test_a_name_that_was_made_to_lead_here_is_refused(tone_server: Service) -> None:
    port = tone_server.http.base_url.port
    for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "[::2]", "@", "localhost.x"):
        refused = tone_server.http.get("/v1/takes", headers={"Host": host})
        assert (refused.status_code, refused.json()["where"]) == (403, "Host"), host
    for host in (f"localhost:{port}", "127.0.0.1", "[::1]:80"):
        assert tone_server.http.get("/v1/takes", headers={"Host": host}).status_code == 200


def test_a_page_of_another_site_changes_nothing(tone_server: Service) -> None:
    load = "/v1/actors/ann/load"
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = tone_server.http.post(load, headers=headers)
        assert (refused.status_code, refused.json()["where"]) == (403, "Origin")
    assert tone_server.http.post(load, headers={"Origin": tone_server.url}).status_code < 300


# -- what leaves ---------------------------------------------------------------------------------


def test_no_secret_is_in_the_log_the_answers_or_the_database(tmp_path: Path) -> None:
    stream = io.StringIO()
    root, own = logging.getLogger(), logging.getLogger("voicesvc")
    before = list(root.handlers), root.level, own.level
    logs.install("json", "debug", stream)
    try:
        with guarded(tmp_path) as asked:
            key, id = asked.make("speak")
            new = asked.admin.post(f"/v1/keys/{id}/rotate", json={}).json()["key"]
            answers = [
                asked.service.http.get(path, headers=bearer(k)).text
                for k in (key, new, key[:-1] + "-")
                for path in ("/v1/keys", "/v1/takes")
            ]
            with asked.with_key(new) as http:
                http.get(f"/{new}")
                http.post("/v1/speech", json={"actor": key, "text": new})
    finally:
        root.handlers[:], (root.level, own.level) = before[0], before[1:]
    assert "refused" in stream.getvalue()
    secrets = [k[SECRET_AT:] for k in (key, new)]
    kept = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    for secret in secrets:
        assert secret not in stream.getvalue()
        assert secret.encode() not in kept
    assert not any(s in a for a in answers for s in secrets)


# -- commands ------------------------------------------------------------------------------------


def test_keys_are_made_and_revoked_beside_a_service_that_runs(tmp_path: Path) -> None:
    with guarded(tmp_path) as asked:
        archive = asked.service.studio.archive
        assert archive is not None
        folder = Path(archive.database._url.database or "").parent

        def typed(*words: str) -> str:
            given = {"VOICESVC_DATA_DIR": str(folder)}
            done = CliRunner().invoke(cli, ["key", *words], env=given)
            assert done.exit_code == 0, done.output
            return done.stdout

        key = typed("new", "Dana", "--scope", "audition", "--production", "demo").strip()
        id = key.split("_")[1]
        with asked.with_key(key) as http:
            assert eventually(lambda: http.get("/v1/takes").status_code == 200)
            assert "audition\tall actors\tdemo\tcounts\tDana" in typed("list")
            new = typed("rotate", id, "--hours", "0").strip()
            assert eventually(lambda: http.get("/v1/takes").status_code == 401, 10)
        with asked.with_key(new) as http:
            assert eventually(lambda: http.get("/v1/takes").status_code == 200)
            assert json.loads(typed("revoke", id))["revoked_at"]
            assert eventually(lambda: http.get("/v1/takes").status_code == 401, 10)
        assert json.loads(typed("show", id))["id"] == id


def test_metrics_take_a_key_where_they_are_to(tmp_path: Path) -> None:
    with guarded(tmp_path, metrics="key") as asked:
        assert asked.service.http.get("/metrics").status_code == 401
        assert asked.admin.get("/metrics").status_code == 200
