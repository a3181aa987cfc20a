"""Callers: who asks, for which scopes, actors and productions."""

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["speak", "audition", "circle", "export", "grants", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MEANING: dict[Scope, str] = {
    "speak": "have takes made; write scripts and lexicons",
    "audition": "read scripts and hear takes",
    "circle": "circle, rate, note, delete and restore takes",
    "export": "export productions",
    "grants": "read and enter grants, read the ledger",
    "admin": "everything, keys included",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; None among `actors` or `productions` is all of them.

    `id` is of a key, or `oidc:` and who it is at the provider of tokens, up to 60 characters;
    `name` is for people. `until_ms`, UTC milliseconds, is when it ends by itself. `proof` tells
    which secret of a key was shown, `session` the digest of the session that came instead.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    actors: frozenset[str] | None = None
    productions: frozenset[str] | None = None  # slugs, or ids
    until_ms: int | None = None
    per_minute: int | None = None  # requests; None: as the setting says
    at_once: int | None = None  # requests; None: as the setting says
    proof: bytes = b""
    session: str = ""

    @property
    def who(self) -> str:
        """For the record, at most 100 characters, the id whole."""
        return f"{self.name[: min(60, 97 - len(self.id))]} ({self.id})"

    @property
    def everywhere(self) -> bool:
        """Whether it is for all actors and productions."""
        return self.actors is None and self.productions is None


LOCAL = Caller("local", "local", frozenset(SCOPES))
