"""Voices on several devices as if they were on one: each is where it lies already, or has room.

Knows nothing of programs: it is told which devices are up.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Generic

from voicesvc.errors import NotReady
from voicesvc.voices import Lease, Needs, Voices, VoiceState
from voicesvc.voices.state import V

_NEAREST = ("ready", "loading", "failed", "idle")


class Spread(Generic[V]):
    """The voices of each device, by its name; see `Voices` for what each method does.

    A voice that a device has, or is loading, is asked for there; of several such, and where none
    has it, the device with fewest leases, after those on which it fits without another leaving.
    """

    def __init__(self, devices: Mapping[str, Voices[V]]) -> None:
        self._devices = dict(devices)
        self._up: set[str] = set()
        self._changed = threading.Condition()

    def came_up(self, name: str, device_bytes: int | None, host_bytes: int) -> None:
        """The device can be used, with these budgets; nothing is on it."""
        self._devices[name].renew(device_bytes, host_bytes)
        with self._changed:
            self._up.add(name)
            self._changed.notify_all()

    def went_down(self, name: str) -> None:
        """All that was on the device is gone."""
        with self._changed:
            self._up.discard(name)
        self._devices[name].renew(0, 0)

    @property
    def up(self) -> frozenset[str]:
        """The devices that can be used."""
        with self._changed:
            return frozenset(self._up)

    @property
    def held_bytes(self) -> int:
        """Bytes on all devices."""
        return sum(voices.held_bytes for voices in self._devices.values())

    def declare(self, actor: str, needs: int | Needs, version: str = "") -> None:
        """Make a voice known."""
        for voices in self._devices.values():
            voices.declare(actor, needs, version)

    def expect(self, actor: str, own_bytes: int) -> None:
        """Reckon with that many bytes."""
        for voices in self._devices.values():
            voices.expect(actor, own_bytes)

    def retire(self, actor: str) -> None:
        """Forget a voice."""
        for voices in self._devices.values():
            voices.retire(actor)

    def on_change(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` whenever some voice's state changes; ends that."""
        ends = [voices.on_change(told) for voices in self._devices.values()]
        return lambda: [end() for end in ends].clear()

    def state(self, actor: str) -> VoiceState | None:
        """Where a voice stands, on the device where it stands best."""
        return self.states().get(actor)

    def states(self) -> dict[str, VoiceState]:
        """Where each known voice stands."""
        found: dict[str, list[VoiceState]] = {}
        for voices in self._devices.values():
            for actor, state in voices.states().items():
                found.setdefault(actor, []).append(state)
        best = {a: min(s, key=lambda one: _NEAREST.index(one.name)) for a, s in found.items()}
        return {a: replace(s, leases=sum(o.leases for o in found[a])) for a, s in best.items()}

    def leases(self) -> dict[str, int]:
        """How often each voice is held."""
        held: dict[str, int] = {}
        for voices in self._devices.values():
            for actor, n in voices.leases().items():
                held[actor] = held.get(actor, 0) + n
        return held

    def fits(self, actor: str) -> bool:
        """Whether the voice can be loaded on some device without another leaving."""
        with self._changed:
            up = [self._devices[name] for name in sorted(self._up)]
        return any(voices.fits(actor) for voices in up)

    def lease(self, actor: str, wait_s: float = 30.0, version: str | None = None) -> Lease[V]:
        """The voice, loaded. Raises as `Voices.lease`, and NotReady where no device is up."""
        begin_s = time.monotonic()
        voices = self._for(actor, wait_s)
        left_s = max(wait_s - (time.monotonic() - begin_s), 0.0)
        return voices.lease(actor, left_s, version)

    def load(self, actor: str, wait_s: float = 0.0) -> VoiceState:
        """Begin to load the voice. Raises as `lease`."""
        return self._for(actor, wait_s).load(actor, wait_s)

    def unload(self, actor: str) -> VoiceState:
        """Take the voice off every device."""
        states = [voices.unload(actor) for voices in self._devices.values()]
        return min(states, key=lambda state: _NEAREST.index(state.name))

    def wait(self, wait_s: float) -> bool:
        """Whether every device has come up within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._up) == len(self._devices), wait_s)

    def close(self) -> None:
        """Drop every voice."""
        for voices in self._devices.values():
            voices.close()

    def _for(self, actor: str, wait_s: float) -> Voices[V]:
        with self._changed:
            if not self._changed.wait_for(lambda: self._up, wait_s):
                raise NotReady("every device is being started", where="actor")
            up = [self._devices[name] for name in sorted(self._up)]

        def order(voices: Voices[V]) -> tuple[bool, bool, int, int]:
            state = voices.state(actor)
            away = state is None or state.name not in ("ready", "loading")
            full = away and state is not None and not voices.fits(actor)
            return away, full, sum(voices.leases().values()), voices.held_bytes

        return min(up, key=order)
