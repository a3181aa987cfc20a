"""What can be told of a recording from itself: watermark, content credentials, words to look up.

A program of its own does it, at the lowest priority, so that it delays nobody's speech. Knows
nothing of takes.
"""

from voicesvc.examine.examiner import Examiner, Report

__all__ = ["Examiner", "Report"]
