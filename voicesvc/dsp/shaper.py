"""A sentence's samples shaped as its controls ask: a stream in, as many samples out.

The order is pitch, then breath and whisper, then tilt, then energy. Knows nothing of words.
"""

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.dsp.curves import Controls, Curve, Floats
from voicesvc.dsp.history import Blocks
from voicesvc.dsp.psola import Psola
from voicesvc.dsp.tracker import FRAME_S

BLOCK_FRAMES = 4


class Shaper:
    """Applies `controls` to one sentence.

    As many samples come out as went in, in order, however they are cut, and where nothing is
    asked for they are the same, bit for bit. `lookahead_s` is the most by which samples out lag
    behind samples in; 0 where only energy or tilt is asked for.
    """

    def __init__(
        self, controls: Controls, rate_hz: int, seed: int, grid_samples: int | None = None
    ) -> None:
        self._controls = controls
        self._frame = grid_samples or round(FRAME_S * rate_hz)
        self._given = 0
        self._psola: Psola | None = None
        self.lookahead_samples = 0
        if controls.moves_pitch or controls.adds_noise:
            self._psola = Psola(controls, rate_hz, self._frame, seed)
            self._blocks = Blocks(BLOCK_FRAMES * self._frame)
            self.lookahead_samples = self._psola.lookahead + self._blocks.size
        self.lookahead_s = self.lookahead_samples / rate_hz

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples that became certain with `pcm`, [n]; [m], m may be 0."""
        if self._controls.identity:
            return pcm
        x = pcm.astype(np.float64)
        if self._psola is None:
            return self._levelled(x)
        return self._run(self._blocks.feed(x))

    def flush(self) -> Pcm:
        """The samples that waited for what comes next. Nothing may be fed afterwards."""
        if self._psola is None:
            return np.zeros(0, np.float32)
        left = self._blocks.fed - self._given
        more = self._psola.lookahead // self._blocks.size + 2
        return self._run(self._blocks.flush(more))[:left]

    def _run(self, blocks: list[Floats]) -> Pcm:
        psola = self._psola
        assert psola is not None
        for block in blocks:
            psola.step(block)
        done = psola.done
        out = self._levelled(psola.out.between(self._given, done))
        psola.out.drop(done)
        return out

    def _levelled(self, x: Floats) -> Pcm:
        """Tilt and energy, from sample `_given` on."""
        at = self._given
        self._given += len(x)
        if not self._controls.energy_db.is_constant(0.0):
            x = x * self._on_grid(self._controls.energy_db, at, len(x))
        return x.astype(np.float32)

    def _on_grid(self, curve_db: Curve, at: int, n: int) -> Floats:
        """A curve in dB as factors for samples [at, at + n), a straight line between frames.

        So a step in the curve takes a frame, and no click is heard.
        """
        first = at // self._frame
        knots = np.arange(first, (at + n) // self._frame + 2)
        values = curve_db(knots * self._frame).tolist()
        gain = np.array([10.0 ** (v / 20) for v in values])
        t = np.arange(at, at + n)
        k = t // self._frame - first
        part = (t % self._frame) / self._frame
        return np.asarray(gain[k] + (gain[k + 1] - gain[k]) * part)
