"""Energy, tilt and the limiter: gains that change in time, none of which waits but the limiter."""

import math

import numpy as np
from scipy.ndimage import minimum_filter1d
from scipy.signal import lfilter

from voicesvc.audio import Pcm
from voicesvc.dsp.curves import Curve, Floats
from voicesvc.dsp.history import Blocks

SHELF_HZ = 1500.0
CEILING_DB = -0.3  # dBFS, of the limiter
AHEAD_S = 0.005  # the limiter's attack
HOLD_S = 0.02  # how long the limiter holds before it lets go


def on_grid(curve: Curve, frame: int, start: int, stop: int) -> Floats:
    """A curve in dB as factors for samples [start, stop), straight lines between frames.

    So a step in the curve takes one `frame` of samples, and no click is heard.
    """
    first = start // frame
    knots = np.arange(first, stop // frame + 2)
    gain = np.array([10.0 ** (db / 20) for db in curve(knots * frame).tolist()])
    t = np.arange(start, stop)
    k = t // frame - first
    return np.asarray(gain[k] + (gain[k + 1] - gain[k]) * ((t % frame) / frame))


def settled(state: Floats) -> Floats:
    """A filter's state, zero once it is far below what a float32 sample can hold.

    Left to fade in digital silence it becomes denormal, and arithmetic a hundred times slower.
    """
    return state if float(np.abs(state).max()) > 1e-60 else np.zeros_like(state)


class Shelf:
    """A high shelf of one pole above `SHELF_HZ` whose gain may change with every sample.

    The input plus (gain - 1) times its own high-pass is exactly such a shelf, and is the input
    where the gain is 1. A shelf so made reaches half its dB at its pole's frequency divided by
    sqrt(gain); so boosts and cuts have a high-pass each, for which 6 dB is centred on `SHELF_HZ`.
    """

    def __init__(self, rate_hz: int) -> None:
        self._sections = []
        for pole_hz in (SHELF_HZ * math.sqrt(2), SHELF_HZ / math.sqrt(2)):
            k = math.tan(math.pi * min(pole_hz / rate_hz, 0.45))
            b = np.array([1.0, -1.0]) / (1 + k)
            a = np.array([1.0, (k - 1) / (k + 1)])
            self._sections.append((b, a))
        self._states: list[Floats] = [np.zeros(1), np.zeros(1)]

    def feed(self, x: Floats, gain: Floats) -> Floats:
        """Samples and their gains as factors, [n] each."""
        out = x
        for k, part in enumerate((np.maximum(gain, 1.0), np.minimum(gain, 1.0))):
            high, state = lfilter(*self._sections[k], x, zi=self._states[k])
            self._states[k] = settled(state)
            out = out + (part - 1.0) * high
        return out


class Limiter:
    """Keeps samples within `CEILING_DB`; where none goes beyond they stay as they are.

    The gain falls over `AHEAD_S` before a peak and comes back after `HOLD_S`, without steps. As
    many samples come out as went in, the same however they are cut; they wait for up to
    `lookahead_s`.
    """

    def __init__(self, rate_hz: int) -> None:
        self._ahead = max(1, round(AHEAD_S * rate_hz))
        self._hold = max(1, round(HOLD_S * rate_hz))
        self._ceiling = 10 ** (CEILING_DB / 20)
        window = np.hanning(self._ahead + 3)[1:-1]
        self._window: Floats = window / window.sum()  # [ahead + 1]
        self._blocks = Blocks(self._ahead)
        self._past: Floats = np.zeros(self._hold + 2 * self._ahead)
        self._given = -self._ahead
        self.lookahead_samples = 2 * self._ahead
        self.lookahead_s = self.lookahead_samples / rate_hz

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples, [m], that became certain with `pcm`, [n]; m may be 0."""
        return self._run(self._blocks.feed(pcm.astype(np.float64)))

    def flush(self) -> Pcm:
        """The samples that waited. Nothing may be fed afterwards."""
        left = self._blocks.fed - max(0, self._given)
        return self._run(self._blocks.flush(2))[:left]

    def _run(self, blocks: list[Floats]) -> Pcm:
        parts = [np.zeros(0)]
        for block in blocks:
            x = np.concatenate([self._past, block])  # [hold + 3 ahead]
            self._past = x[self._ahead :]
            first = self._hold + self._ahead
            out = x[first : first + self._ahead]
            if np.abs(x).max() > self._ceiling:
                out = out * self._gain(x)
            if self._given >= 0:
                parts.append(out)
            self._given += self._ahead
        return np.concatenate(parts).astype(np.float32)

    def _gain(self, x: Floats) -> Floats:
        """For the samples between the past and what is ahead, [ahead]."""
        wanted = np.minimum(1.0, self._ceiling / np.maximum(np.abs(x), self._ceiling))
        size = self._hold + self._ahead + 1  # least over [n - hold, n + ahead]
        least = minimum_filter1d(wanted, size, mode="constant", cval=1.0, origin=self._off(size))
        # Smoothing what is taken away, not what is left, leaves exactly 1 where nothing is.
        reduced = np.convolve(1.0 - least, self._window)
        first = self._hold + self._ahead
        return np.asarray(1.0 - reduced[first : first + self._ahead])

    def _off(self, size: int) -> int:
        """scipy's origin for a window that begins `hold` before its sample."""
        return self._hold - size // 2
