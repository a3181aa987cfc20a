"""What is asked of tokens and logins, by the settings; they are checked against each other here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from voicesvc.access.addresses import flaw, is_loopback
from voicesvc.config import PREFIX, Settings
from voicesvc.errors import BadSetting

CALLBACK = "/login/callback"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


@dataclass(frozen=True, slots=True)
class Login:
    """The page's login; `secret` is a file with what this service is known by to the provider."""

    client_id: str
    secret: Path | None
    redirect_url: str
    scope: str
    lasts_s: int

    @property
    def over_tls(self) -> bool:
        """Whether browsers reach this service by https."""
        return self.redirect_url.startswith("https:")


@dataclass(frozen=True, slots=True)
class Terms:
    """Whose tokens count, and which; `keys_s` and `stale_s` are how long the issuer's keys do."""

    issuer: str
    audience: str
    roles: Path
    roles_claim: str
    name_claim: str
    clients: frozenset[str]  # to whom tokens may have been issued; none: to anybody
    algorithms: tuple[str, ...]
    leeway_s: int
    keys_s: int
    stale_s: int
    login: Login | None

    @property
    def near(self) -> bool:
        """Whether the provider is on this machine, so that it may do without TLS."""
        return is_loopback(urlsplit(self.issuer).hostname or "")


def of(settings: Settings) -> Terms | None:
    """The terms; None where there is no provider.

    Raises:
        BadSetting: settings do not go together.
    """
    for where, detail, valid in _wrong(settings):
        raise BadSetting(detail, where=PREFIX + where.upper(), valid=valid)
    given = settings
    if given.oidc_issuer is None:
        return None
    assert given.oidc_audience is not None, "asked for above"
    assert given.oidc_roles is not None, "asked for above"
    login = None
    if given.oidc_client_id is not None:
        assert given.oidc_redirect_url is not None, "asked for above"
        login = Login(
            given.oidc_client_id,
            given.oidc_client_secret,
            given.oidc_redirect_url,
            given.oidc_scope,
            given.oidc_session_s,
        )
    return Terms(
        issuer=given.oidc_issuer,
        audience=given.oidc_audience,
        roles=given.oidc_roles,
        roles_claim=given.oidc_roles_claim,
        name_claim=given.oidc_name_claim,
        clients=frozenset(given.oidc_clients),
        algorithms=given.oidc_algorithms or ALGORITHMS,
        leeway_s=given.oidc_leeway_s,
        keys_s=given.oidc_keys_s,
        stale_s=given.oidc_stale_s,
        login=login,
    )


def _wrong(given: Settings) -> Iterator[tuple[str, str, str]]:
    """Each setting that does not fit the others: its name, what is wrong and what would not be."""
    if given.access == "local" and given.verify == "keys":
        yield "verify", "nobody has a key where nobody is asked for one", "public or off"
    if given.oidc_issuer is None:
        for name, field in type(given).model_fields.items():
            if name.startswith("oidc_") and getattr(given, name) != field.default:
                yield name, "there is no provider that it is for", f"{PREFIX}OIDC_ISSUER beside it"
        return
    if given.access == "local":
        yield "oidc_issuer", "nobody is asked for a token", f"{PREFIX}ACCESS=keys beside it"
    if (reason := flaw(given.oidc_issuer, near=True)) or "?" in given.oidc_issuer:
        reason = reason or "it has a query"
        yield "oidc_issuer", reason, "as the provider's tokens have it: https://login.example/realm"
    if given.oidc_audience is None:
        yield "oidc_audience", "tokens for whom count is not said", "what theirs have as aud"
    if given.oidc_roles is None:
        yield "oidc_roles", "nobody's role is for anything", "a file with what each role is for"
    yield from _wrong_login(given)


def _wrong_login(given: Settings) -> Iterator[tuple[str, str, str]]:
    if given.oidc_client_id is None:
        for name in ("oidc_client_secret", "oidc_redirect_url"):
            if getattr(given, name) is not None:
                yield name, "there is no login that it is for", f"{PREFIX}OIDC_CLIENT_ID beside it"
        return
    if "openid" not in given.oidc_scope.split():
        yield "oidc_scope", "without openid nobody says who logs in", "openid profile"
    url = given.oidc_redirect_url or ""
    reason = flaw(url, near=True)
    if reason is None and (urlsplit(url).path, urlsplit(url).query) != (CALLBACK, ""):
        reason = "it does not lead here"
    if reason is not None:
        valid = f"https://voices.example{CALLBACK}, with the host that browsers know"
        yield "oidc_redirect_url", reason, valid
