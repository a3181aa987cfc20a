"""The provider as it is asked: how often, for how long what it said counts, and from where."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openid import AUDIENCE, CLIENT, OpenId, openid

from voicesvc import provider as providers
from voicesvc.access import terms, tokens
from voicesvc.access.terms import Terms
from voicesvc.config import Settings
from voicesvc.errors import BadSetting, ProviderFailed
from voicesvc.provider import DISCOVERY, PAUSE_S, Provider

KEYS_S, STALE_S = 600, 900


@pytest.fixture(autouse=True)
def on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "MOST_S", 60.0)


@pytest.fixture
def issuer() -> Iterator[OpenId]:
    with openid() as running:
        yield running


def terms_of(issuer: str, **settings: Any) -> Terms:
    given = {
        "access": "keys",
        "oidc_issuer": issuer,
        "oidc_audience": AUDIENCE,
        "oidc_roles": "roles.toml",
        "oidc_keys_s": KEYS_S,
        "oidc_stale_s": STALE_S,
    }
    found = terms.of(Settings.read({}, **given | settings))
    assert found is not None
    return found


class Clock:
    """Seconds that go on when they are told to."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def asking(terms: Terms, work: Callable[[Provider, Clock], Awaitable[None]]) -> None:
    """Ask a provider, on an event loop of its own."""

    async def run() -> None:
        clock = Clock()
        provider = Provider(terms, clock)
        try:
            await work(provider, clock)
        finally:
            await provider.close()

    asyncio.run(run())


def wants(issuer: OpenId) -> Callable[[Any], bool]:
    """Whether keys are enough for a token that the issuer signs now."""
    token = tokens.read(issuer.token(), terms_of(issuer.issuer))
    return lambda keys: tokens.chosen(keys, token) is not None


async def read_in_the_background(issuer: OpenId, n: int) -> None:
    for _ in range(400):
        if issuer.asked["/keys"] == n:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{issuer.asked}")


def test_keys_are_read_once_and_again_when_they_are_old(issuer: OpenId) -> None:
    async def work(provider: Provider, clock: Clock) -> None:
        every = await asyncio.gather(*(provider.known(wants(issuer)) for _ in range(50)))
        assert len({id(known) for known in every}) == 1
        assert dict(issuer.asked) == {DISCOVERY: 1, "/keys": 1}
        clock.now_s += KEYS_S
        assert await provider.known(wants(issuer)) is every[0]
        assert issuer.asked["/keys"] == 1
        clock.now_s += 1
        assert await provider.known(wants(issuer)) is every[0], "nobody waits for it"
        assert issuer.asked["/keys"] == 1
        await read_in_the_background(issuer, 2)

    asking(terms_of(issuer.issuer), work)


def test_keys_that_were_turned_over_are_read_at_once(issuer: OpenId) -> None:
    async def work(provider: Provider, clock: Clock) -> None:
        before = wants(issuer)
        await provider.known(before)
        clock.now_s += PAUSE_S
        issuer.turn_over()
        known = await provider.known(wants(issuer))
        assert wants(issuer)(known.keys)
        assert not before(known.keys)
        assert issuer.asked["/keys"] == 2

    asking(terms_of(issuer.issuer), work)


def test_made_up_keys_do_not_make_us_ask_again_and_again(issuer: OpenId) -> None:
    async def work(provider: Provider, clock: Clock) -> None:
        await provider.known(wants(issuer))
        for i in range(600):  # one a tenth of a second, for a minute
            clock.now_s = 1000.0 + i / 10
            await provider.known(lambda _: False)
        assert issuer.asked["/keys"] == 6
        assert issuer.asked[DISCOVERY] == 6

    asking(terms_of(issuer.issuer), work)


def test_keys_count_for_a_while_without_the_provider_and_then_do_not(issuer: OpenId) -> None:
    async def work(provider: Provider, clock: Clock) -> None:
        first = await provider.known(wants(issuer))
        issuer.down = True
        clock.now_s += KEYS_S + STALE_S
        assert await provider.known(wants(issuer)) is first
        clock.now_s += 1
        with pytest.raises(ProviderFailed, match="503") as caught:
            await provider.known(wants(issuer))
        assert caught.value.retry_after_s == PAUSE_S
        asked = issuer.asked[DISCOVERY]
        for _ in range(20):
            with pytest.raises(ProviderFailed):
                await provider.known(wants(issuer))
        assert issuer.asked[DISCOVERY] <= asked + 1, "it is left alone meanwhile"
        issuer.down = False
        clock.now_s += PAUSE_S
        assert wants(issuer)((await provider.known(wants(issuer))).keys)

    asking(terms_of(issuer.issuer), work)


