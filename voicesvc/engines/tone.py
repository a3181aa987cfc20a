"""The small real engine of the tests: every symbol is a sine of its own pitch. No model, no torch.

Shaped as a real one: plans by symbol, computes in growing chunks, carries its state from chunk to
chunk. It counts its work, so that a test can see that work stopped. Knows nothing of weights.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from voicesvc.audio import Pcm
from voicesvc.engines import Pace, going_on
from voicesvc.errors import BadPlan
from voicesvc.phonemes import Word
from voicesvc.plan import (
    AS_MADE,
    Kind,
    Plan,
    PlannedWord,
    Unit,
    Variability,
    check_model,
    derive_seed,
    kind_of,
)

CHUNK_FRAMES = (26, 24, 64, 128, 256)  # the last one repeats
_LOWEST_HZ, _PITCHES = 110, 400  # a symbol's pitch is 110 to 509 Hz
_LEVEL = 0.3
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_TURN = 2**32  # one period of the phase, counted in integers so that chunks add up exactly


class Tone:
    """One loaded voice that needs no weights. Safe for many threads at once.

    Args:
        symbols: what it can say; any other symbol is dropped.
        model_sha256: what its plans name as their model.
        sample_rate_hz: its rate.
        frames_per_symbol: how long each symbol lasts, in frames of `hop` samples.
        delay_s: waited before each chunk, as if it took that long to compute.
        fail_at: the chunk of a stream, counted from 1, that fails with a RuntimeError.
        gate: called before each chunk, which is made once it returns.
    """

    native = frozenset({"duration"})
    f0_hz: float | None = 310.0  # the middle of its symbols'
    hop = 256
    device, precision = "any", "fp32"
    warm_key: str | None = None
    resident_bytes = 1_000_000

    def __init__(
        self,
        symbols: frozenset[str],
        model_sha256: str,
        sample_rate_hz: int = 22050,
        frames_per_symbol: int = 6,
        delay_s: float = 0.0,
        fail_at: int | None = None,
        gate: Callable[[], None] | None = None,
    ) -> None:
        self.symbols, self.model_sha256 = symbols, model_sha256
        self.sample_rate_hz, self.frames_per_symbol = sample_rate_hz, frames_per_symbol
        self.delay_s, self.fail_at, self.gate = delay_s, fail_at, gate
        self.planned = 0  # sentences
        self.chunks = 0  # computed
        self.open_streams = 0
        self.closed = False
        self._lock = threading.Lock()

    def plan(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        """Durations for one sentence.

        Raises:
            BadPlan: none of the words has a symbol it can say.
        """
        with self._lock:
            self.planned += 1
        lasts = self.frames_per_symbol
        laid: list[PlannedWord] = []
        dropped: list[str] = []
        nth = Counter[str]()
        for word in words:
            roles: list[tuple[str, Kind]] = [(s, "phone") for s in word.phones]
            roles += [(s, "pause") for s in word.after]
            dropped += [s for s, _ in roles if s not in self.symbols]
            units = tuple(
                Unit(s, ord(s[0]), kind_of(s, role), float(lasts), lasts)
                for s, role in roles
                if s in self.symbols
            )
            if units:
                key = word.text.casefold()
                laid.append(PlannedWord(word.text, word.start, word.end, nth[key], units))
                nth[key] += 1
        if not any(u.kind == "phone" for w in laid for u in w.units):
            raise BadPlan("no symbol this voice knows", valid=sorted(self.symbols))
        return Plan(
            model_sha256=self.model_sha256,
            sample_rate_hz=self.sample_rate_hz,
            hop=self.hop,
            seed=seed,
            words=tuple(laid),
            dropped=tuple(dropped),
            variability=variability,
        )

    def begin(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        """The same: its lengths are always known."""
        return self.plan(words, seed, variability)

    def stream(self, plan: Plan, chunks: tuple[int, ...] | None = None) -> Iterator[Pcm]:
        """The plan's samples, chunk by chunk; the seed sets the phase they begin with.

        Raises:
            BadPlan: the plan is for another model.
            RuntimeError: this is the chunk that was to fail.
        """
        check_model(plan, self.model_sha256)
        with self._lock:
            self.open_streams += 1
        try:
            chunks = chunks or going_on(CHUNK_FRAMES, plan.frames_before)
            yield from self._chunks(plan, chunks)
        finally:
            with self._lock:
                self.open_streams -= 1

    def _chunks(self, plan: Plan, chunks: tuple[int, ...]) -> Iterator[Pcm]:
        units = list(plan.units())
        frames = [u.frames for u in units]
        steps = np.repeat([self._step(u.symbol) for u in units], frames)  # [frames]
        levels = np.repeat([_LEVEL * (u.kind != "pause") for u in units], frames)  # [frames]
        phase = derive_seed(plan.seed, "phase") % _TURN
        done = number = 0
        level = 0.0
        while done < plan.frames:
            end = min(plan.frames, done + chunks[min(number, len(chunks) - 1)])
            number += 1
            self._compute(number)
            around = np.append(level, levels[done:end])
            pcm, phase = self._sound(steps[done:end], around, phase)
            level = float(levels[end - 1])
            done = end
            yield pcm

    def _sound(self, steps: Ints, levels: Floats, phase: int) -> tuple[Pcm, int]:
        """The samples of frames with these `steps`, [n], and the phase that they end with.

        `levels`, [n + 1], are those that each frame begins and ends with.
        """
        turns = phase + np.cumsum(np.repeat(steps, self.hop))  # [samples]
        slope = np.arange(1, self.hop + 1) / self.hop
        loud = levels[:-1, None] + np.diff(levels)[:, None] * slope
        sine = np.sin((turns % _TURN) * (2 * np.pi / _TURN))
        return (loud.reshape(-1) * sine).astype(np.float32), int(turns[-1]) % _TURN

    def _step(self, symbol: str) -> int:
        """How far the phase moves in a sample."""
        pitch_hz = _LOWEST_HZ + derive_seed("pitch", symbol) % _PITCHES
        return round(pitch_hz / self.sample_rate_hz * _TURN)

    def _compute(self, number: int) -> None:
        time.sleep(self.delay_s)
        if self.gate is not None:
            self.gate()
        with self._lock:
            self.chunks += 1
        if number == self.fail_at:
            raise RuntimeError(f"chunk {number} was to fail")

    def warm(self) -> Pace:
        """Nothing is to be warmed."""
        return ()

    def close(self) -> None:
        """Nothing is held but the word that it was closed."""
        self.closed = True
