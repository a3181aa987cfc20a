"""What is kept, as values: a production, a line of its script, a take, an event.

Each has `json()`, which is what HTTP answers. Times are ISO 8601 in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

MadeBy = Literal["speech", "line", "retake", "drift"]
State = Literal["queued", "open", "complete", "cancelled", "failed", "refused"]
WAITING: tuple[State, ...] = ("queued", "open")
_FACTS: dict[str, Any] = {  # of a take that does not have them
    "reason": None,
    "varied": {},
    "use": {},
    "grant": None,
    "edits": [],
    "attempts": [],
    "splice": None,
    "from_plan": False,
    "length": None,
    "fit": None,
    "lexicons": [],
    "delivery": {},
    "dropped_symbols": [],
    "code": {},
    "device": None,
    "precision": None,
    "watermark": None,
}
_HIDDEN = ("seq", "facts", "flagged", "instance", "takes_made", "lines_made", "purged_ms")


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, if they said, and when: UTC milliseconds since 1970."""

    who: str | None
    now_ms: int


def iso(at_ms: int | None) -> str | None:
    """`2026-11-25T12:30:00.123Z`."""
    if at_ms is None:
        return None
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def _json(thing: Any) -> dict[str, Any]:
    """Every field but those that are nobody's business; `*_ms` as `*_at`."""
    told: dict[str, Any] = {}
    for f in fields(thing):
        value = getattr(thing, f.name)
        if f.name in _HIDDEN:
            continue
        if f.name.endswith("_ms"):
            name = f.name.removesuffix("_ms")
            told[name if name == "at" else name + "_at"] = iso(value)
        else:
            told[f.name] = value
    return told


@dataclass(frozen=True, slots=True)
class _Changed:
    version: int
    created_ms: int
    created_by: str | None
    updated_ms: int
    updated_by: str | None
    deleted_ms: int | None


@dataclass(frozen=True, slots=True)
class Production(_Changed):
    """A film, a series, a game."""

    seq: int
    id: str
    slug: str
    title: str
    fps: str
    notes: str
    lines_made: int
    lines: int = 0
    takes: int = 0

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many takes a line has; those that were deleted are not counted."""

    total: int = 0
    complete: int = 0
    circled: int = 0
    flagged: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class ScriptLine(_Changed):
    """One cue of a script."""

    seq: int
    id: str
    production: str
    number: int
    scene: str
    cue: str
    character: str
    actor: str
    text: str
    markup: str
    delivery: dict[str, Any]
    lexicons: list[str]
    timecode_in: str | None
    timecode_out: str | None
    notes: str
    takes_made: int
    takes: Counts = Counts()
    circled_take: str | None = None  # the newest that is circled

    @property
    def status(self) -> str:
        """How far the line is."""
        if self.takes.circled:
            return "circled"
        if self.takes.waiting:
            return "making"
        return "takes" if self.takes.complete else "empty"

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        counts = {f.name: getattr(self.takes, f.name) for f in fields(Counts)}
        flagged = self.takes.flagged > 0
        return _json(self) | {"takes": counts, "status": self.status, "flagged": flagged}


@dataclass(frozen=True, slots=True)
class StoredTake(_Changed):
    """One rendering of a line, and everything it takes to make it again.

    `facts` are those that nothing is looked up by: see docs/takes.md.
    """

    seq: int
    id: str
    production: str | None
    line: str | None
    number: int | None
    parent: str | None
    made_by: MadeBy
    state: State
    permit: int | None
    instance: str | None
    actor: str
    text: str
    seed: int
    model_sha256: str
    plan_sha256: str | None
    pcm_sha256: str | None
    sample_rate_hz: int | None
    samples: int | None
    compute_s: float | None
    facts: dict[str, Any]
    measured: dict[str, Any] | None
    flags: list[str]
    flagged: bool
    circled: bool
    rating: int | None
    note: str
    tags: list[str]
    closed_ms: int | None
    purged_ms: int | None

    @property
    def duration_s(self) -> float | None:
        """Length of the audio as it is kept."""
        if self.samples is None or not self.sample_rate_hz:
            return None
        return round(self.samples / self.sample_rate_hz, 6)

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        has_audio = self.pcm_sha256 is not None and self.purged_ms is None
        told = {**_json(self), **_FACTS, **self.facts}
        return told | {"duration_s": self.duration_s, "has_audio": has_audio}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; never changed and never removed."""

    seq: int
    at_ms: int
    kind: str
    subject: str
    line: str | None
    production: str | None
    action: str
    version: int
    who: str | None
    facts: dict[str, Any]

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        told = _json(self)
        told["id"], told["by"] = told.pop("subject"), told.pop("who")
        return told | self.facts


def row_as(kind: type[Any], row: Mapping[Any, Any], **more: Any) -> Any:
    """A row of a table as one of the values above."""
    names = _NAMES[kind]
    return kind(**{k: v for k, v in row.items() if k in names}, **more)


_NAMES: dict[type[Any], frozenset[str]] = {
    kind: frozenset(f.name for f in fields(kind))
    for kind in (Production, ScriptLine, StoredTake, Event)
}
