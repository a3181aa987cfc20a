"""Takes: one rendering of a line each, while it is made and as long as it is remembered."""

import io
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voicesvc import encode, provenance
from voicesvc.archive import Made, Origin
from voicesvc.audio import Pcm
from voicesvc.directions import Ignored
from voicesvc.engines import Engine
from voicesvc.errors import UnknownTake
from voicesvc.fit import Report
from voicesvc.line import Line
from voicesvc.lineplan import Length, LinePlan
from voicesvc.measure import Peaks
from voicesvc.packs import Pack
from voicesvc.request import Request
from voicesvc.rights import Permit
from voicesvc.script import Skipped
from voicesvc.sounding import Sounding
from voicesvc.store import StoredTake
from voicesvc.store.takes import NewTake

PEAKS = 800  # points of a waveform: what a row of a list can show
_KEPT_BYTES = 64 * 2**20  # of takes' texts and timings; the oldest go first
Outcome = Literal["open", "complete", "cancelled", "failed", "refused"]
Kind = Literal["live", "audition", "batch"]  # whom it is made for: of metrics the label `class`
CLASSES: tuple[Kind, ...] = ("live", "audition", "batch")  # by their urgency in `schedule`


@dataclass
class Take:
    """One rendering of a line, as far as it has got."""

    id: str
    actor: str
    line: Line
    seed: int
    output: encode.Output
    skipped: tuple[Skipped, ...] = ()
    outcome: Outcome = "open"
    kind: Kind = "audition"
    permit: Permit | None = None
    words_json: list[bytes] = field(default_factory=list)  # one for each sentence planned so far
    marks: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    model_sha256: str = ""
    mark: str | None = None  # the watermark that is in its samples
    audio_s: float = 0.0  # made so far
    compute_s: float = 0.0
    sound: Iterator[Pcm] | None = None  # the engine's, of a sentence
    first_audio_s: float | None = None  # after the request was received
    # By name, from when to when by `perf_counter`; `plan` and `first` are of the first sentence.
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)
    traceparent: str | None = None  # the caller's trace, by W3C Trace Context
    fitted: Report | None = None
    sources: dict[str, str] = field(default_factory=dict)  # what does each thing asked for
    ignored: tuple[Ignored, ...] = ()  # markup that was skipped
    lexicons: list[dict[str, str]] = field(default_factory=list)  # that the text was read with
    _peaks: Peaks = field(default_factory=lambda: Peaks(PEAKS))

    @property
    def kept_bytes(self) -> int:
        """About what it takes to remember this take."""
        return len(self.line.text or "") + sum(map(len, self.words_json))

    @property
    def stages_s(self) -> dict[str, float]:
        """How long each stage took."""
        return {name: end - begin for name, (begin, end) in self.stages.items()}

    def stage(self, name: str, begin_s: float) -> None:
        """Note that a stage, begun at `begin_s`, ends now; only the first of a name is noted."""
        self.stages.setdefault(name, (begin_s, time.perf_counter()))

    @property
    def exemplar(self) -> dict[str, str]:
        """What leads from a bucket of a histogram to this take."""
        return {"take": self.id}

    def logged(self) -> dict[str, Any]:
        """What the log has of it: no word of what is said."""
        first_s = self.first_audio_s
        return {
            "take": self.id,
            "actor": self.actor,
            "class": self.kind,
            "format": self.line.format,
            "outcome": self.outcome,
            "first_audio_ms": None if first_s is None else round(1e3 * first_s, 1),
            "audio_s": round(self.audio_s, 3),
            "compute_s": round(self.compute_s, 4),
            "stages_ms": {name: round(1e3 * s, 1) for name, s in self.stages_s.items()},
        }

    def note(self, asked: Request) -> None:
        """What the checked request says of it."""
        self.model_sha256, self.skipped = asked.pack.model_sha256, asked.skipped
        self.sources |= asked.sources or {}
        self.ignored = asked.ignored
        self.lexicons = [{"name": x.name, "sha256": x.sha256} for x in asked.lexicons]

    def planned(self, one: Sounding, from_s: float) -> None:
        """Note when a sentence's words are heard; the silence before it begins at `from_s`."""
        laid, natural = one.sheet, one.planned.natural
        begin_s = from_s + one.planned.before_samples / natural.sample_rate_hz
        timed = [moved(word, begin_s) for word in laid.words] if begin_s else laid.words
        if timed:
            self.words_json.append(json.dumps(timed, ensure_ascii=False)[1:-1].encode())
        self.marks += [{"name": n, "at_s": round(t + begin_s, 6)} for n, t in laid.marks]
        self.dropped += natural.dropped

    def opened(self, origin: Origin) -> NewTake:
        """What is kept of it from the beginning."""
        permit = permit_of(self)
        return NewTake(
            id=self.id,
            made_by=origin.made_by,
            state="open",
            actor=self.actor,
            text=storable(self.line.text or said(self.line.plan)),
            seed=self.seed,
            model_sha256=self.model_sha256,
            facts={
                "asked": asked_of(self.line),
                "from_plan": self.line.plan is not None,
                "use": origin.stated.json(),
                **origin.facts,
            },
            permit=permit,
            production=permit.use.production_id,
            line=origin.line,
            parent=origin.parent,
        )

    def heard(self, pcm: Pcm) -> None:
        """The next samples, for the waveform."""
        self._peaks.feed(pcm)

    def made(self, engine: Engine, document: bytes, length: Length | None) -> Made:
        """What is kept of it once it is complete: `document` is its plan as JSON."""
        facts = {
            "code": provenance.code(),
            "device": engine.device,
            "precision": engine.precision,
            "watermark": self.mark,
            "delivery": self.sources,
            "length": None if length is None else length.model_dump(),
            "fit": None if self.fitted is None else self.fitted.json(),
            "lexicons": self.lexicons,
            "dropped_symbols": sorted(set(self.dropped)),
        }
        documents = {
            "plan": document,
            "timings": self.timings_json(),
            "peaks": peaks_json(self._peaks),
        }
        return Made(self.seed, engine.sample_rate_hz, self.compute_s, facts, documents)

    def timings_json(self) -> bytes:
        """When each word and phoneme is heard; grows until `complete`."""
        facts = {
            "take": self.id,
            "actor": self.actor,
            "seed": self.seed,
            "model_sha256": self.model_sha256,
            "outcome": self.outcome,
            "complete": self.outcome == "complete",
            "duration_s": round(self.audio_s, 6) if self.outcome == "complete" else None,
            "sample_rate_hz": self.output.sample_rate_hz,
            "dropped_symbols": sorted(set(self.dropped)),
            "marks": self.marks,
        }
        file = io.BytesIO()  # gives its bytes without copying them
        file.write(json.dumps(facts)[:-1].encode() + b', "words": [')
        for i, words in enumerate(self.words_json):
            file.write(b"," * (i > 0))
            file.write(words)
        file.write(b"]}")
        return file.getvalue()


