"""What is asked of a key that is to be made."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from voicesvc.access.callers import SCOPES
from voicesvc.access.check import ruled
from voicesvc.access.keys import Key
from voicesvc.errors import InvalidRequest

_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Names = Annotated[tuple[_Name, ...], Field(strict=False, max_length=100)]


class NewKey(BaseModel):
    """Whose key it is to be, and what for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: _Name = Field(description="whose it is, for people")
    scopes: _Names = Field(description=", ".join(SCOPES))
    actors: _Names = Field((), description="ids of actors it is for; none: all of them")
    productions: _Names = Field((), description="slugs of productions it is for; none: all")
    expires_ms: int | None = Field(
        None, ge=0, le=2**53, description="when it ends, UTC milliseconds since 1970; null: never"
    )
    per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="requests in a minute; null: as the setting says"
    )
    at_once: int | None = Field(
        None, ge=1, le=10_000, description="requests at a time; null: as the setting says"
    )

    def key(self, now_ms: int) -> Key:
        """The same, checked.

        Raises:
            InvalidRequest: a scope is unknown, or it would have ended already.
        """
        scopes, actors, productions = ruled(self.scopes, self.actors, self.productions)
        if self.expires_ms is not None and self.expires_ms <= now_ms:
            raise InvalidRequest("that has passed", where="expires_ms", valid="a time to come")
        return Key(
            id="",
            name=self.name,
            scopes=scopes,
            actors=actors,
            productions=productions,
            expires_ms=self.expires_ms,
            per_minute=self.per_minute,
            at_once=self.at_once,
        )
