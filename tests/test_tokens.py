"""Tokens of an OpenID provider against the rules, without a service: each attack by its reason."""

import base64
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from openid import AUDIENCE, CLIENT, OpenId, new_key

from voicesvc.access import denied, flow, roles, terms, tokens
from voicesvc.access.roles import Person
from voicesvc.access.terms import Terms
from voicesvc.config import Settings
from voicesvc.errors import BadSetting, NotAllowed, NotAuthenticated
from voicesvc.people import id_of

ISSUER = "https://login.example/realm"
NOW_S = int(time.time())
OURS: dict[str, Any] = {
    "access": "keys",
    "oidc_issuer": ISSUER,
    "oidc_audience": AUDIENCE,
    "oidc_roles": "roles.toml",
}
LOGIN: dict[str, Any] = {
    "oidc_client_id": CLIENT,
    "oidc_redirect_url": "https://voices.example/login/callback",
}


@pytest.fixture(scope="module")
def issuer() -> OpenId:
    kinds = ("RS256", "PS256", "ES256", "EdDSA")
    return OpenId(ISSUER, {kind: new_key(kind, f"key-{kind}") for kind in kinds})


def terms_of(**settings: Any) -> Terms:
    found = terms.of(Settings.read({}, **OURS | settings))
    assert found is not None
    return found


def published(issuer: OpenId) -> tuple[tokens.IssuerKey, ...]:
    return tokens.keys_of(KeySet(list(issuer.keys.values())).as_dict())


def accepted(issuer: OpenId, presented: str, now_s: int = NOW_S, **settings: Any) -> Any:
    """The claims of a token for access, or why it is none."""
    given = terms_of(**settings)
    token = tokens.read(presented, given)
    token = tokens.checked(token, tokens.chosen(published(issuer), token), given, now_s)
    tokens.for_access(token, given)
    return token.claims


def reason_of(issuer: OpenId, presented: str, **more: Any) -> str | None:
    with pytest.raises(NotAuthenticated) as caught:
        accepted(issuer, presented, **more)
    assert caught.value.reason in denied.REASONS
    assert presented not in str(caught.value)
    return caught.value.reason


# -- tokens for access -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RS256", "PS256", "ES256", "EdDSA"])
def test_tokens_of_every_algorithm_that_is_allowed_count(issuer: OpenId, kind: str) -> None:
    assert accepted(issuer, issuer.token(kind))["sub"] == "dana-1"
    others = sorted(set(terms.ALGORITHMS) - {kind})
    assert reason_of(issuer, issuer.token(kind), oidc_algorithms=others) == "token-algorithm"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example"}, "token-issuer"),
        ({"iss": ISSUER + "/"}, "token-issuer"),
        ({"iss": None}, "token-issuer"),
        ({"aud": "another"}, "token-audience"),
        ({"aud": [AUDIENCE + "x"]}, "token-audience"),
        ({"aud": None}, "token-claims"),
        ({"aud": {AUDIENCE: True}}, "token-claims"),
        ({"exp": NOW_S - 61}, "token-expired"),
        ({"exp": None}, "token-claims"),
        ({"exp": float("nan")}, "token-claims"),
        ({"exp": "2999"}, "token-claims"),
        ({"nbf": NOW_S + 120}, "token-early"),
        ({"iat": NOW_S + 120}, "token-early"),
        ({"iat": None}, "token-claims"),
        ({"sub": None}, "token-claims"),
        ({"sub": ""}, "token-claims"),
        ({"sub": 7}, "token-claims"),
        ({"sub": "x" * 256}, "token-claims"),
        ({"aud": [AUDIENCE, "account"]}, "token-client"),
        ({"aud": [AUDIENCE, "account"], "azp": "other"}, "token-client"),
        ({"cnf": {"jkt": "x"}}, "token-claims"),
        ({"typ": "ID"}, "token-claims"),
    ],
)
def test_a_token_that_is_not_for_this_service_now_is_refused(
    issuer: OpenId, claims: dict[str, Any], reason: str
) -> None:
    assert reason_of(issuer, issuer.token(**claims)) == reason


def test_the_clocks_may_differ_a_little(issuer: OpenId) -> None:
    for claims in ({"exp": NOW_S - 50}, {"nbf": NOW_S + 50, "iat": NOW_S + 50}):
        assert accepted(issuer, issuer.token(**claims))
        assert reason_of(issuer, issuer.token(**claims), oidc_leeway_s=10)


