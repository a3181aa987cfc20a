"""A take's plan with one thing changed: a word, a pause, how a stretch is said.

Documents in, documents out, and which words of the two are the same. Knows nothing of samples.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from voicesvc import lineplan, score
from voicesvc.delivery import Delivery, Prosody, Span
from voicesvc.delivery.emotions import Rows
from voicesvc.directions import Directed, Emphasis
from voicesvc.engines import Engine
from voicesvc.errors import InvalidRequest
from voicesvc.lineplan import LinePlan, SentencePlan, WordPlan
from voicesvc.perform import BREATH_MS, Asked, Performer, Stretch
from voicesvc.phonemes import Word

_OF_WORDS = ("say", "ipa", "pause_ms", "breath", "emphasis", *Prosody.model_fields)
_NOT_SAID = {"pause_ms", "own_pause_ms", "breath", "marks", "start", "end", "after"}
# A few words as the voice's phonemizer says them, or as one word that sounds as IPA says.
Read = Callable[[str, str | None], tuple[Word, ...]]


class Edit(Prosody):
    """One change: of a word, or of the words from the first to the last of `words`."""

    word: int | None = Field(None, ge=0, description="number of a word of the take, from 0")
    words: tuple[int, int] | None = Field(
        None, strict=False, description="numbers of the first word and of the last"
    )
    say: str | None = Field(
        None, min_length=1, max_length=500, description="what is said in its place, with markup"
    )
    ipa: str | None = Field(
        None, min_length=1, max_length=200, description="how it is pronounced, in IPA"
    )
    pause_ms: float | None = Field(
        None, ge=0.0, le=60_000.0, description="length of the pause after it"
    )
    breath: bool | None = Field(None, description="an audible breath in that pause")
    emphasis: Emphasis | None = Field(None, description="strong, moderate, reduced or none")


class Retake(BaseModel):
    """What is to be another in a take; all else keeps its samples."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    edits: tuple[Edit, ...] = Field(
        (), strict=False, max_length=200, description="changes, done one after another"
    )
    plan: LinePlan | None = Field(
        None, description="the take's plan with changes, in place of edits"
    )
    lexicons: tuple[str, ...] = Field(
        (), strict=False, max_length=20, description="names of lexicons for what is said anew"
    )


def check(asked: Retake, n_words: int) -> None:
    """Every check of one field against another.

    Raises:
        InvalidRequest: nothing is to be changed, or a change names no word of the take.
    """
    if (asked.plan is None) == (not asked.edits):
        raise InvalidRequest("either edits or a plan", where="edits", valid=["edits", "plan"])
    for i, edit in enumerate(asked.edits):
        where = f"edits.{i}"
        if (edit.word is None) == (edit.words is None):
            raise InvalidRequest("either word or words", where=where, valid=["word", "words"])
        first, last = _range(edit)
        if not first <= last < n_words:
            valid = f"0 to {n_words - 1}, the first not after the last"
            raise InvalidRequest("no such words", where=f"{where}.words", valid=valid)
        if not any(getattr(edit, name) is not None for name in _OF_WORDS):
            raise InvalidRequest("nothing is changed", where=where, valid=_OF_WORDS)
        if edit.breath is not None and last == n_words - 1:
            raise InvalidRequest(
                "nothing follows that a breath could be before",
                where=f"{where}.breath",
                valid="a word that is not the last",
            )
    _check_said_once(asked.edits)


def _check_said_once(edits: Sequence[Edit]) -> None:
    said: set[int] = set()
    for i, edit in enumerate(edits):
        if edit.say is None and edit.ipa is None:
            continue
        first, last = _range(edit)
        words = set(range(first, last + 1))
        if said & words:
            raise InvalidRequest(
                f"word {min(said & words)} is said anew by two edits",
                where=f"edits.{i}",
                valid="one edit for each word",
            )
        said |= words


def check_said(asked: Retake, read: Read) -> None:
    """That all that is said anew can be said.

    Raises:
        VoiceError: something cannot.
    """
    for edit in asked.edits:
        if edit.say is not None or edit.ipa is not None:
            read(edit.say or "a", edit.ipa)


def _range(edit: Edit) -> tuple[int, int]:
    if edit.words is not None:
        return edit.words
    assert edit.word is not None, "check runs first"
    return edit.word, edit.word


