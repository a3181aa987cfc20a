"""Who asks by an OpenID provider, through the front door: tokens, and logging in on the page."""

import io
import json
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from conftest import LINE, eventually
from guarded import Guarded, bearer, guarded
from openid import AUDIENCE, CLIENT, SECRET, OpenId, openid
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from voicesvc import logs
from voicesvc import provider as providers
from voicesvc.access import denied, flow, sessions
from voicesvc.api.live_messages import PATH
from voicesvc.api.server import listen
from voicesvc.config import Settings

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
WITHIN_S = 60.0  # what happens in a second, on a machine that is not busy
LONG = " ".join([LINE] * 400)
WORDS = {"actor": "ann", "text": LINE}
ROLES = """
[editor]
scopes = ["speak", "audition"]

[viewer]
scopes = ["audition"]
productions = ["harbour"]
per_minute = 3

[boss]
scopes = ["admin"]
"""
COOKIE = flow.cookie_name(over_tls=False)


@dataclass
class Asked:
    """A service that asks for keys or tokens, and the provider of tokens."""

    guarded: Guarded
    provider: OpenId

    @property
    def url(self) -> str:
        return self.guarded.service.url

    def get(self, path: str, token: str) -> httpx.Response:
        return self.guarded.service.http.get(path, headers=bearer(token))

    def browser(self) -> httpx.Client:
        """Something that keeps cookies."""
        return httpx.Client(base_url=self.url, timeout=WITHIN_S)

    def denied(self) -> list[dict[str, Any]]:
        found = self.guarded.admin.get("/v1/ledger", params={"kind": "denied"}, timeout=WITHIN_S)
        items: list[dict[str, Any]] = found.json()["items"]
        return items


@contextmanager
def asked_by(folder: Path, provider: OpenId, **settings: Any) -> Iterator[Asked]:
    (folder / "roles.toml").write_text(ROLES, "utf-8")
    (folder / "secret").write_text(SECRET + "\n", "utf-8")
    with pytest.MonkeyPatch.context() as patched, listen(Settings.read({}, port=0)) as listener:
        patched.setattr(providers, "MOST_S", WITHIN_S)
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        given = {
            "oidc_issuer": provider.issuer,
            "oidc_audience": AUDIENCE,
            "oidc_roles": folder / "roles.toml",
            "oidc_client_id": CLIENT,
            "oidc_client_secret": folder / "secret",
            "oidc_redirect_url": f"{here}/login/callback",
        }
        with guarded(folder, listener=listener, **given | settings) as running:
            yield Asked(running, provider)


@pytest.fixture(scope="module")
def module_provider() -> Iterator[OpenId]:
    with openid() as running:
        yield running


@pytest.fixture(scope="module")
def module_asked(
    tmp_path_factory: pytest.TempPathFactory, module_provider: OpenId
) -> Iterator[Asked]:
    module_provider.secret = SECRET
    with asked_by(tmp_path_factory.mktemp("oidc"), module_provider) as running:
        yield running


@pytest.fixture
def asked(module_asked: Asked) -> Iterator[Asked]:
    yield module_asked
    provider = module_asked.provider
    provider.says, provider.claims, provider.person = {}, {}, {}


# -- tokens ----------------------------------------------------------------------------------------


def test_a_token_does_what_its_role_says_and_no_more(asked: Asked) -> None:
    token = asked.provider.token()
    with asked.guarded.with_key(token) as http:
        said = http.post("/v1/speech", json=WORDS, headers={"Voicesvc-User": "somebody else"})
        assert said.status_code == 200
        take = http.get(f"/v1/takes/{said.headers['Voicesvc-Take']}").json()
        assert take["created_by"] == "Dana, sound (oidc:dana-1)"
        refused = http.get("/v1/keys")
        assert (refused.status_code, refused.json()["scope"]) == (403, "admin")
    assert asked.get("/v1/keys", asked.provider.token(roles=["boss"])).status_code == 200
    odd = asked.provider.token(exp=1e300, name="\ud800\x00", sub="\ud800")
    assert asked.get("/v1/takes", odd).status_code == 200
    permits = asked.guarded.admin.get("/v1/ledger", params={"subject": take["id"]}).json()["items"]
    assert "who_sha256" in permits[0]
    assert "Dana" not in str(permits)


