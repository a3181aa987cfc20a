"""Voices in three places: on the device, in host memory, on disk. Byte budgets and leases.

Knows nothing of torch, packs or text.
"""

from voicesvc.voices.device import LOADS_AT_ONCE, Voices
from voicesvc.voices.shelf import Prepared, Shelf
from voicesvc.voices.state import Lease, Loaded, Needs, Stage, StateName, Tier, VoiceState

__all__ = [
    "LOADS_AT_ONCE",
    "Lease",
    "Loaded",
    "Needs",
    "Prepared",
    "Shelf",
    "Stage",
    "StateName",
    "Tier",
    "VoiceState",
    "Voices",
]