def test_a_provider_that_was_never_there_lets_nobody_in(issuer: OpenId) -> None:
    issuer.down = True

    async def work(provider: Provider, clock: Clock) -> None:
        with pytest.raises(ProviderFailed):
            await provider.known()

    asking(terms_of(issuer.issuer), work)


def refusal(issuer: OpenId, **settings: Any) -> str:
    """Why nothing is read of it."""
    said: list[str] = []

    async def work(provider: Provider, _: Clock) -> None:
        with pytest.raises(ProviderFailed) as caught:
            await provider.known()
        said.append(caught.value.detail)

    asking(terms_of(issuer.issuer, **settings), work)
    return said[0]


LOGIN = {
    "oidc_client_id": CLIENT,
    "oidc_redirect_url": "http://127.0.0.1:1/login/callback",
}


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ({"issuer": "https://another.example"}, "another issuer"),
        ({"issuer": None}, "not valid: issuer"),
        ({"jwks_uri": None}, "not valid: jwks_uri"),
        ({"jwks_uri": "http://169.254.169.254/latest"}, "not https"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is not used"),
        ({"jwks_uri": "http://localhost@evil.example/"}, "jwks_uri is not used"),
        ({"jwks_uri": "http://127.0.0.1:9\n/x"}, "jwks_uri is not used"),
        ({"jwks_uri": 7}, "not valid: jwks_uri"),
        ({"token_endpoint": "ftp://login.example"}, "token_endpoint is not used"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint is not used"),
        ({"authorization_endpoint": None}, "authorization_endpoint is not used"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"code_challenge_methods_supported": 7}, "not valid: code_challenge"),
    ],
)
def test_addresses_that_a_provider_names_are_looked_at(
    issuer: OpenId, says: dict[str, Any], said: str
) -> None:
    issuer.says = says
    assert said in refusal(issuer, **LOGIN)
    assert issuer.asked["/keys"] == 0


def test_an_issuer_elsewhere_does_not_lead_to_this_machine() -> None:
    near = terms_of("http://127.0.0.1:9")
    far = terms_of("https://login.example")
    said = {"issuer": far.issuer, "jwks_uri": "http://127.0.0.1:9/keys"}

    async def work(provider: Provider, _: Clock) -> None:
        with pytest.raises(ProviderFailed, match="not https"):
            provider._metadata(said)

    asking(far, work)

    async def beside(provider: Provider, _: Clock) -> None:
        assert provider._metadata(said | {"issuer": near.issuer}).jwks == said["jwks_uri"]

    asking(near, beside)


@contextmanager
def answering(answer: bytes, *, slowly: bool = False) -> Iterator[str]:
    """A server that says this to whoever comes, whatever they ask."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    caller, _ = listener.accept()
                except TimeoutError:
                    continue
                with caller:
                    try:
                        caller.recv(65_536)
                        said = answer.replace(b"URL", url.encode())
                        for i in range(0, len(said), 1 if slowly else len(said)):
                            caller.sendall(said[i : i + (1 if slowly else len(said))])
                            over.wait(0.02 if slowly else 0)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield url
        finally:
            over.set()
            thread.join(10)


def said_by(answer: bytes, *, slowly: bool = False) -> str:
    said: list[str] = []

    async def work(provider: Provider, _: Clock) -> None:
        with pytest.raises(ProviderFailed) as caught:
            await provider.known()
        said.append(caught.value.detail)

    with answering(answer, slowly=slowly) as url:
        asking(terms_of(url), work)
    return said[0]


def test_no_redirect_is_followed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        to = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/secret"
        for status in (301, 302, 303, 307, 308):
            head = f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 2\r\n\r\n{{}}"
            assert f"answered {status}" in said_by(head.encode())
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (2 * providers.MOST_BYTES)
    assert "bytes" in said_by(endless)
    deep = b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000
    assert "not JSON" in said_by(deep)
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00"
    assert "not JSON" in said_by(packed)
    assert "no answer" in said_by(b"nonsense\r\n\r\n")
    monkeypatch.setattr(providers, "MOST_S", 0.3)
    assert "no answer (TimeoutError)" in said_by(
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 2_000, slowly=True
    )


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    given = terms_of("https://login.example", oidc_client_secret=file, **LOGIN)
    for content in (None, "", "two\nlines"):
        if content is not None:
            file.write_text(content)
        with pytest.raises(BadSetting) as caught:
            Provider(given)
        assert caught.value.where == "VOICESVC_OIDC_CLIENT_SECRET"
        assert "two" not in str(caught.value)