def test_a_role_is_for_its_productions(asked: Asked) -> None:
    token = asked.provider.token(sub="viewer", roles=["viewer"])
    for slug in ("harbour", "lagoon"):
        body = {"title": slug, "slug": slug}
        assert asked.guarded.admin.post("/v1/productions", json=body).status_code == 201
    found = asked.get("/v1/productions", token).json()["items"]
    assert [p["slug"] for p in found] == ["harbour"]
    assert asked.get("/v1/productions/lagoon", token).status_code == 404


def test_each_person_may_ask_as_much_as_their_roles_say(asked: Asked) -> None:
    token = asked.provider.token(sub="busy", roles=["viewer"])
    statuses = [asked.get("/v1/takes", token).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    other = asked.provider.token(sub="idle", roles=["viewer"])
    assert asked.get("/v1/takes", other).status_code == 200


def test_a_person_without_a_role_is_told_what_it_would_take(asked: Asked) -> None:
    for roles in ([], ["unknown", "Editor"], None):
        refused = asked.get("/v1/takes", asked.provider.token(roles=roles))
        assert refused.status_code == 403
        said = refused.json()
        assert (said["type"], said["scope"]) == ("/problems/not-allowed", "audition")
        assert said["valid"] == ["boss", "editor", "viewer"]
    assert eventually(lambda: "token-role" in {e["reason"] for e in asked.denied()}, WITHIN_S)


def test_every_kind_of_wrong_token_is_refused_the_same_way(asked: Asked) -> None:
    provider = asked.provider
    now_s = int(time.time())
    wrong = [
        provider.token(iss="https://evil.example"),
        provider.token(aud="another"),
        provider.token(exp=now_s - 100),
        provider.token(nbf=now_s + 100),
        provider.signed(provider.said(), key=provider.keys["ES256"], kid="unknown"),
        provider.token().rpartition(".")[0] + ".",
        "a.b.c",
    ]
    for token in wrong:
        refused = asked.get("/v1/takes", token)
        assert refused.status_code == 401, token
        challenge = 'Bearer realm="voicesvc", error="invalid_token"'
        assert refused.headers["WWW-Authenticate"] == challenge
        assert refused.json()["type"] == "/problems/not-authenticated"
        assert token not in refused.text
    key, _ = asked.guarded.make("audition")
    assert asked.get("/v1/takes", key).status_code == 200, "keys count beside tokens"


def test_a_socket_takes_a_token_and_ends_with_it(asked: Asked) -> None:
    url = asked.url.replace("http", "ws") + PATH
    token = asked.provider.token()
    app: Any = asked.guarded.service.server.config.app
    keyring = app.state.keyring
    now_ms = keyring._now_ms
    with (
        connect(url, subprotocols=["voicesvc", f"bearer.{token}"]) as socket,  # type: ignore[list-item]
        asked.guarded.with_key(token) as http,
        http.stream("POST", "/v1/speech", json={**WORDS, "text": LONG}) as speech,
        ThreadPoolExecutor() as pool,
    ):
        assert speech.status_code == 200
        heard = speech.iter_bytes()
        assert next(heard)
        keyring._now_ms = lambda: now_ms() + 361_000  # 5 min of the token, 1 of leeway
        try:
            ended = pool.submit(lambda: [None for _ in heard])
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=WITHIN_S)
            assert socket.close_code == 1008
            with pytest.raises(httpx.RemoteProtocolError):
                ended.result(timeout=WITHIN_S)
        finally:
            keyring._now_ms = now_ms
    old = asked.provider.token(exp=int(time.time()) - 61)
    late = pytest.raises(InvalidStatus, match="401")
    with late, connect(url, additional_headers=bearer(old)):
        pass


