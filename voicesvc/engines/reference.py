"""What is said of a voice that is imported and is not in its checkpoint. Reads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voicesvc.packs import Licence


@dataclass(frozen=True, slots=True)
class Reference:
    """What the voice is to sound like: recordings, or a speaker of `speakers_xtts.pth` by name.

    With neither, the recordings that lie in the checkpoint's folder are taken. Of a VITS of several
    speakers it is the actor, and `styles` has those of its emotions.
    """

    clips: tuple[Path, ...] = ()
    speaker: str | None = None
    styles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class About:
    """What is said of the new pack and is not in the checkpoint."""

    actor_id: str
    name: str | None = None
    language: str | None = None
    licence: Licence | None = None
