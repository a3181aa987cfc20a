"""Visemes of a take for the people who animate faces: Azure's ids, and ARKit's shapes in time."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from voicesvc.errors import InvalidRequest
from voicesvc.timings import mouth, sounds
from voicesvc.timings.document import Timings, whole
from voicesvc.timings.mouth import SILENCE_S, Keyframes, Sound

FPS = (1, 240)
_TICKS_PER_S = 10_000_000  # of Azure's audio offsets
_NAMED_FPS = {
    "23.976": "24000/1001",
    "23.98": "24000/1001",
    "29.97": "30000/1001",
    "29.97df": "30000/1001",
    "47.952": "48000/1001",
    "59.94": "60000/1001",
    "119.88": "120000/1001",
}
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?(/[1-9][0-9]{0,5})?")


@dataclass(frozen=True, slots=True)
class Spoken:
    """One letter of a phoneme: an affricate or a diphthong that is one symbol has two."""

    symbol: str  # of the whole phoneme
    letter: str
    stress: str  # "ˈ", "ˌ" or "", of the symbol's first letter
    word: int  # its number in the take, from 0
    start_s: float
    end_s: float
    viseme: int | None  # of Azure; None where the letter is unknown


def frame_rate(fps: str | float | Fraction) -> Fraction:
    """Frames per second, exactly: 24, "23.976", "29.97df", "30000/1001".

    Raises:
        InvalidRequest: it is no rate, or not within FPS.
    """
    said = str(fps)
    said = _NAMED_FPS.get(said, said)
    if _RATE.fullmatch(said):
        top, _, bottom = said.partition("/")
        rate = Fraction(top) / int(bottom or 1)
        if FPS[0] <= rate <= FPS[1]:
            return rate
    raise InvalidRequest(
        f"{str(fps)[:40]!r} is no frame rate",
        where="fps",
        valid=f"{FPS[0]} to {FPS[1]}: a number, a fraction as 24000/1001, or one of"
        f" {', '.join(_NAMED_FPS)}",
    )


def spoken(document: Timings) -> list[Spoken]:
    """Every letter in order, with its viseme. A symbol of several letters is shared out evenly."""
    found: list[Spoken] = []
    for number, word in enumerate(document.words):
        for p in word.phonemes:
            said = sounds.letters(p.symbol)
            edges = np.linspace(p.start_s, p.end_s, len(said) + 1).round(6).tolist()
            stress = p.symbol[0] if p.symbol[0] in "ˈˌ" else ""
            for letter, (begin, end) in zip(said, pairwise(edges), strict=True):
                viseme = sounds.viseme(letter)
                found.append(Spoken(p.symbol, letter, stress, number, begin, end, viseme))
                stress = ""
    return _diphthongs(found)


def _diphthongs(found: list[Spoken]) -> list[Spoken]:
    """Both halves of a diphthong that has one viseme with that viseme."""
    merged = list(found)
    for i, (a, b) in enumerate(pairwise(found)):
        one = sounds.DIPHTHONGS.get(a.letter + b.letter)
        if one is not None and a.word == b.word and not b.stress:
            merged[i], merged[i + 1] = replace(a, viseme=one), replace(b, viseme=one)
    return merged


def silences(document: Timings) -> list[tuple[float, float]]:
    """(start, end) in s of what is before and after all phonemes, and of gaps of SILENCE_S."""
    said = [(p.start_s, p.end_s) for w in document.words for p in w.phonemes]
    edges = [(0.0, 0.0), *said, (document.end_s, document.end_s)]
    gaps = [(a[1], b[0]) for a, b in pairwise(edges)]
    inner = [(a, b) for a, b in gaps[1:-1] if round(b - a, 6) >= SILENCE_S]
    return [gaps[0], *inner, *gaps[1:][-1:]]


def azure(document: Timings, letters: list[Spoken]) -> list[dict[str, Any]]:
    """A viseme wherever the face changes, as the `VisemeReceived` events of Azure's SDK.

    0 is silence: at the beginning, at the end, and in gaps of SILENCE_S.
    """
    quiet = [(start_s, sounds.SILENT) for start_s, _ in silences(document)]
    said = [(s.start_s, s.viseme) for s in letters if s.viseme is not None and s.end_s > s.start_s]
    events: list[tuple[float, int]] = []
    for start_s, viseme in sorted([*quiet, *said], key=itemgetter(0)):
        if events and events[-1][0] == start_s:
            events.pop()
        if not events or events[-1][1] != viseme:
            events.append((start_s, viseme))
    return [
        {"viseme_id": v, "start_s": t, "audio_offset_ticks": whole(t, _TICKS_PER_S)}
        for t, v in events
    ]


def curves(document: Timings, letters: list[Spoken]) -> dict[str, Keyframes]:
    """Keyframes of every shape in sounds.SHAPES."""
    tracks = mouth.keyframes(list(_posed(letters)), silences(document), document.end_s)
    return {shape: tracks[sounds.track_of(shape)] for shape in sounds.SHAPES}


def _posed(letters: list[Spoken]) -> Iterator[Sound]:
    for s in letters:
        pose = sounds.pose(s.letter)
        if pose is not None and s.end_s > s.start_s:
            yield Sound(s.start_s, s.end_s, pose, s.stress == "ˈ")


def visemes(document: Timings, fps: Fraction | None) -> bytes:
    """Words, phonemes, Azure's visemes and ARKit's shapes as JSON.

    `shapes` of a phoneme are what it wants; `keyframes` (straight lines between them) are what
    comes of it between its neighbours, and with `fps` `frames` are read off the same lines. Symbols
    that are no sound of the IPA are in `unmapped_symbols`: there the face goes on as its
    neighbours have it.
    """
    letters = spoken(document)
    shapes = curves(document, letters)
    said: dict[str, Any] = {
        "take": document.take,
        "complete": document.complete,
        "duration_s": document.duration_s,
        "words": [{"text": w.text, "start_s": w.start_s, "end_s": w.end_s} for w in document.words],
        "phonemes": [
            {
                "symbol": s.symbol,
                "letter": s.letter,
                "word": s.word,
                "start_s": s.start_s,
                "end_s": s.end_s,
                "viseme_id": s.viseme,
                "shapes": _target(s.letter),
            }
            for s in letters
        ],
        "unmapped_symbols": _unmapped(document),
        "azure": azure(document, letters),
        "arkit": {"interpolation": "linear", "keyframes": shapes},
    }
    if fps is not None:
        said["arkit"]["frames"] = _grid(document, shapes, fps)
    return json.dumps(said, ensure_ascii=False).encode()


def _unmapped(document: Timings) -> list[str]:
    said = {p.symbol for w in document.words for p in w.phonemes}
    known = {s for s in said if all(map(sounds.pose, sounds.letters(s) or s))}
    return sorted(said - known)


def _target(letter: str) -> dict[str, float]:
    """The shapes that a sound alone would have, those that are 0 left out."""
    pose = sounds.pose(letter)
    weights = {} if pose is None else pose.weights
    wanted = ((shape, weights.get(sounds.track_of(shape), 0.0)) for shape in sounds.SHAPES)
    return {shape: weight for shape, weight in wanted if weight}


def _grid(document: Timings, shapes: dict[str, Keyframes], fps: Fraction) -> dict[str, Any]:
    times = mouth.times_of(document.end_s, float(fps))
    columns = [mouth.frames(shapes[name], times) for name in sounds.SHAPES]
    return {
        "fps": f"{fps.numerator}/{fps.denominator}",
        "names": list(sounds.SHAPES),
        "weights": np.stack(columns, axis=1).tolist(),
    }
