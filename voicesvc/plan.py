"""Plan: one sentence made explicit - words, symbols, and how many frames each lasts.

Knows nothing about how the durations were predicted or how they become sound.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from voicesvc.errors import BadPlan

Kind = Literal["phone", "mark", "pause", "blank"]


STRESS = "ˈˌ"
_VOWELS = frozenset("aeiouyæøœɐɑɒɔɘəɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏᵻε")
_MODIFIERS = frozenset("ːˑʰʲʷˠˤʼ˞")  # spacing signs that change the symbol before them


def kind_of(symbol: str, role: Kind) -> Kind:
    """Stress, length and combining signs are marks, spaces inside a word pauses; figures speak."""
    if role != "phone":
        return role
    if symbol in STRESS or symbol in _MODIFIERS or unicodedata.category(symbol[0])[0] == "M":
        return "mark"
    return "pause" if symbol.isspace() or not symbol[0].isalnum() else "phone"


def is_vowel(symbol: str) -> bool:
    """Whether a phoneme, with its marks, is a vowel of the IPA."""
    return any(c in _VOWELS for c in symbol)


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any parts: the first 8 bytes of their SHA-256."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Unit:
    """One id of the model's input. `frames_model` is what the model asked for, unrounded."""

    symbol: str
    id: int
    kind: Kind  # "mark": a stress or length sign; "blank": VITS's filler between symbols
    frames_model: float
    frames: int

    def lasting(self, frames: int) -> "Unit":
        """The same for another number of frames."""
        # dataclasses.replace takes three times as long, and a sentence has hundreds of these.
        return Unit(self.symbol, self.id, self.kind, self.frames_model, frames)


@dataclass(frozen=True, slots=True)
class PlannedWord:
    """A word of the sentence; `nth` counts its earlier occurrences, and keys its noise with it.

    Sentence start and end are words with an empty text.
    """

    text: str
    start: int
    end: int
    nth: int
    units: tuple[Unit, ...]

    @property
    def key(self) -> str:
        """What this word's noise is keyed by, beside the seed."""
        return f"{self.text.casefold()}\0{self.nth}"

    @property
    def frames(self) -> int:
        """Length in frames."""
        return sum([u.frames for u in self.units])


@dataclass(frozen=True, slots=True)
class Variability:
    """How much two seeds differ: factors of the model's own noise, 1.0 as it was made.

    `style` is how much of which of the voice's styles, each 0 to 1, by name; `language` that of the
    words, "" the voice's own.
    """

    sound: float = 1.0
    timing: float = 1.0
    style: tuple[tuple[str, float], ...] = ()
    language: str = ""


AS_MADE = Variability()


@dataclass(frozen=True, slots=True)
class Plan:
    """One sentence, ready to be rendered: same plan, weights and device class, same samples."""

    model_sha256: str
    sample_rate_hz: int
    hop: int  # samples per frame
    seed: int
    words: tuple[PlannedWord, ...]
    dropped: tuple[str, ...] = ()  # symbols the model never learned, in order
    variability: Variability = AS_MADE
    # How much of the same line is said before it, pauses aside, so that it need not begin so soon.
    frames_before: int = 0
    shaped: bool = False  # what shapes it hears a while of it before it gives a sample
    # What the engine worked out while planning; it is worked out again where absent.
    hidden: Any = field(default=None, compare=False, repr=False)
    # Set where the frames are a guess: the plan as it came out, once it was streamed; before that
    # it works out what is left.
    said: "Callable[[], Plan] | None" = field(default=None, compare=False, repr=False)

    @property
    def frames(self) -> int:
        """Length in frames."""
        return sum(w.frames for w in self.words)

    @property
    def samples(self) -> int:
        """Length in samples at `sample_rate_hz`."""
        return self.frames * self.hop

    def units(self) -> Iterator[Unit]:
        """Every unit in order."""
        for word in self.words:
            yield from word.units


def check_model(line: Plan, model_sha256: str) -> None:
    """Check that a plan is for these weights.

    Raises:
        BadPlan: it is for others.
    """
    if line.model_sha256 != model_sha256:
        raise BadPlan(
            f"the plan is for model {line.model_sha256[:12]}",
            where="model_sha256",
            valid=[model_sha256],
        )


class Group(NamedTuple):
    """Units [begin, end) of a word that are heard as one thing."""

    symbol: str  # what is written for it, blanks aside; "" for the silence around a sentence
    kind: Literal["phone", "gap", "pause"]  # gap: between a word's own parts; pause: after it
    begin: int
    end: int