@dataclass(frozen=True, slots=True)
class Editor:
    """What edits are worked out with: the voice's engine, how it reads, and what the take asked."""

    engine: Engine
    read: Read
    asked: Delivery
    rows: Rows  # what the voice makes of emotions

    def edited(self, line: LinePlan, edits: Sequence[Edit]) -> LinePlan:
        """The plan with all edits done, at no exact length any more.

        Raises:
            VoiceError: what is said in place of a word cannot be said.
        """
        for edit in edits:
            line = self._edited(line, edit)
        return line.model_copy(update={"length": None})

    def _edited(self, line: LinePlan, edit: Edit) -> LinePlan:
        first, last = _range(edit)
        sentences, at = [], 0
        breath: bool | None = None  # before the next sentence
        for sentence in line.sentences:
            if breath is not None:
                sentence, breath = _breathed(sentence, breath), None
            low, high = max(first - at, 0), min(last - at, len(sentence.words) - 1)
            at += len(sentence.words)
            if low <= high:
                sentence = self._sentence(line, sentence, (low, high), edit)
            if last == at - 1:
                breath = edit.breath
            sentences.append(sentence)
        if breath is not None:
            raise InvalidRequest(
                "nothing follows that a breath could be before",
                where="edits.breath",
                valid="a word that is not the last",
            )
        return line.model_copy(update={"sentences": tuple(sentences)})

    def _sentence(
        self, line: LinePlan, sentence: SentencePlan, inside: tuple[int, int], edit: Edit
    ) -> SentencePlan:
        low, high = inside
        words = list(sentence.words)
        if edit.say is not None or edit.ipa is not None:
            words[low : high + 1] = self._said(line, sentence, inside, edit)
            high += len(words) - len(sentence.words)
            sentence = sentence.model_copy(update={"words": tuple(words)})
        prosody = {n: v for n in Prosody.model_fields if (v := getattr(edit, n)) is not None}
        if prosody or edit.emphasis is not None:
            words[low : high + 1] = self._performed(line, sentence, (low, high), edit)
        pause = {n: v for n in ("pause_ms", "breath") if (v := getattr(edit, n)) is not None}
        if pause and high + 1 < len(words):
            own_ms = words[high].own_pause_ms
            own = {"own_pause_ms": words[high].pause_ms if own_ms is None else own_ms}
            words[high] = words[high].model_copy(update={**own, **pause})
        sentence = sentence.model_copy(update={"words": tuple(words)})
        if pause.get("pause_ms") is not None and high + 1 == len(words):
            sentence = sentence.model_copy(update={"pause_ms": pause["pause_ms"]})
        return sentence

    def _neutral(self, line: LinePlan, sentence: SentencePlan) -> SentencePlan:
        """What the model itself plans for the sentence's words."""
        variability = score.variability_of(line)
        natural = self.engine.plan(lineplan.words_of(sentence), sentence.seed, variability)
        return lineplan.describe(natural, sentence.pause_ms)

    def _said(
        self, line: LinePlan, sentence: SentencePlan, inside: tuple[int, int], edit: Edit
    ) -> list[WordPlan]:
        """Other words in place of some, at the pace and pitch of those, with their last pause."""
        low, high = inside
        old = sentence.words[low : high + 1]
        text = edit.say or " ".join(w.text for w in old)
        read = self.read(text, edit.ipa)
        spoken = [
            WordPlan(
                text=w.text,
                start=old[0].start,
                end=old[-1].end,
                phonemes=tuple(_phonemes(w)),
                after="".join(w.after),
                pause_ms=0.0,
            )
            for w in read
        ]
        spoken[-1] = spoken[-1].model_copy(update={"after": old[-1].after})
        words = (*sentence.words[:low], *spoken, *sentence.words[high + 1 :])
        changed = sentence.model_copy(update={"words": words})
        new = self._neutral(line, changed).words[low : low + len(spoken)]
        before = self._neutral(line, sentence).words[low : high + 1]
        pace = _said_ms(old) / max(_said_ms(before), 1.0)
        placed = [_as(w, old, pace) for w in new]
        last = {n: getattr(old[-1], n) for n in ("pause_ms", "own_pause_ms", "breath")}
        placed[-1] = placed[-1].model_copy(update=last)
        return placed

    def _performed(
        self, line: LinePlan, sentence: SentencePlan, inside: tuple[int, int], edit: Edit
    ) -> list[WordPlan]:
        """Words said another way: the take's own delivery, and what the edit asks in its place."""
        low, high = inside
        neutral = self._neutral(line, sentence)
        # Places that are the words' numbers: offsets of a plan need not rise.
        numbered = tuple(
            w.model_copy(update={"start": 2 * i, "end": 2 * i + 1})
            for i, w in enumerate(neutral.words)
        )
        base = {n: getattr(self.asked, n) for n in Prosody.model_fields}
        asks = {n: v for n, v in base.items() if v is not None and not isinstance(v, tuple)}
        asks |= {n: v for n in Prosody.model_fields if (v := getattr(edit, n)) is not None}
        span = Span.model_construct(
            **{**Prosody().model_dump(), **asks},
            start=2 * low,
            end=2 * high + 1,
            emphasis=edit.emphasis,
        )
        directed = Directed(" " * (2 * len(numbered)))
        stretch = Stretch(span.start, span.end, span)
        asked = Asked(
            directed, (stretch,), extreme=line.extreme, pivot_hz=line.pivot_hz, rows=self.rows
        )
        (performed,) = Performer(asked).perform(
            [neutral.model_copy(update={"words": numbered})], None
        )
        kept = ("text", "start", "end", "breath", "marks")
        words = [
            new.model_copy(update={n: getattr(old, n) for n in kept})
            for new, old in zip(
                performed.words[low : high + 1], sentence.words[low : high + 1], strict=True
            )
        ]
        if edit.pause_scale is None:  # the pause after the last is outside of what is changed
            pause = {n: getattr(sentence.words[high], n) for n in ("pause_ms", "own_pause_ms")}
            words[-1] = words[-1].model_copy(update=pause)
        return words


