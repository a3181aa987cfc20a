"""Emotions against the table they are made from, and what controls cost in speech quality.

An emotion has to move pitch, range, rate and loudness to the side that `voicesvc.delivery` says,
in nearly every line; where the table leaves one as it is, nothing is asked of it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import control_acoustics as acoustics
import measures
import numpy as np
from control_speech import Booth, Spoken

from voicesvc.delivery import EMOTIONS, Shape

INTENSITIES = (0.5, 1.0)
LEAST = 0.95  # share of lines on the table's side
MOST_WER, MOST_MOS = 0.02, 0.3  # by how much a line may be worse than the neutral one
TIMES = 3  # that each line is spoken for words to be counted, each time with another seed
APART = ("whispered", "shouted")  # reported, but without a promise
# What is judged beside the emotions: the outermost settings of the other controls.
JUDGED: dict[str, dict[str, Any]] = {
    "rate 0.7": {"rate": 0.7},
    "rate 1.6": {"rate": 1.6},
    "pitch -4 st": {"pitch_st": -4.0},
    "pitch +7 st": {"pitch_st": 7.0},
    "contour wave": {"pitch_st": [[0.0, 0.0], [0.25, 3.0], [0.5, 0.0], [0.75, 3.0], [1.0, -2.0]]},
    "range 0.5": {"range": 0.5},
    "range 1.8": {"range": 1.8},
    "tilt -6 dB": {"tilt_db": -6.0},
    "tilt +9 dB": {"tilt_db": 9.0},
    "breathiness 0.6": {"breathiness": 0.6},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One rendering: mean pitch and range in semitones, seconds of speech, loudness in LUFS."""

    mean_st: float
    range_st: float
    speech_s: float
    lufs: float

    @classmethod
    def of(cls, spoken: Spoken, within_hz: tuple[float, float]) -> "Measured":
        """Of a rendering whose pitch is searched for within so many Hz."""
        hz = acoustics.f0(spoken.pcm, spoken.rate_hz, within_hz)
        voiced = bool((hz > 0).any())
        return cls(
            acoustics.mean_st(hz) if voiced else math.nan,
            acoustics.range_st(hz) if voiced else math.nan,
            acoustics.speech_s(spoken.pcm, spoken.rate_hz, spoken.pauses),
            acoustics.loudness_lufs(spoken.pcm, spoken.rate_hz),
        )

    def against(self, neutral: "Measured") -> dict[str, float]:
        """Semitones, octaves of range and of rate, decibels: all positive where there is more."""
        return {
            "pitch": self.mean_st - neutral.mean_st,
            "range": math.log2(self.range_st / neutral.range_st),
            "rate": math.log2(neutral.speech_s / self.speech_s),
            "energy": self.lufs - neutral.lufs,
        }


def table_says(shape: Shape) -> dict[str, float]:
    """What the table moves, in the terms of `Measured.against`; a whisper has no pitch."""
    said = {"rate": math.log2(shape.rate), "energy": shape.energy_db}
    if shape.whisper < 0.5:
        said |= {"pitch": shape.pitch_st, "range": math.log2(shape.range)}
    return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Moved:
    """An emotion at one intensity: share of lines on the table's side, and the median change."""

    name: str
    intensity: float
    sides: Mapping[str, float]
    median: Mapping[str, float]

    @property
    def reached(self) -> bool:
        """Whether nearly every line went where the table says, in everything."""
        return all(share >= LEAST for share in self.sides.values())

    def json(self) -> dict[str, Any]:
        """For the JSON line."""
        return {
            "emotion": self.name,
            "intensity": self.intensity,
            "sides": {n: round(s, 3) for n, s in self.sides.items()},
            "median": {n: round(m, 3) for n, m in self.median.items() if not math.isnan(m)},
            "reached": self.reached,
        }