def test_a_token_for_several_is_of_a_client_that_counts(issuer: OpenId) -> None:
    both = {"aud": ["account", AUDIENCE]}
    assert accepted(issuer, issuer.token(azp=AUDIENCE, **both))
    assert accepted(issuer, issuer.token(azp=CLIENT, **both), **LOGIN)
    for named in ({"client_id": "tool"}, {"cid": "tool"}):
        assert accepted(issuer, issuer.token(**named, **both), oidc_clients="tool, other")
    for azp in (None, "evil", AUDIENCE):
        given = issuer.token(azp=azp)
        assert reason_of(issuer, given, oidc_clients="tool") == "token-client"


def coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def forged(claims: dict[str, Any], alg: str, secret: bytes = b"", hashed: str = "") -> str:
    """A token under an HMAC, or under nothing; joserfc would not make it."""
    header = {"alg": alg, "typ": "JWT", "kid": "key-RS256"}
    said = ".".join(coded(json.dumps(part).encode()) for part in (header, claims))
    code = hmac.digest(secret, said.encode(), hashed) if hashed else b""
    return f"{said}.{coded(code)}"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(issuer: OpenId, alg: str) -> None:
    assert reason_of(issuer, forged(issuer.said(), alg)) == "token-algorithm"
    assert reason_of(issuer, forged(issuer.said(), "RS256")) == "token-signature"
    signed = issuer.token("RS256").rpartition(".")[0] + "."
    assert reason_of(issuer, signed) == "token-signature"


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_nobodys_hmac_secret(issuer: OpenId, alg: str) -> None:
    key = issuer.keys["RS256"]
    assert isinstance(key, RSAKey)
    public = key.as_dict(private=False)
    hashed = f"sha{alg[2:]}"
    for secret in (key.as_pem(private=False), json.dumps(public).encode(), key.as_der()):
        assert reason_of(issuer, forged(issuer.said(), alg, secret, hashed)) == "token-algorithm"
        renamed = forged(issuer.said(), "RS256", secret, hashed)
        assert reason_of(issuer, renamed) == "token-signature"


def test_a_symmetric_key_of_the_issuer_is_no_key() -> None:
    shared = OctKey.generate_key(256, {"kid": "shared"})
    assert tokens.keys_of({"keys": [shared.as_dict(private=True)]}) == ()


def test_a_key_is_for_its_own_algorithm_and_kind_alone(issuer: OpenId) -> None:
    key = issuer.keys["RS256"].as_dict(private=True)
    freed = RSAKey.import_key({n: v for n, v in key.items() if n != "alg"})
    pss = issuer.signed(issuer.said(), "PS256", freed)
    assert reason_of(issuer, pss) == "token-key", "the key says that it is for RS256"
    crossed = issuer.signed(issuer.said(), "ES256", kid="key-RS256")
    assert reason_of(issuer, crossed) == "token-key"
    stranger = issuer.signed(issuer.said(), "ES256", new_key("ES256", "key-ES256"))
    assert reason_of(issuer, stranger) == "token-signature"
    unknown = issuer.signed(issuer.said(), "ES256", new_key("ES256", "key-9"))
    assert reason_of(issuer, unknown) == "token-key"


def test_a_token_brings_no_key_along(issuer: OpenId) -> None:
    own = new_key("ES256", "key-ES256")
    header = {"jwk": own.as_dict(private=False), "jku": "https://evil.example/keys"}
    forged = issuer.signed(issuer.said(), "ES256", own, **header)
    assert reason_of(issuer, forged) == "token-signature"


def test_a_token_without_a_kid_has_the_one_key_of_its_kind(issuer: OpenId) -> None:
    nameless = jwt.encode({"alg": "ES256"}, issuer.said(), issuer.keys["ES256"])
    assert accepted(issuer, nameless)
    two = replace(issuer, keys={**issuer.keys, "other": new_key("ES256", "key-2")})
    assert reason_of(two, nameless) == "token-key"


def test_keys_that_cannot_check_a_signature_are_left_out(issuer: OpenId) -> None:
    good = issuer.keys["ES256"].as_dict(private=False)
    weak = {"kty": "RSA", "n": coded(b"\xff" * 128), "e": "AQAB"}
    bad: list[Any] = [
        {**good, "use": "enc"},
        {**good, "key_ops": ["sign"]},
        {**good, "x": "AAAA"},
        {**good, "crv": "P-1"},
        {"kty": "new"},
        weak,
        7,
        None,
    ]
    assert len(tokens.keys_of({"keys": [*bad, good]})) == 1
    for document in ({}, [], {"keys": {}}, {"keys": [good] * 101}):
        with pytest.raises(ValueError, match="no JWK Set"):
            tokens.keys_of(document)


