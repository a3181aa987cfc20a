"""The plan of a line as a document: every word, phoneme and pause, to be read and edited as JSON.

Knows nothing of how a model predicts durations or how audio is made from them.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicesvc import plan
from voicesvc.directions import EmotionName
from voicesvc.errors import BadPlan
from voicesvc.phonemes import Word
from voicesvc.plan import Plan, PlannedWord, Unit

MAX_SEED = 2**53 - 1  # what JSON's readers keep exactly
PITCH_ST = (-4.0, 8.0)  # beyond it PSOLA is heard to be at work; `extreme` lifts it
EXTREME_ST = (-12.0, 12.0)
_USUAL_HZ = (48_000, 44_100, 22_050, 1000)
_MS_DIGITS = 4  # a tenth of a microsecond: 2e-5 frames at 22.05 kHz


def _in(low: float, high: float) -> Any:
    return Field(ge=low, le=high, allow_inf_nan=False)


Ms = Annotated[float, _in(0.0, 60_000.0)]
Semitones = Annotated[float, _in(*EXTREME_ST)]
Names = Annotated[tuple[str, ...], Field(strict=False, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PhonemePlan(_Strict):
    """One phoneme with its stress and length marks, or a gap between a word's own parts (" ")."""

    symbol: str = Field(min_length=1, max_length=16, description="IPA, as the model knows it")
    duration_ms: Annotated[float, _in(0.0, 10_000.0)]
    pitch_st: Semitones = Field(0.0, description="offset from the model's own, at its middle")
    energy_db: Annotated[float, _in(-60.0, 24.0)] = 0.0


class WordPlan(_Strict):
    """A word, what is said for it, and the pause after it."""

    text: str = Field(min_length=1, max_length=1000)
    start: int = Field(ge=0, description="first character in the request's text")
    end: int = Field(ge=0, description="one past the last")
    phonemes: Annotated[tuple[PhonemePlan, ...], Field(strict=False, min_length=1, max_length=4000)]
    after: str = Field(max_length=16, description='punctuation and space, as ", "')
    pause_ms: Ms = Field(description="silence before the next word")
    own_pause_ms: Ms | None = Field(
        None, description="the voice's own pause there; another one is as long as it is heard"
    )
    breath: bool = Field(False, description="an audible breath in that pause")
    range: Annotated[float, _in(0.0, 6.0)] = Field(1.0, description="factor of the intonation")
    tilt_db: Annotated[float, _in(-24.0, 24.0)] = Field(0.0, description="high shelf at 1.5 kHz")
    breathiness: Annotated[float, _in(0.0, 1.0)] = 0.0
    whisper: Annotated[float, _in(0.0, 1.0)] = 0.0
    marks: Names = Field((), description="names whose time is this word's beginning")

    @property
    def is_heard(self) -> bool:
        """Whether the pause was asked for, and so is the silence that is heard.

        The voice's own is as the model paces it; one with a breath in it is as long as that needs.
        """
        own_ms = self.own_pause_ms
        return own_ms is not None and self.pause_ms != own_ms and not self.breath


class SentencePlan(_Strict):
    """What is said in one go, and the silence around it."""

    seed: int = Field(ge=0, le=MAX_SEED)
    lead_ms: Ms
    breath: bool = Field(False, description="an audible breath before the first word")
    words: Annotated[tuple[WordPlan, ...], Field(strict=False, min_length=1, max_length=400)]
    tail_ms: Ms = Field(description="the model's own fade, part of the sentence")
    pause_ms: Ms = Field(description="silence before the next sentence")
    jitter_st: Annotated[float, _in(0.0, 2.0)] = Field(
        0.0, description="irregularity of the pitch, standard deviation"
    )
    marks: Names = Field((), description="names whose time is this sentence's end")

    @property
    def duration_ms(self) -> float:
        """All of it, the pause at its end included."""
        said = sum(p.duration_ms for w in self.words for p in w.phonemes)
        paused = sum(w.pause_ms for w in self.words)
        return self.lead_ms + said + paused + self.tail_ms + self.pause_ms


