"""A sentence ready to be rendered: the plan's document laid over the model's own plan.

Whole frames for every unit, where silence is put in, and what DSP is to do at which sample.
Knows nothing of engines.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from voicesvc import plan
from voicesvc.dsp import Controls, Curve
from voicesvc.errors import BadPlan
from voicesvc.lineplan import LineHead, SentencePlan, WordPlan, inner, ms
from voicesvc.plan import Plan, PlannedWord, Unit

RAMP_S = 0.02  # over which what is set for a word changes into the next word's
SHORTEST_BREATH_S = 0.15
# How much longer a pause is laid out that is to be heard, so that it never has to grow: sound
# reaches into it, further where the model has no pause and a word is torn from the next.
_SPARE_MS, _TORN_MS = 15.0, 40.0


@dataclass(frozen=True, slots=True)
class Cut:
    """`insert` samples of silence within the model's own pause, [begin, end] of the sentence.

    The pause is empty where no punctuation follows the word. At sample 0 and at the end of the
    sentence the silence is put before and after it. With `heard` all of the silence there, as a
    meter hears it, is to be so many samples: of `insert`, and if need be of the model's own pause,
    so much is left out. Once that was done, `insert` and `left_out` say what came of it.
    """

    begin: int
    end: int
    insert: int
    breath: bool
    heard: int | None = None
    left_out: tuple[int, int] = (0, 0)  # from where to where

    @property
    def longer(self) -> int:
        """By how much the sentence is longer for it."""
        return self.insert - (self.left_out[1] - self.left_out[0])


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sentence: `plan` has the frames, `cuts` lie in its samples, in order."""

    plan: Plan
    cuts: tuple[Cut, ...]
    controls: Controls
    words: tuple[dict[str, Any], ...]  # timings from the sentence's own start, in s
    marks: tuple[tuple[str, float], ...]  # names and their times, likewise

    @property
    def samples(self) -> int:
        """Length at the plan's rate, with what is put in."""
        return self.plan.samples + sum(c.longer for c in self.cuts)


def sheet(
    line: LineHead,
    sentence: SentencePlan,
    natural: Plan,
    cuts: Sequence[Cut] | None = None,
    laid: "Layout | None" = None,
) -> Sheet:
    """`natural` is what the model plans for `lineplan.words_of(sentence)` with the sentence's seed.

    `cuts` are its cuts as they came out, once that is known; `laid` is `lay_out` of the two, where
    that was done already.

    Raises:
        BadPlan: the document's words and phonemes are not those of `natural`, or there is no
            room for a breath.
    """
    laid = lay_out(sentence, natural) if laid is None else copy.copy(laid)
    laid.cuts = laid.cuts if cuts is None else list(cuts)
    done = replace(natural, words=tuple(laid.words))
    return Sheet(
        plan=done,
        cuts=tuple(laid.cuts),
        controls=_controls(line, sentence, laid, natural.sample_rate_hz),
        words=tuple(plan.timings(done, laid.heard_at)),
        marks=_marks(sentence, laid, natural.sample_rate_hz),
    )


def samples_of(duration_ms: float, rate_hz: int) -> int:
    """Milliseconds of silence as samples."""
    return round(duration_ms * rate_hz / 1000)


def lay_out(sentence: SentencePlan, natural: Plan) -> "Layout":
    """The sentence in whole frames. Raises as `sheet`."""
    lead, words, tail = inner(natural)
    laid = Layout(natural)
    if len(words) != len(sentence.words):
        raise BadPlan("a word has no symbol that this voice knows", where="plan.words")
    laid.silence(lead, sentence.lead_ms, sentence.breath, first=True)
    for i, (word, asked) in enumerate(zip(words, sentence.words, strict=True)):
        laid.word(word, asked, f"plan.words.{i}")
    laid.silence(tail, sentence.tail_ms, False, first=False)
    return laid


