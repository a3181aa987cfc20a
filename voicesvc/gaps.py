"""How long it is silent between two sounds, as a meter hears it: 40 dB below what is loudest.

The model's own durations do not say it: the decay of a word, and the closure of a stop before or
after a border, are silent too, and they belong to what an editor takes for the pause. Knows nothing
of words or plans.
"""

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.dsp.curves import Floats

QUIET_DB = -40.0  # against the loudest so far: below it nobody speaks
AHEAD_S = 0.25  # how far behind a pause the next sound may begin: a stop's closure is shorter
_BLOCK_S = 0.001
_METER_BLOCKS = 7  # a meter's window, as sharp as one may be that finds borders to 2 ms


def around(pcm: Pcm, place: int, rate_hz: int) -> tuple[int, int]:
    """How many samples of `pcm`, [n], before `place` are heard as silence, and how many from it on.

    Sound may reach into what is put in there: then there are fewer than none.
    """
    block = round(_BLOCK_S * rate_hz)
    threshold = float(_meter(_power(pcm, block)).max()) * 10 ** (QUIET_DB / 10)
    if threshold <= 0.0:
        return place, len(pcm) - place
    before = _quiet_behind(pcm[:place], block, threshold)
    return before, _quiet_behind(pcm[place:][::-1], block, threshold)


def _quiet_behind(pcm: Pcm, block: int, threshold: float) -> int:
    """Samples of silence at the end; negative: what it takes until there is some."""
    room = np.zeros(_METER_BLOCKS, np.float64)
    aligned = pcm[len(pcm) % block :]
    heard = _meter(np.concatenate([_power(aligned, block), room]))
    loud = np.flatnonzero(heard >= threshold)
    last = int(loud[-1]) + 1 if len(loud) else 0
    return (len(heard) - len(room) - last) * block


def _power(pcm: Pcm, block: int) -> Floats:
    """Mean square of each block, [n // block]."""
    whole = pcm[: len(pcm) // block * block].astype(np.float64)
    return np.asarray(np.mean(np.square(whole).reshape(-1, block), axis=1), np.float64)


def _meter(power: Floats) -> Floats:
    window = np.hanning(_METER_BLOCKS + 2)[1:-1]
    return np.convolve(power, window / window.sum(), "same")
