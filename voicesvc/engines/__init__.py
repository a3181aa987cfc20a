"""Code that turns a plan into samples. An engine knows nothing about text, HTTP or files."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from voicesvc.audio import Pcm
from voicesvc.phonemes import Word
from voicesvc.plan import AS_MADE, Plan, Variability

LONGEST_FIRST = 128  # frames of a sentence's first cell: longer ones would have to be warmed too
SHAPED_S = 0.16  # what shaping mostly hears before it gives a sample; 0.31 at most
Pace = Sequence[tuple[float, float]]  # what a line's chunks cost and give, both in seconds


def going_on(cells: tuple[int, ...], before: int) -> tuple[int, ...]:
    """The schedule of cells of a sentence that has so many frames of its line before it.

    It begins with the longest cell that is over sooner than those are, up to `LONGEST_FIRST`: each
    cell costs about ten frames beside its own, most of it to read the flow's weights once more.
    """
    heard = min(before, LONGEST_FIRST)
    return cells[max((n for n, frames in enumerate(cells) if frames <= heard), default=0) :]


@dataclass(frozen=True, slots=True)
class Cell:
    """The next cell of a stream that can be computed at once with those of other streams."""

    kind: Hashable  # only cells of one kind can
    most: int  # so many of them
    together: Callable[[Sequence["Cell"]], None]  # any of them computes all
    stream: Any = None  # the engine's
    took: Callable[[float], None] = lambda _: None  # told of its part of the time, in s


@runtime_checkable
class Cellwise(Protocol):
    """A stream of samples whose next cell may be computed before it is asked for."""

    def cell(self) -> Cell | None:
        """The next cell, if it can be computed at once with others."""
        ...


def next_cell(stream: Iterator[Pcm] | None, took: Callable[[float], None]) -> Cell | None:
    """The next cell of an engine's stream, where it can be computed at once with others.

    `took` is told of its part of the time then, in s.
    """
    cell = stream.cell() if isinstance(stream, Cellwise) else None
    return None if cell is None else replace(cell, took=took)


@dataclass(frozen=True, slots=True)
class Batching:
    """In how many rows cells are computed, and why."""

    rows: tuple[int, ...] = (1,)  # numbers in which a whole cell has the same samples, to the bit
    costs: Mapping[int, float] = field(default_factory=lambda: {1: 1.0})  # in times of one alone
    reason: str = "not measured"

    @property
    def most(self) -> int:
        """Cells that are computed at once."""
        return self.rows[-1]

    @property
    def factors(self) -> dict[int, float]:
        """What so many at once cost, in times of one as it is computed."""
        return {n: cost / self.costs[self.rows[0]] for n, cost in self.costs.items()}


@runtime_checkable
class Batches(Protocol):
    """An engine that can compute the cells of several streams at once."""

    batching: Batching  # how it does

    def measure(self, asked: str) -> Batching:
        """How it would be done best here: `auto`, `off` or a number, as the setting says."""
        ...


class Engine(Protocol):
    """One loaded voice. `plan` and `stream` may be called from any thread, many at once."""

    sample_rate_hz: int
    resident_bytes: int  # on the device, after load
    native: frozenset[str]  # what the model does itself: {"duration", ...}
    symbols: frozenset[str]  # what the model has learned to say
    f0_hz: float | None  # its median pitch, where that is known without listening
    device: str  # the class of device that it runs on: on another of it the samples are the same
    precision: str  # what it computes in
    warm_key: str | None  # voices that have the same are warmed with one of them; None: each alone

    def plan(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        """One sentence with the durations that the model would give it."""
        ...

    def begin(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        """The same to be heard at once: where only saying it tells how long it is, a guess.

        `Plan.said` is set then, and the plan is to be streamed as it is: its frames are not known.
        """
        ...

    def stream(self, plan: Plan) -> Iterator[Pcm]:
        """The plan's samples; the first chunk is small, later ones grow."""
        ...

    def warm(self) -> Pace:
        """Run once through everything, so that the first caller does not pay for it.

        Gives the pace of a line after that; nothing where that would take long to find out.
        """
        ...

    def close(self) -> None:
        """Give the device memory back."""
        ...
