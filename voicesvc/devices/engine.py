"""A voice at another process's device, as an engine of this one."""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Protocol

from voicesvc.audio import Pcm
from voicesvc.devices.wire import Ref, Sent, bare
from voicesvc.engines import Pace
from voicesvc.phonemes import Word
from voicesvc.plan import AS_MADE, Plan, Variability


class Life(Protocol):
    """The program of a device; see `device.Life`."""

    name: str
    number: int

    def ask(self, what: str, *said: Any) -> Any:
        """The answer to a question."""
        ...

    def tell(self, *said: Any) -> None:
        """Say something that is not answered."""
        ...


class _Hidden:
    """What a device worked out for a plan, until no plan has it any more."""

    def __init__(self, life: Life, ref: Ref) -> None:
        self.life, self.ref = life, ref
        weakref.finalize(self, life.tell, "drop", ref)


class RemotePrepared:
    """A voice in the host memory of a device's program."""

    def __init__(self, life: Life, ref: Ref, host_bytes: int) -> None:
        self._life, self._ref, self.host_bytes = life, ref, host_bytes

    def place(self) -> "RemoteEngine":
        """Bring it onto the device. Raises as `Life.ask`."""
        ref, said = self._life.ask("place", self._ref)
        return RemoteEngine(self._life, ref, said)

    def close(self) -> None:
        """Give the host memory back; what was placed stays."""
        self._life.tell("close", self._ref)


class RemoteEngine:
    """See `engines.Engine`; everything raises `DeviceLost` once the device's program has ended."""

    sample_rate_hz: int
    resident_bytes: int
    native: frozenset[str]
    symbols: frozenset[str]
    f0_hz: float | None
    device: str
    precision: str
    warm_key: str | None

    def __init__(self, life: Life, ref: Ref, said: dict[str, Any]) -> None:
        self._life, self._ref = life, ref
        for name, value in said.items():
            setattr(self, name, value)
        if self.warm_key is not None:  # what was run through once was so in that process
            self.warm_key = f"{life.name} {life.number} {self.warm_key}"

    def plan(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        """See `Engine`."""
        return self._here(self._life.ask("plan", self._ref, True, words, seed, variability))

    def begin(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        """See `Engine`."""
        return self._here(self._life.ask("plan", self._ref, False, words, seed, variability))

    def _here(self, sent: Sent) -> Plan:
        life, hidden = self._life, _Hidden(self._life, sent.ref)
        if not sent.guessed:
            return replace(sent.plan, hidden=hidden)

        @cache
        def said() -> Plan:
            return self._here(life.ask("said", hidden.ref))

        return replace(sent.plan, hidden=hidden, said=said)

    def stream(self, plan: Plan) -> Iterator[Pcm]:
        """See `Engine`."""
        hidden, life = plan.hidden, self._life
        known = isinstance(hidden, _Hidden) and hidden.life is life
        line = bare(plan, hidden.ref if known else None)
        ref = life.ask("stream", self._ref, line, plan.said is not None)
        try:
            while (pcm := life.ask("next", ref)) is not None:
                yield pcm
        finally:
            life.tell("close", ref)

    def warm(self) -> Pace:
        """See `Engine`."""
        pace: Pace = self._life.ask("warm", self._ref)
        return pace

    def close(self) -> None:
        """See `Engine`; what is loaded after this finds the room."""
        self._life.tell("close", self._ref)
