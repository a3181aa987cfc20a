"""An OpenID provider, asked over HTTP: what it says of itself, its keys, and tokens for codes.

The one place that fetches from an address. What is read is kept for a while, and read again in the
background; where the provider does not answer, what was read counts for a stated time more, then
nothing does. It is asked at most once in `PAUSE_S`, whatever keys are named to us, and one answer
is waited for by all. Addresses are https, or on this machine with the provider; redirects are not
followed; answers are bounded in bytes and time. Knows nothing of people and roles.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from voicesvc import metrics
from voicesvc.access import denied, tokens
from voicesvc.access.addresses import flaw
from voicesvc.access.terms import Login, Terms
from voicesvc.access.tokens import IssuerKey
from voicesvc.errors import BadSetting, ProviderFailed

DISCOVERY = "/.well-known/openid-configuration"
PAUSE_S = 10.0
MOST_BYTES = 262_144
MOST_S = 10.0
AT_ONCE = 16  # codes that are being handed in
_ACCEPT = {"Accept": "application/json", "Accept-Encoding": "identity"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery, section 3), as far as it matters.

    `posts_secret`: it takes a client's secret in the form alone; `names_itself`: its answers to a
    browser have `iss` (RFC 9207).
    """

    jwks: str
    authorize: str
    token: str
    posts_secret: bool
    names_itself: bool


class _Said(BaseModel):
    """The same as it comes."""

    model_config = ConfigDict(strict=True)

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    code_challenge_methods_supported: list[str] = ["S256"]  # not every provider says so
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What was read of a provider, and when, on the provider's clock."""

    metadata: Metadata
    keys: tuple[IssuerKey, ...]
    at_s: float


