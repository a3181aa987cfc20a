"""What is said of a voice, and a hold on one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from voicesvc.errors import Unforeseen, VoiceError

StateName = Literal["idle", "loading", "ready", "failed"]
Stage = Literal["reading", "placing"]  # disk to host memory, host memory to device
Tier = Literal["device", "host", "disk"]


class Loaded(Protocol):
    """What a voice must be to be kept here."""

    resident_bytes: int

    def close(self) -> None:
        """Give the memory back."""
        ...


V = TypeVar("V", bound=Loaded)


@dataclass(frozen=True, slots=True)
class VoiceState:
    """Where a voice stands.

    `reason` says why it failed, `stage` what a load is doing, `seconds` how long it has been
    loading or, once ready, took to. `tier` is the nearest place that it lies in.
    """

    name: StateName
    reason: str | None = None
    tier: Tier = "disk"
    stage: Stage | None = None
    seconds: float | None = None
    leases: int = 0
    resident_bytes: int = 0


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


@dataclass(frozen=True, slots=True)
class Needs:
    """What a voice takes on the device: its own bytes, and those of the base that it is made on.

    A base's bytes are there once, however many voices on it.
    """

    own_bytes: int
    base: str | None = None  # its hash
    base_bytes: int = 0


def together_bytes(needs: Iterable[Needs]) -> int:
    """Bytes of several voices on one device."""
    listed = list(needs)
    bases = {n.base: n.base_bytes for n in listed if n.base is not None}
    return sum(n.own_bytes for n in listed) + sum(bases.values())


class Held(Generic[V]):
    """One version of a voice. Guarded by the lock of the `Voices` that it is in."""

    def __init__(self, actor: str, version: str, needs: Needs) -> None:
        self.actor, self.version = actor, version
        self.needs = needs  # as declared, then as the engine turned out
        self.engine: V | None = None
        self.stage: Stage | None = None  # while it is being loaded
        self.error: BaseException | None = None
        self.leases = self.waiting = 0
        self.leaving = False  # to be dropped as soon as no one holds it
        self.begun_s = self.took_s = 0.0

    @property
    def key(self) -> tuple[str, str]:
        """What it is kept under."""
        return self.actor, self.version

    @property
    def idle(self) -> bool:
        """Whether it may be evicted."""
        return self.engine is not None and not self.leases and not self.waiting


def anew(actor: str, error: BaseException) -> VoiceError:
    """A failure to raise once more: a new one each time, for tracebacks pile up on an old one."""
    if isinstance(error, VoiceError):
        return type(error)(error.detail, where=error.where, valid=error.valid)
    found = Unforeseen(f"{actor} cannot be loaded: {error!r}", where="actor")
    found.__cause__ = error
    return found
