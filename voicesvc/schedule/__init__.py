"""Whose chunk is computed next, and whom there is time for. Pure logic: time is an argument.

`costs` learns what a voice's chunks cost, `turns` picks the next one, `admission` says whether one
more stream can be promised its audio in time. Knows nothing of threads, audio or HTTP.
"""

from voicesvc.schedule.admission import Admission, Limits, Refusal
from voicesvc.schedule.costs import Costs
from voicesvc.schedule.tickets import Asked, Kind, Ticket
from voicesvc.schedule.turns import RETURN_S, Schedule

__all__ = [
    "RETURN_S",
    "Admission",
    "Asked",
    "Costs",
    "Kind",
    "Limits",
    "Refusal",
    "Schedule",
    "Ticket",
]
