"""Who waits for turns of compute: streams as they are asked for, and as they go on."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """Who waits; the lower comes first."""

    LIVE = 0  # somebody speaks with it
    AUDITION = 1  # somebody listens
    BATCH = 2  # nobody does yet


@dataclass(frozen=True, slots=True)
class Asked:
    """One stream of chunks, as it is asked for."""

    key: str  # whose it is: time is shared between keys
    kind: Kind
    voice: str
    chars: int = 0  # of its text
    speaks: bool = True  # False: a document or a stored file, with no deadline after its first part

    @property
    def account(self) -> tuple[str, bool]:
        """What its time is charged to: batch does not use up what its key may listen to."""
        return self.key, self.kind is Kind.BATCH


@dataclass(eq=False, slots=True)
class Turn:
    """What a worker computes now: a chunk, or one of each of several streams."""

    began_s: float
    alone_s: float  # that it is expected to take with one stream
    lasts_s: float  # that it is expected to take
    members: int = 1
    left: int = 1  # of them that are not done
    cost_s: float = 0.0  # of those that are done


@dataclass(eq=False, slots=True)
class Ticket:
    """A stream from when it is let in until it ends. Only `Schedule` writes it."""

    asked: Asked
    came_s: float
    turns: int = 0  # begun
    audio_s: float = 0.0  # taken by the listener
    cost_s: float = 0.0  # of the turns since audio was taken last
    began_s: float | None = None  # when the listener got the first audio
    dry_s: float | None = None  # when the listener has heard all that was taken
    asked_s: float | None = None  # wants a turn since
    running_s: float | None = None  # has a turn since
    turn: Turn | None = None  # that it has
    idle_s: float | None = None  # had its last turn until
    closing: bool = False  # what it wants is its end
    held: int = 0  # chunks after the first that its first turn makes
    cell: Hashable = None  # what kind it wants, if that can be computed at once with others
    at_once: int = 1  # of such cells, at most

    @property
    def is_paused(self) -> bool:
        """Whether its listener has yet to take what was offered."""
        return self.turns > 0 and self.asked_s is None and self.running_s is None

    @property
    def is_listened_to(self) -> bool:
        """Whether somebody plays it while it is made."""
        return self.asked.speaks and self.asked.kind is not Kind.BATCH

    def was_served(self, now_s: float, within_s: float) -> bool:
        """Whether it was given a chunk so shortly ago, and has not asked for another yet."""
        return self.is_paused and self.idle_s is not None and now_s - self.idle_s < within_s
