"""Which voices are on the device, and what brings them there.

Knows nothing of torch, packs or text: it is given a function that prepares a voice in host memory,
the bytes that each declares, and a clock. Room is made before a voice is loaded; what was used
longest ago leaves first, what is leased or waited for never. A voice whose pack has changed is
another version: streams that hold the old one keep it until they end.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Generic

from voicesvc import metrics
from voicesvc.errors import DeviceLost, NotReady, UnknownActor
from voicesvc.voices.shelf import Prepared, Shelf
from voicesvc.voices.state import Held, Lease, Needs, Tier, V, VoiceState, anew, together_bytes

LOADS_AT_ONCE = 2  # one is read while another is placed; more would only slow the first


class Voices(Generic[V]):
    """The voices of this process. Thread-safe; one load per voice however many ask.

    Args:
        prepare: brings an actor's version into host memory; its `place` brings it onto the device.
        device_bytes: budget of the device; None: no limit.
        host_bytes: budget of what stays in host memory for the next load; 0: nothing does.
        loaders: threads that load; None: threads of its own.
        now: seconds that only grow.
        name: the device's, where there are several.
    """

    def __init__(
        self,
        prepare: Callable[[str, str], Prepared[V]],
        device_bytes: int | None = None,
        host_bytes: int = 0,
        *,
        loaders: Executor | None = None,
        now: Callable[[], float] = time.monotonic,
        name: str = "",
    ) -> None:
        self._prepare, self._budget, self._now, self._name = prepare, device_bytes, now, name
        self._times_lost = 0
        self._shelf: Shelf[V] = Shelf(host_bytes)
        self._given = loaders
        self._own: ThreadPoolExecutor | None = None
        self._current: dict[str, Held[V]] = {}
        # By actor and version, least recently used first; those being loaded are in the other.
        self._placed: OrderedDict[tuple[str, str], Held[V]] = OrderedDict()
        self._loading: dict[tuple[str, str], Held[V]] = {}
        self._changed = threading.Condition()
        self._told: list[Callable[[], None]] = []

    def declare(self, actor: str, needs: int | Needs, version: str = "") -> None:
        """Make a voice known, or say that it is another version from now on."""
        with self._changed:
            before = self._current.get(actor)
            if before is not None and before.version == version:
                return
            needs = Needs(needs) if isinstance(needs, int) else needs
            self._current[actor] = self._known((actor, version)) or Held(actor, version, needs)
            self._current[actor].leaving = False
            if before is not None:
                self._leave(before)
                self._shelf.drop(before.key)
            self._report()

    def expect(self, actor: str, own_bytes: int) -> None:
        """Make room for that many bytes of its own before the voice is loaded, if not for more."""
        with self._changed:
            voice = self._current.get(actor)
            if voice is not None and voice.engine is None and voice.stage is None:
                most = max(voice.needs.own_bytes, own_bytes)
                voice.needs = replace(voice.needs, own_bytes=most)

    def renew(self, device_bytes: int | None, host_bytes: int) -> None:
        """The device lost all that was on it, and has these budgets from now on."""
        with self._changed:
            self._times_lost += 1
            self._budget = device_bytes
            for voice in self._placed.values():
                voice.engine, voice.leaving = None, False
            self._placed.clear()
            for voice in self._current.values():
                if isinstance(voice.error, DeviceLost):
                    voice.error = None
            self._shelf.clear(host_bytes)
            self._report()

    def retire(self, actor: str) -> None:
        """Forget a voice; who holds it keeps it until released."""
        with self._changed:
            before = self._current.pop(actor, None)
            if before is not None:
                self._leave(before)
                self._shelf.drop(before.key)
                self._report()

    def on_change(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told`, which must not wait, whenever some voice's state changes; ends that."""
        with self._changed:
            self._told.append(told)
        return lambda: self._told.remove(told)

    @property
    def held_bytes(self) -> int:
        """Bytes on the device: of loaded voices, and kept free for those being loaded."""
        with self._changed:
            return together_bytes(self._needs())

    def state(self, actor: str) -> VoiceState | None:
        """Where a voice stands now; None where there is no such voice."""
        with self._changed:
            voice = self._current.get(actor)
            return None if voice is None else self._state(voice)

    def states(self) -> dict[str, VoiceState]:
        """Where each known voice stands now."""
        with self._changed:
            return {actor: self._state(voice) for actor, voice in self._current.items()}

    def leases(self) -> dict[str, int]:
        """How often each voice is held now, in whatever version."""
        with self._changed:
            held: dict[str, int] = {}
            for voice in self._placed.values():
                if voice.leases:
                    held[voice.actor] = held.get(voice.actor, 0) + voice.leases
            return held

    def fits(self, actor: str) -> bool:
        """Whether the voice can be loaded without another leaving."""
        with self._changed:
            voice = self._current[actor]
            if voice.engine is not None or voice.stage is not None or self._budget is None:
                return True
            return together_bytes([*self._needs(), voice.needs]) <= self._budget

    def _state(self, voice: Held[V]) -> VoiceState:
        tier: Tier = "host" if self._shelf.has(voice.key) else "disk"
        if voice.engine is not None:
            took = round(voice.took_s, 3)
            held = voice.leases, voice.engine.resident_bytes
            return VoiceState("ready", None, "device", None, took, *held)
        if voice.stage is not None:
            return VoiceState(
                "loading", None, tier, voice.stage, round(self._now() - voice.begun_s, 3)
            )
        if voice.error is not None:
            return VoiceState("failed", str(voice.error), tier)
        return VoiceState("idle", None, tier)

    def lease(self, actor: str, wait_s: float = 30.0, version: str | None = None) -> Lease[V]:
        """The voice, loaded if it is not yet; waits for a load, and for room, that long in all.

        A `version` that is no longer the current one is had only while it is still loaded.

        Raises:
            UnknownActor: no such voice.
            NotReady: no room beside the voices in use, or the load takes longer than `wait_s`.
            VoiceError: it cannot be loaded; the first failure is remembered.
        """
        with self._changed:
            known = self._find(actor, version)
            metrics.VOICE_LEASES.labels(self._state(known).tier).inc()
            voice, engine = self._await(actor, wait_s, version)
            voice.leases += 1
            if self._current.get(actor) is voice:
                voice.leaving = False
            self._placed.move_to_end(voice.key)
            return Lease(engine, partial(self._release, voice))

    def load(self, actor: str, wait_s: float = 0.0) -> VoiceState:
        """Begin to load the voice, a failed one anew; where it stands after `wait_s`.

        Raises: as `lease`, but not where the load has begun and goes on.
        """
        with self._changed:
            self._find(actor, None).error = None
            try:
                voice, _ = self._await(actor, wait_s, None)
            except NotReady:
                voice = self._find(actor, None)
                if voice.stage is None:
                    raise
            voice.leaving = False
            return self._state(voice)

    def unload(self, actor: str) -> VoiceState:
        """Take the voice off the device and out of host memory once no stream holds it.

        Raises:
            UnknownActor: no such voice.
        """
        with self._changed:
            voice = self._find(actor, None)
            voice.error = None
            self._leave(voice)
            self._shelf.drop((actor, voice.version))
            self._report()
            return self._state(voice)

    def close(self) -> None:
        """Wait for loads that run, then drop every voice: one that is held when it is released."""
        own, self._own = self._own, None
        if own is not None:
            own.shutdown(cancel_futures=True)
        with self._changed:
            for voice in list(self._placed.values()):
                self._leave(voice)
            self._shelf.clear()
            self._report()

    def _known(self, key: tuple[str, str]) -> Held[V] | None:
        return self._placed.get(key) or self._loading.get(key)

    def _find(self, actor: str, version: str | None) -> Held[V]:
        current = self._current.get(actor)
        if current is not None and version in (None, current.version):
            return current
        kept = self._known((actor, version)) if version is not None else None
        if kept is not None:
            return kept
        if current is None:
            raise UnknownActor(f"no actor {actor!r}", where="actor", valid=sorted(self._current))
        raise NotReady(f"the pack of {actor} was changed just now", where="actor")

    def _await(self, actor: str, wait_s: float, version: str | None) -> tuple[Held[V], V]:
        """The voice once it is loaded; begins the load where no one has."""
        until_s = self._now() + wait_s
        while True:
            voice = self._find(actor, version)
            if voice.engine is not None:
                return voice, voice.engine
            if voice.error is not None:
                raise anew(voice.actor, voice.error)
            blocked = f"{actor} is still loading after {wait_s:g} s"
            if voice.stage is None:
                reason = self._begin(voice)
                if reason is None:
                    continue  # begun; where the loader is no other thread, it is done
                blocked = f"no room for {actor}: {reason}"
            left_s = until_s - self._now()
            if left_s <= 0:
                raise NotReady(blocked, where="actor")
            voice.waiting += 1
            try:
                self._changed.wait(left_s)
            finally:
                voice.waiting -= 1

    def _begin(self, voice: Held[V]) -> str | None:
        """Make room and begin to load; why that cannot be now, if it cannot."""
        if len(self._loading) >= LOADS_AT_ONCE:
            return f"{len(self._loading)} other voices are being loaded"
        if self._budget is not None and not self._make_room(voice.needs, self._budget):
            if (needs_bytes := together_bytes([voice.needs])) > self._budget:
                needs = f"{voice.actor} needs {needs_bytes} bytes"
                raise NotReady(f"{needs}, the budget is {self._budget}", where="actor")
            return "every loaded voice is in use"
        voice.stage, voice.begun_s = "reading", self._now()
        self._loading[voice.key] = voice
        self._report()
        loaders = self._given or self._own
        if loaders is None:
            loaders = self._own = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="loading")
        loaded = partial(self._loaded, voice, self._times_lost)
        loaders.submit(self._load, voice).add_done_callback(loaded)
        return None

    def _make_room(self, needs: Needs, budget_bytes: int) -> bool:
        """Evict idle voices until what is needed fits; none where that would not be enough."""
        leaving: list[Held[V]] = []
        idle = (voice for voice in self._placed.values() if voice.idle)
        while together_bytes([*self._needs(leaving), needs]) > budget_bytes:
            voice = next(idle, None)
            if voice is None:
                return False
            leaving.append(voice)
        for voice in leaving:
            self._evict(voice)
            metrics.VOICE_EVICTIONS.labels("device").inc()
        return True

    def _load(self, voice: Held[V]) -> V:
        """On a thread that loads: disk -> host memory -> device."""
        key = voice.key
        prepared = self._shelf.take(key)
        metrics.VOICE_LOADS.labels("disk" if prepared is None else "host").inc()
        if prepared is None:
            self._shelf.reserve(key, voice.needs.own_bytes)
            try:
                prepared = self._prepare(voice.actor, voice.version)
            finally:
                if prepared is None:
                    self._shelf.drop(key)
        try:
            with self._changed:
                voice.stage = "placing"
                self._report()
            return prepared.place()
        finally:
            self._shelf.put(key, prepared)

    def _loaded(self, voice: Held[V], times_lost: int, future: Future[V]) -> None:
        with self._changed:
            del self._loading[voice.key]
            voice.stage, voice.took_s = None, self._now() - voice.begun_s
            error = None if future.cancelled() else future.exception()
            gone = self._times_lost != times_lost  # and what was placed with it
            voice.error = None if gone and isinstance(error, DeviceLost) else error
            if error is None and not future.cancelled() and not gone:
                self._placed_now(voice, future.result())
            self._settle(voice)
            self._report()

    def _placed_now(self, voice: Held[V], engine: V) -> None:
        """Keep what was loaded; room for what it turned out to be larger is made first, or it goes.

        Then it is loaded again, with its true size, once there is that room.
        """
        metrics.VOICE_LOAD.labels(voice.actor).observe(voice.took_s)
        voice.needs = replace(voice.needs, own_bytes=engine.resident_bytes)
        if self._budget is not None and not self._make_room(voice.needs, self._budget):
            engine.close()
            return
        voice.engine = engine
        self._placed[voice.key] = voice

    def _leave(self, voice: Held[V]) -> None:
        voice.leaving = True
        self._settle(voice)

    def _release(self, voice: Held[V]) -> None:
        with self._changed:
            voice.leases -= 1
            if not self._settle(voice):
                self._changed.notify_all()

    def _settle(self, voice: Held[V]) -> bool:
        """Drop the voice if it is to leave and no one holds it; whether it was."""
        if voice.leaving and voice.idle:
            self._evict(voice)
            self._report()
            return True
        return False

    def _evict(self, voice: Held[V]) -> None:
        engine, voice.engine, voice.leaving = voice.engine, None, False
        del self._placed[voice.key]
        assert engine is not None, "only what is placed is evicted"
        engine.close()

    def _needs(self, without: Collection[Held[V]] = ()) -> list[Needs]:
        """Of all that is on the device or on its way there."""
        there = (*self._placed.values(), *self._loading.values())
        return [voice.needs for voice in there if voice not in without]

    def _report(self) -> None:
        metrics.VOICES_LOADED.labels(self._name).set(len(self._placed))
        held_bytes = together_bytes(v.needs for v in self._placed.values())
        metrics.VOICE_BYTES.labels(self._name).set(held_bytes)
        metrics.VOICE_HOST_BYTES.set(self._shelf.held_bytes)
        self._changed.notify_all()
        for told in self._told:
            told()
