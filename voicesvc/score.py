"""A line's sentences, planned one after another as they are needed, or all at once.

A scene is planned while it is spoken, so that it starts as fast as a line; what has to know the
whole line (a length, a contour over all of it) plans all of it first. Knows nothing of sound.
"""

import copy
import io
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial

from voicesvc import lineplan, sheet
from voicesvc.audio import resampled_length
from voicesvc.engines import Engine
from voicesvc.errors import BadPlan
from voicesvc.fit import Fit, Report, fit
from voicesvc.lineplan import LineHead, LinePlan, SentencePlan
from voicesvc.perform import Performer
from voicesvc.phonemes import Word
from voicesvc.plan import Plan, Variability, derive_seed
from voicesvc.reading import Sentence

OFF_MS = 60.0  # how far a plan's own length may be from the exact one that it names
_HIDDEN_KEPT = 8  # sentences whose encoded text is kept; beyond, it is encoded again


@dataclass(frozen=True, slots=True)
class Planned:
    """One sentence and what the model itself plans for its words.

    Where the model's lengths are a guess until they were streamed, `settled` says how it came out;
    asked before that, it works it out.
    """

    sentence: SentencePlan
    natural: Plan
    before_ms: float  # silence between the sentence before and this one
    last: bool
    settle: "Callable[[], Planned] | None" = None
    laid: sheet.Layout | None = None  # the two laid out, where that was done already

    def settled(self) -> "Planned":
        """The same with lengths that are none of them a guess."""
        return self if self.settle is None else self.settle()

    @property
    def before_samples(self) -> int:
        """Silence before it."""
        return sheet.samples_of(self.before_ms, self.natural.sample_rate_hz)

    @property
    def after_samples(self) -> int:
        """Silence after it: only the last has some."""
        pause_ms = self.sentence.pause_ms if self.last else 0.0
        return sheet.samples_of(pause_ms, self.natural.sample_rate_hz)


@dataclass(frozen=True, slots=True)
class Score:
    """A line, ready to be rendered sentence by sentence.

    `samples` is its length at the voice's rate where that is known before it is rendered, and
    `length_s` the exact length that the audio is to have, if one was asked for.
    """

    head: LineHead
    planned: Iterator[Planned]
    samples: int | None = None
    length_s: Fraction | None = None
    fitted: Report | None = None
    performer: Performer | None = None

    def limited(self) -> dict[str, str]:
        """What came together to more than is allowed, as far as it has been planned."""
        names = self.performer.limited if self.performer else ()
        return {"limited": ", ".join(sorted(names))} if names else {}

    def length_at(self, rate_hz: int, samples: int | None = None) -> int | None:
        """How many samples the audio has at a rate, as far as that is known.

        `samples` is the length at the voice's rate, where the caller knows it.
        """
        if self.length_s is not None:
            return math.floor(self.length_s * rate_hz + Fraction(1, 2))
        samples = self.samples if samples is None else samples
        if samples is None:
            return None
        return resampled_length(samples, self.head.sample_rate_hz, rate_hz)


def of_text(
    engine: Engine,
    head: LineHead,
    texts: Iterator[Sentence],
    performer: Performer,
    wanted: Fit | None = None,
) -> Score:
    """A score of sentences as a phonemizer said them.

    Raises:
        CannotFit: the length that is wanted is out of reach.
        EngineFailed, BadPlan: the model cannot plan them.
    """
    whole = wanted is not None or performer.needs_whole
    plan = engine.plan if whole or performer.needs_times else engine.begin
    spoken = _spoken(plan, head, texts)
    if whole:
        spoken = _without_hidden(spoken)
    if not performer.needs_whole:
        planned = _performed(spoken, performer)
        if wanted is None:
            return Score(head, planned, performer=performer)
    else:
        found = list(spoken)
        sentences = performer.perform([lineplan.describe(s.natural, 0.0) for s in found], None)
        planned = _joined(found, sentences, performer)
    return replace(_whole(head, planned, None, wanted), performer=performer)


