"""What goes between this process and a device's program: pickles over a socket of the two.

A question is `(number, what, arguments)`; its answer has its number. What stays at the device is
named by a `Ref`.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Final

from voicesvc.config import Settings
from voicesvc.packs import Pack
from voicesvc.plan import Plan
from voicesvc.voices import Prepared

PrepareEngine = Callable[[Pack, Settings, Callable[[str], None]], Prepared[Any]]
NOBODY: Final = 0  # the number of what is told and not asked
ATTRIBUTES: Final = (
    "sample_rate_hz",
    "resident_bytes",
    "native",
    "symbols",
    "f0_hz",
    "device",
    "precision",
    "warm_key",
)


@dataclass(frozen=True, slots=True)
class Ref:
    """Something at the device."""

    number: int


@dataclass(frozen=True, slots=True)
class Begun:
    """How the program begins: what it prepares voices with, and how it is set up."""

    prepare: PrepareEngine
    settings: Settings


@dataclass(frozen=True, slots=True)
class Ready:
    """What it says once it has its device: the bytes there are for voices, and host memory's."""

    device_bytes: int | None
    host_bytes: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A plan without what only the device has; `ref` names that, `guessed` if it has `said`."""

    plan: Plan
    ref: Ref
    guessed: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """What went wrong; `fault` where the device itself did, and its program ends."""

    error: Exception
    fault: bool = False


def bare(plan: Plan, hidden: Ref | None = None) -> Plan:
    """The plan as it is sent."""
    return replace(plan, hidden=hidden, said=None)


class Line:
    """One end. Any thread may send; one reads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, number: int, *said: Any) -> None:
        """Raises OSError where the other end is gone."""
        with self._sending:
            self._connection.send((number, *said))

    def read(self) -> tuple[Any, ...]:
        """Raises EOFError or OSError where the other end is gone."""
        found: tuple[Any, ...] = self._connection.recv()
        return found

    def close(self) -> None:
        """The other end reads no more after what was sent."""
        self._connection.close()
