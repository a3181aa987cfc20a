"""Code that turns a plan into samples. An engine knows nothing about text, HTTP or files."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from voicesvc.audio import Pcm
from voicesvc.phonemes import Word
from voicesvc.plan import AS_MADE, Plan, Variability

Pace = Sequence[tuple[float, float]]  # what a line's chunks cost and give, both in seconds


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