def emotions(booth: Booth) -> Iterator[tuple[Moved, Sequence[Spoken]]]:
    """Every emotion at every intensity, with what was spoken."""
    lines = range(len(booth.texts))
    # One search for all, around the voice's own pitch: a line's own would follow what was done.
    around = [acoustics.around_hz(booth.neutral(i).pcm, booth.neutral(i).rate_hz) for i in lines]
    low_hz, high_hz = np.median(around, axis=0)
    within_hz = float(low_hz), float(high_hz)
    neutral = [Measured.of(booth.neutral(i), within_hz) for i in lines]
    for name, row in EMOTIONS.items():
        if row.shape == Shape():
            continue
        for intensity in INTENSITIES:
            asked = {"name": name, "intensity": intensity}
            made = [booth.say(i, emotion=asked) for i in lines]
            changes = [
                Measured.of(m, within_hz).against(n) for m, n in zip(made, neutral, strict=True)
            ]
            sides = {
                what: float(np.mean([math.copysign(1, value) * c[what] > 0 for c in changes]))
                for what, value in table_says(row.shape).items()
            }
            median = {what: float(np.median([c[what] for c in changes])) for what in changes[0]}
            yield Moved(name, intensity, sides, median), made


@dataclass(frozen=True, slots=True)
class Cost:
    """How much worse than the neutral lines something is; positive is worse."""

    label: str
    wer: float
    distillmos: float
    dnsmos: float

    @property
    def promised(self) -> bool:
        """Whether a limit is promised for it: not for what is asked for at its outermost."""
        return self.label not in (*APART, *JUDGED)

    @property
    def reached(self) -> bool:
        """Whether word errors and DistillMOS are within what is allowed."""
        return self.wer <= MOST_WER and self.distillmos <= MOST_MOS

    def json(self) -> dict[str, Any]:
        """For the JSON line."""
        return {
            "of": self.label,
            "wer_rise": round(self.wer, 4),
            "distillmos_fall": round(self.distillmos, 3),
            "dnsmos_fall": round(self.dnsmos, 3),
            "experimental": self.dnsmos > MOST_MOS or not self.reached,
            "promised": self.promised,
            "reached": self.reached,
        }


class Judge:
    """Word errors and opinion scores of renderings against those of the neutral lines.

    Words are counted in more lines than opinions, and in each more than once: of 24 lines one word
    is 0.6 points, and half a dozen come and go with any seed, so that a limit of 2 points is not
    measured by them.
    """

    def __init__(self, booth: Booth, more: Booth) -> None:
        self._booths = (booth, more)
        self._recogniser = measures.Recogniser()
        neutral = [booth.neutral(i) for i in range(len(booth.texts))]
        self.neutral_wer, self.neutral_mos = self._wer({}), self._mos(neutral)

    def cost(self, label: str, spoken: Sequence[Spoken], asked: Mapping[str, Any]) -> Cost:
        """What was lost by what was `asked`; `spoken` is that of every line in order."""
        wer, mos = self._wer(asked), self._mos(spoken)
        fall = {name: self.neutral_mos[name] - mos[name] for name in mos}
        return Cost(label, wer - self.neutral_wer, fall["distillmos"], fall["dnsmos"])

    def close(self) -> None:
        """Drop the voice of the other lines."""
        self._booths[1].close()

    def _wer(self, asked: Mapping[str, Any]) -> float:
        texts, heard = list[str](), list[str]()
        for number in range(TIMES):
            for booth in self._booths:
                for i, text in enumerate(booth.texts):
                    spoken = booth.say(i, **{"seed": 1000 * number + i + 1, **asked})
                    texts.append(text)
                    heard.append(self._recogniser.hear(spoken.pcm, spoken.rate_hz))
        return self._recogniser.word_error_rate(texts, heard)

    @staticmethod
    def _mos(spoken: Sequence[Spoken]) -> dict[str, float]:
        scores = {"distillmos": measures.distillmos, "dnsmos": measures.dnsmos}
        return {
            name: float(np.mean([score(s.pcm, s.rate_hz) for s in spoken]))
            for name, score in scores.items()
        }


def costs(booth: Booth, judge: Judge) -> Iterator[Cost]:
    """What the outermost settings of the other controls cost."""
    for label, asked in JUDGED.items():
        yield judge.cost(label, [booth.say(i, **asked) for i in range(len(booth.texts))], asked)
