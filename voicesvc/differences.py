"""What differs between two plans of a line: the line, its sentences, and word by word.

Words are aligned by their text, so that a word that was put in does not make all later ones
differ. Knows nothing of takes or of how a plan came to be.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from operator import mul
from typing import Any, Literal

from pydantic import BaseModel

from voicesvc.lineplan import LinePlan, WordPlan

Kind = Literal["changed", "replaced", "added", "removed"]
_DIGITS = 4  # as documents have their milliseconds
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Change:
    """A field with another value. Values are as in JSON; `by` is after - before, of numbers."""

    field: str
    before: Any
    after: Any
    said: str  # in a few words: "120 ms longer"

    @property
    def by(self) -> float | None:
        """How much more it is."""
        before, after = self.before, self.after
        if isinstance(before, bool) or not isinstance(before, int | float):
            return None
        return round(after - before, _DIGITS) if isinstance(after, int | float) else None

    def json(self) -> dict[str, Any]:
        """For an answer."""
        return {
            "field": self.field,
            "before": self.before,
            "after": self.after,
            "by": self.by,
            "said": self.said,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word is: its number in the line, its sentence and number in that, and in the text."""

    index: int
    sentence: int
    word: int
    start: int
    end: int

    def json(self) -> dict[str, int]:
        """For an answer."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class WordDifference:
    """A word that differs. `before` is None where it was added, `after` where it was removed."""

    kind: Kind
    text: str
    before: Place | None
    after: Place | None
    changes: tuple[Change, ...]

    @property
    def said(self) -> str:
        """In a sentence: "*harbour*: 120 ms longer, 2 st higher"."""
        if self.kind in ("added", "removed"):
            return f"*{self.text}*: {self.kind}"
        heard = [c.said for c in self.changes if self.kind == "changed" or c.field != "phonemes"]
        return f"*{self.text}*: {', '.join(heard)}"

    def json(self) -> dict[str, Any]:
        """For an answer."""
        return {
            "kind": self.kind,
            "text": self.text,
            "before": self.before and self.before.json(),
            "after": self.after and self.after.json(),
            "changes": [c.json() for c in self.changes],
            "said": self.said,
        }


@dataclass(frozen=True, slots=True)
class SentenceDifference:
    """Sentences that share words and differ beside them. Numbers count from 0."""

    before: int
    after: int
    changes: tuple[Change, ...]

    @property
    def said(self) -> str:
        """In a sentence: "sentence 2: 200 ms more pause after it"."""
        return f"sentence {self.after + 1}: {', '.join(c.said for c in self.changes)}"

    def json(self) -> dict[str, Any]:
        """For an answer."""
        return {
            "before": self.before,
            "after": self.after,
            "changes": [c.json() for c in self.changes],
            "said": self.said,
        }


@dataclass(frozen=True, slots=True)
class Differences:
    """All that differs. Nothing where the plans say the same."""

    line: tuple[Change, ...]
    sentences: tuple[SentenceDifference, ...]
    words: tuple[WordDifference, ...]

    @property
    def same(self) -> bool:
        """Whether the plans say the same of everything but places in the text."""
        return not (self.line or self.sentences or self.words)

    @property
    def said(self) -> tuple[str, ...]:
        """A short sentence for each difference."""
        line = (f"the line: {c.said}" for c in self.line)
        return (*line, *(s.said for s in self.sentences), *(w.said for w in self.words))

    def json(self) -> dict[str, Any]:
        """For an answer."""
        return {
            "same": self.same,
            "said": list(self.said),
            "line": [c.json() for c in self.line],
            "sentences": [s.json() for s in self.sentences],
            "words": [w.json() for w in self.words],
        }


def between(before: LinePlan, after: LinePlan) -> Differences:
    """What `after` has otherwise than `before`.

    Where a word lies in the text is no difference. Of a word, `pitch_st` and `energy_db` are the
    means over its phonemes, weighted by how long both plans have them; where only single phonemes
    differ and the means do not, `phonemes_…` has them one by one.
    """
    pairs = list(_aligned(list(_placed(before)), list(_placed(after))))
    met: dict[int, int] = {}
    for old, new in pairs:
        if old and new and new[0].sentence not in met.values():
            met.setdefault(old[0].sentence, new[0].sentence)
    return Differences(
        line=tuple(_line(before, after)),
        sentences=tuple(_sentences(before, after, met)),
        words=tuple(w for w in (_word(*pair) for pair in pairs) if w is not None),
    )


_Placed = tuple[Place, WordPlan]


def _placed(plan: LinePlan) -> Iterator[_Placed]:
    index = 0
    for i, sentence in enumerate(plan.sentences):
        for j, word in enumerate(sentence.words):
            yield Place(index, i, j, word.start, word.end), word
            index += 1


def _aligned(
    old: Sequence[_Placed], new: Sequence[_Placed]
) -> Iterator[tuple[_Placed | None, _Placed | None]]:
    """Words that go together, in reading order; None where one has no other."""
    was, now = ([word.text.casefold() for _, word in words] for words in (old, new))
    for _, i, i_end, j, j_end in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        yield from zip_longest(old[i:i_end], new[j:j_end])


def _word(old: _Placed | None, new: _Placed | None) -> WordDifference | None:
    if old and new:
        changes = tuple(_word_changes(old[1], new[1]))
        same_word = old[1].text.casefold() == new[1].text.casefold()
        kind: Kind = "changed" if same_word else "replaced"
        return WordDifference(kind, new[1].text, old[0], new[0], changes) if changes else None
    if new:
        return WordDifference("added", new[1].text, None, new[0], ())
    return WordDifference("removed", old[1].text, old[0], None, ()) if old else None


# -- fields --------------------------------------------------------------------------------------

# What more and less of each number is called.
_NUMBERS: Mapping[str, tuple[str, str]] = {
    "duration_ms": ("{} ms longer", "{} ms shorter"),
    "lead_ms": ("{} ms more silence before it", "{} ms less silence before it"),
    "tail_ms": ("{} ms more silence at its end", "{} ms less silence at its end"),
    "pause_ms": ("{} ms more pause after it", "{} ms less pause after it"),
    "pitch_st": ("{} st higher", "{} st lower"),
    "energy_db": ("{} dB louder", "{} dB softer"),
    "range": ("intonation wider by {}", "intonation narrower by {}"),
    "tilt_db": ("{} dB brighter", "{} dB duller"),
    "breathiness": ("breathier by {}", "less breathy by {}"),
    "whisper": ("whispered more by {}", "whispered less by {}"),
    "jitter_st": ("{} st more jitter", "{} st less jitter"),
}
# What a flag is called when it is set, and when it is not.
_FLAGS: Mapping[str, tuple[str, str]] = {
    "breath": ("with a breath", "without the breath"),
    "room_tone": ("with room tone", "without room tone"),
    "extreme": ("large shifts of pitch are meant", "large shifts of pitch are not meant"),
}
# What is said where single phonemes differ and their sum or mean does not.
_WITHIN: Mapping[str, str] = {
    "duration_ms": "phonemes timed otherwise, by up to {} ms",
    "pitch_st": "pitch moves otherwise, by up to {} st",
    "energy_db": "level moves otherwise, by up to {} dB",
}
# What other fields are called, where their name is not enough.
_CALLED: Mapping[str, str] = {
    "text": "",
    "phonemes": "said {}",
    "after": "{} after it",
    "model_sha256": "model {}",
    "sample_rate_hz": "{} Hz",
    "pivot_hz": "range about {} Hz",
}
# Not compared as they are.
_APART = frozenset({"start", "end", "own_pause_ms", "phonemes", "words", "sentences"})


def _line(before: LinePlan, after: LinePlan) -> Iterator[Change]:
    yield from _fields(before, after)
    counts = (len(before.sentences), len(after.sentences))
    if counts[0] != counts[1]:
        said = f"{counts[1]} sentences in place of {counts[0]}"
        yield Change("sentences", *counts, said)
    yield from _number("duration_ms", before.duration_ms, after.duration_ms)


def _sentences(
    before: LinePlan, after: LinePlan, met: Mapping[int, int]
) -> Iterator[SentenceDifference]:
    """Seeds of sentences follow the line's: they are left out where that differs."""
    apart = {"seed"} if before.seed != after.seed else set()
    for i, j in met.items():
        found = _fields(before.sentences[i], after.sentences[j])
        changes = tuple(c for c in found if c.field not in apart)
        if changes:
            yield SentenceDifference(i, j, changes)