def test_what_is_refused_is_in_the_ledger_as_a_count(asked: Asked) -> None:
    assert "denied" not in asked.guarded.admin.get("/v1/ledger/head").text
    key, id = asked.guarded.make("audition")
    asked.guarded.admin.post(f"/v1/keys/{id}/revoke")
    for _ in range(50):
        asked.get("/v1/takes", key)
        asked.get("/v1/takes", "vsk_no")
        asked.get("/v1/takes", asked.provider.token(aud="nobody at all"))

    def told() -> set[tuple[str, str]]:
        return {(e["reason"], e["subject"]) for e in asked.denied()}

    assert eventually(lambda: {("key-revoked", id), ("key", "keys")} <= told(), WITHIN_S)
    assert eventually(lambda: ("token-audience", "tokens") in told(), WITHIN_S)
    entries = asked.denied()
    assert len(entries) <= 3 * len(denied.REASONS)
    assert all(e["count"] >= 1 and e["since"] <= e["at"] for e in entries)
    assert "dana" not in json.dumps(entries)


def test_the_rest_of_a_flood_is_in_the_ledger_at_the_end(tmp_path: Path) -> None:
    with openid() as provider, asked_by(tmp_path, provider, oidc_client_secret=None) as asked:
        archive = asked.guarded.service.studio.archive
        assert archive is not None
        folder = Path(archive.database._url.database or "").parent
        asked.get("/v1/takes", "vsk_no")
        assert eventually(lambda: bool(asked.denied()), WITHIN_S)
        for _ in range(30):
            asked.get("/v1/takes", "vsk_no")
        asked.guarded.service.server.should_exit = True
        assert eventually(lambda: _count(folder) == 31, WITHIN_S)


