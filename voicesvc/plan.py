"""Plan: one sentence made explicit - words, symbols, and how many frames each lasts.

Knows nothing about how the durations were predicted or how they become sound.
"""

import hashlib
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["phone", "mark", "pause", "blank"]


STRESS = "ˈˌ"
_MODIFIERS = frozenset("ːˑʰʲʷˠˤʼ˞")  # spacing signs that change the symbol before them


def kind_of(symbol: str, role: Kind) -> Kind:
    """Stress, length and combining signs are marks, spaces inside a word pauses."""
    if role != "phone":
        return role
    if symbol in STRESS or symbol in _MODIFIERS or unicodedata.combining(symbol[0]):
        return "mark"
    return "pause" if symbol.isspace() or not symbol[0].isalpha() else "phone"


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
        return sum(u.frames for u in self.units)


@dataclass(frozen=True, slots=True)
class Plan:
    """One sentence, ready to be rendered: same plan, weights and device class, same samples."""

    model_sha256: str
    sample_rate_hz: int
    hop: int  # samples per frame
    seed: int
    words: tuple[PlannedWord, ...]
    dropped: tuple[str, ...] = ()  # symbols the model never learned, in order
    # What the engine worked out while planning; it is worked out again where absent.
    hidden: Any = field(default=None, compare=False, repr=False)

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


def whole_frames(frames_model: Sequence[float], kinds: Sequence[Kind], rate: float) -> list[int]:
    """The model's durations in whole frames: rounded up, as VITS does, then sped up by `rate`.

    Rounding up each sped-up duration would lose half of what was asked for. So every unit ends
    where its share of the whole does, to the nearest frame; a phoneme keeps at least one.
    """
    frames: list[int] = []
    asked = given = 0
    for duration, kind in zip(frames_model, kinds, strict=True):
        asked += math.ceil(duration)
        n = max(round(asked / rate) - given, int(kind == "phone" and duration > 0))
        frames.append(n)
        given += n
    return frames


def timings(plan: Plan, offset_s: float = 0.0) -> list[dict[str, Any]]:
    """When each word and phoneme is heard, in seconds from the start of the take.

    A word ends where its last phoneme does, not where the space after it does. A blank's time
    belongs to the symbol before it, a stress or length mark's to the phoneme it modifies.
    """
    spoken, frame, frame_s = [], 0, plan.hop / plan.sample_rate_hz
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
            p["start_s"] = round(offset_s + p.pop("start") * frame_s, 6)
            p["end_s"] = round(offset_s + p.pop("end") * frame_s, 6)
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
