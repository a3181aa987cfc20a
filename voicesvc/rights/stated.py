"""What a caller states of a use, beyond what the line itself says: `Voicesvc-Use`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from voicesvc.errors import InvalidRequest
from voicesvc.rights.grant import Category, Medium, Purpose

LONGEST = 1000
_ONE = ("medium", "episode", "territory", "character")
_MANY: dict[str, tuple[str, ...]] = {"purpose": get_args(Purpose), "category": get_args(Category)}


@dataclass(frozen=True, slots=True)
class Stated:
    """What is None or empty was not stated."""

    medium: Medium | None = None
    episode: str | None = None
    territory: str | None = None
    character: str | None = None
    purpose: frozenset[Purpose] = field(default=frozenset())
    category: frozenset[Category] = field(default=frozenset())

    def json(self) -> dict[str, Any]:
        """As it is kept with a take: what was stated alone."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: sorted(v) if isinstance(v, frozenset) else v for n, v in given.items() if v}


def kept(said: Mapping[str, Any]) -> Stated:
    """What `Stated.json` gave."""
    given: dict[str, Any] = {n: frozenset(v) if isinstance(v, list) else v for n, v in said.items()}
    return Stated(**given)


def read(header: str) -> Stated:
    """`medium=series, episode=101, purpose=trailer`; purpose and category may be repeated.

    Raises:
        InvalidRequest: a name or a value is unknown.
    """
    one: dict[str, Any] = {}
    many: dict[str, set[str]] = {name: set() for name in _MANY}
    if len(header) > LONGEST:
        raise _refused(f"{len(header)} characters", f"up to {LONGEST}")
    for part in filter(None, (p.strip() for p in header.split(","))):
        name, equals, value = (p.strip() for p in part.partition("="))
        if name in _MANY:
            if value not in _MANY[name]:
                raise _refused(f"{name} {value!r}", _MANY[name])
            many[name].add(value)
        elif name not in _ONE or not equals or not value:
            raise _refused(f"{part!r}", [f"{n}=…" for n in (*_ONE, *_MANY)])
        elif name == "medium" and value not in get_args(Medium):
            raise _refused(f"medium {value!r}", get_args(Medium))
        else:
            one[name] = value
    sets: dict[str, Any] = {name: frozenset(values) for name, values in many.items()}
    return Stated(**one, **sets)


def _refused(detail: str, valid: Any) -> InvalidRequest:
    return InvalidRequest(detail, where="Voicesvc-Use", valid=valid)