class Length(_Strict):
    """An exact length: `samples` at `at_hz`."""

    samples: int = Field(ge=1, le=2**40)
    at_hz: int = Field(ge=1, le=10**9)


class VariabilityPlan(_Strict):
    """Factors of the model's own noise."""

    sound: Annotated[float, _in(0.0, 1.5)] = 1.0
    timing: Annotated[float, _in(0.0, 1.5)] = 1.0


class LineHead(_Strict):
    """What a plan says of the whole line."""

    version: Literal[1] = 1
    actor: str
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sample_rate_hz: int = Field(ge=8000, le=96000)
    seed: int = Field(ge=0, le=MAX_SEED)
    variability: VariabilityPlan = VariabilityPlan()
    style: dict[EmotionName, Annotated[float, _in(0.0, 1.0)]] = Field(
        {}, description="how much of which of the voice's styles, for all of the line"
    )
    language: str | None = Field(
        None, max_length=35, description="of the text, where it is not the voice's own"
    )
    pivot_hz: Annotated[float, _in(20.0, 1000.0)] = Field(
        120.0, description="the pitch that `range` scales around"
    )
    room_tone: bool = Field(False, description="pauses carry the voice's own noise floor")
    extreme: bool = Field(False, description="pitch_st beyond -4 to +8 is meant")


class LinePlan(LineHead):
    """A line, ready to be rendered: the same plan and weights give the same samples."""

    length: Length | None = Field(
        None, description="exact length; only the last few milliseconds of silence give way to it"
    )
    sentences: Annotated[
        tuple[SentencePlan, ...], Field(strict=False, min_length=1, max_length=5000)
    ]

    @model_validator(mode="after")
    def _meant(self) -> "LinePlan":
        low, high = EXTREME_ST if self.extreme else PITCH_ST
        for i, sentence in enumerate(self.sentences):
            for j, word in enumerate(sentence.words):
                for p in word.phonemes:
                    if not low <= p.pitch_st <= high:
                        raise ValueError(
                            f"sentences.{i}.words.{j} has pitch_st {p.pitch_st:g}; valid: {low:g}"
                            f" to {high:g}, beyond it with extreme: true"
                        )
        return self

    @property
    def duration_ms(self) -> float:
        """Length of all sentences and pauses."""
        return sum(s.duration_ms for s in self.sentences)


def ms(frames: float, line: Plan) -> float:
    """Frames as milliseconds, rounded as documents are."""
    return round(frames * line.hop * 1000 / line.sample_rate_hz, _MS_DIGITS)


def rounded_ms(value_ms: float) -> float:
    """Milliseconds as documents have them, so that JSON and memory agree."""
    return round(value_ms, _MS_DIGITS)


def inner(line: Plan) -> tuple[PlannedWord | None, tuple[PlannedWord, ...], PlannedWord | None]:
    """The silence before the first word, the words, and the silence after the last."""
    words = line.words
    lead = words[0] if not words[0].text else None
    tail = words[-1] if not words[-1].text and len(words) > 1 else None
    return lead, words[lead is not None : len(words) - (tail is not None)], tail


def describe(line: Plan, pause_ms: float) -> SentencePlan:
    """The model's own plan of one sentence as a document; `pause_ms` is the silence after it."""
    lead, words, tail = inner(line)
    # Checking what was just made would cost a millisecond of the first audio's.
    return SentencePlan.model_construct(
        seed=line.seed,
        lead_ms=ms(lead.frames, line) if lead else 0.0,
        words=tuple(_word(w, line) for w in words),
        tail_ms=ms(tail.frames, line) if tail else 0.0,
        pause_ms=rounded_ms(pause_ms),
    )


