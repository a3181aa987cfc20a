"""The door: whether a grant covers a use. `check` is the only maker of a `Permit`.

Pure: grants, what has happened to them, and the time are arguments. What cannot be known is
refused.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from voicesvc.rights import canonical
from voicesvc.rights.grant import Category, Grant, Medium, Purpose
from voicesvc.rights.signed import Verified
from voicesvc.rights.standing import Standing, Used, revoked, suspended

Kind = Literal["speak", "hear", "export"]
STALE_MS = 15_000  # what is older than this is not known any more
BACK_MS = 300_000  # how far the clock may stand behind what is on record
_MADE_HERE = object()


@dataclass(frozen=True, slots=True)
class Use:
    """What is to be done with a voice. What is None is not known, and covered by "any" alone."""

    actor: str
    model_sha256: str
    production: str  # its slug
    language: str
    text: str
    kind: Kind = "speak"
    production_id: str | None = None
    line: str | None = None  # its id
    character: str | None = None
    medium: Medium | None = None
    episode: str | None = None
    territory: str | None = None  # ISO 3166-1 alpha-2
    purposes: frozenset[Purpose] = frozenset()
    categories: frozenset[Category] = frozenset()
    certain: bool = True  # whether what is heard is what `text` says
    takes: int = 1


class Permit:
    """That a grant covers a use. Made by `check` alone."""

    __slots__ = ("at_ms", "expires_ms", "grant", "seconds_left", "sha256", "use", "version")

    def __init__(
        self, made_here: object, verified: Verified, use: Use, at_ms: int, seconds_left: float
    ) -> None:
        if made_here is not _MADE_HERE:
            raise TypeError("a permit is made by rights.check alone")
        grant = verified.grant
        self.grant, self.version, self.sha256 = grant.id, grant.version, verified.sha256
        self.use, self.at_ms, self.seconds_left = use, at_ms, seconds_left
        self.expires_ms = _ms(_until(grant, use))


@dataclass(frozen=True, slots=True)
class Looked:
    """A grant that was looked at, the clause that decided, and what would be needed."""

    grant: str
    version: int
    clause: str
    needed: str

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        return {n: getattr(self, n) for n in ("grant", "version", "clause", "needed")}


@dataclass(frozen=True, slots=True)
class NotLicensed:
    """That no grant covers a use, and why none does."""

    use: Use
    detail: str
    looked_at: tuple[Looked, ...] = field(default=())

    def __bool__(self) -> bool:
        return False


def check(
    use: Use, grants: Sequence[Verified], standing: Standing, now_ms: int
) -> Permit | NotLicensed:
    """Whether one of the grants covers the use now, UTC milliseconds since 1970.

    A demonstration grant is looked at last. To hear or export what was made, how it was made is not
    asked again. What is not known, such as whether a grant was revoked
    in the last seconds, is refused.
    """
    newest_ms = max(standing.newest_ms, standing.as_of_ms)
    if now_ms < newest_ms - BACK_MS:
        ago_s = (newest_ms - now_ms) // 1000
        detail = f"the clock stands {ago_s} s before the newest record"
        return NotLicensed(use, f"{detail}: set it right")
    if now_ms - standing.as_of_ms > STALE_MS:
        age_s = (now_ms - standing.as_of_ms) // 1000
        return NotLicensed(use, f"what was revoked is not known: the register is {age_s} s old")
    now_ms = max(now_ms, newest_ms)
    newest = {
        v.grant.id: v.sha256 for v in sorted(grants, key=lambda v: (v.grant.version, v.sha256))
    }
    looked: list[Looked] = []
    for verified in sorted(grants, key=lambda v: (v.grant.demonstration, v.grant.id, v.sha256)):
        grant = verified.grant
        if grant.voice.actor != use.actor:
            continue
        if newest[grant.id] != verified.sha256:
            looked.append(Looked(grant.id, grant.version, "supersedes", "the newest version"))
            continue
        case = _Case(use, grant, standing, now_ms)
        failed = case.failed()
        if failed is None:
            left = (grant.limits.seconds or math.inf) - case.used.seconds
            return Permit(_MADE_HERE, verified, use, now_ms, left)
        looked.append(Looked(grant.id, grant.version, *failed))
    if not looked:
        return NotLicensed(use, f"no grant is for the voice of {use.actor!r}")
    clauses = ", ".join(f"{x.grant} by {x.clause}" for x in looked)
    return NotLicensed(use, f"not covered by any grant: {clauses}", tuple(looked))


@dataclass(frozen=True, slots=True)
class _Case:
    """One grant and one use; a clause says what would be needed, or nothing where it is met."""

    use: Use
    grant: Grant
    standing: Standing
    now_ms: int

    def failed(self) -> tuple[str, str] | None:
        """The first clause that is not met, and what it would take."""
        clauses = _ALWAYS + (_MAKING if self.use.kind == "speak" else ())
        for name, clause in clauses:
            needed = clause(self)
            if needed is not None:
                return name, needed
        return None

    @property
    def used(self) -> Used:
        return self.standing.used.get(self.grant.id, Used())

    def revoked(self) -> str | None:
        found = revoked(self.standing.notices.get(self.grant.id, ()))
        return None if found is None else f"another grant: revoked {found.at.isoformat()}"

    def suspended(self) -> str | None:
        given = self.standing.notices.get(self.grant.id, ())
        found = suspended(given, self.grant.threshold)
        return None if found is None else f"its end: suspended {found.at.isoformat()}"

    def not_before(self) -> str | None:
        begin = self.grant.term.not_before
        return f"{begin.isoformat()} or later" if self.now_ms < _ms(begin) else None

    def expires(self) -> str | None:
        end = _until(self.grant, self.use)
        return f"a longer term: it ended {end.isoformat()}" if self.now_ms >= _ms(end) else None

    def model(self) -> str | None:
        models = self.grant.voice.model_sha256
        return None if self.use.model_sha256 in models else _one_of(m[:12] for m in models)

    def production(self) -> str | None:
        granted = self.grant.production.id
        theirs = (self.use.production, self.use.production_id, "*")
        return None if granted in theirs else f"production {granted}"

    def media(self) -> str | None:
        return _within(self.use.medium, self.grant.production.media)

    def episodes(self) -> str | None:
        return _within(self.use.episode, self.grant.production.episodes)

    def characters(self) -> str | None:
        granted = {c.casefold() for c in self.grant.use.characters}
        known = (self.use.character or "").casefold()
        return _one_of(self.grant.use.characters) if granted and known not in granted else None

    def languages(self) -> str | None:
        granted = self.grant.use.languages
        language = self.use.language.lower()
        covered = language in granted or language.split("-")[0] in granted
        return None if covered else _one_of(granted)

    def territory(self) -> str | None:
        return _within(self.use.territory, self.grant.territory)

    def prohibited(self) -> str | None:
        both = sorted(self.use.categories & set(self.grant.use.prohibited))
        return f"a grant that does not exclude {', '.join(both)}" if both else None

    def realtime(self) -> str | None:
        wanted = "realtime" in self.use.purposes and not self.grant.use.realtime
        return "a grant for real-time use" if wanted else None

    def singing(self) -> str | None:
        wanted = "singing" in self.use.purposes and not self.grant.use.singing
        return "a grant for singing" if wanted else None

    def promo(self) -> str | None:
        wanted = self.use.purposes & {"promo", "trailer"} and not self.grant.use.promo
        return "a grant for promotion and trailers" if wanted else None

    @property
    def _notice(self) -> bool:
        """Whether it is what the grant itself wants said: nobody has to approve that."""
        spoken = self.grant.spoken_disclosure
        return spoken is not None and self.use.certain and self.use.text == spoken.text

    def new_dialogue(self) -> str | None:
        if self.grant.use.new_dialogue or self._notice:
            return None
        if not self.use.certain:
            return "the text itself: what is heard is not certain to be what it says"
        lines = self.standing.scripts.get(self.grant.use.script_sha256 or "", frozenset())
        within = canonical.text_sha256(self.use.text) in lines
        return None if within else f"a line of script {(self.grant.use.script_sha256 or '')[:12]}"

    def approvals(self) -> str | None:
        if self.grant.approvals.kind == "none" or self._notice:
            return None
        approver = f"approval by {self.grant.approvals.approver}"
        if not self.use.certain:
            return "the text itself: what is heard is not certain to be what was approved"
        lines = self.standing.approved.get(self.grant.id, frozenset())
        return None if canonical.text_sha256(self.use.text) in lines else approver

    def seconds(self) -> str | None:
        most = self.grant.limits.seconds
        return _more(most, "seconds") if most is not None and self.used.seconds >= most else None

    def lines(self) -> str | None:
        most, lines = self.grant.limits.lines, self.used.lines
        fresh = self.use.line is None or self.use.line not in lines
        over = most is not None and len(lines) + fresh > most
        return _more(most, "lines") if over else None

    def takes(self) -> str | None:
        most = self.grant.limits.takes
        over = most is not None and self.used.takes + self.use.takes > most
        return _more(most, "takes") if over else None


Clause = Callable[[_Case], str | None]
_ALWAYS: tuple[tuple[str, Clause], ...] = (
    ("revoked", _Case.revoked),
    ("suspended", _Case.suspended),
    ("term.not_before", _Case.not_before),
    ("term.expires", _Case.expires),
    ("voice.model_sha256", _Case.model),
    ("production.id", _Case.production),
    ("production.media", _Case.media),
    ("production.episodes", _Case.episodes),
    ("use.characters", _Case.characters),
    ("territory", _Case.territory),
    ("use.prohibited", _Case.prohibited),
    ("use.realtime", _Case.realtime),
    ("use.singing", _Case.singing),
    ("use.promo", _Case.promo),
)
_MAKING: tuple[tuple[str, Clause], ...] = (
    ("use.languages", _Case.languages),
    ("use.new_dialogue", _Case.new_dialogue),
    ("approvals", _Case.approvals),
    ("limits.seconds", _Case.seconds),
    ("limits.lines", _Case.lines),
    ("limits.takes", _Case.takes),
)
CLAUSES = ("supersedes", *(name for name, _ in _ALWAYS + _MAKING))


def _until(grant: Grant, use: Use) -> datetime:
    return grant.term.expires if use.kind == "speak" else grant.term.retain_until


def _ms(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1000)


def _within(known: str | None, granted: Sequence[str]) -> str | None:
    return _one_of(granted) if granted and known not in granted else None


def _one_of(values: Any) -> str:
    return "one of " + ", ".join(values)


def _more(most: int | None, what: str) -> str:
    return f"more than {most} {what}"
