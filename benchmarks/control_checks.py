"""What each control was asked for and what came of it, line by line.

A check yields one `Found` for each setting: an error for every line, and how much is allowed. The
figures come from `control_acoustics.py`; what a rendering says of itself is used only to know
where its words are.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import control_acoustics as acoustics
import numpy as np
from common import say
from control_speech import Booth, Spoken

from voicesvc.errors import CannotFit

RATES_HZ = (22050, 44100, 48000)
Contour = tuple[tuple[float, float], ...]
CONTOURS: dict[str, Contour] = {
    "rise": ((0.0, -1.0), (1.0, 4.0)),
    "fall": ((0.0, 3.0), (1.0, -3.0)),
    "hill": ((0.0, 0.0), (0.5, 5.0), (1.0, 0.0)),
    "valley": ((0.0, 2.0), (0.5, -3.0), (1.0, 2.0)),
    "wave": ((0.0, 0.0), (0.25, 3.0), (0.5, 0.0), (0.75, 3.0), (1.0, -2.0)),
}


@dataclass(frozen=True, slots=True)
class Found:
    """One control at one setting: an error for every line, in `unit`.

    `reach` is how large an error may be, None where none is promised; `least` is the share of
    lines that has to be within it.
    """

    control: str
    setting: str
    unit: str
    errors: Sequence[float]
    reach: float | None
    achieved: Sequence[float] = ()  # in the setting's own terms
    least: float = 0.95
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def within(self) -> float:
        """Share of lines within reach."""
        reach = float("inf") if self.reach is None else self.reach
        return float(np.mean([abs(e) <= reach for e in self.errors]))

    @property
    def reached(self) -> bool:
        """Whether enough lines are within reach."""
        return self.within >= self.least

    def json(self) -> dict[str, Any]:
        """Rounded, for the JSON line."""
        sizes = np.abs(self.errors)
        found: dict[str, Any] = {
            "control": self.control,
            "setting": self.setting,
            "unit": self.unit,
            "error": {
                "median": round(float(np.median(sizes)), 3),
                "p95": round(float(np.percentile(sizes, 95)), 3),
                "worst": round(float(sizes.max()), 3),
                "mean": round(float(np.mean(self.errors)), 3),
            },
            "reach": self.reach,
            "within": round(self.within, 3),
            "reached": self.reached,
        }
        if self.achieved:
            found["achieved"] = round(statistics.median(self.achieved), 3)
        return found | self.notes


def length(booth: Booth) -> Iterator[Found]:
    """`fit`: seconds, samples and frames in turn, at three rates in turn; error in samples."""
    turn = 0
    for stretch in ("0.75", "0.9", "1.1", "1.25", "1.5"):
        errors: list[float] = []
        refused = 0
        for i in range(len(booth.texts)):
            neutral = booth.neutral(i)
            ms = round(len(neutral.pcm) * 1000 / neutral.rate_hz * float(stretch))
            out_hz, form = RATES_HZ[turn % 3], turn // 3 % 3
            asked: dict[str, Any] = {"seconds": ms / 1000}
            exact_s = Fraction(ms, 1000)
            if form == 1:
                asked = {"samples": ms * 48 + 1, "at_hz": 48000}
                exact_s = Fraction(ms * 48 + 1, 48000)
            elif form == 2:
                frames = ms * 24 // 1001
                asked = {"frames": frames, "fps": "24000/1001"}
                exact_s = frames * Fraction(1001, 24000)
            turn += 1
            wanted = int(exact_s * out_hz + Fraction(1, 2))
            try:
                made = booth.say(i, fit=asked, sample_rate_hz=out_hz)
            except CannotFit as e:
                say(f"{booth.texts[i]!r} x{stretch}: {e}")
                errors.append(-wanted)
                refused += 1
            else:
                errors.append(len(made.pcm) - wanted)
        notes = {"refused": refused}
        yield Found("length", f"x{stretch}", "samples", errors, 0.0, least=1.0, notes=notes)


def pause(booth: Booth) -> Iterator[Found]:
    """`[pause]` in the text and `pause_ms` in the plan: silence as Praat finds it, in ms.

    The border is after the comma where the line has one, else in its middle. What is said to be
    a pause of so many ms has to measure so; beside it, the same against the pause 200 ms shorter
    or longer at the same border, which leaves out what the sounds around it are like.
    """
    lengths_ms = (150, 250, 400, 700, 1200)
    for way in ("text", "plan"):
        measured = {ms: _paused(booth, way, ms) for ms in lengths_ms}
        for ms in lengths_ms:
            other = 700 if ms == 400 else 400
            between = [
                (a - b) - (ms - other) for a, b in zip(measured[ms], measured[other], strict=True)
            ]
            notes = {
                "against_another": {
                    "other_ms": other,
                    "median": round(float(np.median(np.abs(between))), 2),
                    "worst": round(float(np.abs(between).max()), 2),
                }
            }
            errors = [m - ms for m in measured[ms]]
            yield Found(f"pause, {way}", f"{ms} ms", "ms", errors, 10.0, measured[ms], notes=notes)


def _paused(booth: Booth, way: str, length_ms: int) -> list[float]:
    found = []
    for i, text in enumerate(booth.texts):
        words = booth.plan(i).sentences[0].words
        after = next((n for n, w in enumerate(words[:-1]) if "," in w.after), len(words) // 2 - 1)
        if way == "text":
            at = words[after].end + words[after].after.count(",")
            made = booth.say(i, text=f"{text[:at]} [pause {length_ms / 1000:g}s]{text[at:]}")
        else:
            made = booth.render(_with_pause(booth, i, after, length_ms))
        begin_s = made.words[after]["end_s"]
        end_s = made.words[after + 1]["start_s"]
        found.append(1000 * acoustics.pause_s(made.pcm, made.rate_hz, begin_s, end_s))
    return found


def _with_pause(booth: Booth, i: int, after: int, length_ms: int) -> Any:
    plan = booth.plan(i)
    sentence = plan.sentences[0]
    words = list(sentence.words)
    words[after] = words[after].model_copy(update={"pause_ms": float(length_ms)})
    edited = sentence.model_copy(update={"words": tuple(words)})
    return plan.model_copy(update={"sentences": (edited, *plan.sentences[1:])})


def rate(booth: Booth) -> Iterator[Found]:
    """First sound to last, against the same line's at rate 1; error in percent.

    Pauses are in it: a rate is theirs too. Beside it the speech without them.
    """
    for asked in (0.7, 0.85, 1.15, 1.3, 1.6):
        achieved, words = [], []
        for i in range(len(booth.texts)):
            pair = booth.neutral(i), booth.say(i, rate=asked)
            own_s, made_s = (acoustics.speech_s(x.pcm, x.rate_hz) for x in pair)
            achieved.append(own_s / made_s)
            own_s, made_s = (acoustics.speech_s(x.pcm, x.rate_hz, x.pauses) for x in pair)
            words.append(100 * (own_s / made_s / asked - 1))
        errors = [100 * (a / asked - 1) for a in achieved]
        within = float(np.mean(np.abs(words) <= 3.0))
        notes = {"without_pauses": {"within": round(within, 3)}}
        yield Found("rate", f"x{asked}", "%", errors, 3.0, achieved, notes=notes)


def pitch(booth: Booth) -> Iterator[Found]:
    """A constant `pitch_st`: median error over the frames voiced in both, in cents."""
    for asked in (-4.0, -2.0, 2.0, 4.0, 7.0):
        found = [_pitched(booth, i, booth.say(i, pitch_st=asked), asked) for i in _all(booth)]
        errors, off, achieved = zip(*found, strict=True)
        notes = {"frames_beyond_100_cents": round(float(np.mean(off)), 4)}
        yield Found("pitch", f"{asked:+g} st", "cents", errors, 10.0, achieved, notes=notes)


def contour(booth: Booth) -> Iterator[Found]:
    """A contour over the line: median error over the frames voiced in both, in cents."""
    for name, points in CONTOURS.items():
        made = [booth.say(i, pitch_st=[list(p) for p in points]) for i in _all(booth)]
        found = [_pitched(booth, i, m, points) for i, m in enumerate(made)]
        errors, off, _ = zip(*found, strict=True)
        notes = {"frames_beyond_100_cents": round(float(np.mean(off)), 4)}
        yield Found("contour", name, "cents", errors, 15.0, notes=notes)


def _all(booth: Booth) -> range:
    return range(len(booth.texts))


def _pitched(
    booth: Booth, i: int, made: Spoken, asked: float | Contour
) -> tuple[float, float, float]:
    """Median error in cents, share of frames beyond 100, and the median shift in semitones."""
    neutral = booth.neutral(i)
    own = acoustics.f0(neutral.pcm, neutral.rate_hz)
    moved, both = acoustics.st_between(own, acoustics.f0(made.pcm, made.rate_hz))
    wanted = np.full(len(moved), asked) if isinstance(asked, float) else np.zeros(0)
    if not isinstance(asked, float):
        t = acoustics.f0_times(neutral.pcm, neutral.rate_hz, len(own))[: len(both)][both]
        position = (t - neutral.begin_s) / (neutral.end_s - neutral.begin_s)
        wanted = np.interp(position, [p for p, _ in asked], [v for _, v in asked])
    cents = 100 * np.abs(moved - wanted)
    return float(np.median(cents)), float(np.mean(cents > 100)), float(np.median(moved))


def span(booth: Booth) -> Iterator[Found]:
    """`range`: 10th to 90th percentile of pitch, against the neutral line's; error in percent."""
    for asked in (0.5, 0.75, 1.25, 1.5, 1.8):
        achieved = []
        for i in _all(booth):
            neutral, made = booth.neutral(i), booth.say(i, range=asked)
            within_hz = acoustics.around_hz(neutral.pcm, neutral.rate_hz)
            now, own = (acoustics.f0(x.pcm, x.rate_hz, within_hz) for x in (made, neutral))
            both = (now > 0) & (own > 0)  # a line's few octave errors are not its intonation
            achieved.append(acoustics.range_st(now[both]) / acoustics.range_st(own[both]))
        errors = [100 * (a / asked - 1) for a in achieved]
        yield Found("range", f"x{asked}", "%", errors, 15.0, achieved)


