"""What is exported: one take each, with its line and its production; and how."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import BinaryIO

from voicesvc.audio import Pcm
from voicesvc.bwf import Loudness
from voicesvc.encode import Depth

DEFAULT_TEMPLATE = "{production}_{scene}_{cue}_{actor}_T{take}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """A take and all that its file and the manifest say of it."""

    # the production
    production: str  # its title
    production_id: str
    slug: str
    fps: str  # one of `timecode.RATES`
    # the line
    line_id: str
    number: int  # of the line within the script
    text: str
    scene: str = ""
    cue: str = ""
    character: str = ""
    timecode_in: str | None = None
    timecode_out: str | None = None
    line_notes: str = ""
    # the take
    take_id: str
    take: int | None  # its number within the line
    actor: str
    seed: int
    created_at: datetime  # with its time zone
    created_by: str | None = None
    model_sha256: str
    plan_sha256: str | None = None
    code: str  # version of the code that made it
    circled: bool = False
    rating: int | None = None
    note: str = ""
    tags: tuple[str, ...] = ()
    tape: str = ""  # the sound roll; empty: the day on which the take was made
    loudness: Loudness = field(default_factory=Loudness)
    # its samples
    sample_rate_hz: int  # at which they are stored
    samples: int
    pcm_sha256: str  # of the stored float32, little-endian
    exact_s: Fraction | None = None  # length that was asked for, where one was
    pcm: Callable[[], Iterator[Pcm]]  # opens them; called once, when their turn comes
    lead: Pcm | None = None  # what is said before them, at the rate of the file
    # Writes the finished file to another, signed; None: it leaves as it is.
    embed: Callable[[BinaryIO, BinaryIO], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the files are made and named."""

    now: datetime  # when this is exported, with its time zone
    template: str = DEFAULT_TEMPLATE
    sample_rate_hz: int = 48_000
    bit_depth: Depth | str = 24