class Layout:
    """Words with their whole frames, as far as they are laid out."""

    def __init__(self, natural: Plan) -> None:
        self.natural = natural
        self.frame_ms = natural.hop * 1000 / natural.sample_rate_hz
        self.words: list[PlannedWord] = []
        self.cuts: list[Cut] = []
        self.at = 0  # samples laid out
        self.centres: list[list[float]] = []  # of each word's phonemes, in samples
        self.spans: list[tuple[int, int]] = []  # of each word without the pause after it

    @property
    def samples(self) -> int:
        """How many the sentence will have, without the pause after it."""
        return self.at + sum(c.insert for c in self.cuts)

    def silence(self, word: PlannedWord | None, asked_ms: float, breath: bool, first: bool) -> None:
        """What lies before the first word or after the last."""
        begin = self.at
        units, insert = self._pause(word.units if word else (), asked_ms)
        if word is not None:
            self._add(replace(word, units=tuple(units)))
        place = begin if first else self.at
        self._cut(place, place, insert, breath)

    def word(self, word: PlannedWord, asked: WordPlan, where: str) -> None:
        """One word as the document wants it."""
        groups = plan.groups(word)
        heard = [g for g in groups if g.kind != "pause"]
        if [g.symbol for g in heard] != [p.symbol for p in asked.phonemes]:
            raise BadPlan(
                f"{asked.text!r} is {[p.symbol for p in asked.phonemes]} here; this voice's"
                f" phonemes for it are {[g.symbol for g in heard]}",
                where=f"{where}.phonemes",
            )
        kept = self._kept(word, heard, [p.duration_ms for p in asked.phonemes])
        self.centres.append(self._centres([(g.begin, g.end) for g in heard], kept))
        begin, said_samples = self.at, sum(u.frames for u in kept) * self.natural.hop
        own = word.units[len(kept) :]
        spare_ms = 0.0
        if asked.is_heard:
            spare_ms = _SPARE_MS if any(u.frames for u in own) else _TORN_MS
        pause, insert = self._pause(own, asked.pause_ms + spare_ms)
        self._add(replace(word, units=(*kept, *pause)))
        border = begin + said_samples
        self.spans.append((begin, border))
        if asked.is_heard:
            silent = samples_of(asked.pause_ms, self.natural.sample_rate_hz)
            self.cuts.append(Cut(border, self.at, insert, False, silent))
        else:
            self._cut(border, self.at, insert, asked.breath, where)

    def _kept(
        self, word: PlannedWord, heard: Sequence[plan.Group], asked_ms: Sequence[float]
    ) -> Sequence[Unit]:
        """The units of a word's phonemes, as long as they are to be."""
        owns = [sum([u.frames for u in word.units[g.begin : g.end]]) for g in heard]
        said = word.units[: heard[-1].end if heard else 0]
        if asked_ms == [ms(own, self.natural) for own in owns]:
            return said  # as the model plans them: what the rest comes to, for most words
        frames: list[float] = []
        for group, duration_ms, own in zip(heard, asked_ms, owns, strict=True):
            factor = duration_ms / self.frame_ms / own if own else 0.0
            frames += [u.frames * factor for u in word.units[group.begin : group.end]]
        return _lasting(said, plan.share(frames, [u.kind for u in said]))

    def _pause(self, units: Sequence[Unit], asked_ms: float) -> tuple[list[Unit], int]:
        """The model's own pause, shortened where less is asked; and the samples to put in."""
        own = sum(u.frames for u in units)
        asked = asked_ms / self.frame_ms
        if own and asked < own:
            kinds: list[plan.Kind] = [u.kind for u in units]
            return _lasting(units, plan.share([u.frames * asked / own for u in units], kinds)), 0
        insert = round((asked_ms - own * self.frame_ms) * self.natural.sample_rate_hz / 1000)
        return list(units), max(insert, 0)

    def _cut(self, begin: int, end: int, insert: int, breath: bool, where: str = "plan") -> None:
        if breath and insert < SHORTEST_BREATH_S * self.natural.sample_rate_hz:
            raise BadPlan(
                f"a breath needs at least {SHORTEST_BREATH_S * 1000:.0f} ms more of pause",
                where=f"{where}.pause_ms",
            )
        if insert:
            self.cuts.append(Cut(begin, end, insert, breath))

    def _add(self, word: PlannedWord) -> None:
        self.words.append(word)
        self.at += word.frames * self.natural.hop

    def _centres(self, groups: Sequence[tuple[int, int]], units: Sequence[Unit]) -> list[float]:
        ends = list(accumulate([u.frames * self.natural.hop for u in units], initial=self.at))
        return [(ends[b] + ends[e]) / 2 for b, e in groups]

    def heard_at(self, sample: int, begins: bool) -> int:
        """When a sample of the plan is heard, with all that was put in and left out before it."""
        heard = sample
        for cut in self.cuts:
            if sample > cut.end or (begins and sample == cut.end):
                heard += cut.insert
            begin, end = cut.left_out
            if begin < end and sample > begin:
                heard -= min(sample, end) - begin
        return heard


def _lasting(units: Sequence[Unit], frames: Sequence[int]) -> list[Unit]:
    return [u.lasting(n) for u, n in zip(units, frames, strict=True)]


def _marks(sentence: SentencePlan, laid: Layout, rate_hz: int) -> tuple[tuple[str, float], ...]:
    found: list[tuple[str, float]] = []
    for word, (begin, _) in zip(sentence.words, laid.spans, strict=True):
        heard = laid.heard_at(begin, True)
        found += [(name, round(heard / rate_hz, 6)) for name in word.marks]
    end = laid.heard_at(laid.at, True)
    return (*found, *((name, round(end / rate_hz, 6)) for name in sentence.marks))


def _controls(line: LineHead, sentence: SentencePlan, laid: Layout, rate_hz: int) -> Controls:
    at = [c for word in laid.centres for c in word]
    phonemes = [p for w in sentence.words for p in w.phonemes]
    ramp = RAMP_S * rate_hz / 2

    def by_phoneme(values: Sequence[float]) -> Curve:
        if len(set(values)) == 1:
            return Curve.constant(values[0])
        return Curve(np.array(at), np.array(values))

    def by_word(values: Sequence[float]) -> Curve:
        if len(set(values)) == 1:
            return Curve.constant(values[0])
        corners = [
            (min(max(t, begin + 0.01), end - 0.01), value)
            for (begin, end), value in zip(laid.spans, values, strict=True)
            for t in sorted(
                (min(begin + ramp, (begin + end) / 2), max(end - ramp, (begin + end) / 2))
            )
        ]
        return Curve(np.array([t for t, _ in corners]), np.array([v for _, v in corners]))

    words = sentence.words
    return Controls(
        pitch_st=by_phoneme([p.pitch_st for p in phonemes]),
        range=by_word([w.range for w in words]),
        energy_db=by_phoneme([p.energy_db for p in phonemes]),
        tilt_db=by_word([w.tilt_db for w in words]),
        breathiness=by_word([w.breathiness for w in words]),
        whisper=by_word([w.whisper for w in words]),
        jitter_st=sentence.jitter_st,
        pivot_hz=line.pivot_hz,
    )
