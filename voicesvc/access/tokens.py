"""Tokens of an OpenID provider (RFC 7519): read, their signature checked, and what they claim.

Fetches nothing and has no clock. Nothing of a token counts before its signature was checked by a
key of the issuer's: what `read` looks at before only saves asking for keys in vain. A key is chosen
by the token's `kid` and its own kind, never by what the token says of its kind, and an algorithm
has to be among those that are allowed: so neither `none` nor HMAC under a public key passes.
"""

import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import (
    ExpiredTokenError,
    InvalidClaimError,
    JoseError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import base64_to_int, urlsafe_b64decode

from voicesvc.access.denied import error
from voicesvc.access.terms import Terms

IssuerKey = RSAKey | ECKey | OKPKey
LONGEST = 16_384  # characters of a token
_LONGEST_SUB = 255  # OpenID Connect Core, section 2
_MOST_KEYS = 100
_LEAST_RSA_BITS = 2048
_KINDS: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}
_KIND_OF = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
_PUBLIC = ("kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y")
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
_BAD = (JoseError, ValueError, TypeError, AttributeError, KeyError, RecursionError)


class _Registry(JWSRegistry):
    """Algorithms that are allowed, and no other; EdDSA without a warning at each token."""

    max_header_length = LONGEST

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"{name} is not allowed")
        return self.algorithms[name]


@dataclass(frozen=True, slots=True)
class Presented:
    """A token as it came, with what it says before anybody has checked that."""

    token: str
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]


def looks_like(presented: str) -> bool:
    """Whether it is written as a token is; a key never is."""
    return presented.count(".") == 2


def read(presented: str, terms: Terms) -> Presented:
    """What came as a token.

    Raises:
        NotAuthenticated: it is none, is signed otherwise than is allowed, or by somebody else.
    """
    parts = presented.split(".")
    try:
        if len(presented) > LONGEST or len(parts) != 3:
            raise ValueError("no token")
        header, claims = (json.loads(urlsafe_b64decode(p.encode("ascii"))) for p in parts[:2])
        kid, kind = header.get("kid"), header.get("typ", "")
        algorithm, issuer = header["alg"], claims.get("iss")
        if not (kid is None or isinstance(kid, str)) or kind.lower() not in _TYPES:
            raise ValueError("a header that is not read here")
        if "crit" in header or not isinstance(algorithm, str):
            raise ValueError("a header that is not read here")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, binascii.Error) as e:
        raise error("token-form", "the token cannot be read") from e
    if algorithm not in terms.algorithms:
        said = "the token is signed in a way that does not count here"
        raise error("token-algorithm", said, valid=terms.algorithms)
    if issuer != terms.issuer:
        raise error("token-issuer", "the token is of another issuer")
    return Presented(presented, algorithm, kid, claims)


def keys_of(document: Any) -> tuple[IssuerKey, ...]:
    """The keys of a JWK Set (RFC 7517) that can check signatures; others are left out.

    Raises:
        ValueError: it is no JWK Set, or has too many keys.
    """
    given = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(given, list) or len(given) > _MOST_KEYS:
        raise ValueError("it is no JWK Set")
    return tuple(key for one in given if (key := _key(one)) is not None)


def _key(given: Any) -> IssuerKey | None:
    """A public key; None where it is of another kind or use, too short, or damaged."""
    try:
        kind = _KINDS[given["kty"]]
        if given.get("use", "sig") != "sig" or "verify" not in given.get("key_ops", ["verify"]):
            return None
        if kind is RSAKey and base64_to_int(given["n"]).bit_length() < _LEAST_RSA_BITS:
            return None
        return kind.import_key({n: given[n] for n in _PUBLIC if n in given})
    except _BAD:
        return None


def chosen(keys: Sequence[IssuerKey], token: Presented) -> IssuerKey | None:
    """The key that a token names, if it can be of its algorithm; None where there is none.

    A token that names none is checked by the one key there is of its kind, if it is one.
    """
    kind, alg = _KIND_OF[token.algorithm], token.algorithm
    fit = [k for k in keys if k.key_type == kind and k.alg in (None, alg)]
    if token.kid is not None:
        fit = [k for k in fit if k.kid == token.kid]
        return fit[0] if fit else None
    return fit[0] if len(fit) == 1 else None


def checked(token: Presented, key: IssuerKey | None, terms: Terms, now_s: int) -> Presented:
    """The token, once its signature, its issuer, its times and its person are as they have to be.

    Raises:
        NotAuthenticated: they are not.
    """
    if key is None:
        raise error("token-key", "the token names a key that its issuer does not have")
    registry = _Registry(algorithms=list(terms.algorithms), strict_check_header=False)
    try:
        jws.deserialize_compact(token.token, key, registry=registry)
    except _BAD as e:
        raise error("token-signature", "the token's signature is not its issuer's") from e
    rules = JWTClaimsRegistry(
        now=now_s,
        leeway=terms.leeway_s,
        iss={"essential": True, "value": terms.issuer},
        aud={"essential": True},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        rules.validate(dict(token.claims))
    except ExpiredTokenError as e:
        raise error("token-expired", "the token has expired") from e
    except InvalidClaimError as e:
        early = e.claim in ("nbf", "iat") and isinstance(token.claims[e.claim], int | float)
        said = "is not valid yet" if early else f"has no {e.claim} that is read here"
        raise error("token-early" if early else "token-claims", f"the token {said}") from e
    except JoseError as e:
        raise error("token-claims", "the token lacks iss, aud, sub, exp or iat") from e
    if not (0 < len(token.claims["sub"]) <= _LONGEST_SUB):
        raise error("token-claims", "the token has no sub that is read here")
    return token


def for_access(token: Presented, terms: Terms) -> None:
    """That a token, which was checked, is for this service, and anybody who has it may use it.

    Raises:
        NotAuthenticated: it is not.
    """
    claims = token.claims
    if terms.audience not in _audiences(claims):
        raise error("token-audience", "the token is for somebody else")
    _check_client(claims, terms.clients, {terms.audience, *_own(terms)})
    if "cnf" in claims:
        raise error("token-claims", "the token is bound to a proof, which is not asked for here")
    if str(claims.get("typ", "Bearer")).lower() != "bearer":  # Keycloak's own, beside the header's
        raise error("token-claims", "the token is not one for access")


def for_login(token: Presented, terms: Terms, nonce: str) -> None:
    """That a token, which was checked, answers a login of this service's that had this nonce.

    By OpenID Connect Core, section 3.1.3.7.

    Raises:
        NotAuthenticated: it does not.
    """
    assert terms.login is not None, "nobody logs in"
    own = terms.login.client_id
    if own not in _audiences(token.claims):
        raise error("token-audience", "the token is for somebody else")
    _check_client(token.claims, frozenset(), {own}, always="azp" in token.claims)
    given = token.claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise error("login-nonce", "the token was made for another login")


def _own(terms: Terms) -> tuple[str, ...]:
    return () if terms.login is None else (terms.login.client_id,)


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    said = claims["aud"]
    return [said] if isinstance(said, str) else list(said)


def _check_client(
    claims: Mapping[str, Any], clients: frozenset[str], own: set[str], *, always: bool = False
) -> None:
    """To whom a token was issued, where that is asked, or where it is for several."""
    if not (clients or always or len(_audiences(claims)) > 1):
        return
    said = claims.get("azp", claims.get("client_id", claims.get("cid")))  # RFC 9068's; Okta's
    if not isinstance(said, str) or said not in (clients or own):
        raise error("token-client", "the token was issued to a client that does not count here")