def _count(folder: Path) -> int:
    """How many refusals the ledger of a data folder has, whoever runs there."""
    with closing(sqlite3.connect(f"file:{folder / 'takes.db'}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT body FROM ledger WHERE kind = 'denied'").fetchall()
    return sum(json.loads(body)["count"] for (body,) in rows)


# -- the provider turns its keys over, or is not there ---------------------------------------------


def test_the_provider_turns_its_keys_over_and_goes_away(tmp_path: Path) -> None:
    with openid() as provider, asked_by(tmp_path, provider, oidc_client_secret=None) as asked:
        provider.down = True
        early = asked.get("/v1/takes", provider.token())
        assert (early.status_code, early.json()["type"]) == (503, "/problems/provider-failed")
        assert early.headers["Retry-After"] == "10"
        page = asked.guarded.service.http.get("/login/oidc")
        assert page.status_code == 503
        assert "the provider of tokens failed" in page.text
        key, _ = asked.guarded.make("audition")
        assert asked.get("/v1/takes", key).status_code == 200, "keys need no provider"
        provider.down = False
        people = asked.guarded.service.server.config.app.state.people  # type: ignore[union-attr]
        people.provider._asked_s = None  # as if ten seconds had passed
        assert asked.get("/v1/takes", provider.token()).status_code == 200
        provider.turn_over()
        assert asked.get("/v1/takes", provider.token()).status_code == 401, "it was asked just now"
        people.provider._asked_s = None
        assert asked.get("/v1/takes", provider.token()).status_code == 200
        provider.down = True
        people.provider._asked_s = None
        assert asked.get("/v1/takes", provider.token()).status_code == 200


# -- the login -------------------------------------------------------------------------------------


def begun(asked: Asked, browser: httpx.Client, following: str = "/") -> str:
    """Begin a login; gives the address that the provider leads the browser back to."""
    sent = browser.get("/login/oidc", params={"next": following})
    assert sent.status_code == 303
    said = sent.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said
    assert f"max-age={flow.LASTS_S}" in said
    there = httpx.get(sent.headers["Location"], timeout=WITHIN_S)
    assert there.status_code == 302, there.text
    return there.headers["Location"]


def state_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


def test_somebody_logs_in_and_out(asked: Asked) -> None:
    with asked.browser() as browser:
        assert f"Log in at {urlsplit(asked.provider.issuer).netloc}" in browser.get("/login").text
        back = begun(asked, browser, "/verify?a=1")
        assert browser.get("/v1/takes").status_code == 401
        done = browser.get(back)
        assert done.status_code == 200
        assert 'content="0;url=/verify?a=1"' in done.text
        assert done.headers["Referrer-Policy"] == "no-referrer"
        assert "form-action 'none'" in done.headers["Content-Security-Policy"]
        given = next(c for c in done.headers.get_list("set-cookie") if sessions.COOKIE in c)
        assert "httponly" in given.lower()
        assert "samesite=strict" in given.lower()
        assert COOKIE not in browser.cookies
        assert browser.get("/v1/takes").status_code == 200
        assert browser.get("/").status_code == 200
        assert browser.get("/v1/keys").status_code == 403
        own = {"Origin": asked.url}
        said = browser.post("/v1/speech", json=WORDS, headers=own)
        assert said.status_code == 200
        evil = browser.post("/v1/speech", json=WORDS, headers={"Origin": "http://evil.example"})
        assert (evil.status_code, evil.json()["where"]) == (403, "Origin")
        take = browser.get(f"/v1/takes/{said.headers['Voicesvc-Take']}").json()
        assert take["created_by"] == "Dana, sound (oidc:dana-1)"
        assert browser.delete("/v1/session", headers=own).status_code == 204
        assert browser.get("/v1/takes").status_code == 401
        assert browser.get("/").headers["Location"] == "/login"


def test_a_copied_cookie_of_a_person_counts_no_more_after_logging_out(asked: Asked) -> None:
    http = asked.guarded.service.http
    with asked.browser() as browser:
        browser.get(begun(asked, browser))
        copied = {"Cookie": f"{sessions.COOKIE}={browser.cookies[sessions.COOKIE]}"}
        assert http.get("/v1/takes", headers=copied).status_code == 200
        assert browser.delete("/v1/session", headers={"Origin": asked.url}).status_code == 204
    assert http.get("/v1/takes", headers=copied).status_code == 401
    assert http.get("/", headers=copied).headers["Location"] == "/login"


def test_the_provider_is_asked_for_what_it_takes(asked: Asked) -> None:
    with asked.browser() as browser:
        parts = urlsplit(browser.get("/login/oidc").headers["Location"])
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert f"{parts.scheme}://{parts.netloc}" == asked.provider.issuer
    assert query.pop("theme") == "dark"
    assert {len(query.pop(name)) for name in ("state", "nonce", "code_challenge")} == {43}
    assert query == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": f"{asked.url}/login/callback",
        "scope": "openid profile",
        "code_challenge_method": "S256",
    }


def refused(browser: httpx.Client, back: str, status: int = 401) -> str:
    answer = browser.get(back)
    assert answer.status_code == status, answer.text
    assert sessions.COOKIE not in browser.cookies
    assert browser.get("/v1/takes").status_code == 401
    (_, _, said) = answer.text.partition('role="status">')
    return unescape(said.partition("<")[0])


def test_a_login_that_another_browser_began_is_refused(asked: Asked) -> None:
    with asked.browser() as mine, asked.browser() as theirs, asked.browser() as nobody:
        back = begun(asked, mine)
        other = begun(asked, theirs)
        assert "not begun here" in refused(nobody, back), "no cookie"
        swapped = back.replace(state_of(back), state_of(other))
        assert "not begun here" in refused(mine, swapped)
        assert COOKIE not in mine.cookies, "one try"
        assert "not begun here" in refused(mine, back)
    for gone in ("", "?code=x", "?state=x", "?code=x&state=%ff%00"):
        with asked.browser() as browser:
            begun(asked, browser)
            assert "not begun here" in refused(browser, f"/login/callback{gone}")
    assert eventually(lambda: "login-state" in {e["reason"] for e in asked.denied()}, WITHIN_S)


