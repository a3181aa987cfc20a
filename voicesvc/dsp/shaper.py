"""A sentence's samples shaped as its controls ask: a stream in, as many samples out.

The order is pitch, then breath and whisper, then tilt, then energy. Knows nothing of words.
"""

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.dsp.aspiration import Aspiration
from voicesvc.dsp.curves import Controls, Floats
from voicesvc.dsp.history import Blocks
from voicesvc.dsp.levels import Shelf, on_grid
from voicesvc.dsp.psola import Psola
from voicesvc.dsp.tracker import FRAME_S

BLOCK_FRAMES = 16
ZONE_MS = 120.0
"""A change of the controls or of the input at one place changes samples up to the end of the voiced
stretch it falls in, and this much around it. Where the controls ask for nothing again within a
voiced stretch, the output is the input again after this much at the latest."""


class Shaper:
    """Applies `controls` to one sentence.

    As many samples come out as went in, in order, however they are cut, and where nothing is
    asked for they are the same, bit for bit. `lookahead_s` is the most by which samples out lag
    behind samples in; 0 where only energy or tilt is asked for.

    f0 is looked for every `grid_samples` samples, 5 ms unless given. A model whose durations are
    whole frames keeps the sound after an edited word the same if that is a divisor of its frame.

    Raises:
        ValueError: `grid_samples` is not positive, or the rate is below 8000 Hz.
    """

    def __init__(
        self, controls: Controls, rate_hz: int, seed: int, grid_samples: int | None = None
    ) -> None:
        frame = round(FRAME_S * rate_hz) if grid_samples is None else grid_samples
        if frame < 1 or rate_hz < 8000:
            raise ValueError(f"no grid of {frame} samples at {rate_hz} Hz")
        self._controls = controls
        self._frame = frame
        self._given = 0
        self._psola: Psola | None = None
        self._breath: Aspiration | None = None
        self._shelf = None if controls.tilt_db.is_constant(0.0) else Shelf(rate_hz)
        self.lookahead_samples = 0
        if controls.wait:
            self._psola = Psola(controls, rate_hz, frame, seed)
            self._blocks = Blocks(BLOCK_FRAMES * frame)
            self.lookahead_samples = self._psola.lookahead + self._blocks.size
        if controls.adds_noise:
            self._breath = Aspiration(controls, rate_hz, frame, seed)
            self.lookahead_samples += 2 * frame
        self.lookahead_s = self.lookahead_samples / rate_hz

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples that became certain with `pcm`, [n]; [m], m may be 0."""
        if self._controls.identity:
            return pcm
        x = pcm.astype(np.float64)
        if self._psola is None:
            return self._levelled(x)
        return self._run(self._psola, self._blocks.feed(x))

    def flush(self) -> Pcm:
        """The samples that waited for what comes next. Nothing may be fed afterwards."""
        if self._psola is None:
            return np.zeros(0, np.float32)
        end = self._blocks.fed
        left = end - self._given
        parts = [self._run(self._psola, self._blocks.flush(0))]
        while self._given < end:
            parts.append(self._run(self._psola, self._blocks.flush(1)))
        return np.concatenate(parts)[:left]

    def _run(self, psola: Psola, blocks: list[Floats]) -> Pcm:
        parts = [np.zeros(0, np.float32)]
        for block in blocks:
            psola.step(block)
            parts.append(self._levelled(self._breathed(psola)))
        return np.concatenate(parts)

    def _breathed(self, psola: Psola) -> Floats:
        """The next samples with their pitch moved and breath in them."""
        done = psola.done
        if self._breath is None:
            x = psola.out.between(self._given, done)
        else:
            frames = min(done // self._frame + 1, len(psola.f0_hz))
            breath, whisper, share = self._breath.step(psola.x, psola.f0_hz, frames)
            done = self._given + len(breath)
            x = psola.out.between(self._given, done)
            x = x * np.sqrt(np.maximum(1.0 - share, 0.0)) + breath + whisper
        psola.out.drop(done)
        return x

    def _levelled(self, x: Floats) -> Pcm:
        """Tilt and energy, from sample `_given` on."""
        start, stop = self._given, self._given + len(x)
        self._given = stop
        if not len(x):
            return np.zeros(0, np.float32)
        if self._shelf is not None:
            x = self._shelf.feed(x, on_grid(self._controls.tilt_db, self._frame, start, stop))
        if not self._controls.energy_db.is_constant(0.0):
            x = x * on_grid(self._controls.energy_db, self._frame, start, stop)
        return x.astype(np.float32)
