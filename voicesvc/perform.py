"""A sentence's neutral plan, performed: what line, spans and markup ask for is laid on it.

Rate, pauses and emphasis go into durations, the rest into what DSP is told for each phoneme and
word. Knows nothing of models or sound.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from voicesvc.delivery import (
    EMOTIONS,
    EMPHASIS,
    Layer,
    Prosody,
    Shape,
    Span,
    felt,
    shape_at,
    shape_upon,
    within,
)
from voicesvc.delivery.emotions import Rows
from voicesvc.directions import Bookmark, Breath, Directed, Event, Pause, Strength, Style
from voicesvc.lineplan import PhonemePlan, SentencePlan, WordPlan, rounded_ms
from voicesvc.plan import STRESS, is_vowel
from voicesvc.stretch import PAUSE, solve, stretched_word, word_sums_ms

BREATH_MS = 450.0  # what a breath adds to the pause it is in
# Speakers breathe every 3 to 4 s: Winkworth et al. 1995 (J. Speech Hear. Res. 38).
BREATH_EVERY_MS = 2800.0
STRENGTH_MS: dict[Strength, float] = {
    "none": 0.0,
    "x-weak": 100.0,
    "weak": 250.0,
    "medium": 500.0,
    "strong": 800.0,
    "x-strong": 1200.0,
}
_CONTOURED = ("rate", "pitch_st", "pitch_delta_hz", "range", "energy_db")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The characters [start, end) of the text and what is asked of them."""

    start: int
    end: int
    asks: Prosody | Style


@dataclass(frozen=True, slots=True)
class Asked:
    """All that was asked of a line, outer stretches before inner, and what the voice brings.

    `rows` is what it makes of emotions, `pivot_hz` its median pitch.
    """

    directed: Directed
    stretches: tuple[Stretch, ...] = ()
    breaths: Literal["none", "auto", "marked"] = "marked"
    extreme: bool = False
    pivot_hz: float = 120.0
    rows: Rows = field(default_factory=lambda: EMOTIONS)


