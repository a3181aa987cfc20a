"""Pitch, intonation range, energy, tilt, breathiness and whisper of a stream of samples."""

from voicesvc.dsp.curves import Controls, Curve
from voicesvc.dsp.shaper import Shaper
from voicesvc.dsp.tracker import Tracker, track

__all__ = ["Controls", "Curve", "Shaper", "Tracker", "track"]
