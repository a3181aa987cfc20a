"""A real OpenID provider for tests, on loopback: discovery, keys, authorization, tokens.

It signs with keys of its own, keeps codes for one use, checks PKCE, the redirect address and the
client's secret, and can be told to turn its keys over, to answer wrongly, or not at all.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import uvicorn
from conftest import eventually
from fastapi import FastAPI, Request
from joserfc import jws
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from voicesvc.api.server import listen
from voicesvc.config import Settings

CLIENT, AUDIENCE, SECRET = "voicesvc-page", "voicesvc", "s3cret of the client: %+&"


def new_key(kind: str, kid: str) -> Key:
    """A key for an algorithm."""
    named: dict[str, Any] = {"kid": kid, "use": "sig", "alg": kind}
    if kind == "ES256":
        return ECKey.generate_key("P-256", named)
    if kind == "EdDSA":
        return OKPKey.generate_key("Ed25519", named)
    return RSAKey.generate_key(2048, named)


class _AllAlgorithms(JWSRegistry):
    """Signs whatever it is told to, without a warning."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]

    def check_header(self, header: Any) -> None:
        """Any will do."""


@dataclass
class _Code:
    nonce: str
    challenge: str
    redirect: str


@dataclass
class OpenId:
    """The provider, and what a test tells it."""

    issuer: str
    keys: dict[str, Key]
    person: dict[str, Any] = field(default_factory=dict)  # claims of who logs in
    says: dict[str, Any] = field(default_factory=dict)  # in place of what it says of itself
    claims: dict[str, Any] = field(default_factory=dict)  # in place of those of ID tokens
    asked: Counter[str] = field(default_factory=Counter)
    down: bool = False
    consents: bool = True  # without being asked; else there is a page with a link
    secret: str | None = None
    codes: dict[str, _Code] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        said = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_endpoint": f"{self.issuer}/authorize?theme=dark",
            "token_endpoint": f"{self.issuer}/token",
            "code_challenge_methods_supported": ["plain", "S256"],
        }
        return {n: v for n, v in (said | self.says).items() if v is not None}

    def turn_over(self) -> None:
        """Sign with new keys from now on; the old ones are gone."""
        self.keys = {kind: new_key(kind, secrets.token_hex(4)) for kind in self.keys}

    def signed(
        self, claims: dict[str, Any], kind: str = "ES256", key: Any = None, **header: Any
    ) -> str:
        """A token with just these claims."""
        key = self.keys[kind] if key is None else key
        head = {"alg": kind, "typ": "JWT", "kid": getattr(key, "kid", None)} | header
        head = {n: v for n, v in head.items() if v is not None}
        return jws.serialize_compact(head, json.dumps(claims), key, registry=_AllAlgorithms())

    def said(self, audience: Any = AUDIENCE, **more: Any) -> dict[str, Any]:
        """The claims of a token for access; None leaves one out."""
        now_s = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": audience,
            "sub": "dana-1",
            "name": "Dana, sound",
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + 300,
            "roles": ["editor"],
        }
        return {n: v for n, v in (claims | more).items() if v is not None}

    def token(self, kind: str = "ES256", **claims: Any) -> str:
        """A token for access."""
        return self.signed(self.said(**claims), kind)


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _app(provider: OpenId) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def counted(request: Request, call: Any) -> Response:
        provider.asked[request.url.path] += 1
        if provider.down:
            return Response("down", 503)
        answer: Response = await call(request)
        return answer

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Any:
        return provider.metadata

    @app.get("/keys")
    def keys() -> Any:
        return KeySet(list(provider.keys.values())).as_dict()

    @app.get("/authorize")
    def authorize(request: Request) -> Response:
        asked = request.query_params
        assert asked["theme"] == "dark", "an address may have a query of its own"
        if (asked["client_id"], asked["response_type"]) != (CLIENT, "code"):
            return Response("no such client", 400)
        if asked["code_challenge_method"] != "S256" or "openid" not in asked["scope"].split():
            return Response("PKCE is needed", 400)
        code = secrets.token_urlsafe(16)
        redirect = asked["redirect_uri"]
        provider.codes[code] = _Code(asked["nonce"], asked["code_challenge"], redirect)
        back = f"{redirect}?{urlencode({'code': code, 'state': asked['state']})}"
        if provider.consents:
            return RedirectResponse(back, 302)
        return HTMLResponse(f'<a id="yes" href="{back.replace("&", "&amp;")}">Yes</a>')

    @app.post("/token")
    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        client_id, client_secret = form.get("client_id"), form.get("client_secret")
        basic = request.headers.get("Authorization", "").partition(" ")[2]
        if basic:
            pair = base64.b64decode(basic).decode().split(":")
            client_id, client_secret = unquote(pair[0]), unquote(pair[1])
        if (client_id, client_secret) != (CLIENT, provider.secret):
            return JSONResponse({"error": "invalid_client"}, 401)
        known = provider.codes.pop(form["code"], None)  # for one use
        proved = known and known.challenge == _challenge(form["code_verifier"])
        same = known and known.redirect == form["redirect_uri"]
        if form["grant_type"] != "authorization_code" or not known or not proved or not same:
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = provider.said(CLIENT, nonce=known.nonce) | provider.person | provider.claims
        said = {"token_type": "Bearer", "access_token": "not for us"}
        return JSONResponse(said | {"id_token": provider.signed(claims)})

    return app


@contextmanager
def openid() -> Iterator[OpenId]:
    """A provider that runs until the block ends."""
    with listen(Settings.read({}, port=0)) as listener:
        issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
        kinds = ("RS256", "PS256", "ES256", "EdDSA")
        provider = OpenId(issuer, {kind: new_key(kind, f"key-{kind}") for kind in kinds})
        config = uvicorn.Config(_app(provider), log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert eventually(lambda: server.started, 30)
            yield provider
        finally:
            server.should_exit = True
            thread.join(20)