class Performer:
    """Performs the sentences of one line in order; remembers when the last breath was."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._events = asked.directed.events
        self._since_breath_ms = 0.0
        self._said_to = 0  # where the last word so far ends
        self._marked_to = 0  # up to where names have been given to words
        self._jitter_st = 0.0  # of the sentence so far
        self.limited: frozenset[str] = frozenset()  # what was too much in all, and was kept within

    @property
    def needs_whole(self) -> bool:
        """Whether something is asked that depends on the whole line's durations."""
        return needs_whole(self._asked.stretches)

    @property
    def needs_times(self) -> bool:
        """Whether what is done within a sentence depends on how long it lasts."""
        return self._asked.breaths == "auto"

    def perform(self, neutral: Sequence[SentencePlan], following: int | None) -> list[SentencePlan]:
        """Sentences that follow one another; `following` is where the next word after them is."""
        clock = _Clock(neutral)
        firsts = [s.words[0].start for s in neutral]
        performed = [
            self._sentence(s, clock, first_of_next)
            for s, first_of_next in zip(neutral, [*firsts[1:], following], strict=True)
        ]
        for s in self._asked.stretches:
            length_s = _length_s(s.asks)
            if length_s is not None:
                performed = _lasting(performed, s, length_s * 1000)
        return performed

    def pause_ms(self, before: SentencePlan, after: SentencePlan, natural_s: float) -> float:
        """Silence to put between two sentences, so that all of it is what was asked for."""
        begin, end = before.words[-1].end, after.words[0].start
        asked_ms = self._asked_pause_ms(begin, end)
        if asked_ms is None:
            return rounded_ms(natural_s * 1000 * self._pause_scale(before.words[-1]))
        there_ms = before.words[-1].pause_ms + before.tail_ms + after.lead_ms
        return rounded_ms(max(asked_ms - there_ms, 0.0))

    def _sentence(
        self, neutral: SentencePlan, clock: "_Clock", following: int | None
    ) -> SentencePlan:
        first = self._said_to == 0
        self._jitter_st = 0.0
        words: list[WordPlan] = []
        breath, lead_ms = False, neutral.lead_ms
        start = neutral.words[0].start
        if first:
            lead_ms = max(lead_ms, self._asked_pause_ms(0, start) or 0.0)
        if self._breath_in(self._said_to, start) or (not first and self._due):
            breath, lead_ms = True, lead_ms + BREATH_MS
            self._since_breath_ms = 0.0
        for i, word in enumerate(neutral.words):
            ends = i + 1 == len(neutral.words)
            until = following if ends else neutral.words[i + 1].start
            performed = self._word(word, clock)
            words.append(performed if ends else self._paused(performed, until))
        last = neutral.words[-1]
        trailing_ms = None if following is not None else self._asked_pause_ms(last.end, None)
        marks = self._marks(None) if following is None else ()
        self._said_to = last.end
        there_ms = words[-1].pause_ms + neutral.tail_ms
        return neutral.model_copy(
            update={
                "lead_ms": rounded_ms(lead_ms),
                "breath": breath,
                "words": tuple(words),
                "pause_ms": rounded_ms(max((trailing_ms or 0.0) - there_ms, 0.0)),
                "marks": marks,
                "jitter_st": round(self._jitter_st, 4),
            }
        )

    @property
    def _due(self) -> bool:
        """Whether the speaker is to breathe at the next border of phrases."""
        return self._asked.breaths == "auto" and self._since_breath_ms > BREATH_EVERY_MS

    def _paused(self, word: WordPlan, until: int | None) -> WordPlan:
        """A word with the pause and breath that are asked for between it and the next."""
        asked_ms = self._asked_pause_ms(word.end, until)
        pause_ms = word.pause_ms if asked_ms is None else asked_ms
        due = (
            self._asked.breaths == "auto"
            and self._since_breath_ms > BREATH_EVERY_MS
            and word.pause_ms > 0
        )
        breath = self._breath_in(word.end, until) or due
        if breath:
            pause_ms = max(pause_ms, word.pause_ms + BREATH_MS)
            self._since_breath_ms = 0.0
        pause_ms = rounded_ms(pause_ms)
        if not breath and pause_ms == word.pause_ms:
            return word
        return word.model_copy(update={"pause_ms": pause_ms, "breath": breath})

    def _word(self, word: WordPlan, clock: "_Clock") -> WordPlan:
        around = [s for s in self._asked.stretches if s.start < word.end and word.start < s.end]
        self._since_breath_ms += sum(p.duration_ms for p in word.phonemes)
        marks = self._marks(word.end)
        if not around:
            return word.model_copy(update={"marks": marks}) if marks else word
        shapes = self._shapes(around, clock, word)
        vowel, scale = _stressed(word.phonemes), _vowel_scale(around)
        phonemes = tuple(
            p.model_copy(
                update={
                    "duration_ms": rounded_ms(
                        p.duration_ms / shape.rate * (scale if i == vowel else 1.0)
                    ),
                    "pitch_st": round(shape.pitch_st, 4),
                    "energy_db": round(shape.energy_db, 4),
                }
            )
            for i, (p, shape) in enumerate(zip(word.phonemes, shapes, strict=True))
        )
        shape = shapes[len(shapes) // 2]
        self._jitter_st = max(self._jitter_st, shape.jitter_st)
        pause_ms = rounded_ms(word.pause_ms * shape.pause_scale / shape.rate)
        return word.model_copy(
            update={
                "phonemes": phonemes,
                "pause_ms": pause_ms,
                "own_pause_ms": pause_ms,
                "range": round(shape.range, 4),
                "tilt_db": round(shape.tilt_db, 4),
                "breathiness": round(shape.breathiness, 4),
                "whisper": round(shape.whisper, 4),
                "marks": marks,
            }
        )

    def _shapes(self, around: Sequence[Stretch], clock: "_Clock", word: WordPlan) -> list[Shape]:
        """What is asked of each phoneme."""
        if not any(has_contour(s.asks) for s in around):
            return [self._shape([Layer(s.asks) for s in around])] * len(word.phonemes)
        everywhere = felt([Layer(s.asks) for s in around], self._asked.rows)
        shapes: list[Shape] = []
        for i in range(len(word.phonemes)):
            at_ms = clock.middle(word, i)
            layers = [Layer(s.asks, clock.position(at_ms, s)) for s in around]
            shapes.append(self._kept(shape_upon(everywhere, layers, self._asked.pivot_hz)))
        return shapes

    def _shape(self, layers: Sequence[Layer]) -> Shape:
        return self._kept(shape_at(layers, self._asked.pivot_hz, self._asked.rows))

    def _kept(self, asked: Shape) -> Shape:
        """Within the limits; what was not, is remembered."""
        shape, limited = within(asked, extreme=self._asked.extreme)
        self.limited |= limited
        return shape

    def _pause_scale(self, word: WordPlan) -> float:
        around = [s for s in self._asked.stretches if s.start <= word.start < s.end]
        return self._shape([Layer(s.asks) for s in around]).pause_scale

    def _asked_pause_ms(self, begin: int, end: int | None) -> float | None:
        found = [e for e in self._between(begin, end) if isinstance(e, Pause)]
        lengths = [
            e.length_s * 1000 if e.length_s is not None else STRENGTH_MS[e.strength or "medium"]
            for e in found
        ]
        return sum(lengths) if lengths else None

    def _breath_in(self, begin: int, end: int | None) -> bool:
        marked = any(isinstance(e, Breath) for e in self._between(begin, end))
        return marked and self._asked.breaths != "none"

    def _marks(self, end: int | None) -> tuple[str, ...]:
        """Names that no word has yet; one that stands before a word is that word's."""
        begin, self._marked_to = self._marked_to, end or self._marked_to
        return tuple(
            e.name
            for e in self._events
            if isinstance(e, Bookmark) and begin <= e.at and (end is None or e.at < end)
        )

    def _between(self, begin: int, end: int | None) -> Iterator[Event]:
        """What happens between two words, the second one's beginning included."""
        return (e for e in self._events if begin <= e.at and (end is None or e.at <= end))


class _Clock:
    """When each phoneme of neutral sentences is, in ms from the first one's beginning."""

    def __init__(self, sentences: Sequence[SentencePlan]) -> None:
        self._begins: dict[int, float] = {}  # of a word, by its first character
        self._ends: dict[int, float] = {}
        self._spans: dict[tuple[int, int], tuple[float, float]] = {}
        now = 0.0
        for s in sentences:
            now += s.lead_ms
            for w in s.words:
                self._begins[w.start] = now
                now += sum(p.duration_ms for p in w.phonemes)
                self._ends[w.start] = now
                now += w.pause_ms
            now += s.tail_ms + s.pause_ms

    def middle(self, word: WordPlan, i: int) -> float:
        """The middle of the word's phoneme number `i`."""
        before = sum(p.duration_ms for p in word.phonemes[:i])
        return self._begins[word.start] + before + word.phonemes[i].duration_ms / 2

    def position(self, at_ms: float, layer: Stretch) -> float:
        """0 at the beginning of a layer's first word, 1 at the end of its last."""
        begin, end = self._within(layer.start, layer.end)
        return min(max((at_ms - begin) / (end - begin), 0.0), 1.0) if end > begin else 0.0

    def _within(self, start: int, stop: int) -> tuple[float, float]:
        """From when to when the words last that begin there: looked up once, asked by phoneme."""
        found = self._spans.get((start, stop))
        if found is None:
            inside = [w for w in self._begins if start <= w < stop]
            found = (self._begins[inside[0]], self._ends[inside[-1]]) if inside else (0.0, 0.0)
            self._spans[start, stop] = found
        return found


def _lasting(
    sentences: Sequence[SentencePlan], layer: Stretch, length_ms: float
) -> list[SentencePlan]:
    """The layer's words, and what is between them, stretched to a length."""
    inside = [w for s in sentences for w in s.words if layer.start <= w.start < layer.end]
    if not inside:
        return list(sentences)
    last = inside[-1]
    paused_ms = sum(w.pause_ms for w in inside[:-1])
    between = sum(
        s.tail_ms + s.pause_ms + after.lead_ms
        for s, after in itertools.pairwise(sentences)
        if layer.start <= s.words[-1].start and after.words[0].start < layer.end
    )
    sums = word_sums_ms(inside)
    sums[PAUSE] += paused_ms
    k = solve(sums, max(length_ms - between, 1.0))
    return [
        s.model_copy(
            update={
                "words": tuple(
                    stretched_word(w, k, pause=w is not last)
                    if layer.start <= w.start < layer.end
                    else w
                    for w in s.words
                )
            }
        )
        for s in sentences
    ]


def _length_s(asks: Prosody | Style) -> float | None:
    return asks.duration_s if isinstance(asks, Style) else None


def needs_whole(stretches: Sequence[Stretch]) -> bool:
    """Whether something is asked that depends on all of the stretches' durations."""
    return any(has_contour(s.asks) or _length_s(s.asks) for s in stretches)


def has_contour(asks: Prosody | Style) -> bool:
    """Whether something changes over the stretch's time."""
    return any(isinstance(getattr(asks, name, None), tuple) for name in _CONTOURED)


def _vowel_scale(around: Sequence[Stretch]) -> float:
    """How much longer the innermost emphasis makes a word's stressed vowel."""
    asked = [s.asks.emphasis for s in around if isinstance(s.asks, Style | Span)]
    named = [emphasis for emphasis in asked if emphasis is not None]
    return EMPHASIS[named[-1] if named else "none"].vowel_scale


def _stressed(phonemes: Sequence[PhonemePlan]) -> int:
    """The vowel that bears the main stress: that of the first primary, else secondary, else any."""
    vowels = [i for i, p in enumerate(phonemes) if is_vowel(p.symbol)]
    for sign in STRESS:
        for i in vowels:
            begun = max((j for j in range(i + 1) if phonemes[j].symbol[0] in STRESS), default=-1)
            between = vowels[: vowels.index(i)]
            if (
                begun >= 0
                and phonemes[begun].symbol[0] == sign
                and not any(j >= begun for j in between)
            ):
                return i
    return vowels[0] if vowels else -1
