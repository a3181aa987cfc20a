"""Roles that a provider of tokens gives to people, and what each is for here.

What a person may do is decided scope by scope: the roles that have a scope add up the actors and
productions that they are for. So a role to hear everything and one to speak for a production do
not become one to speak for everything.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicesvc.access.callers import Caller, Scope
from voicesvc.access.check import ruled
from voicesvc.errors import BadSetting, InvalidRequest, NotAllowed

WHERE = "VOICESVC_OIDC_ROLES"
_Names = tuple[Annotated[str, Field(min_length=1, max_length=100)], ...]
Reach = tuple[frozenset[str] | None, frozenset[str] | None]  # actors and productions; None: all
_NOTHING: Reach = (frozenset(), frozenset())


class _Written(BaseModel):
    """A role as the file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scopes: _Names
    actors: _Names = ()
    productions: _Names = ()
    per_minute: int | None = Field(None, ge=1, le=1_000_000, strict=True)
    at_once: int | None = Field(None, ge=1, le=10_000, strict=True)


@dataclass(frozen=True, slots=True)
class Role:
    """What a role is for; None among `actors` or `productions` is all of them."""

    scopes: frozenset[Scope]
    actors: frozenset[str] | None = None
    productions: frozenset[str] | None = None
    per_minute: int | None = None
    at_once: int | None = None

    def has(self, scope: Scope) -> bool:
        """Whether it is for a scope."""
        return bool({scope, "admin"} & self.scopes)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a provider knows; `until_ms`, UTC milliseconds, is when what it said of them ends."""

    id: str
    name: str
    roles: tuple[str, ...]
    until_ms: int


def read(content: str) -> dict[str, Role]:
    """Roles by the names that the provider has for them, from TOML: a table for each.

    Raises:
        BadSetting: it is not TOML, has no role, or one that makes no sense.
    """
    try:
        tables = tomllib.loads(content)
    except tomllib.TOMLDecodeError as e:
        raise BadSetting(f"it is not TOML: {e}", where=WHERE, valid="a table for each role") from e
    if not tables:
        raise BadSetting("it has no role", where=WHERE, valid="a table for each role")
    return {name: _role(name, table) for name, table in tables.items()}


def _role(name: str, table: Any) -> Role:
    try:
        given = _Written.model_validate(table)
        made = ruled(given.scopes, given.actors, given.productions)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadSetting(
            f"role {name!r}: {place}: {first['msg']}",
            where=WHERE,
            valid=list(_Written.model_fields),
        ) from e
    except InvalidRequest as e:
        raise BadSetting(f"role {name!r}: {e.detail}", where=WHERE, valid=e.valid) from e
    return Role(*made, given.per_minute, given.at_once)


def claimed(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The roles that a token says, under a claim's name, or a path into claims with dots.

    Either a list of texts or one text with spaces between; anything else is none.
    """
    found: Any = claims
    for name in [path] if path in claims else path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return tuple(found.split())
    return tuple(r for r in found if isinstance(r, str)) if isinstance(found, list) else ()


def caller(person: Person, roles: Mapping[str, Role], scope: Scope | None) -> Caller:
    """A person as the caller of something that takes a scope, or any.

    They have the other scopes that their roles give for at least as much.

    Raises:
        NotAllowed: their roles that have the scope do not add up.
    """
    held = [roles[name] for name in person.roles if name in roles]
    given = frozenset(s for role in held for s in role.scopes)
    reach = _NOTHING if scope is None else _reach(held, scope)
    if reach is None:
        raise NotAllowed(
            "your roles are for some actors in some productions and others in others, which do "
            "not add up",
            where=scope,
            valid="one role that has the scope for all of them",
        )
    if scope is not None:
        wholes = {s: _reach(held, s) for s in given}
        given = frozenset(s for s, whole in wholes.items() if whole and _covers(whole, reach))
    return Caller(
        id=person.id,
        name=person.name,
        scopes=given,
        actors=reach[0],
        productions=reach[1],
        until_ms=person.until_ms,
        per_minute=max((r.per_minute for r in held if r.per_minute), default=None),
        at_once=max((r.at_once for r in held if r.at_once), default=None),
    )


def having(roles: Mapping[str, Role], scope: Scope) -> list[str]:
    """Names of the roles that would give a scope."""
    return sorted(name for name, role in roles.items() if role.has(scope))


def _reach(held: Sequence[Role], scope: Scope) -> Reach | None:
    """What roles that have a scope are for together; nothing where none has it."""
    those = [(role.actors, role.productions) for role in held if role.has(scope)]
    return added(those) if those else _NOTHING


def added(reaches: Iterable[Reach]) -> Reach | None:
    """Actors and productions that several are for together; None where that is not all for all.

    Some actors in one production and others in another are not both in both.
    """
    left = list(reaches)
    done: list[Reach] = []
    while left:
        one = left.pop()
        for i, other in enumerate(left):
            if (both := _joined(one, other)) is not None:
                left[i] = both
                left, done = left + done, []
                break
        else:
            done.append(one)
    return done[0] if len(done) == 1 else None


def _joined(a: Reach, b: Reach) -> Reach | None:
    if _covers(a, b):
        return a
    if _covers(b, a):
        return b
    if a[0] == b[0] and a[1] is not None and b[1] is not None:
        return a[0], a[1] | b[1]
    if a[1] == b[1] and a[0] is not None and b[0] is not None:
        return a[0] | b[0], a[1]
    return None


def _covers(a: Reach, b: Reach) -> bool:
    return all(
        mine is None or (theirs is not None and theirs <= mine)
        for mine, theirs in zip(a, b, strict=True)
    )
