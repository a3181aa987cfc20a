"""Loaded voices on the device: a byte budget, least recently used out, leased ones never.

Knows nothing of torch, packs or text: it is given a function that loads and the bytes each voice
declares. Room is made before a voice is loaded.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from voicesvc import metrics
from voicesvc.errors import EngineFailed, NotReady, PackRefused, UnknownActor

StateName = Literal["idle", "loading", "ready", "failed"]


class Loaded(Protocol):
    """What a voice must be to be kept here."""

    resident_bytes: int

    def close(self) -> None:
        """Give the memory back."""
        ...


V = TypeVar("V", bound=Loaded)


@dataclass(frozen=True, slots=True)
class VoiceState:
    """Where a voice stands; `reason` says why it failed."""

    name: StateName
    reason: str | None = None


class Lease(Generic[V]):
    """A voice that stays loaded until `release`, which may be called more than once."""

    def __init__(self, engine: V, on_release: Callable[[], None]) -> None:
        self.engine = engine
        self._on_release: Callable[[], None] | None = on_release

    def release(self) -> None:
        """Let the voice be evicted again."""
        done, self._on_release = self._on_release, None
        if done is not None:
            done()


class Voices(Generic[V]):
    """The voices of this process. Thread-safe; one load per voice however many ask."""

    def __init__(
        self,
        load: Callable[[str], V],
        declared_bytes: Mapping[str, int],
        budget_bytes: int | None = None,
    ) -> None:
        self._load, self._declared, self._budget = load, declared_bytes, budget_bytes
        self._ready: OrderedDict[str, V] = OrderedDict()  # least recently used first
        self._leases: dict[str, int] = {}
        self._loading: dict[str, int] = {}  # actor -> bytes kept free for it
        self._failed: dict[str, PackRefused | EngineFailed] = {}
        self._changed = threading.Condition()

    def states(self) -> dict[str, VoiceState]:
        """Where each known voice stands now."""
        with self._changed:
            return {actor: self._state(actor) for actor in self._declared}

    def leases(self) -> dict[str, int]:
        """How often each voice is held now."""
        with self._changed:
            return {actor: n for actor, n in self._leases.items() if n}

    def _state(self, actor: str) -> VoiceState:
        if actor in self._ready:
            return VoiceState("ready")
        if actor in self._loading:
            return VoiceState("loading")
        if actor in self._failed:
            return VoiceState("failed", str(self._failed[actor]))
        return VoiceState("idle")

    def lease(self, actor: str, wait_s: float = 30.0) -> Lease[V]:
        """The voice, loaded if it is not yet; waits for a load that is under way.

        Raises:
            UnknownActor: no such voice.
            NotReady: no room beside the voices in use, or the load takes longer than `wait_s`.
            PackRefused, EngineFailed: it cannot be loaded; the first failure is remembered.
        """
        if actor not in self._declared:
            raise UnknownActor(f"no actor {actor!r}", where="actor", valid=sorted(self._declared))
        with self._changed:
            if not self._changed.wait_for(lambda: actor not in self._loading, wait_s):
                raise NotReady(f"{actor} is still loading after {wait_s:g} s", where="actor")
            if actor in self._failed:
                known = self._failed[actor]  # a new one each time: tracebacks pile up on an old one
                raise type(known)(known.detail, where=known.where, valid=known.valid)
            if actor in self._ready:
                self._ready.move_to_end(actor)
                return self._lease(actor, self._ready[actor])
            self._loading[actor] = self._make_room(actor)
        return self._load_and_lease(actor)

    def _load_and_lease(self, actor: str) -> Lease[V]:
        engine: V | None = None
        try:
            with metrics.VOICE_LOAD.labels(actor).time():
                engine = self._load(actor)
        except (PackRefused, EngineFailed) as e:
            with self._changed:
                self._failed[actor] = e
            raise
        finally:
            with self._changed:
                del self._loading[actor]
                if engine is not None:
                    self._ready[actor] = engine
                    self._leases[actor] = self._leases.get(actor, 0) + 1
                self._report()
        return Lease(engine, lambda: self._release(actor))

    def _lease(self, actor: str, engine: V) -> Lease[V]:
        self._leases[actor] = self._leases.get(actor, 0) + 1
        return Lease(engine, lambda: self._release(actor))

    def _release(self, actor: str) -> None:
        with self._changed:
            self._leases[actor] -= 1
            self._changed.notify_all()

    def _make_room(self, actor: str) -> int:
        """Evict idle voices until the declared bytes fit; returns the bytes kept for it."""
        need = self._declared[actor]
        if self._budget is None:
            return need
        if need > self._budget:
            raise NotReady(f"{actor} needs {need} bytes, the budget is {self._budget}")
        while self._held() + need > self._budget:
            idle = next((a for a in self._ready if not self._leases.get(a)), None)
            if idle is None:
                raise NotReady(f"no room for {actor}: every loaded voice is in use", where="actor")
            self._ready.pop(idle).close()
            self._report()
        return need

    def _held(self) -> int:
        return sum(e.resident_bytes for e in self._ready.values()) + sum(self._loading.values())

    def _report(self) -> None:
        metrics.VOICES_LOADED.set(len(self._ready))
        metrics.VOICE_BYTES.set(sum(e.resident_bytes for e in self._ready.values()))
        self._changed.notify_all()

    def close(self) -> None:
        """Drop every voice that no one holds."""
        with self._changed:
            for actor in [a for a in self._ready if not self._leases.get(a)]:
                self._ready.pop(actor).close()
            self._report()