def test_a_code_counts_once(asked: Asked) -> None:
    with asked.browser() as browser, asked.browser() as thief:
        back = begun(asked, browser)
        thief.cookies.update(browser.cookies)
        assert browser.get(back).status_code == 200
        again = browser.get(back)
        assert again.status_code == 401
        assert "not begun here" in again.text
        assert "did not take the code" in refused(thief, back), "with the cookie, too"
    assert eventually(lambda: "login-code" in {e["reason"] for e in asked.denied()}, WITHIN_S)


def test_a_code_of_another_login_is_refused(asked: Asked) -> None:
    with asked.browser() as mine, asked.browser() as theirs:
        back, other = begun(asked, mine), begun(asked, theirs)
        stolen = other.replace(state_of(other), state_of(back))
        assert "did not take the code" in refused(mine, stolen), "the proof (PKCE) is another"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "another"}, "another login"),
        ({"aud": "another"}, "somebody else"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"exp": 1}, "expired"),
        ({"azp": "another"}, "does not count"),
    ],
)
def test_a_token_that_is_not_of_this_login_is_refused(
    asked: Asked, claims: dict[str, Any], said: str
) -> None:
    asked.provider.claims = claims
    with asked.browser() as browser:
        assert said in refused(browser, begun(asked, browser))


def test_who_has_no_role_does_not_come_in(asked: Asked) -> None:
    asked.provider.person = {"roles": ["nobody's"]}
    with asked.browser() as browser:
        assert "no role" in refused(browser, begun(asked, browser), 403)


def test_the_provider_says_no(asked: Asked) -> None:
    with asked.browser() as browser:
        state = state_of(begun(asked, browser))
        answer = f"/login/callback?error=access_denied&state={state}"
        assert refused(browser, answer) == "That failed: the provider refused: access_denied."
        state = state_of(begun(asked, browser))
        answer = f"/login/callback?error=%3Cscript%3Ealert(1)&state={state}"
        assert refused(browser, answer) == "That failed: the provider refused."


def test_another_provider_does_not_answer_for_this_one(asked: Asked) -> None:
    with asked.browser() as browser:
        back = begun(asked, browser)
        assert "another provider" in refused(browser, f"{back}&iss=https%3A%2F%2Fevil.example")
        assert (
            browser.get(f"{begun(asked, browser)}&iss={asked.provider.issuer}").status_code == 200
        )