def permit_of(take: Take) -> Permit:
    """What the take is made under."""
    assert take.permit is not None, "the door was asked before"
    return take.permit


def peaks_json(peaks: Peaks) -> bytes:
    """The waveform as a document: lowest and highest sample of each point, -127 to 127."""
    low, high = peaks.flush()
    return json.dumps({"points": len(low), "min": low.tolist(), "max": high.tolist()}).encode()


def asked_of(line: Line) -> dict[str, Any]:
    """The request without what is kept beside it: its text and its plan."""
    asked = line.model_dump(mode="json", exclude={"text", "plan"}, exclude_defaults=True)
    if line.plan is not None and line.plan.language is not None:
        asked["language"] = line.plan.language
    return asked


def language_of(take: StoredTake, pack: Pack) -> str:
    """The language that a take is in: asked for, or the voice's own."""
    return str(take.facts.get("asked", {}).get("language") or pack.language)


def line_of(kept: Mapping[str, Any], **more: Any) -> Line:
    """A request from the fields of a line that is kept.

    Raises:
        ValidationError: they are none, which they were checked for when they were kept.
    """
    fields = {name: kept[name] for name in ("actor", "text", "markup", "lexicons")}
    return Line.model_validate_json(json.dumps(fields | kept["delivery"] | more))


def line_of_take(take: StoredTake) -> Line:
    """The request of a take that is to be made from its text."""
    asked = take.facts["asked"] | {"text": take.text, "seed": take.seed, "actor": take.actor}
    return Line.model_validate_json(json.dumps(asked))


def storable(text: str) -> str:
    """A text as a database takes it: without halves of characters, and without NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def said(document: LinePlan | None) -> str:
    """The words of a plan, as they would be written."""
    sentences = document.sentences if document is not None else ()
    return " ".join(w.text + w.after.strip() for s in sentences for w in s.words)


def moved(
    timed: dict[str, Any], by_s: float, within: tuple[float, float] = (0.0, math.inf)
) -> dict[str, Any]:
    """A word's timings, moved; what lies outside of `within` is not heard."""
    low, high = within
    times: dict[str, Any] = {
        name: round(float(min(max(timed[name] + by_s, low), high)), 6)
        for name in ("start_s", "end_s")
    }
    if "phonemes" in timed:
        times["phonemes"] = [moved(p, by_s, within) for p in timed["phonemes"]]
    return {**timed, **times}


class Kept:
    """The newest takes, in memory. Any method may be called from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._takes: OrderedDict[str, Take] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, take: Take) -> None:
        """Remember one more; the oldest are forgotten."""
        with self._lock:
            self._takes[take.id] = take
            kept_bytes = sum(t.kept_bytes for t in self._takes.values())
            while len(self._takes) > self._most or (
                kept_bytes > _KEPT_BYTES and len(self._takes) > 1
            ):
                kept_bytes -= self._takes.popitem(last=False)[1].kept_bytes

    @property
    def ids(self) -> list[str]:
        """Of all takes that are remembered, the oldest first."""
        with self._lock:
            return list(self._takes)

    def forget(self, take_id: str) -> None:
        """Remember it no longer."""
        with self._lock:
            self._takes.pop(take_id, None)

    def get(self, take_id: str) -> Take:
        """A take that is still remembered.

        Raises:
            UnknownTake: it never was made, or is no longer kept.
        """
        with self._lock:
            if take_id not in self._takes:
                kept = f"the newest {self._most} takes are kept"
                raise UnknownTake(f"no take {take_id!r}", where="take", valid=kept)
            return self._takes[take_id]
