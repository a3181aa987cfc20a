"""Logging in on the page: a cookie that stands for a key, and no use to other sites."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from conftest import LINE
from guarded import Guarded, guarded
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voicesvc.access import Caller, Key, Secret, sessions
from voicesvc.api import secure
from voicesvc.api.live_messages import PATH
from voicesvc.errors import NotAuthenticated
from voicesvc.keyring import Keyring
from voicesvc.rights.keys import new as private_key
from voicesvc.store import Database
from voicesvc.store import access as rows

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("login")) as running:
        yield running


def test_a_session_stands_for_its_key_alone() -> None:
    key = Key("0123456789ab", "Dana", frozenset({"speak"}), secrets=(Secret(b"d" * 32),))
    caller = key.caller(key.secrets[0])
    assert isinstance(caller, Caller)
    token = sessions.sealed(b"p", caller, 1000)
    found = sessions.found({key.id: key}, b"p", token, 999)
    assert found == (key, key.secrets[0], 1000)
    assert sessions.found({key.id: key}, b"p", token, 1000) is None
    assert sessions.found({key.id: key}, b"q", token, 999) is None
    assert sessions.found({key.id: key}, b"p", token.replace(".1000.", ".9000."), 999) is None
    other = Key(key.id, "Dana", key.scopes, secrets=(Secret(b"e" * 32),))
    assert sessions.found({key.id: other}, b"p", token, 999) is None
    over = Key(key.id, "Dana", key.scopes, secrets=(Secret(b"d" * 32, 500),))
    assert sessions.found({key.id: over}, b"p", token, 500) is None


def logged_in(asked: Guarded, key: str) -> httpx.Client:
    client = httpx.Client(base_url=asked.service.url, timeout=30)
    answer = client.post("/v1/session", json={"key": key})
    assert answer.status_code == 200
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    assert key not in said
    return client


def test_a_cookie_reads_and_other_sites_change_nothing(asked: Guarded) -> None:
    key, id = asked.make("speak", "audition")
    own = {"Origin": asked.service.url}
    said = {"actor": "ann", "text": LINE}
    with closing(logged_in(asked, key)) as client:
        assert client.get("/v1/takes").status_code == 200
        assert client.get("/v1/grants").status_code == 403
        assert client.post("/v1/speech", json=said, headers=own).status_code == 200
        for headers in (
            {},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {**own, "Sec-Fetch-Site": "cross-site"},
        ):
            refused = client.post("/v1/speech", json=said, headers=headers)
            assert (refused.status_code, refused.json()["where"]) == (403, "Origin"), headers
        url = asked.service.url.replace("http", "ws") + PATH
        cookie = f"{sessions.COOKIE}={client.cookies[sessions.COOKIE]}"
        with connect(url, additional_headers={"Cookie": cookie, **own}):
            pass
        evil = {"Cookie": cookie, "Origin": "http://evil.example"}
        with pytest.raises(InvalidStatus, match="403"), connect(url, additional_headers=evil):
            pass
        asked.admin.post(f"/v1/keys/{id}/revoke")
        assert client.get("/v1/takes").status_code == 401
        assert client.get("/").headers["Location"] == "/login"


def test_a_copied_cookie_counts_no_more_after_logging_out(tmp_path: Path) -> None:
    own = {}
    with guarded(tmp_path) as asked:
        own["Origin"] = asked.service.url
        key, _ = asked.make("speak", "audition")
        with closing(logged_in(asked, key)) as client, closing(logged_in(asked, key)) as other:
            copied = {"Cookie": f"{sessions.COOKIE}={client.cookies[sessions.COOKIE]}"}
            url = asked.service.url.replace("http", "ws") + PATH
            with connect(url, additional_headers={**copied, **own}) as socket:
                assert client.delete("/v1/session", headers=own).status_code == 204
                with pytest.raises(ConnectionClosed, match="1008"):
                    socket.recv(30)
            http = asked.service.http
            assert http.get("/v1/takes", headers=copied).status_code == 401
            assert http.get("/", headers=copied).headers["Location"] == "/login"
            id, until, code = copied["Cookie"].partition("=")[2].split(".")
            same = {"Cookie": f"{sessions.COOKIE}={id}.0{until}.{code}"}  # is of the same end
            assert http.get("/v1/takes", headers=same).status_code == 401
            assert http.delete("/v1/session", headers=copied).status_code == 204  # once more
            assert other.get("/v1/takes").status_code == 200
            with asked.with_key(key) as itself:
                assert itself.get("/v1/takes").status_code == 200
    with guarded(tmp_path, actors=()) as again:  # its pack is there already
        answer = again.service.http.get("/v1/takes", headers=copied)
        assert (answer.status_code, answer.json()["detail"]) == (401, "the session has ended")


def test_a_session_is_ended_for_other_processes_and_forgotten_once_it_is_over(
    tmp_path: Path,
) -> None:
    now_ms, own = [1_000_000], private_key()
    with closing(Database(f"sqlite:///{tmp_path}/takes.db")) as database:
        first, second = (Keyring(database, own, lambda: now_ms[0]) for _ in range(2))
        _, shown = first.make(Key("", "Dana", frozenset({"speak"})), None)
        second.refresh()
        session = first.session(shown)[1]
        inside = second.of_session(session)
        until_ms = first.session_until_ms(session)
        assert until_ms is not None
        first.end(session, until_ms)
        assert second.stands(inside)
        second.refresh()
        assert not second.stands(inside)
        with pytest.raises(NotAuthenticated):
            second.of_session(session)
        assert second.stands(second.caller(shown))
        now_ms[0] = until_ms
        second.refresh()
        later = second.session(shown)[1]
        second.end(later, until_ms + 1)
        assert database.read(rows.ended) == {sessions.digest(later)}


def test_another_site_logs_nobody_in_or_out(asked: Guarded) -> None:
    key, _ = asked.make("audition")
    evil = {"Origin": "http://evil.example"}
    http = asked.service.http
    assert http.post("/v1/session", json={"key": key}, headers=evil).status_code == 403
    assert http.delete("/v1/session", headers=evil).status_code == 403
    assert http.post("/v1/session", json={"key": "vsk_no"}).status_code == 401
    assert sessions.COOKIE not in http.cookies


def test_every_answer_has_the_headers_that_browsers_keep_to(asked: Guarded) -> None:
    http = asked.service.http
    for path in ("/login", "/docs", "/live", "/static/app.js", "/v1/takes", "/none", "/livez"):
        answer = http.get(path)
        assert {name: answer.headers.get(name) for name in secure.ALWAYS} == secure.ALWAYS, path
        assert "strict-transport-security" not in answer.headers
    for path in ("/login", "/docs", "/live"):
        policy = http.get(path).headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy


def test_somebody_logs_in_and_out_in_a_browser(asked: Guarded) -> None:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("the page is tested in Chromium; install it with: apt-get install -y chromium")
    key, _ = asked.make("audition", "speak")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        page = browser.new_page()
        page.goto(asked.service.url)
        assert page.url.endswith("/login")
        page.fill("#key", "vsk_no")
        page.click("#in")
        page.get_by_text("the key is not valid").wait_for()
        page.fill("#key", key)
        page.click("#in")
        page.wait_for_url(f"{asked.service.url}/")
        assert page.evaluate("fetch('/v1/takes').then(a => a.status)") == 200
        assert page.evaluate("document.cookie") == ""
        page.goto(f"{asked.service.url}/login")
        page.click("#out")
        page.get_by_text("You are logged out.").wait_for()
        page.goto(asked.service.url)
        assert page.url.endswith("/login")
        browser.close()
