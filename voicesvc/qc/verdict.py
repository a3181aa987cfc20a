"""What an inspection found, as a record and as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "substituted", "missing"]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word that was asked for: text[start:end], and what became of it."""

    text: str
    start: int
    end: int
    status: Status
    heard: str | None = None  # instead of it, where it was substituted


@dataclass(frozen=True, slots=True)
class Inserted:
    """Words that nobody asked for, heard before word `at`; after the last where `at` is no word."""

    at: int
    heard: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a take says its words, and how good it sounds.

    None where that could not be measured: `not_measured` has the field and why.
    """

    wer: float | None = None  # errors for each word asked for, 1 at most
    words: tuple[HeardWord, ...] = ()
    inserted: tuple[Inserted, ...] = ()
    transcript: str | None = None
    distillmos: float | None = None  # 1 to 5
    not_measured: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As a JSON object, with null for None."""
        members = asdict(self)
        return members | {name: list(members[name]) for name in ("words", "inserted")}

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Verdict":
        """From what `json` made. Raises KeyError, TypeError."""
        lists = {
            "words": tuple(HeardWord(**w) for w in said["words"]),
            "inserted": tuple(Inserted(**i) for i in said["inserted"]),
        }
        return cls(**(said | lists))

    @classmethod
    def none(cls, why: str) -> "Verdict":
        """Nothing could be measured."""
        return cls(not_measured=dict.fromkeys(("wer", "distillmos"), why))
