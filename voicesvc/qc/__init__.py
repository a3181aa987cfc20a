"""Whether a take says its words, and how good it sounds: what the extra [qc] adds.

Listening costs seconds of compute, and one of its libraries holds GPL code, so a program of its
own does it (`python -m voicesvc.qc`); `Inspector` asks that program. `flags` says what of the
figures asks for an editor's ear.
"""

from voicesvc.qc.flags import FLAGS, Flag, Limits, flags
from voicesvc.qc.inspector import Inspector, available
from voicesvc.qc.verdict import HeardWord, Inserted, Verdict

__all__ = (
    "FLAGS",
    "Flag",
    "HeardWord",
    "Inserted",
    "Inspector",
    "Limits",
    "Verdict",
    "available",
    "flags",
)