def energy(booth: Booth) -> Iterator[Found]:
    """`energy_db`: integrated loudness against the neutral line's, in dB."""
    yield from _differing(
        booth, "energy", "energy_db", (-9.0, -6.0, -3.0, 3.0, 6.0), acoustics.loudness_lufs, 0.5
    )


def tilt(booth: Booth) -> Iterator[Found]:
    """`tilt_db`: energy above 3 kHz against that below 800 Hz, in dB."""
    yield from _differing(
        booth, "tilt", "tilt_db", (-6.0, -3.0, 3.0, 6.0, 9.0), acoustics.tilt_db, None
    )


def _differing(
    booth: Booth,
    control: str,
    member: str,
    settings: Sequence[float],
    measure: Callable[..., float],
    reach: float | None,
) -> Iterator[Found]:
    for asked in settings:
        achieved = []
        for i in _all(booth):
            neutral, made = booth.neutral(i), booth.say(i, **{member: asked})
            own, now = (measure(x.pcm, x.rate_hz) for x in (neutral, made))
            achieved.append(now - own)
        errors = [a - asked for a in achieved]
        yield Found(control, f"{asked:+g} dB", "dB", errors, reach, achieved)


def breathiness(booth: Booth) -> Iterator[Found]:
    """`breathiness`: Praat's cepstral peak prominence falls; the error is 1 where it does not.

    Against the next lower setting, so that more of it is more. It is the measure that goes with
    how breathy a voice is heard to be (Hillenbrand 1994); beside it the harmonics-to-noise ratio.
    """
    neutral = [booth.neutral(i) for i in _all(booth)]
    own = [acoustics.hnr(n.pcm, n.rate_hz) for n in neutral]
    own_cpps = [acoustics.cpps_db(n.pcm, n.rate_hz) for n in neutral]
    before = own_cpps
    for asked in (0.2, 0.4, 0.6, 0.8, 1.0):
        made = [booth.say(i, breathiness=asked) for i in _all(booth)]
        now = [acoustics.hnr(m.pcm, m.rate_hz) for m in made]
        fell = [float((b - a)[a > 0].mean()) for a, b in zip(own, now, strict=True)]
        cpps = [acoustics.cpps_db(m.pcm, m.rate_hz) for m in made]
        errors = [float(after >= earlier) for after, earlier in zip(cpps, before, strict=True)]
        achieved = [a - b for a, b in zip(cpps, own_cpps, strict=True)]
        notes = {"hnr_db": round(statistics.median(fell), 2)}
        yield Found("breathiness", f"{asked:g}", "lines", errors, 0.0, achieved, notes=notes)
        before = cpps