def of_document(engine: Engine, line: LinePlan, wanted: Fit | None = None) -> Score:
    """A score of a plan's document.

    Raises:
        BadPlan: it is nowhere near the exact length that it names.
        CannotFit: the length that is wanted is out of reach.
    """
    planned = _documented(engine, line)
    if wanted is None and line.length is None:
        return Score(line, planned)
    return _whole(line, planned, line.length, wanted)


def document(score: Score) -> LinePlan:
    """All of a score as a document."""
    found = [(p.sentence, p.before_ms) for p in (q.settled() for q in score.planned)]
    head = {name: getattr(score.head, name) for name in LineHead.model_fields}
    return LinePlan(**head, length=length_of(score), sentences=tuple(_with_pauses(found)))


class Writer:
    """A score's document, written while it is rendered: a scene's plan is never whole in memory.

    Written, it is what `document(score).model_dump_json()` gives.
    """

    def __init__(self) -> None:
        self._written: list[bytes] = []  # a sentence each, zlib
        self._last: SentencePlan | None = None

    def add(self, planned: Planned) -> None:
        """The next sentence; its lengths are no guess any more."""
        self._write(planned.before_ms)
        self._last = planned.sentence

    def _write(self, pause_ms: float | None) -> None:
        if self._last is None:
            return
        pause_ms = self._last.pause_ms if pause_ms is None else pause_ms
        sentence = self._last.model_copy(update={"pause_ms": lineplan.rounded_ms(pause_ms)})
        self._written.append(zlib.compress(sentence.model_dump_json().encode(), 1))

    def finish(self, score: Score) -> bytes:
        """All of it, as JSON."""
        self._write(None)
        self._last = None
        file = io.BytesIO()  # gives its bytes without copying them
        file.write(_head(score, ()).model_dump_json().removesuffix("]}").encode())
        for i, part in enumerate(self._written):
            file.write(b"," * (i > 0))
            file.write(zlib.decompress(part))
        file.write(b"]}")
        return file.getvalue()


def _head(score: Score, sentences: tuple[SentencePlan, ...]) -> LinePlan:
    head = {name: getattr(score.head, name) for name in LineHead.model_fields}
    return LinePlan.model_construct(**head, length=length_of(score), sentences=sentences)


def length_of(score: Score) -> lineplan.Length | None:
    """The exact length that was asked for, where one was."""
    return None if score.length_s is None else lineplan.length_of(score.length_s)


def _seed(seed: int, number: int) -> int:
    return seed if number == 0 else derive_seed(seed, "sentence", number) & lineplan.MAX_SEED