def test_what_is_no_token_is_refused_at_once(issuer: OpenId) -> None:
    token = issuer.token()
    deep = coded(b"[" * 9_000)
    header, claims, code = token.split(".")
    for presented in (
        f"{deep}.{claims}.{code}",
        f"{header}.{deep}.{code}",
        f"{header}.{claims}.{'A' * 17_000}",
        f"{header}.{header}.",
        f"{claims}.{claims}.{code}",
        "a.b.c",
        "..",
        "é.é.é",
        f"{header}=.{claims}.{code}",
        f"{header}.{claims}.{code}.{code}",
    ):
        with pytest.raises(NotAuthenticated) as caught:
            accepted(issuer, presented)
        assert caught.value.reason in ("token-form", "token-issuer"), presented[:40]
    for more in ({"crit": ["exp"]}, {"typ": "logout+jwt"}, {"typ": "dpop+jwt"}):
        assert reason_of(issuer, issuer.signed(issuer.said(), **more)) == "token-form"
    assert accepted(issuer, issuer.signed(issuer.said(), typ="at+jwt", x5t="of no use"))


def test_a_changed_token_is_refused(issuer: OpenId) -> None:
    header, _, code = issuer.token().split(".")
    changed = coded(json.dumps(issuer.said(roles=["admin"])).encode())
    assert reason_of(issuer, f"{header}.{changed}.{code}") == "token-signature"


# -- tokens of a login -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "login-nonce"),
        ({"nonce": None}, "login-nonce"),
        ({"aud": AUDIENCE}, "token-audience"),
        ({"azp": "another"}, "token-client"),
        ({"aud": [CLIENT, "another"]}, "token-client"),
    ],
)
def test_a_token_of_another_login_is_refused(
    issuer: OpenId, claims: dict[str, Any], reason: str
) -> None:
    given = terms_of(**LOGIN)

    def answer(**more: Any) -> None:
        token = tokens.read(issuer.token(**{"aud": CLIENT, "nonce": "n"} | more), given)
        token = tokens.checked(token, tokens.chosen(published(issuer), token), given, NOW_S)
        tokens.for_login(token, given, "n")

    answer()
    answer(aud=[CLIENT, "another"], azp=CLIENT)
    with pytest.raises(NotAuthenticated) as caught:
        answer(**claims)
    assert caught.value.reason == reason


# -- where a login leads ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "https://evil.example/live",
        "//evil.example/live",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/live/../..//evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "/v1/session",
        "http://[::1",
        "/live?" + "x" * 200,
        "",
        None,
    ],
)
def test_a_login_leads_to_pages_of_this_service_alone(wanted: str | None) -> None:
    assert flow.page_of(wanted) == "/"


def test_a_login_leads_to_the_page_that_was_wanted() -> None:
    assert flow.page_of("/live") == "/live"
    assert flow.page_of('/verify?a=b&c="<é') == "/verify?a=b&c=%22%3C%C3%A9"


def test_a_login_is_bound_to_its_browser_and_ends() -> None:
    one = flow.begin(lambda n: b"1" * n, 1000, "/verify?a=1.5")
    other = flow.begin(lambda n: b"2" * n, 1000, "/")
    cookie = one.sealed(b"p")
    assert flow.found(b"p", cookie, 1000) == one
    assert flow.found(b"p", cookie, 1000 + 1000 * flow.LASTS_S) is None
    assert flow.found(b"q", cookie, 1000) is None
    for changed in (cookie.replace(".6", ".7"), cookie.replace("verify", "live"), cookie + "A", ""):
        assert flow.found(b"p", changed, 1000) is None, changed
    made = {f(b"p") for one in (one, other) for f in (one.state, one.nonce, one.verifier)}
    assert len(made) == 6
    assert not any(text in cookie for text in made)
    known = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    assert flow.challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == known


# -- roles -----------------------------------------------------------------------------------------

ROLES = """
[viewer]
scopes = ["audition"]

[harbour]
scopes = ["speak", "audition", "circle"]
productions = ["harbour"]
per_minute = 30

[lagoon]
scopes = ["speak", "audition", "circle"]
productions = ["lagoon"]
per_minute = 60

["Voice/Ann in harbour"]
scopes = ["export"]
productions = ["harbour"]
actors = ["ann"]

[bob-in-lagoon]
scopes = ["export"]
productions = ["lagoon"]
actors = ["bob"]

[boss]
scopes = ["admin"]
"""