def _word(word: PlannedWord, line: Plan) -> WordPlan:
    found = plan.groups(word)
    lasting_ms = [ms(sum([u.frames for u in word.units[g.begin : g.end]]), line) for g in found]
    pause_ms = sum(m for g, m in zip(found, lasting_ms, strict=True) if g.kind == "pause")
    return WordPlan.model_construct(
        text=word.text,
        start=word.start,
        end=word.end,
        phonemes=tuple(
            # all its fields, because looking up defaults takes as long as the rest of it
            PhonemePlan.model_construct(
                symbol=g.symbol, duration_ms=duration_ms, pitch_st=0.0, energy_db=0.0
            )
            for g, duration_ms in zip(found, lasting_ms, strict=True)
            if g.kind != "pause"
        ),
        after=plan.after(word),
        pause_ms=pause_ms,
        own_pause_ms=pause_ms,
    )


def words_of(sentence: SentencePlan) -> tuple[Word, ...]:
    """What the document says, as a phonemizer would have said it."""
    return tuple(
        Word(w.text, w.start, w.end, tuple("".join(p.symbol for p in w.phonemes)), tuple(w.after))
        for w in sentence.words
    )


def length_of(seconds: Fraction) -> Length:
    """A length as samples at a usual rate that holds it exactly, else at the lowest that does."""
    usual = (at_hz for at_hz in _USUAL_HZ if (seconds * at_hz).denominator == 1)
    at_hz = next(usual, seconds.denominator)
    return Length(samples=int(seconds * at_hz), at_hz=at_hz)


def check(line: LinePlan, actor: str | None, model_sha256: str, symbols: frozenset[str]) -> None:
    """Check that a plan can be spoken by the model it is given to.

    Raises:
        BadPlan: it is for another actor or other weights, or has a symbol they never learned.
    """
    if actor is not None and line.actor != actor:
        raise BadPlan(f"the plan is for actor {line.actor!r}", where="plan.actor", valid=[actor])
    if line.model_sha256 != model_sha256:
        raise BadPlan(
            f"the plan is for model {line.model_sha256[:12]}…, {line.actor!r} now has"
            f" {model_sha256[:12]}…: plan the text again",
            where="plan.model_sha256",
            valid=[model_sha256],
        )
    for i, sentence in enumerate(line.sentences):
        for j, word in enumerate(sentence.words):
            at = f"plan.sentences.{i}.words.{j}"
            for where, symbol in _symbols(word, at):
                if symbol not in symbols:
                    raise BadPlan(
                        f"{line.actor!r} has no symbol {symbol!r}",
                        where=where,
                        valid=sorted(symbols),
                    )
            _check_phonemes(word, f"{at}.phonemes")


def _symbols(word: WordPlan, at: str) -> Iterator[tuple[str, str]]:
    for k, p in enumerate(word.phonemes):
        yield from ((f"{at}.phonemes.{k}.symbol", s) for s in p.symbol)
    yield from ((f"{at}.after", s) for s in word.after)


def _check_phonemes(word: WordPlan, where: str) -> None:
    """Each is one phoneme with its marks, or a gap; what follows the word is punctuation."""
    kinds: list[tuple[str, plan.Kind]] = [(s, "phone") for p in word.phonemes for s in p.symbol]
    kinds += [(s, "pause") for s in word.after]
    units = tuple(Unit(s, 0, plan.kind_of(s, kind), 1.0, 1) for s, kind in kinds)
    planned = PlannedWord(word.text, word.start, word.end, 0, units)
    said = [g.symbol for g in plan.groups(planned) if g.kind != "pause"]
    if said != [p.symbol for p in word.phonemes]:
        raise BadPlan(
            f"{word.text!r} has phonemes {[p.symbol for p in word.phonemes]}",
            where=where,
            valid=said,
        )


def read(content: str | bytes) -> LinePlan:
    """A document from JSON.

    Raises:
        BadPlan: it is no plan of this version; says where and what would be right.
    """
    try:
        return LinePlan.model_validate_json(content)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(map(str, ("plan", *first["loc"])))
        raise BadPlan(first["msg"], where=where) from e