def groups(word: PlannedWord) -> list[Group]:
    """A word's phonemes, each with its stress and length marks and the blanks after it, in order.

    If punctuation follows the word, what is after its last phoneme is one "pause" at the end;
    mere spaces there belong to the last phoneme, because nobody pauses at them.
    """
    units, n = word.units, len(word.units)
    after = next((i for i in range(_said(units), n) if units[i].kind == "pause"), n)
    starts: list[tuple[int, Literal["phone", "gap"]]] = []
    stressed = False
    for i, u in enumerate(units[:after]):
        kind = u.kind
        if kind == "phone":
            if not stressed:
                starts.append((i, "phone"))
            stressed = False
        elif kind == "pause":
            starts.append((i, "gap"))
        elif kind == "mark" and u.symbol in STRESS:
            if not stressed:
                starts.append((i, "phone"))
            stressed = True
    if not starts or starts[0][0] > 0:
        starts = [(0, starts[0][1] if starts else "gap"), *starts[1:]]
    pauses = any(u.kind == "pause" and not u.symbol.isspace() for u in units[after:])
    last = after if pauses else n
    ends = [*[i for i, _ in starts[1:]], last]
    found = [
        Group(_symbol(units[i : min(end, after)]), kind, i, end)
        for (i, kind), end in zip(starts, ends, strict=True)
        if end > i
    ]
    return [*found, Group(_symbol(units[after:]), "pause", after, n)] if pauses else found


def after(word: PlannedWord) -> str:
    """What separates a word from the next: ", " or " "."""
    return "".join([u.symbol for u in word.units[_said(word.units) :] if u.kind == "pause"])


def _said(units: Sequence[Unit]) -> int:
    """How many units a word has up to its last phoneme or mark."""
    n = len(units)
    while n and units[n - 1].kind not in ("phone", "mark"):
        n -= 1
    return n


def _symbol(units: Sequence[Unit]) -> str:
    return "".join([u.symbol for u in units if u.kind != "blank"])


def share(frames: Sequence[float], kinds: Sequence[Kind]) -> list[int]:
    """Whole frames for durations in frames, so that their sum is kept.

    Every unit ends where its share of the whole does, to the nearest frame; rounding each by
    itself would add up. A phoneme keeps at least one frame.
    """
    given: list[int] = []
    asked, done = 0.0, 0
    for duration, kind in zip(frames, kinds, strict=True):
        asked += duration
        n = max(round(asked) - done, int(kind == "phone" and duration > 0))
        given.append(n)
        done += n
    return given


def timings(plan: Plan, heard_at: Callable[[int, bool], int] | None = None) -> list[dict[str, Any]]:
    """When each word and phoneme is heard, in seconds.

    A word ends where its last phoneme does, not where the space after it does. A blank's time
    belongs to the symbol before it, a stress or length mark's to the phoneme it modifies.
    `heard_at` says when a sample of the plan is heard, in samples: (sample, whether something
    begins there) -> sample; without it, where it lies.
    """
    spoken, frame = [], 0

    def seconds(at: int, begins: bool) -> float:
        sample = at * plan.hop
        heard = sample if heard_at is None else heard_at(sample, begins)
        return round(heard / plan.sample_rate_hz, 6)

    for word in plan.words:
        phones: list[dict[str, Any]] = []
        pending = ""  # a stress mark that waits for its phoneme
        begin = frame
        in_pause = False
        for u in word.units:
            end = frame + u.frames
            if u.kind == "mark" and u.symbol in STRESS:
                pending += u.symbol
                in_pause = False
            elif u.kind == "phone":
                phones.append({"symbol": pending + u.symbol, "start": begin, "end": end})
                pending, begin, in_pause = "", end, False
            elif u.kind == "pause":
                in_pause, begin = True, end
            elif phones and not in_pause and not pending:
                phones[-1]["symbol"] += u.symbol if u.kind == "mark" else ""
                phones[-1]["end"] = begin = end
            elif not pending:
                begin = end
            frame = end
        if not word.text or not phones:
            continue
        for p in phones:
            p["start_s"] = seconds(p.pop("start"), True)
            p["end_s"] = seconds(p.pop("end"), False)
        spoken.append(
            {
                "text": word.text,
                "start_s": phones[0]["start_s"],
                "end_s": phones[-1]["end_s"],
                "char_start": word.start,
                "char_end": word.end,
                "phonemes": phones,
            }
        )
    return spoken
