"""Broadcast Wave: a WAV that says whose line it is and where it belongs on the timeline.

`encoder` streams it; its samples are those of `encode`. Knows nothing about takes, how they are
kept or how files are named.

The chunks are `bext`, `iXML`, `fmt `, for float `fact`, and `data` at the end, in the order of EBU
Tech 3285; whoever adds one to the finished file appends it and corrects the size in bytes 4 to 7.
"""

from voicesvc.bwf.about import About, Loudness
from voicesvc.bwf.ascii import ascii_of
from voicesvc.bwf.wave import encoder

__all__ = ("About", "Loudness", "ascii_of", "encoder")