def _fields(before: BaseModel, after: BaseModel) -> Iterator[Change]:
    """Every field of two records but those that are _APART."""
    for name in type(before).model_fields:
        old, new = (getattr(record, name) for record in (before, after))
        if name not in _APART and old != new:
            yield from _field(name, _plain(old), _plain(new))


def _field(name: str, before: Any, after: Any) -> Iterator[Change]:
    if name in _NUMBERS:
        yield from _number(name, before, after)
    elif name in _FLAGS:
        yield Change(name, before, after, _FLAGS[name][not after])
    else:
        called = _CALLED.get(name, f"{name} {{}}").format(_shown(after))
        yield Change(name, before, after, f"{called} in place of {_shown(before)}".strip())


def _number(name: str, before: float, after: float) -> Iterator[Change]:
    before, after = round(before, _DIGITS), round(after, _DIGITS)
    if before != after:
        more, less = _NUMBERS[name]
        said = (more if after > before else less).format(_short(abs(after - before)))
        yield Change(name, before, after, said)


def _word_changes(before: WordPlan, after: WordPlan) -> Iterator[Change]:
    old, new = (" ".join(p.symbol for p in word.phonemes) for word in (before, after))
    alike = len(before.phonemes) == len(after.phonemes)
    for name in _WITHIN:
        was, now = ([getattr(p, name) for p in word.phonemes] for word in (before, after))
        if was != now:
            weights = _weights(name, before, after, alike)
            sums = [sum(map(mul, values, w)) for values, w in zip((was, now), weights, strict=True)]
            changes = list(_number(name, *sums))
            yield from changes or (_within(name, was, now) if alike else ())
    if old != new:
        yield from _field("phonemes", old, new)
    yield from _fields(before, after)


