"""Voices prepared in host memory, for the next time that each is to go onto the device.

A budget of bytes; what was used longest ago leaves first, what is being placed never. Knows nothing
of what a voice is made of.
"""

import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

from voicesvc import metrics

Key = tuple[str, str]  # actor, version
V_co = TypeVar("V_co", covariant=True)
V = TypeVar("V")


class Prepared(Protocol[V_co]):
    """A voice in host memory, checked and ready to go onto the device any number of times."""

    host_bytes: int

    def place(self) -> V_co:
        """Bring it onto the device, ready to speak."""
        ...

    def close(self) -> None:
        """Give the host memory back; what was placed stays."""
        ...


class Shelf(Generic[V]):
    """What is kept within the budget. Thread-safe; a key is placed by one thread at a time."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._kept: OrderedDict[Key, Prepared[V]] = OrderedDict()  # least recently used first
        self._reserved: dict[Key, int] = {}  # for those being placed
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept or reserved."""
        with self._lock:
            return self._held()

    def has(self, key: Key) -> bool:
        """Whether the voice lies here, or is being placed from here."""
        with self._lock:
            return key in self._kept

    def take(self, key: Key) -> Prepared[V] | None:
        """The voice, to be placed and then put back; None where it is not here."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._reserved[key] = 0  # its bytes are counted where it lies
                self._kept.move_to_end(key)
            return found

    def reserve(self, key: Key, needs_bytes: int) -> None:
        """Make room for a voice that is about to be prepared, where the budget allows it."""
        with self._lock:
            if self._make_room(needs_bytes):
                self._reserved[key] = needs_bytes

    def put(self, key: Key, prepared: Prepared[V]) -> None:
        """Keep a voice that was placed; it is closed where there is no room, or none was wanted."""
        with self._lock:
            reserved = self._reserved.pop(key, None)
            if self._kept.get(key) is prepared and reserved is not None:
                return
            if reserved is not None and self._make_room(prepared.host_bytes):
                self._kept[key] = prepared
                return
        prepared.close()

    def drop(self, key: Key) -> None:
        """Let go of a voice; one that is being placed is closed after that."""
        with self._lock:
            in_use = self._reserved.pop(key, None) is not None
            found = self._kept.pop(key, None)
        if found is not None and not in_use:
            found.close()

    def clear(self, budget_bytes: int | None = None) -> None:
        """Let go of all; there is room for so many bytes from now on, where that is another."""
        for key in list(self._kept):
            self.drop(key)
        with self._lock:
            self._budget = self._budget if budget_bytes is None else budget_bytes

    def _held(self) -> int:
        return sum(p.host_bytes for p in self._kept.values()) + sum(self._reserved.values())

    def _make_room(self, needs_bytes: int) -> bool:
        if needs_bytes > self._budget:
            return False
        for key in [k for k in self._kept if k not in self._reserved]:
            if self._held() + needs_bytes <= self._budget:
                break
            self._kept.pop(key).close()
            metrics.VOICE_EVICTIONS.labels("host").inc()
        return self._held() + needs_bytes <= self._budget