def variability_of(head: LineHead) -> Variability:
    """What of a line the model itself is told, beside its words and seed."""
    varied = head.variability
    style = tuple(sorted(head.style.items()))
    return Variability(varied.sound, varied.timing, style, head.language or "")


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What the model plans for one sentence, the silence after it, and where the next begins."""

    natural: Plan
    pause_s: float
    following: int | None


def _spoken(
    plan: Callable[[tuple[Word, ...], int, Variability], Plan],
    head: LineHead,
    texts: Iterator[Sentence],
) -> Iterator[_Spoken]:
    current = next(texts, None)
    number = 0
    while current is not None:
        span, words = current
        current = next(texts, None)
        natural = plan(words, _seed(head.seed, number), variability_of(head))
        yield _Spoken(natural, span.pause_s, None if current is None else current[1][0].start)
        number += 1


def _performed(spoken: Iterator[_Spoken], performer: Performer) -> Iterator[Planned]:
    """One by one."""
    before: SentencePlan | None = None
    silence_s = 0.0

    def one(s: _Spoken, natural: Plan, performer: Performer) -> Planned:
        (sentence,) = performer.perform([lineplan.describe(natural, 0.0)], s.following)
        before_ms = 0.0 if before is None else performer.pause_ms(before, sentence, silence_s)
        return Planned(sentence, natural, before_ms, s.following is None)

    def known(s: _Spoken, said: Callable[[], Plan]) -> Planned:
        return one(s, said(), performer)

    for s in spoken:
        if s.natural.said is None:
            planned = one(s, s.natural, performer)
        else:
            trial = copy.copy(performer)  # it performs the sentence again once its length is known
            guess = one(s, s.natural, trial)
            performer.limited |= trial.limited
            planned = replace(guess, settle=cache(partial(known, s, s.natural.said)))
        yield planned
        before, silence_s = planned.settled().sentence, s.pause_s


def _joined(
    spoken: Sequence[_Spoken], sentences: Sequence[SentencePlan], performer: Performer
) -> Iterator[Planned]:
    """All that were performed together, with the silences between them."""
    before_ms = 0.0
    for i, (s, sentence) in enumerate(zip(spoken, sentences, strict=True)):
        yield Planned(sentence, s.natural, before_ms, s.following is None)
        if i + 1 < len(sentences):
            before_ms = performer.pause_ms(sentence, sentences[i + 1], s.pause_s)


def _documented(engine: Engine, line: LinePlan) -> Iterator[Planned]:
    before_ms = 0.0
    for i, sentence in enumerate(line.sentences):
        words = lineplan.words_of(sentence)
        natural = engine.plan(words, sentence.seed, variability_of(line))
        yield Planned(sentence, natural, before_ms, i + 1 == len(line.sentences))
        before_ms = sentence.pause_ms


def _without_hidden(spoken: Iterator[_Spoken]) -> Iterator[_Spoken]:
    """All of them; what the encoder found is kept for the first few only."""
    for i, s in enumerate(spoken):
        yield s if i < _HIDDEN_KEPT else replace(s, natural=replace(s.natural, hidden=None))


def _with_pauses(found: Sequence[tuple[SentencePlan, float]]) -> Iterator[SentencePlan]:
    """The sentences, each with the silence after it."""
    for i, (sentence, _) in enumerate(found):
        pause_ms = found[i + 1][1] if i + 1 < len(found) else sentence.pause_ms
        yield sentence.model_copy(update={"pause_ms": lineplan.rounded_ms(pause_ms)})


def _whole(
    head: LineHead,
    planned: Iterator[Planned],
    length: lineplan.Length | None,
    wanted: Fit | None,
) -> Score:
    found = list(planned)
    rate_hz = found[0].natural.sample_rate_hz

    def laid_out(line: Sequence[SentencePlan]) -> list[sheet.Layout]:
        return [sheet.lay_out(s, p.natural) for s, p in zip(line, found, strict=True)]

    def samples(line: Sequence[SentencePlan], laid: Sequence[sheet.Layout]) -> int:
        pauses = sum(sheet.samples_of(s.pause_ms, rate_hz) for s in line)
        return sum(layout.samples for layout in laid) + pauses

    pairs = [(p.sentence, p.before_ms) for p in found]
    sentences: Sequence[SentencePlan] = list(_with_pauses(pairs))
    length_s = None if length is None else Fraction(length.samples, length.at_hz)
    fitted = None
    if wanted is not None:
        sentences, target_s, fitted = fit(
            sentences, wanted, lambda line: samples(line, laid_out(line)) * 1000 / rate_hz
        )
        length_s = target_s or length_s if wanted.bounds else target_s
    laid = laid_out(sentences)
    made = samples(sentences, laid)
    made_ms = made * 1000 / rate_hz
    if length_s is not None and abs(made_ms - float(length_s * 1000)) > OFF_MS:
        raise BadPlan(
            f"the plan lasts {made_ms / 1000:.3f} s, its length says {float(length_s):.3f} s",
            where="plan.length",
            valid="null, or a request with fit",
        )
    befores = [0.0, *(s.pause_ms for s in sentences[:-1])]
    again = [
        replace(p, sentence=s, before_ms=b, laid=layout if i < _HIDDEN_KEPT else None)
        for i, (p, s, b, layout) in enumerate(zip(found, sentences, befores, laid, strict=True))
    ]
    return Score(head, iter(again), made, length_s, fitted)
