"""The one door: whether a caller may do something, and if not, why."""

from collections.abc import Iterable
from dataclasses import dataclass

from voicesvc.access.callers import SCOPES, Caller, Scope
from voicesvc.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Need:
    """What something takes; `everywhere` is what concerns all productions and actors at once.

    A production is named by its slug and its id, an actor by its id; None: none is concerned. No
    scope: that was asked before.
    """

    scope: Scope | None = None
    actor: str | None = None
    production: str | None = None
    production_id: str | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not; `scope` is the one that is missing, if it is that."""

    reason: str
    scope: Scope | None = None


def check(caller: Caller, need: Need) -> Refused | None:
    """None where the caller may; otherwise why not."""
    scopes = caller.scopes
    if need.scope is not None and not {need.scope, "admin"} & scopes:
        return Refused(f"this takes the scope {need.scope!r}, which is not among yours", need.scope)
    if need.everywhere and not caller.everywhere:
        return Refused("this concerns every production and actor, and you are here for some")
    if need.actor is not None and caller.actors is not None and need.actor not in caller.actors:
        return Refused(f"you are here for other actors than {need.actor!r}")
    named = {need.production, need.production_id} - {None}
    if named and caller.productions is not None and not named & caller.productions:
        return Refused(f"you are here for other productions than {need.production!r}")
    return None


def ruled(
    scopes: Iterable[str], actors: Iterable[str] | None, productions: Iterable[str] | None
) -> tuple[frozenset[Scope], frozenset[str] | None, frozenset[str] | None]:
    """What somebody is to be given, checked; no actors or productions at all means all of them.

    Raises:
        InvalidRequest: a scope is unknown, there is none, or `admin` is not for everything.
    """
    asked = set(scopes)
    given = frozenset(scope for scope in SCOPES if scope in asked)
    if unknown := sorted(asked - given):
        raise InvalidRequest(f"no scope {unknown[0][:20]!r}", where="scopes", valid=SCOPES)
    if not given:
        raise InvalidRequest("no scope", where="scopes", valid=SCOPES)
    of_actors, of_productions = frozenset(actors or ()), frozenset(productions or ())
    if "admin" in given and (of_actors or of_productions):
        raise InvalidRequest(
            "who may make keys is for every actor and production",
            where="scopes",
            valid="admin without actors and productions",
        )
    return given, of_actors or None, of_productions or None