def _breathed(sentence: SentencePlan, breath: bool) -> SentencePlan:
    """With a breath before its first word, or without, and the time that one takes."""
    change_ms = BREATH_MS * (breath - sentence.breath)
    lead_ms = lineplan.rounded_ms(max(sentence.lead_ms + change_ms, 0.0))
    return sentence.model_copy(update={"breath": breath, "lead_ms": lead_ms})


def _phonemes(word: Word) -> Iterator[lineplan.PhonemePlan]:
    """One for each sign: the engine's plan says which belong together."""
    for sign in word.phones:
        yield lineplan.PhonemePlan(symbol=sign, duration_ms=0.0)


def _said_ms(words: Sequence[WordPlan]) -> float:
    return sum(p.duration_ms for w in words for p in w.phonemes)


def _as(new: WordPlan, old: Sequence[WordPlan], pace: float) -> WordPlan:
    """A word in the manner of those it replaces."""
    sounds = [p for w in old for p in w.phonemes]
    pitch_st = round(sum(p.pitch_st for p in sounds) / len(sounds), 4)
    energy_db = round(sum(p.energy_db for p in sounds) / len(sounds), 4)
    manner = ("range", "tilt_db", "breathiness", "whisper")
    phonemes = tuple(
        p.model_copy(
            update={
                "duration_ms": lineplan.rounded_ms(p.duration_ms * pace),
                "pitch_st": pitch_st,
                "energy_db": energy_db,
            }
        )
        for p in new.phonemes
    )
    return new.model_copy(update={"phonemes": phonemes, **{n: getattr(old[0], n) for n in manner}})


@dataclass(frozen=True, slots=True)
class Same:
    """Words [begin, end) of one plan that are words [other, …) of another, with what is between.

    `lead` and `tail`: whether the silence before and after them is the same too.
    """

    begin: int
    end: int
    other: int
    lead: bool
    tail: bool


def same(old: LinePlan, new: LinePlan) -> list[Same]:
    """The longest runs of words and pauses that two plans share, in order."""
    before, after = list(_tokens(old)), list(_tokens(new))
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    found = []
    for block in blocks:
        first, last = block.a, block.a + block.size
        begin, end = first // 2, last // 2  # tokens: silence, word, silence, word, ..., silence
        if begin < end:
            moved = block.b // 2
            found.append(Same(begin, end, moved, first % 2 == 0, last % 2 == 1))
    return found


def _tokens(line: LinePlan) -> Iterator[Any]:
    """Silences and words by turns, silences at both ends."""
    head = (line.room_tone, line.pivot_hz)
    silence: tuple[Any, ...] = ()
    for sentence in line.sentences:
        yield (*silence, sentence.lead_ms, sentence.breath, *head)
        for i, word in enumerate(sentence.words):
            said = word.model_dump(exclude=_NOT_SAID)
            yield repr((said, sentence.seed, sentence.jitter_st, head))
            silence = (word.after, word.pause_ms, word.is_heard, word.breath)
            if i + 1 < len(sentence.words):
                yield silence
        silence = (*silence, sentence.tail_ms, sentence.pause_ms)
    yield silence