def asks(scope: Any, *held: str) -> Any:
    return roles.caller(Person("oidc:d", "Dana", held, 1), roles.read(ROLES), scope)


def test_roles_add_up_scope_by_scope() -> None:
    reads = asks("audition", "viewer", "harbour")
    assert (reads.actors, reads.productions) == (None, None)
    assert reads.scopes == {"audition"}, "it speaks for less than it hears"
    speaks = asks("speak", "viewer", "harbour")
    assert speaks.productions == {"harbour"}
    assert speaks.scopes == {"speak", "audition", "circle"}
    both = asks("speak", "harbour", "lagoon")
    assert (both.productions, both.per_minute) == ({"harbour", "lagoon"}, 60)
    everything = asks("export", "boss", "harbour")
    assert everything.everywhere
    assert "admin" in everything.scopes


def test_roles_never_give_more_than_one_of_them_does() -> None:
    with pytest.raises(NotAllowed, match="do not add up"):
        asks("export", "Voice/Ann in harbour", "bob-in-lagoon")
    lacking = asks("grants", "viewer", "harbour")
    assert "grants" not in lacking.scopes
    assert lacking.productions == frozenset()
    assert asks("speak").scopes == asks("speak", "unknown").scopes == frozenset()
    anything = asks(None, "viewer")
    assert (anything.scopes, anything.productions) == ({"audition"}, frozenset())


def test_reaches_add_up_where_it_is_all_for_all() -> None:
    every = [
        (frozenset({a}), frozenset({p})) for a in ("ann", "bob") for p in ("harbour", "lagoon")
    ]
    assert roles.added(every) == (frozenset({"ann", "bob"}), frozenset({"harbour", "lagoon"}))
    assert roles.added(every[:3]) is None
    assert roles.added([*every[:3], (None, None)]) == (None, None)


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"roles": ["a", 7, "b"]}, "roles", ("a", "b")),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ("a",)),
        ({"https://x.example/roles": ["a"]}, "https://x.example/roles", ("a",)),
        ({"groups": "a b"}, "groups", ("a", "b")),
        ({"roles": {"a": 1}}, "roles", ()),
        ({"realm_access": ["a"]}, "realm_access.roles", ()),
        ({}, "roles", ()),
    ],
)
def test_roles_are_found_in_a_token(claims: Any, path: str, found: tuple[str, ...]) -> None:
    assert roles.claimed(claims, path) == found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "no role"),
        ("[a", "not TOML"),
        ("[a]\nscopes = ['all']", "no scope 'all'"),
        ("[a]\nscopes = []", "no scope"),
        ("[a]\nscopes = ['admin']\nactors = ['ann']", "every actor"),
        ("[a]\nscopes = ['speak']\nscope = 1", "scope: Extra"),
        ("[a]\nscopes = 'speak'", "scopes: "),
        ("[a]\nscopes = ['speak']\nper_minute = 0", "per_minute"),
        ("a = 1", "role 'a'"),
    ],
)
def test_roles_that_make_no_sense_are_refused(written: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said) as caught:
        roles.read(written)
    assert caught.value.where == "VOICESVC_OIDC_ROLES"


def test_who_it_is_fits_the_record_and_stays_the_same() -> None:
    assert id_of(ISSUER, "8c1f-2") == "oidc:8c1f-2"
    hidden = id_of(ISSUER, "dana@example.org")
    assert hidden == id_of(ISSUER, "dana@example.org")
    assert "dana" not in hidden
    assert hidden != id_of("https://other.example", "dana@example.org")
    ids = {id_of(ISSUER, sub) for sub in ("x" * 55, "x" * 200, "x" * 201, "ü", "\ud800")}
    assert len(ids) == 5
    for id in ids:
        caller = roles.caller(Person(id, "N" * 100, (), 1), {}, None)
        assert len(caller.who) <= 100
        assert caller.who.endswith(f" ({id})")


# -- settings --------------------------------------------------------------------------------------


