"""Breath noise in a voice's own spectrum: mixed in it is breathiness, instead of it a whisper.

White noise goes through the all-pole envelope of the input, frame by frame (J. Makhoul (1975),
"Linear prediction: a tutorial review", Proc. IEEE 63, 561-580). Breathy voices have noise
instead of harmonics in their upper spectrum (D. H. Klatt, L. C. Klatt (1990), JASA 87, 820-857),
so for breathiness it is high-passed. In a whisper the glottis stays open: the lowest formant loses
level and all are wider (S. T. Jovičić (1998), "Formant feature differences between whispered and
voiced sustained vowels", Acustica 84, 739-743).
"""

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import butter, lfilter, sosfilt

from voicesvc.dsp.curves import Controls, Floats
from voicesvc.dsp.history import History
from voicesvc.dsp.levels import settled

WINDOW_S = 0.025  # of the envelope's analysis
EMPHASIS = 0.97  # at 22.05 kHz; the same corner at every rate
EMPHASIS_RATE_HZ = 22050
HIGH_PASS_HZ = 1800.0
BREATH_GAIN = 2.0  # of the noise at breathiness 1, against the voice's own level there
WHISPER_WIDENING_HZ = 50.0  # of every formant: the open glottis damps them
WHISPER_SLOPE = 0.6  # as EMPHASIS: what of it is taken back in a whisper
WHISPER_DB = -6.0  # a whisper's vowels against the voice's


class Aspiration:
    """Adds noise to voiced frames. The noise begins anew with every voiced stretch."""

    def __init__(self, controls: Controls, rate_hz: int, frame: int, seed: int) -> None:
        self._controls = controls
        self._frame = frame
        self._seed = seed
        self._order = 2 + round(rate_hz / 1000)
        self._half = round(WINDOW_S * rate_hz / 2)
        self._window: Floats = np.hanning(2 * self._half + 1)
        self._size = next_fast_len(2 * self._half + 1 + self._order, real=True)
        scale = EMPHASIS_RATE_HZ / rate_hz
        self._emphasis, self._slope = EMPHASIS**scale, WHISPER_SLOPE**scale
        row = np.arange(self._order)
        self._toeplitz = np.abs(row[:, None] - row)
        self._widen: Floats = np.exp(-np.pi * WHISPER_WIDENING_HZ / rate_hz) ** np.arange(
            self._order + 1
        )
        self._sos: Floats = butter(4, HIGH_PASS_HZ, "high", fs=rate_hz, output="sos")
        self._state: Floats = np.zeros((2, 2))
        self._fade: Floats = np.hanning(2 * frame + 1)[:-1]  # two of them add up to 1
        self._random = np.random.default_rng(seed)
        self._noise: Floats = np.zeros(0)
        self._was_voiced = False
        self._breath_tail: Floats = np.zeros(frame)
        self._whisper_tail: Floats = np.zeros(frame)
        self._share_tail: Floats = np.zeros(frame)
        self._next = 0  # frame

    def step(self, x: History, f0_hz: list[float], upto: int) -> tuple[Floats, Floats, Floats]:
        """Breath noise, whisper noise, and the whisper's share of power, [m] each, in order.

        They go on to the centre of frame `upto` - 1. `f0_hz` is known of frames before `upto`,
        and `x` as far as their windows go.
        """
        n = max(0, upto - self._next)
        breath, whisper, share = (
            np.concatenate([tail, np.zeros(n * self._frame)])
            for tail in (self._breath_tail, self._whisper_tail, self._share_tail)
        )
        at = np.arange(self._next, self._next + n) * self._frame
        amounts = self._controls.breathiness(at).tolist()
        shares = self._controls.whisper(at).tolist()
        heard: list[tuple[int, Floats]] = []  # frames that get noise, and the noise
        for k in range(n):
            voiced = f0_hz[self._next + k] > 0
            if voiced:
                noise = self._excite()
                if amounts[k] or shares[k]:
                    heard.append((k, noise))
                here = slice(k * self._frame, (k + 2) * self._frame)
                share[here] += shares[k] * self._fade
            self._was_voiced = voiced
        if heard:
            centres = [(self._next + k) * self._frame for k, _ in heard]
            frames = np.array([x.between(c - self._half, c + self._half + 1) for c in centres])
            filters, gains = self._shapes(frames)
            for i, (k, noise) in enumerate(heard):
                here = slice(k * self._frame, (k + 2) * self._frame)
                if amounts[k]:
                    breath[here] += amounts[k] * self._breath(filters[i], float(gains[i]), noise)
                if shares[k]:
                    whisper[here] += shares[k] * self._whisper(filters[i], frames[i], noise)
        first = self._frame if self._next == 0 and n else 0
        self._next += n
        cut = n * self._frame
        self._breath_tail, breath = breath[cut:], breath[:cut]
        self._whisper_tail, whisper = whisper[cut:], whisper[:cut]
        self._share_tail, share = share[cut:], share[:cut]
        if not n or self._controls.breathiness.is_constant(0.0):
            return breath[first:], whisper[first:], share[first:]
        breath, state = sosfilt(self._sos, breath, zi=self._state)
        self._state = settled(state)
        return breath[first:], whisper[first:], share[first:]

    def _excite(self) -> Floats:
        """White noise of this frame: one frame to settle the filter, two to be heard."""
        if not self._was_voiced:
            self._random = np.random.default_rng(self._seed)
            self._noise = self._random.standard_normal(3 * self._frame)
        else:
            fresh = self._random.standard_normal(self._frame)
            self._noise = np.concatenate([self._noise[self._frame :], fresh])
        return self._noise

    def _shapes(self, frames: Floats) -> tuple[Floats, Floats]:
        """Linear prediction of frames [n, window]: filters [n, order + 1] and gains [n].

        By the autocorrelation method (Makhoul 1975, Proceedings of the IEEE 63, 561-580).
        """
        flat = frames.copy()
        flat[:, 1:] -= self._emphasis * frames[:, :-1]
        flat *= self._window
        power = np.abs(np.fft.rfft(flat, self._size)) ** 2
        r = np.fft.irfft(power, self._size)[:, : self._order + 1]
        r[:, 0] = r[:, 0] * 1.0001 + 1e-9
        a = np.ones_like(r)
        a[:, 1:] = -np.linalg.solve(r[:, self._toeplitz], r[:, 1:, None])[..., 0]
        left = np.maximum((a * r).sum(1), 0.0)
        return a, np.sqrt(left / float(self._window @ self._window))

    def _breath(self, a: Floats, gain: float, noise: Floats) -> Floats:
        """A frame's noise at breathiness 1, [2 * frame]."""
        y = lfilter([gain], np.convolve(a, [1.0, -self._emphasis]), noise)[self._frame :]
        return np.asarray(BREATH_GAIN * y * self._fade)

    def _whisper(self, a: Floats, frame: Floats, noise: Floats) -> Floats:
        """A frame's noise where it is whispered, [2 * frame]."""
        open_glottis = np.convolve(a * self._widen, [1.0, -self._slope])
        y = lfilter([1.0], open_glottis, noise)[self._frame :]
        level = float(np.sqrt(np.mean((frame * self._window) ** 2) / np.mean(self._window**2)))
        own = float(np.sqrt(np.mean(y * y)))
        level *= 10 ** (WHISPER_DB / 20) / max(own, 1e-9)
        return np.asarray(level * y * self._fade)
