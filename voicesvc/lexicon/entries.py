"""A lexicon's entries, and their JSON form."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from voicesvc import script
from voicesvc.errors import BadLexicon, MalformedBody
from voicesvc.lexicon.sounds import phones_of

MOST_ENTRIES = 20_000
LONGEST_GRAPHEME = 200  # characters
LONGEST_SAID = 400  # characters
_LETTER = re.compile(r"[^\W_]")
RUN = re.compile(r"[^\W_]+")
Runs = tuple[str, ...]  # of letters and figures, case folded


class Entry(BaseModel):
    """How one written form is said. Exactly one of `ipa`, `sounds_like` and `alias` is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    grapheme: str = Field(min_length=1, max_length=LONGEST_GRAPHEME)
    ipa: str | None = Field(None, min_length=1, max_length=LONGEST_SAID)
    sounds_like: str | None = Field(None, min_length=1, max_length=LONGEST_SAID)
    alias: str | None = Field(None, min_length=1, max_length=LONGEST_SAID)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if len(self.given) != 1:
            what = " and ".join(self.given) or "nothing to be said"
            raise PydanticCustomError("said", "the entry has {what}", {"what": what})
        return self

    @property
    def given(self) -> tuple[str, ...]:
        """Which of the three it has."""
        names = ("ipa", "sounds_like", "alias")
        return tuple(n for n in names if getattr(self, n) is not None)

    @cached_property
    def written(self) -> str:
        """The grapheme as it looks in cleaned text."""
        return " ".join(script.clean(self.grapheme, script.ANY).text.split())


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    entries: tuple[Entry, ...] = Field(max_length=MOST_ENTRIES)


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Entries under a name."""

    name: str
    entries: tuple[Entry, ...]

    @cached_property
    def sha256(self) -> str:
        """Of `to_json(entries)`, in hexadecimal."""
        return hashlib.sha256(to_json(self.entries)).hexdigest()

    @cached_property
    def index(self) -> dict[Runs, list[tuple[int, Entry]]]:
        """Runs of a grapheme -> (where the first one is in it, the entry) of each that has them."""
        found: dict[Runs, list[tuple[int, Entry]]] = {}
        for entry in self.entries:
            runs = list(RUN.finditer(entry.written))
            key = tuple(r.group().casefold() for r in runs)
            found.setdefault(key, []).append((runs[0].start(), entry))
        return found

    @cached_property
    def lengths(self) -> dict[str, tuple[int, ...]]:
        """First run of a grapheme -> how many runs the graphemes have that begin so."""
        found: dict[str, set[int]] = {}
        for key in self.index:
            found.setdefault(key[0], set()).add(len(key))
        return {first: tuple(lengths) for first, lengths in found.items()}


def to_json(entries: Sequence[Entry]) -> bytes:
    """The JSON form; the same entries give the same bytes."""
    listed = [e.model_dump(exclude_none=True) for e in entries]
    return json.dumps({"entries": listed}, ensure_ascii=False, indent=1).encode() + b"\n"


def read_json(body: bytes) -> tuple[Entry, ...]:
    """Entries of `{"entries": [{"grapheme": "Elena", "ipa": "ɛlˈeɪnə"}, …]}`.

    Raises:
        MalformedBody: it is not JSON.
        BadLexicon: an entry is not valid; `where` says which, and the character in it.
    """
    try:
        document = _Document.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "json_invalid":
            raise MalformedBody(
                f"the body is not JSON: {first['ctx']['error']}",
                where="body",
                valid="a JSON object in UTF-8",
            ) from error
        raise BadLexicon(
            first["msg"],
            where=".".join(map(str, first["loc"])) or "body",
            valid="entries, each with grapheme and one of ipa, sounds_like and alias",
        ) from error
    places = [
        Place(f"entries.{i}.grapheme", f"entries.{i}{''.join(f'.{n}' for n in e.given)}")
        for i, e in enumerate(document.entries)
    ]
    return checked(document.entries, places)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry is written: in lines and columns, or as a path."""

    grapheme: str
    said: str


def checked(entries: Sequence[Entry], places: Sequence[Place]) -> tuple[Entry, ...]:
    """The entries, once each is seen to be one. Raises BadLexicon."""
    for entry, place in zip(entries, places, strict=True):
        if not any(c.isalnum() for c in entry.written):
            raise BadLexicon(
                f"the grapheme {entry.grapheme!r} has no letter and no figure",
                where=place.grapheme,
                valid="a word or several, as they are written",
            )
        if entry.ipa is not None:
            try:
                phones_of(entry.ipa)
            except BadLexicon as error:
                raise BadLexicon(
                    error.detail, where=f"{place.said}, {error.where}", valid=error.valid
                ) from error
        elif not _LETTER.search(
            script.clean(entry.sounds_like or entry.alias or "", script.ANY).text
        ):
            raise BadLexicon(
                f"nothing of what {entry.grapheme!r} is said as can be said",
                where=place.said,
                valid="letters",
            )
    return tuple(entries)