def test_settings_that_go_together_are_read() -> None:
    assert terms.of(Settings.read({})) is None
    assert terms_of().login is None
    login = terms_of(**LOGIN).login
    assert login is not None
    assert login.over_tls
    near = terms_of(oidc_issuer="http://127.0.0.1:9000/realm")
    assert near.near
    assert not terms_of().near


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"access": "local"}, "OIDC_ISSUER"),
        ({"oidc_issuer": None}, "OIDC_AUDIENCE"),
        ({"oidc_audience": None}, "OIDC_AUDIENCE"),
        ({"oidc_roles": None}, "OIDC_ROLES"),
        ({"oidc_issuer": "http://login.example"}, "OIDC_ISSUER"),
        ({"oidc_issuer": "https://user:pw@login.example"}, "OIDC_ISSUER"),
        ({"oidc_issuer": "https://login.example/?realm=x"}, "OIDC_ISSUER"),
        ({"oidc_issuer": "https://login.example/#x"}, "OIDC_ISSUER"),
        ({"oidc_issuer": "https://[::1"}, "OIDC_ISSUER"),
        ({"oidc_client_secret": "file"}, "OIDC_CLIENT_SECRET"),
        ({"oidc_redirect_url": LOGIN["oidc_redirect_url"]}, "OIDC_REDIRECT_URL"),
        ({**LOGIN, "oidc_redirect_url": None}, "OIDC_REDIRECT_URL"),
        ({**LOGIN, "oidc_redirect_url": "https://voices.example/elsewhere"}, "OIDC_REDIRECT_URL"),
        (
            {**LOGIN, "oidc_redirect_url": "http://voices.example/login/callback"},
            "OIDC_REDIRECT_URL",
        ),
        ({**LOGIN, "oidc_scope": "profile"}, "OIDC_SCOPE"),
        ({"oidc_algorithms": "RS256,HS256"}, "OIDC_ALGORITHMS"),
        ({"oidc_algorithms": "none"}, "OIDC_ALGORITHMS"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given: dict[str, Any], where: str) -> None:
    with pytest.raises(BadSetting) as caught:
        terms.of(Settings.read({}, **{n: v for n, v in (OURS | given).items() if v is not None}))
    assert caught.value.where == f"VOICESVC_{where}"
    assert caught.value.valid


@pytest.mark.parametrize("name", [n for n in Settings.model_fields if n.startswith("oidc_")])
def test_nothing_of_a_provider_is_set_without_one(name: str) -> None:
    if name == "oidc_issuer":
        return
    odd: dict[str, Any] = {"oidc_algorithms": "RS256", "oidc_session_s": 60, "oidc_keys_s": 60}
    given = odd.get(name, "7" if name.endswith("_s") else "other")
    with pytest.raises(BadSetting, match="no provider") as caught:
        terms.of(Settings.read({}, access="keys", **{name: given}))
    assert caught.value.where == f"VOICESVC_{name.upper()}"


# -- what is counted -------------------------------------------------------------------------------


@pytest.fixture
def clock() -> list[int]:
    return [1_000_000]


def test_a_flood_of_refusals_is_told_as_a_few_counts(clock: list[int]) -> None:
    tally = denied.Tally(lambda: clock[0])
    told = []
    for _ in range(24 * 3600):  # a day, ten a second
        for _ in range(10):
            tally.add("key", "keys")
        told += tally.due()
        clock[0] += 1000
    told += tally.rest()
    assert sum(d.count for d in told) == 24 * 3600 * 10
    assert told[0].count == 10, "the first is told at once"
    assert 20 < len(told) < 40
    assert [d.since_ms for d in told] == sorted({d.since_ms for d in told})


def test_what_comes_after_a_quiet_time_is_told_at_once(clock: list[int]) -> None:
    tally = denied.Tally(lambda: clock[0])
    tally.add("key", "keys")
    assert [d.count for d in tally.due()] == [1]
    tally.add("key", "keys")
    tally.add("key-revoked", "0123456789ab")
    assert [d.subject for d in tally.due()] == ["0123456789ab"], "another reason, another subject"
    clock[0] += denied.FIRST_PAUSE_MS
    assert [d.count for d in tally.due()] == [1]
    clock[0] += 3 * denied.FIRST_PAUSE_MS
    assert tally.due() == []
    tally.add("key", "keys")
    assert [d.count for d in tally.due()] == [1]
    assert tally.rest() == []


def test_no_flood_of_subjects_fills_the_memory(clock: list[int]) -> None:
    tally = denied.Tally(lambda: clock[0])
    for i in range(3 * denied.MOST_ROWS):
        tally.add("key-revoked", f"{i:012x}")
    told = tally.due()
    assert len(told) == denied.MOST_ROWS + 1
    assert told[-1].subject == "others"


def test_a_path_is_needed_to_read_roles(tmp_path: Path) -> None:
    from voicesvc import people

    with pytest.raises(BadSetting, match="cannot be read"):
        people._read(tmp_path / "none.toml")
