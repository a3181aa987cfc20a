"""A login that has begun: the authorization code flow with PKCE (RFC 7636), state and nonce.

Nothing is kept of it here. The browser has a cookie with 256 random bits, an end and where to go on
afterwards, under an authentication code. State, nonce and the verifier are made of those bits by
a secret of the service's: so each is bound to that browser, none tells another, and the verifier is
known to nobody else until the provider is asked for the token.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

LASTS_S = 600
PAGES = ("/", "/live", "/verify", "/docs")  # where a login may lead to
_SECRET_BYTES = 32
_LONGEST_PAGE = 150  # three times as long once it is in the cookie
_FORM = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9]{1,15})\.([^.;,\s]{1,500})\.([A-Za-z0-9_-]{43})")


def cookie_name(*, over_tls: bool) -> str:
    """Over TLS one that no other host, of the same domain or not, can set (RFC 6265bis)."""
    return "__Host-voicesvc-login" if over_tls else "voicesvc-login"


def page_of(wanted: str | None) -> str:
    """A page of this service to go on to: the one that is wanted, or else the first."""
    try:
        parts = urlsplit(wanted or "")
    except ValueError:
        return PAGES[0]
    page = parts.path + ("?" + quote(parts.query, safe="=&%") if parts.query else "")
    ours = not parts.scheme and not parts.netloc and parts.path in PAGES
    return page if ours and len(page) <= _LONGEST_PAGE else PAGES[0]


@dataclass(frozen=True, slots=True)
class Begun:
    """A login, and the page that it was begun for."""

    secret: str
    until_ms: int
    page: str

    def made(self, pepper: bytes, purpose: str) -> str:
        """A text for one purpose, 43 characters of base64url, that nobody makes without both."""
        return _code(pepper, f"{purpose} {self.secret} {self.until_ms}")

    def state(self, pepper: bytes) -> str:
        """What the provider gives back with the code."""
        return self.made(pepper, "state")

    def nonce(self, pepper: bytes) -> str:
        """What the token has to have."""
        return self.made(pepper, "nonce")

    def verifier(self, pepper: bytes) -> str:
        """What whoever brings the code has to know."""
        return self.made(pepper, "verifier")

    def sealed(self, pepper: bytes) -> str:
        """As the browser keeps it."""
        content = f"{self.secret}.{self.until_ms}.{quote(self.page, safe='/').replace('.', '%2E')}"
        return f"{content}.{_code(pepper, 'cookie ' + content)}"


def begin(entropy: Callable[[int], bytes], now_ms: int, page: str) -> Begun:
    """A login that begins now."""
    return Begun(_base64url(entropy(_SECRET_BYTES)), now_ms + 1000 * LASTS_S, page)


def found(pepper: bytes, cookie: str, now_ms: int) -> Begun | None:
    """The login that a browser has begun; None where it has not, or too long ago."""
    match = _FORM.fullmatch(cookie)
    if match is None:
        return None
    content = cookie.rpartition(".")[0]
    if not hmac.compare_digest(_code(pepper, "cookie " + content), match[4]):
        return None
    until_ms = int(match[2])
    return Begun(match[1], until_ms, unquote(match[3])) if now_ms < until_ms else None


def challenge(verifier: str) -> str:
    """What the provider is told of a verifier: S256 of RFC 7636."""
    return _base64url(hashlib.sha256(verifier.encode("ascii")).digest())


def _code(pepper: bytes, content: str) -> str:
    return _base64url(hmac.new(pepper, content.encode(), hashlib.sha256).digest())


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")
