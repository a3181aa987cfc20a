"""VITS's prior: from what the text encoder found, and noise, to what the flow takes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from voicesvc.plan import Plan, PlannedWord, Unit, derive_seed

_ALIGN = 16  # torch.randn's block: rows of whole blocks do not depend on how many rows follow


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the text encoder found: the prior's mean and scaled deviation, both [units, C]."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True, slots=True)
class Opening:
    """The same of a long line's first words, whose durations are known before the others'."""

    words: tuple[PlannedWord, ...]
    hidden: Hidden


def lasting(words: Sequence[PlannedWord], frames: Iterable[float]) -> tuple[PlannedWord, ...]:
    """Words whose units last so many frames, one after the other: rounded up, as VITS does."""
    at = iter(frames)
    return tuple(
        replace(
            w,
            units=tuple(
                [Unit(u.symbol, u.id, u.kind, f := next(at), math.ceil(f)) for u in w.units]
            ),
        )
        for w in words
    )


def word_noise(word: PlannedWord, seed: int, purpose: str, shape: tuple[int, int]) -> Tensor:
    """Standard normal noise [rows, columns] that depends on seed and word alone.

    More rows leave the earlier ones as they were, so a longer word keeps its beginning.
    """
    rows, columns = shape
    generator = torch.Generator().manual_seed(derive_seed(seed, purpose, word.key))
    wide = -(-columns // _ALIGN) * _ALIGN
    return torch.randn(rows, wide, generator=generator)[:, :columns]


class Prior:
    """The prior's samples, drawn word by word as they are asked for."""

    def __init__(self, line: Plan, words: Sequence[PlannedWord], hidden: Hidden) -> None:
        self._seed, self._drawn = line.seed, 0
        self._held = torch.empty(0, hidden.mean.shape[1])
        self.know(words, hidden)

    def know(self, words: Sequence[PlannedWord], hidden: Hidden) -> None:
        """More of the line, from its beginning on: that is as it was."""
        self._words, self._hidden = words, hidden
        frames = torch.tensor([u.frames for w in words for u in w.units], dtype=torch.int64)
        self._unit_of = torch.repeat_interleave(frames).to(hidden.mean.device)  # [frames]
        self.frames = len(self._unit_of)

    def __call__(self, begin: int, end: int) -> Tensor:
        """Those of frames [begin, end), which follow the last: [1, n, C]."""
        n = end - begin
        while self._held.shape[0] < n:
            self._held = torch.cat([self._held, self._draw()])
        noise, self._held = self._held[:n], self._held[n:].clone()  # a view would keep all of it
        i = self._unit_of[begin:end]
        noise = noise.to(self._hidden.mean.device)
        return torch.addcmul(self._hidden.mean[i], noise, self._hidden.deviation[i])[None]

    def _draw(self) -> Tensor:
        word = self._words[self._drawn]
        self._drawn += 1
        return word_noise(word, self._seed, "prior", (word.frames, self._held.shape[1]))
