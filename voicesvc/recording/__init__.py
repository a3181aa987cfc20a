"""A recording that came from anywhere, as samples; decoded by a process of its own, with limits.

Knows nothing of what is looked for in it.
"""

from voicesvc.recording.apart import Bounds, read_apart
from voicesvc.recording.decoded import RATE_HZ, Decoded, decode

__all__ = ["RATE_HZ", "Bounds", "Decoded", "decode", "read_apart"]
