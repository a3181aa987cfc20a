"""What a GPT says between its tokens and their sound: kept, and one part after another."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from voicesvc.audio import Pcm
from voicesvc.engines import Cell
from voicesvc.engines.together import Sound


@dataclass(frozen=True, slots=True)
class Latents:
    """A style: conditioning [32, C] and speaker [D]."""

    conditioning: Tensor
    speaker: Tensor


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the GPT says: for each part of the sentence its latents [C], one by one."""

    parts: tuple[Iterable[Tensor], ...]


class Kept:
    """Latents of a stream, kept so that they can be had again. One thread at a time."""

    def __init__(self, source: Iterator[Tensor], ready: Callable[[], int]) -> None:
        self._source, self._ready, self._known = source, ready, list[Tensor]()

    def there(self) -> int:
        """How many can be had without waiting, from the first one on."""
        return len(self._known) + self._ready()

    def __iter__(self) -> Iterator[Tensor]:
        yield from self._known
        for latent in self._source:
            self._known.append(latent)
            yield latent


class Sounds(Iterator[Pcm]):
    """The parts of a sentence, one after another; see `together.Sound`."""

    def __init__(self, parts: Iterable[Sound]) -> None:
        self._parts = deque(parts)

    def cell(self) -> Cell | None:
        """The next cell, if it can be computed beside others'."""
        return self._parts[0].cell() if self._parts else None

    def close(self) -> None:
        """End it, and let go of what it carries."""
        for part in self._parts:
            part.close()
        self._parts.clear()

    def __next__(self) -> Pcm:
        while self._parts:
            for pcm in self._parts[0]:
                return pcm
            self._parts.popleft()
        raise StopIteration


def there(latents: Iterable[Tensor]) -> Callable[[], int]:
    """How many of them can be had without waiting."""
    if isinstance(latents, Kept):
        return latents.there
    assert isinstance(latents, Tensor)
    return partial(len, latents)