def emphasis(booth: Booth) -> Iterator[Found]:
    """A word between stars is longer, higher and louder than in the neutral line.

    Five words of each line in turn; the error is 1 where one of the three does not hold. That the
    word is longer is taken from the length of the whole, which nothing else changes.
    """
    for fifth in range(5):
        errors: list[float] = []
        grown: dict[str, list[float]] = {"ms": [], "st": [], "dB": []}
        for i, text in enumerate(booth.texts):
            neutral = booth.neutral(i)
            n = round(fifth * (len(neutral.words) - 1) / 4)
            start, end = (neutral.words[n][f"char_{side}"] for side in ("start", "end"))
            made = booth.say(i, text=f"{text[:start]}*{text[start:end]}*{text[end:]}")
            within_hz = acoustics.around_hz(neutral.pcm, neutral.rate_hz)
            (own_st, own_db), (now_st, now_db) = (_word(x, n, within_hz) for x in (neutral, made))
            more = {
                "ms": 1000 * (len(made.pcm) - len(neutral.pcm)) / neutral.rate_hz,
                "dB": now_db - own_db,
            }
            if own_st and now_st:  # else no frame of the word is voiced
                more["st"] = now_st - own_st
            for what, value in more.items():
                grown[what].append(value)
            errors.append(float(min(more.values()) <= 0))
        notes = {f"more_{what}": round(statistics.median(v), 2) for what, v in grown.items()}
        yield Found("emphasis", f"word {fifth + 1} of 5", "lines", errors, 0.0, notes=notes)


