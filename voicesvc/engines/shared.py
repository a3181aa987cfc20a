"""Parts of engines that several voices have in common: those made of a base's tensors alone.

A part is kept while some engine has it and no longer. Knows nothing of networks.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from torch import Tensor

T = TypeVar("T")


class Share(Protocol):
    """Makes a part, or finds it where another voice has the same."""

    def __call__(self, part: str, names: Iterable[str], make: Callable[[], T]) -> T:
        """`part` names it among the parts of its voice; `names` are the tensors it is made of."""
        ...


def alone(part: str, names: Iterable[str], make: Callable[[], T]) -> T:
    """Share nothing."""
    return make()


class Parts:
    """The parts in memory, of all bases."""

    def __init__(self) -> None:
        self._there: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, base: str, own: frozenset[str]) -> Share:
        """Sharing for a voice on this base (its hash, and where and how it is laid out).

        `own` are the tensors that it has otherwise than the base.
        """

        def share(part: str, names: Iterable[str], make: Callable[[], T]) -> T:
            if not own.isdisjoint(names):
                return make()
            with self._lock:
                found = self._there.get((base, part))
                if found is None:
                    found = self._there[base, part] = make()
            return cast(T, found)

        return share


@dataclass(frozen=True)
class Weights:
    """A voice's tensors by name: all of them, and which of them are its own.

    `base` is the hash of the base's weights where the others are that's.
    """

    values: Mapping[str, Tensor]
    own: frozenset[str] = field(default=frozenset())
    base: str | None = None

    @property
    def own_bytes(self) -> int:
        """Of those that no other voice has."""
        return sum(v.nbytes for n, v in self.values.items() if self.base is None or n in self.own)
