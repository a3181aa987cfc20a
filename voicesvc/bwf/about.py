"""What a Broadcast Wave says of itself, once for both of its chunks."""

import math
from dataclasses import dataclass, field
from datetime import datetime

from voicesvc.timecode import Rate


@dataclass(frozen=True, slots=True)
class Loudness:
    """Levels by EBU R 128; None is unknown."""

    integrated_lufs: float | None = None
    range_lu: float | None = None
    true_peak_dbtp: float | None = None
    momentary_lufs: float | None = None  # the highest
    short_term_lufs: float | None = None  # the highest

    @property
    def hundredths(self) -> tuple[int | None, ...]:
        """Each in hundredths, in the order of `bext`.

        What lies beyond -99.99 to 99.99, where EBU Tech 3285 v2 ends, is unknown; so is a range
        below 0.
        """
        values = (
            self.integrated_lufs,
            self.range_lu,
            self.true_peak_dbtp,
            self.momentary_lufs,
            self.short_term_lufs,
        )
        lowest = (-9999, 0, -9999, -9999, -9999)
        return tuple(_hundredths(v, low) for v, low in zip(values, lowest, strict=True))


def _hundredths(value: float | None, lowest: int) -> int | None:
    if value is None or not math.isfinite(value):
        return None
    whole = round(100 * value)
    return whole if lowest <= whole <= 9999 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A file's own facts. Texts may be empty: then they are left out of `iXML`."""

    file_name: str
    uid: str  # of the take; a file's own is made of it, the rate and the depth
    at: datetime  # when the take was made, with its time zone
    frames: Rate
    time_reference: int  # samples since midnight, at the file's rate
    native_rate_hz: int  # at which the take was made
    software: str  # "voicesvc 0.1.0"
    made_of: str = ""  # seed, model; for the coding history
    project: str = ""
    scene: str = ""
    cue: str = ""
    take: str = ""
    tape: str = ""
    circled: bool = False
    note: str = ""
    character: str = ""
    actor: str = ""
    text: str = ""
    loudness: Loudness = field(default_factory=Loudness)

    @property
    def track(self) -> str:
        """Who is heard: the character, or else the actor."""
        return self.character or self.actor

    @property
    def description(self) -> str:
        """Scene, cue, take and track, then the words: the first 64 characters say the most."""
        take = f"T{self.take}" if self.take else ""
        where = " ".join(filter(None, (self.scene, self.cue, take, self.track)))
        return f"{where}: {self.text}" if where and self.text else where or self.text
