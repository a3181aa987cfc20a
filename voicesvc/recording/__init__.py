"""A recording that came from anywhere, as samples; decoded by a process of its own, with limits.

Knows nothing of what is looked for in it.
"""

from voicesvc.recording.decoded import RATE_HZ, Bounds, Decoded, decode

__all__ = ["RATE_HZ", "Bounds", "Decoded", "decode"]
