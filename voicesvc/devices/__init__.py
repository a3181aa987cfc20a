"""Several devices: a program for each, that loads voices and speaks with them, and is watched.

What happens to one device's program breaks the streams on it, and no others. Knows nothing of
lines, takes or HTTP.
"""

from voicesvc.devices.several import Several

__all__ = ["Several"]
