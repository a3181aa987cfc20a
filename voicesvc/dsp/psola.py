"""Time-domain pitch-synchronous overlap-add on a stream, exact where nothing is asked.

E. Moulines, F. Charpentier (1990), "Pitch-synchronous waveform processing techniques for
text-to-speech synthesis using diphones", Speech Communication 9, 453-467. Seen as it is here, the
sound between two synthesis marks is a crossfade of two shifted copies of the input: each mark
shifts the input by its distance from the analysis mark that it stands for. Where both shifts are
zero the input passes untouched. Every voiced stretch begins with shift zero, and whenever no
change of pitch is asked for the shift glides back to zero.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import firwin

from voicesvc.dsp.curves import Controls, Floats
from voicesvc.dsp.history import History
from voicesvc.dsp.marks import Marker, Stretch
from voicesvc.dsp.tracker import FLOOR_HZ, Analysis

GLIDE = 0.12  # of a period, per period: how fast the shift returns to zero
LIMIT_ST = 15.0  # no period is changed by more, whatever the curves add up to
LOWEST_HZ = 45.0  # f0 is lowered no further
PHASES = 64  # fractions of a sample that a shift is rounded to
TAPS = 32  # of the interpolator
GAIN_LIMIT = 1.7  # factor, of the level correction
SURE_THRESHOLD = 0.55  # of voicing: what is half noise is better left alone than moved
SURE_PEAK = 0.02  # -34 dBFS, likewise


def _interpolators() -> Floats:
    """[PHASES, TAPS]: correlating row k with samples from i on gives x(i + TAPS/2 - 1 + k/PHASES).

    A windowed sinc, half its level at the Nyquist frequency.
    """
    taps = firwin(TAPS * PHASES + 1, 1.0 / PHASES, window=("kaiser", 6.0))
    rows = taps[:-1].reshape(TAPS, PHASES).T[:, ::-1]
    return np.ascontiguousarray(rows / rows.sum(1, keepdims=True))


INTERPOLATORS = _interpolators()


@dataclass(slots=True)
class Grain:
    """A synthesis mark: where it is, what it copies, and how wide its window is; in samples."""

    at: float
    shift: float  # `at` less the analysis mark's position
    period: float  # of the input at its analysis mark
    power: float  # mean square of the input over the two periods around; NaN ends the stretch


class Psola:
    """F0 of a stream changed as `controls` ask: the input in `x`, the output in `out`.

    The samples of `out` before `done` have their last value; whoever takes them drops them. Both
    are kept as far back as a grain may reach.
    """

    def __init__(self, controls: Controls, rate_hz: int, frame: int, seed: int) -> None:
        self._controls = controls
        self._rate_hz = rate_hz
        self._frame = frame
        self._seed = seed
        whispers = not controls.whisper.is_constant(0.0)  # no voice is to be left over then
        voicing = () if whispers else (SURE_THRESHOLD, SURE_PEAK)
        self.analysis = Analysis(rate_hz, frame, *voicing)
        lowered = self.analysis.lowered
        self.marker = Marker(rate_hz, frame, lowered.out, lowered.factor)
        self.x = History()  # the input
        self.out = History()
        self.done = 0
        self.f0_hz: list[float] = []  # by frame
        self._run: _Run | None = None
        self.slowest = rate_hz / LOWEST_HZ
        self.lookahead = self.analysis.lookahead + frame
        if controls.moves_pitch:
            grains = math.ceil(3 * self.slowest + rate_hz / FLOOR_HZ)
            self.lookahead += self.marker.lookahead - frame + grains

    def step(self, block: Floats) -> None:
        """Take one block of input, [size]."""
        keep = self.done - math.ceil(4 * self._rate_hz / FLOOR_HZ)
        self.x.drop(keep)
        self.analysis.lowered.out.drop(keep // self.analysis.lowered.factor - 1)
        self.x.append(block)
        self.out.append(block)
        f0 = self.analysis.step(block)
        self.f0_hz += f0
        if not self._controls.moves_pitch:
            done = (len(self.f0_hz) - 0.5) * self._frame
        else:
            self.marker.step(f0)
            done = self._synthesise()
        self.done = max(self.done, int(done))

    def _synthesise(self) -> float:
        """Go on with the stretches; up to where samples have their last value."""
        stretches = self.marker.stretches
        while stretches:
            stretch = stretches[0]
            if self._run is None:
                if not stretch.marks:
                    if not stretch.closed:
                        break
                    stretches.pop(0)
                    continue
                self._run = _Run(self, stretch)
            if not self._run.go():
                break
            self._run = None
            stretches.pop(0)
        if not stretches:
            return self.marker.decided
        return stretches[0].start if self._run is None else self._run.done


class _Run:
    """The synthesis of one voiced stretch."""

    def __init__(self, psola: Psola, stretch: Stretch) -> None:
        self._psola = psola
        self._stretch = stretch
        self._random = np.random.default_rng(psola._seed)
        self._rough_st = self._draw_st()  # of the next grain
        self._j = 0  # analysis mark of the newest grain
        self._grains: list[Grain] = []
        self._cut: list[tuple[int, Floats, bool, float, float]] = []
        self.done = stretch.marks[0]
        self._gain = 1.0

    def go(self) -> bool:
        """Make what can be made; whether the stretch is finished."""
        marks = self._stretch.marks
        if not self._grains:
            if len(marks) < 3:
                return self._stretch.closed
            self._grains.append(self._grain(marks[0], 0))
        while True:
            found = self._following()
            if found is None:
                return False
            self._add(found)
            self._rough_st = self._draw_st()
            if math.isnan(found.power):
                return True

    def _following(self) -> Grain | None:
        """The next grain; one of no power where the stretch ends; None where not known yet."""
        marks, closed = self._stretch.marks, self._stretch.closed
        last, j = self._grains[-1], self._j
        heard = last.at / self._psola._frame + 1 < len(self._psola.f0_hz)
        if not closed and (j + 1 >= len(marks) or not heard):
            return None
        delta = self._delta_st(last.at)
        if delta == 0.0 and j + 1 < len(marks):
            period = marks[j + 1] - marks[j]
            back = min(max(last.shift, -GLIDE * period), GLIDE * period)
            at = marks[j + 1] + (last.shift - back)
        else:
            factor = 2.0 ** (-delta / 12)
            period = self._period(last.at, factor)
            if math.isnan(period):
                return None
            at = last.at + min(period * factor, self._psola.slowest)
        k = j
        while k + 1 < len(marks) and abs(marks[k + 1] - at) <= abs(marks[k] - at):
            k += 1
        if k + 1 >= len(marks) and not closed:
            return None
        if at > min(self._stretch.end - 0.5 * period, marks[-1] + 0.5 * period):
            end = min(last.at + period, self._stretch.end) if last.shift else last.at
            return Grain(end, 0.0, period, math.nan)
        self._j = k
        return self._grain(at, k)

    def _period(self, at: float, factor: float) -> float:
        """Of the input halfway to the next grain, in samples; not a number if not known yet."""
        marks, j = self._stretch.marks, self._j
        rough = marks[j + 1] - marks[j] if j + 1 < len(marks) else marks[j] - marks[j - 1]
        middle = at + 0.5 * rough * factor
        k = j
        while k + 1 < len(marks) and marks[k + 1] <= middle:
            k += 1
        while k > 0 and marks[k] > middle:
            k -= 1
        if k + 1 >= len(marks):
            return marks[k] - marks[k - 1] if self._stretch.closed else math.nan
        return marks[k + 1] - marks[k]

    def _grain(self, at: float, j: int) -> Grain:
        marks = self._stretch.marks
        left, right = marks[max(j - 1, 0)], marks[min(j + 1, len(marks) - 1)]
        x = self._psola.x.between(round(left), round(right))
        period = (right - left) / (min(j + 1, len(marks) - 1) - max(j - 1, 0))
        return Grain(at, at - marks[j], period, float(x @ x) / len(x))

    def _delta_st(self, at: float) -> float:
        """What is asked for at a sample of the stretch."""
        controls = self._psola._controls
        t = np.array([at])
        delta = float(controls.pitch_st(t)[0])
        spread = float(controls.range(t)[0])
        if spread != 1.0:
            place = at / self._psola._frame
            k = int(place)
            f0 = self._psola.f0_hz
            near = [f for f in f0[max(k, 0) : k + 2] if f > 0]
            if near:
                a, b = near[0], near[-1]
                octaves = math.log2(a) + (place - k) * (math.log2(b) - math.log2(a))
                delta += (spread - 1.0) * 12 * (octaves - math.log2(controls.pivot_hz))
        return min(max(delta + self._rough_st, -LIMIT_ST), LIMIT_ST)

    def _draw_st(self) -> float:
        jitter_st = self._psola._controls.jitter_st
        return jitter_st * float(self._random.standard_normal()) if jitter_st else 0.0

    def _add(self, new: Grain) -> None:
        """Take one more grain, and make the segment that it was the last to bear on."""
        self._grains = [*self._grains[-3:], new]
        last = math.isnan(new.power)
        if len(self._grains) > 2:
            self._segment(len(self._grains) - 3)
        if last:
            self._segment(len(self._grains) - 2)
            self._finish(1.0)

    def _untouched(self, i: int) -> bool:
        """Whether the segment after grain `i` is the input's, or is not in the stretch."""
        grains = self._grains
        if not 0 <= i < len(grains) - 1:
            return True
        return grains[i].shift == 0.0 == grains[i + 1].shift

    def _segment(self, i: int) -> None:
        """Make the samples between grains `i` and `i` + 1, and finish those before.

        A grain's window is a period of the input to both sides, but none reaches into a segment
        that is left untouched.
        """
        grains = self._grains
        old, new = grains[i], grains[i + 1]
        a, b = math.ceil(old.at), math.ceil(new.at)
        same = self._untouched(i)
        if same:
            y = self._psola.x.between(a, b)
        else:
            before, after = self._untouched(i - 1), self._untouched(i + 1)
            first = old.at if before else grains[i - 1].at
            last = new.at if after else grains[i + 2].at
            back = old.at if math.isnan(new.power) else first  # the end is heard in the last only
            heard = [
                (old.shift, old.at, min(old.period, last - old.at)),
                (new.shift, new.at, -min(new.period, new.at - back)),
            ]
            if not before and grains[i - 1].period > old.at - first:
                reach = min(grains[i - 1].period, new.at - first)
                heard.append((grains[i - 1].shift, first, reach))
            if not after and not math.isnan(grains[i + 2].power):
                reach = min(grains[i + 2].period, last - old.at)
                if reach > last - new.at:
                    heard.append((grains[i + 2].shift, last, -reach))
            t = np.arange(a, b, dtype=np.float64)
            y = np.zeros(b - a)
            for shift, at, reach in heard:
                y += _half_hann((t - at) / reach) * self._shifted(a, b, shift)
        power = old.power if math.isnan(new.power) else 0.5 * (old.power + new.power)
        self._cut.append((a, y, same, power * len(y), float(y @ y)))
        if len(self._cut) == 2:
            self._finish(self._level())

    def _level(self) -> float:
        """The factor at the mark between two segments that keeps the power of the input."""
        (_, _, first, asked, made), (_, _, second, more_asked, more_made) = self._cut
        if (first and second) or made + more_made == 0:
            return 1.0
        gain = math.sqrt((asked + more_asked) / (made + more_made))
        return min(max(gain, 1 / GAIN_LIMIT), GAIN_LIMIT)

    def _finish(self, gain: float) -> None:
        """Write the oldest segment, its level going from the last gain to this."""
        a, y, same, _, _ = self._cut.pop(0)
        if not (same and gain == self._gain == 1.0) and len(y):
            y = y * np.linspace(self._gain, gain, len(y), endpoint=False)
            self._psola.out.replace(a, y)
        self._gain = gain
        self.done = a + len(y)

    def _shifted(self, a: int, b: int, shift: float) -> Floats:
        """Input samples [a, b) less `shift`."""
        if shift == 0.0:
            return self._psola.x.between(a, b)
        k = round(-shift * PHASES)
        whole, phase = divmod(k, PHASES)
        half = TAPS // 2
        x = self._psola.x.between(a + whole - half + 1, b + whole + half)
        return np.correlate(x, INTERPOLATORS[phase], "valid")


def _half_hann(u: Floats) -> Floats:
    """1 at 0, 0 from 1 on."""
    return 0.5 + 0.5 * np.cos(np.pi * np.minimum(u, 1.0))
