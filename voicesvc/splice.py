"""Two renderings of one line joined: what was kept from the one, what was changed from the other.

Kept stretches have their samples unchanged, to the bit: cross-fades lie in what is new. Only where
something was taken out and nothing put in its place, the fade is in what follows. Knows nothing of
words or plans.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from voicesvc.audio import Pcm

FADE_S = 0.008
SEARCH_S = 0.006  # each way, for the place where the two waveforms are most alike
_FAINT = 1e-9  # energy below which any place is as good as another


@dataclass(frozen=True, slots=True)
class Part:
    """Samples [begin, end) of the rendering that was there, or of the new one."""

    source: Literal["kept", "new"]
    begin: int
    end: int

    @property
    def samples(self) -> int:
        """Its length."""
        return self.end - self.begin


def fitted(parts: Sequence[Part], kept: Pcm, new: Pcm, rate_hz: int) -> list[Part]:
    """The parts with the borders of new ones moved to where the waveforms go on best.

    At each joint the place is the one with the highest normalised cross-correlation over the fade
    (as in WSOLA: Verhelst & Roelands 1993, ICASSP), up to `SEARCH_S` away.
    """
    fade, search = round(FADE_S * rate_hz), round(SEARCH_S * rate_hz)
    placed = list(parts)
    for i, part in enumerate(parts):
        if part.source != "new" or part.samples <= 2 * (fade + search):
            continue
        begin, end = part.begin, part.end
        if i > 0:
            goal = kept[parts[i - 1].end : parts[i - 1].end + fade]
            begin += _best(goal, new, part.begin, search)
        if i + 1 < len(parts):
            goal = kept[max(parts[i + 1].begin - fade, 0) : parts[i + 1].begin]
            end += _best(goal, new, part.end - len(goal), search)
        placed[i] = replace(part, begin=begin, end=end)
    return placed


def _best(goal: Pcm, new: Pcm, at: int, search: int) -> int:
    """How far from `at` the stretch of `new` lies that is most like `goal`; 0 where none is."""
    low, high = max(at - search, 0), min(at + search, len(new) - len(goal))
    if not len(goal) or high < low:
        return 0
    wanted = goal.astype(np.float64)
    around = new[low : high + len(goal)].astype(np.float64)
    product = np.correlate(around, wanted, "valid")
    squares = np.cumsum(np.concatenate([[0.0], around * around]))
    energy = squares[len(goal) :] - squares[: -len(goal)]
    if float(wanted @ wanted) < _FAINT or float(energy.max()) < _FAINT:
        return 0
    return low + int(np.argmax(product / np.sqrt(np.maximum(energy, _FAINT)))) - at


def joined(parts: Sequence[Part], kept: Pcm, new: Pcm, rate_hz: int) -> Pcm:
    """The parts one after another, [sum of their samples]; kept ones as they are."""
    fade = round(FADE_S * rate_hz)
    out = []
    for i, part in enumerate(parts):
        samples = (kept if part.source == "kept" else new)[part.begin : part.end].copy()
        torn = part.source == "kept" and i > 0 and parts[i - 1].source == "kept"
        if torn:
            n = min(fade, len(samples))
            old = _padded(kept[parts[i - 1].end : parts[i - 1].end + n], n)
            samples[:n] = _crossed(old, samples[:n])
        if part.source == "new":
            n = min(fade, len(samples) // 2)
            if i > 0:
                old = _padded(kept[parts[i - 1].end : parts[i - 1].end + n], n)
                samples[:n] = _crossed(old, samples[:n])
            if i + 1 < len(parts) and n:
                at = parts[i + 1].begin
                old = _padded(kept[max(at - n, 0) : at], n)
                samples[-n:] = _crossed(samples[-n:], old)
        out.append(samples)
    return np.concatenate([np.zeros(0, np.float32), *out])


def _padded(pcm: Pcm, n: int) -> Pcm:
    return np.pad(pcm, (0, n - len(pcm)))


def _crossed(before: Pcm, after: Pcm) -> Pcm:
    """One into the other, linearly: they are alike, so amplitudes and not powers add up to one."""
    rising = ((np.arange(len(after)) + 0.5) / max(len(after), 1)).astype(np.float32)
    crossed: Pcm = before * (1 - rising) + after * rising
    return crossed
