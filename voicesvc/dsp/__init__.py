"""Pitch, intonation range, energy, tilt, breathiness and whisper of a stream; breaths and rooms."""

from voicesvc.dsp.curves import Controls, Curve
from voicesvc.dsp.levels import Limiter
from voicesvc.dsp.room import Floor, RoomTone, breath, floor_of
from voicesvc.dsp.shaper import ZONE_MS, Shaper
from voicesvc.dsp.tracker import Tracker, track

__all__ = [
    "ZONE_MS",
    "Controls",
    "Curve",
    "Floor",
    "Limiter",
    "RoomTone",
    "Shaper",
    "Tracker",
    "breath",
    "floor_of",
    "track",
]