def _word(spoken: Spoken, n: int, within_hz: tuple[float, float]) -> tuple[float, float]:
    """A word's peak of pitch in semitones (0 where nothing is voiced) and its level in dB.

    The peak (90th percentile) is what focus raises (Cooper, Eady & Mueller 1985); a median falls
    where a longer vowel has more of the fall at a line's end in it. It is searched for around the
    line's own pitch: a word has few frames, and a wide search takes those of a fricative for a
    voice of 500 Hz, in one rendering and not in the other.
    """
    begin_s, end_s = (float(spoken.words[n][f"{side}_s"]) for side in ("start", "end"))
    hz = acoustics.f0(spoken.pcm, spoken.rate_hz, within_hz)
    t = acoustics.f0_times(spoken.pcm, spoken.rate_hz, len(hz))
    voiced = hz[(t >= begin_s) & (t <= end_s) & (hz > 0)]
    st = float(np.percentile(12 * np.log2(voiced), 90)) if voiced.size else 0.0
    return st, acoustics.level_db(spoken.pcm, spoken.rate_hz, begin_s, end_s)


CHECKS: dict[str, Callable[[Booth], Iterator[Found]]] = {
    "length": length,
    "pause": pause,
    "rate": rate,
    "pitch": pitch,
    "contour": contour,
    "range": span,
    "energy": energy,
    "tilt": tilt,
    "breathiness": breathiness,
    "emphasis": emphasis,
}