def _weights(
    name: str, before: WordPlan, after: WordPlan, alike: bool
) -> tuple[list[float], list[float]]:
    """What each phoneme counts in a word's value: 1 in its duration, else its share of the time.

    Where both have as many phonemes the shares are those of both together, so that a duration
    that differs is no difference of pitch.
    """
    if name == "duration_ms":
        return [1.0] * len(before.phonemes), [1.0] * len(after.phonemes)
    times = [[p.duration_ms for p in word.phonemes] for word in (before, after)]
    if alike:
        times = [[a + b for a, b in zip(*times, strict=True)]] * 2
    shares = [[t / sum(of) if sum(of) else 1 / len(of) for t in of] for of in times]
    return shares[0], shares[1]


def _within(name: str, was: list[float], now: list[float]) -> Iterator[Change]:
    most = max(abs(b - a) for a, b in zip(was, now, strict=True))
    yield Change(f"phonemes.{name}", was, now, _WITHIN[name].format(_short(most)))


def _plain(value: Any) -> Any:
    """As in JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is None or value in ([], "", {}):
        return "none"
    if isinstance(value, dict):
        if "at_hz" in value:
            return f"{_short(value['samples'] / value['at_hz'])} s"
        return ", ".join(f"{name} {_shown(v)}" for name, v in value.items())
    if isinstance(value, list):
        return ", ".join(value)
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    if _SHA256.fullmatch(text):
        return f"{text[:12]}…"
    return text if text[0].isalnum() and text == text.strip() else f'"{text}"'


def _short(value: float) -> str:
    """To three figures, without an exponent."""
    return f"{float(f'{value:.3g}'):.10g}"