@pytest.mark.parametrize("following", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_login_leads_to_no_other_site(asked: Asked, following: str) -> None:
    with asked.browser() as browser:
        assert "evil" not in browser.get("/login", params={"next": following}).text
        assert 'url=/"' in browser.get(begun(asked, browser, following)).text


def test_a_session_ends_with_its_time_and_its_roles(asked: Asked, tmp_path: Path) -> None:
    with asked.browser() as browser:
        browser.get(begun(asked, browser))
        cookie = browser.cookies[sessions.COOKIE]
    app: Any = asked.guarded.service.server.config.app
    people = app.state.people
    assert people.of_session(cookie, "speak").name == "Dana, sound"
    now_ms, known = people._now_ms, people.roles
    try:
        people.roles = {"viewer": known["viewer"]}
        headers = {"Cookie": f"{sessions.COOKIE}={cookie}"}
        assert asked.guarded.service.http.get("/v1/takes", headers=headers).status_code == 403
        people.roles = known
        people._now_ms = lambda: now_ms() + 1000 * 28_800
        assert asked.guarded.service.http.get("/v1/takes", headers=headers).status_code == 401
    finally:
        people.roles, people._now_ms = known, now_ms
    content, _, code = cookie.removeprefix(sessions.OF_PERSON).partition(".")
    for forged in (f"oidc.{content}A.{code}", f"oidc.{content}.{'0' * 64}", "oidc.e30.x", "oidc."):
        headers = {"Cookie": f"{sessions.COOKIE}={forged}"}
        assert asked.guarded.service.http.get("/v1/takes", headers=headers).status_code == 401


def test_a_client_without_the_right_secret_gets_no_token(tmp_path: Path) -> None:
    with openid() as provider, asked_by(tmp_path, provider, oidc_client_secret=None) as asked:
        with asked.browser() as browser:
            assert browser.get(begun(asked, browser)).status_code == 200, "a public client"
        provider.secret = SECRET
        with asked.browser() as browser:
            said = refused(browser, begun(asked, browser), 503)
        assert "invalid_client" in said


def test_a_provider_may_take_the_secret_in_the_form_alone(tmp_path: Path) -> None:
    with openid() as provider:
        provider.secret = SECRET
        provider.says = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        provider.says["authorization_response_iss_parameter_supported"] = True
        with asked_by(tmp_path, provider) as asked, asked.browser() as browser:
            back = begun(asked, browser)
            assert "another provider" in refused(browser, back), "it says that it names itself"
            back = f"{begun(asked, browser)}&iss={provider.issuer}"
            assert browser.get(back).status_code == 200


def test_cookies_over_tls_are_secure_and_of_this_host_alone(tmp_path: Path) -> None:
    redirect = "https://voices.example/login/callback"
    with openid() as provider:
        given = {"oidc_client_secret": None, "oidc_redirect_url": redirect}
        with asked_by(tmp_path, provider, **given) as asked:
            said = asked.guarded.service.http.get("/login/oidc").headers["set-cookie"]
    assert said.startswith("__Host-voicesvc-login=")
    assert {"secure", "path=/", "httponly"} <= {p.strip().lower() for p in said.split(";")}
    assert "domain" not in said.lower()


def test_without_a_provider_nobody_logs_in_there(tmp_path: Path) -> None:
    with guarded(tmp_path) as asked:
        for path in ("/login/oidc", "/login/callback?code=x&state=y"):
            assert asked.service.http.get(path).status_code == 404
        assert "Log in at" not in asked.service.http.get("/login").text


def test_nothing_secret_of_a_login_is_told(tmp_path: Path) -> None:
    stream = io.StringIO()
    root, own = logging.getLogger(), logging.getLogger("voicesvc")
    before = list(root.handlers), root.level, own.level
    logs.install("json", "debug", stream)
    try:
        with openid() as provider:
            provider.secret = SECRET
            with asked_by(tmp_path, provider) as asked, asked.browser() as browser:
                back = begun(asked, browser)
                browser.get(back)
                session = browser.cookies[sessions.COOKIE]
                token = provider.token()
                answers = [asked.get("/v1/takes", token), asked.get("/v1/takes", token[:-1] + "A")]
                provider.claims = {"nonce": "another"}
                answers.append(browser.get(begun(asked, browser)))
    finally:
        root.handlers[:], (root.level, own.level) = before[0], before[1:]
    code = parse_qs(urlsplit(back).query)["code"][0]
    kept = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    told = stream.getvalue() + "".join(a.text for a in answers)
    assert "refused" in told
    for secret in (SECRET, code, token, token.rpartition(".")[2], session, "not for us"):
        assert secret not in told
        assert secret.encode() not in kept


def test_somebody_logs_in_through_the_provider_in_a_browser(asked: Asked) -> None:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("the page is tested in Chromium; install it with: apt-get install -y chromium")
    asked.provider.consents = False
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
            page = browser.new_page()
            said: list[str] = []
            page.on("console", lambda message: said.append(message.text))
            page.goto(asked.url)
            page.click("#provider")
            page.click("#yes")
            page.wait_for_url(f"{asked.url}/")
            assert page.evaluate("fetch('/v1/takes').then(a => a.status)") == 200
            assert page.evaluate("document.cookie") == ""
            assert not [text for text in said if "Content Security Policy" in text]
            page.goto(f"{asked.url}/login")
            page.click("#out")
            page.get_by_text("You are logged out.").wait_for()
            page.goto(asked.url)
            assert page.url.endswith("/login")
            browser.close()
    finally:
        asked.provider.consents = True
