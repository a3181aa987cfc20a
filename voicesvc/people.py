"""People whom an OpenID provider knows: who has a token or a session, and how one is begun.

Beside `keyring`, which knows of keys. Knows nothing of HTTP.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from voicesvc.access import Caller, Scope, denied, flow, roles, sessions, tokens
from voicesvc.access.denied import Tally
from voicesvc.access.roles import Person, Role
from voicesvc.access.terms import Login, Terms
from voicesvc.access.tokens import Presented
from voicesvc.errors import BadSetting, NotAllowed, NotAuthenticated
from voicesvc.provider import Known, Provider
from voicesvc.rights.keys import derived

_PEPPER = "voicesvc people"
_LOGIN = "login"  # what is refused of one, in the ledger
_TOKENS = "tokens"
_LONGEST_NAME = 100
_NEVER_S = 2**40  # a token says a number, and any is one
_PLAIN_SUB = re.compile(r"[A-Za-z0-9_.|-]{1,55}")
_ERROR = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Session:
    """A login that came to its end: what the browser is to keep, and the page to go on to."""

    cookie: str
    page: str


class People:
    """Everything is called on the event loop of `provider`, but for those of sessions.

    Args:
        terms: whose tokens count, and which.
        own: the service's own key, which makes the secret that sessions are sealed with.
        now_ms: UTC milliseconds since 1970.
        tally: who is not let in is counted there.
        is_ended: whether a session was logged out of.

    Raises:
        BadSetting: what roles are for cannot be read.
    """

    def __init__(
        self,
        terms: Terms,
        provider: Provider,
        own: OKPKey,
        now_ms: Callable[[], int],
        tally: Tally,
        is_ended: Callable[[str], bool],
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.terms, self.provider = terms, provider
        self.roles = _read(terms.roles)
        self._pepper = derived(own, _PEPPER)
        self._now_ms, self._tally, self._entropy = now_ms, tally, entropy
        self._is_ended = is_ended

    async def caller(self, presented: str, scope: Scope | None) -> Caller:
        """Who has the token that is presented, for something that takes a scope, or any.

        Raises:
            NotAuthenticated: the token is not valid.
            NotAllowed: its person has no role here.
            ProviderFailed: nobody knows, because the provider does not answer.
        """
        try:
            token = tokens.read(presented, self.terms)
            token = await self._checked(token)
            tokens.for_access(token, self.terms)
            ends_s = min(token.claims["exp"], _NEVER_S) + self.terms.leeway_s
            until_ms = round(1000 * ends_s)
            return self._allowed(self._person(token.claims, until_ms), scope)
        except NotAuthenticated as e:
            self._tally.add(e.reason or "token-form", _TOKENS)
            raise

    async def _checked(self, token: Presented) -> Presented:
        def enough(keys: Any) -> bool:
            return tokens.chosen(keys, token) is not None

        known: Known = await self.provider.known(enough)
        key = tokens.chosen(known.keys, token)
        return tokens.checked(token, key, self.terms, self._now_ms() // 1000)

    def _person(self, claims: Mapping[str, Any], until_ms: int) -> Person:
        """Whom a token is of; their roles as far as they are for anything here."""
        id = id_of(self.terms.issuer, claims["sub"])
        said = claims.get(self.terms.name_claim)
        name = "".join(c for c in said if c.isprintable()) if isinstance(said, str) else ""
        held = _roles_of(claims, self.terms.roles_claim, self.roles)
        return Person(id, name.strip()[:_LONGEST_NAME] or id, held, until_ms)

    def _allowed(self, person: Person, scope: Scope | None) -> Caller:
        """A person as a caller.

        Raises:
            NotAllowed: they have no role here, or theirs do not add up.
        """
        if not any(role in self.roles for role in person.roles):
            self._tally.add("token-role", _TOKENS)
            error = NotAllowed(
                "the provider gives you no role that is for anything here",
                where=self.terms.roles_claim,
                valid=sorted(self.roles) if scope is None else roles.having(self.roles, scope),
            )
            error.extra = {} if scope is None else {"scope": scope}
            raise error
        return roles.caller(person, self.roles, scope)

    # -- sessions ----------------------------------------------------------------------------------

    def of_session(self, cookie: str, scope: Scope | None) -> Caller:
        """Who has a session, for something that takes a scope, or any; from any thread.

        Raises:
            NotAuthenticated: nobody, or it has ended.
            NotAllowed: as `caller` does.
            StoreFailed: which sessions were ended is not known.
        """
        person = self._person_of(cookie)
        if person is None or self._is_ended(cookie):
            self._tally.add("session", "sessions")
            raise denied.error(
                "session", "the session has ended", where="Cookie", valid="log in again"
            )
        return replace(self._allowed(person, scope), session=sessions.digest(cookie))

    def session_until_ms(self, cookie: str) -> int | None:
        """When a session ends by itself; None where it is none, or has ended; from any thread."""
        person = self._person_of(cookie)
        return None if person is None else person.until_ms

    def _person_of(self, cookie: str) -> Person | None:
        return sessions.found_person(self._pepper, self.terms.issuer, cookie, self._now_ms())

    @property
    def login(self) -> Login | None:
        """The page's login, if there is one."""
        return self.terms.login

    async def begin(self, wanted: str | None) -> tuple[str, str]:
        """Where a browser is sent to log in, and what it is to keep meanwhile.

        Raises:
            ProviderFailed: the provider does not answer.
        """
        begun = flow.begin(self._entropy, self._now_ms(), flow.page_of(wanted))
        pepper = self._pepper
        url = await self.provider.address_of_login(
            begun.state(pepper), begun.nonce(pepper), flow.challenge(begun.verifier(pepper))
        )
        return url, begun.sealed(pepper)

    async def finish(self, kept: str, answer: Mapping[str, str]) -> Session:
        """The session of whoever comes back from the provider, with its answer.

        Args:
            kept: what the browser was given at the beginning.
            answer: `state`, and `code` or `error`; `iss`.

        Raises:
            NotAuthenticated: it is not that browser's login, or the provider did not let them in.
            NotAllowed: they have no role here.
            ProviderFailed: the provider does not answer.
        """
        try:
            return await self._finish(kept, answer)
        except NotAuthenticated as e:
            self._tally.add(e.reason or "login-refused", _LOGIN)
            raise

    async def _finish(self, kept: str, answer: Mapping[str, str]) -> Session:
        begun, pepper = flow.found(self._pepper, kept, self._now_ms()), self._pepper
        state = answer.get("state", "").encode()
        if begun is None or not hmac.compare_digest(state, begun.state(pepper).encode()):
            raise denied.error("login-state", "this login was not begun here", where="state")
        known = await self.provider.known(lambda _: True)
        named = answer.get("iss", None if known.metadata.names_itself else self.terms.issuer)
        if named != self.terms.issuer:
            raise denied.error("token-issuer", "another provider answers", where="iss")
        code = answer.get("code")
        if not code:
            why = answer.get("error", "")
            said = f": {why}" if _ERROR.fullmatch(why) else ""
            raise denied.error("login-refused", f"the provider refused{said}", where="error")
        presented = await self.provider.redeemed(code, begun.verifier(pepper))
        token = await self._checked(tokens.read(presented, self.terms))
        tokens.for_login(token, self.terms, begun.nonce(pepper))
        return Session(self._sealed(token), begun.page)

    def _sealed(self, token: Presented) -> str:
        assert self.terms.login is not None, "nobody logs in"
        until_ms = self._now_ms() + 1000 * self.terms.login.lasts_s
        person = self._person(token.claims, until_ms)
        self._allowed(person, None)
        cookie = sessions.sealed_person(self._pepper, self.terms.issuer, person)
        if len(cookie) > sessions.LONGEST:
            raise NotAllowed(
                f"{len(person.roles)} roles are more than a session holds",
                where=self.terms.roles_claim,
                valid="fewer roles with longer reach",
            )
        return cookie


def _roles_of(claims: Mapping[str, Any], path: str, known: Mapping[str, Role]) -> tuple[str, ...]:
    """The roles of a token that are for anything here, each once, in the token's order."""
    return tuple(name for name in dict.fromkeys(roles.claimed(claims, path)) if name in known)


def id_of(issuer: str, sub: str) -> str:
    """Who it is for the record: `oidc:` and what the provider calls them, or a hash of that.

    A hash where it is long, or has characters that those of e-mail addresses and names are among.
    """
    if _PLAIN_SUB.fullmatch(sub):
        return f"oidc:{sub}"
    said = f"{issuer} {sub}".encode("utf-8", "surrogatepass")  # whatever JSON can say
    return f"oidc:~{hashlib.sha256(said).hexdigest()[:40]}"


def _read(path: Path) -> dict[str, Role]:
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise BadSetting(f"{path} cannot be read", where=roles.WHERE, valid="a TOML file") from e
    return roles.read(content)