class Provider:
    """One provider. Everything is called on one event loop.

    Args:
        terms: its issuer, how long what it says counts, and the login, if there is one.
        clock: seconds that only go on.

    Raises:
        BadSetting: the client's secret cannot be read.
    """

    def __init__(self, terms: Terms, clock: Callable[[], float] = time.monotonic) -> None:
        self._terms, self._clock = terms, clock
        self._secret = None if terms.login is None else _secret(terms.login)
        self._http = httpx.AsyncClient(timeout=MOST_S, follow_redirects=False)
        self._known: Known | None = None
        self._asked_s: float | None = None
        self._why = "it was not asked yet"
        self._reading: asyncio.Task[None] | None = None
        self._handing_in = 0

    async def close(self) -> None:
        """Ask no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._http.aclose()

    async def known(self, enough: Callable[[Sequence[IssuerKey]], bool] = bool) -> Known:
        """What is known of it; read again where its keys are not `enough`, as often as it may be.

        Raises:
            ProviderFailed: it does not answer, and what it last said is too old.
        """
        good = self._good()
        if good is None or not enough(good.keys):
            reading = self._read_again()
            if reading is not None:
                await asyncio.shield(reading)  # others wait for it, too
                good = self._good()
        elif self._clock() - good.at_s > self._terms.keys_s:
            self._read_again()
        if good is None:
            raise ProviderFailed(f"the provider of tokens failed: {self._why}")
        return good

    def _good(self) -> Known | None:
        """What was read, if it is not too old."""
        longest_s = self._terms.keys_s + self._terms.stale_s
        known = self._known
        return known if known and self._clock() - known.at_s <= longest_s else None

    def _read_again(self) -> "asyncio.Task[None] | None":
        """The reading that is going on, or that begins now; None where it is too soon for one."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        now_s = self._clock()
        if self._asked_s is not None and now_s - self._asked_s < PAUSE_S:
            return None
        self._asked_s = now_s
        self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            url = self._terms.issuer.rstrip("/") + DISCOVERY
            metadata = self._metadata(await self._json("GET", url))
            keys = tokens.keys_of(await self._json("GET", metadata.jwks))
        except (ProviderFailed, ValueError) as e:
            self._why = e.detail if isinstance(e, ProviderFailed) else str(e)  # of `keys_of`
            metrics.PROVIDER.labels("failed").inc()
            _log.warning("the provider of tokens: %s", self._why)
            return
        metrics.PROVIDER.labels("read").inc()
        self._known = Known(metadata, keys, self._clock())

    def _metadata(self, document: Any) -> Metadata:
        try:
            said = _Said.model_validate(document)
        except ValidationError as e:
            place = ".".join(map(str, e.errors(include_url=False)[0]["loc"]))
            raise ProviderFailed(f"what it says of itself is not valid: {place}") from e
        if said.issuer != self._terms.issuer:
            raise ProviderFailed("it says that it is another issuer")
        if "S256" not in said.code_challenge_methods_supported:
            raise ProviderFailed("it does not know PKCE with S256")
        methods, logs_in = said.token_endpoint_auth_methods_supported, self._terms.login is not None
        return Metadata(
            jwks=self._address("jwks_uri", said.jwks_uri),
            authorize=self._address("authorization_endpoint", said.authorization_endpoint, logs_in),
            token=self._address("token_endpoint", said.token_endpoint, logs_in),
            posts_secret="client_secret_basic" not in methods and "client_secret_post" in methods,
            names_itself=said.authorization_response_iss_parameter_supported,
        )

    def _address(self, name: str, url: str | None, needed: bool = True) -> str:
        """An address that is used, or nothing where it is not needed."""
        reason = "there is none" if url is None else flaw(url, near=self._terms.near)
        if needed and reason is not None:
            raise ProviderFailed(f"its {name} is not used: {reason}")
        return url or ""

    async def _json(self, method: str, url: str, **sent: Any) -> Any:
        """A JSON document.

        Raises:
            ProviderFailed: there is none, or it is too large or too slow.
            NotAuthenticated: the answer to a code is that it is not taken.
        """
        try:
            async with (
                asyncio.timeout(MOST_S),
                self._http.stream(method, url, **{"headers": _ACCEPT, **sent}) as answer,
            ):
                content = await _content(answer)
            said = json.loads(content)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as e:
            raise ProviderFailed(f"no answer ({type(e).__name__})") from e
        except (ValueError, RecursionError) as e:
            raise ProviderFailed(f"its answer ({answer.status_code}) is not JSON") from e
        if answer.status_code == httpx.codes.OK:
            return said
        named = said.get("error") if isinstance(said, dict) else None
        if method == "POST" and named == "invalid_grant":
            raise denied.error("login-code", "the provider did not take the code", where="code")
        word = f", {named}" if isinstance(named, str) and named.isidentifier() else ""
        raise ProviderFailed(f"it answered {answer.status_code}{word[:60]}")

    # -- the login ---------------------------------------------------------------------------------

    async def address_of_login(self, state: str, nonce: str, challenge: str) -> str:
        """Where a browser is sent to log in (OpenID Connect Core, section 3.1.2.1).

        Raises:
            ProviderFailed: it is not known where.
        """
        login, known = self._terms.login, await self.known()
        assert login is not None, "asked only where there is a login"
        parts = urlsplit(known.metadata.authorize)
        asked = {
            "response_type": "code",
            "client_id": login.client_id,
            "redirect_uri": login.redirect_url,
            "scope": login.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        query = "&".join(filter(None, (parts.query, urlencode(asked))))
        return urlunsplit(parts._replace(query=query))

    async def redeemed(self, code: str, verifier: str) -> str:
        """The ID token for a code that a browser brought.

        Raises:
            NotAuthenticated: the provider does not take the code, or not with this proof.
            ProviderFailed: it does not answer, or without a token; or too many are waiting for it.
        """
        login, known = self._terms.login, await self.known()
        assert login is not None, "asked only where there is a login"
        if self._handing_in >= AT_ONCE:
            raise ProviderFailed("too many are logging in")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": login.redirect_url,
            "code_verifier": verifier,
        }
        sent: dict[str, Any] = {"data": form}
        if self._secret is None:
            form["client_id"] = login.client_id
        elif known.metadata.posts_secret:
            form |= {"client_id": login.client_id, "client_secret": self._secret}
        else:  # RFC 6749, section 2.3.1: each is encoded as in a form before
            pair = quote(login.client_id, safe=""), quote(self._secret, safe="")
            sent["auth"] = httpx.BasicAuth(*pair)
        self._handing_in += 1
        try:
            said = await self._json("POST", known.metadata.token, **sent)
        finally:
            self._handing_in -= 1
        token = said.get("id_token") if isinstance(said, dict) else None
        if not isinstance(token, str):
            raise ProviderFailed("its answer to the code has no ID token")
        return token


async def _content(answer: httpx.Response) -> bytes:
    """The body as it was sent: nothing is unpacked.

    Raises:
        ProviderFailed: it is too large.
    """
    content = b""
    async for part in answer.aiter_raw():
        content += part
        if len(content) > MOST_BYTES:
            raise ProviderFailed(f"its answer is over {MOST_BYTES} bytes")
    return content


def _secret(login: Login) -> str | None:
    if login.secret is None:
        return None
    where, valid = "VOICESVC_OIDC_CLIENT_SECRET", "a file with the secret in one line"
    try:
        content = login.secret.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise BadSetting(f"{login.secret} cannot be read", where=where, valid=valid) from e
    if not content or len(content.splitlines()) != 1:
        raise BadSetting(f"{login.secret} has no secret", where=where, valid=valid)
    return content
