"""Who asks, and what they may do: callers, their scopes, keys, and `check`, the one door.

Pure: no SQL, no HTTP, no clock; what is kept is in `store.access`, what is read of it in `keyring`.
"""

from voicesvc.access.callers import LOCAL, SCOPES, Caller, Scope
from voicesvc.access.check import Need, Refused, check, ruled
from voicesvc.access.keys import Key, Secret

__all__ = [
    "LOCAL",
    "SCOPES",
    "Caller",
    "Key",
    "Need",
    "Refused",
    "Scope",
    "Secret",
    "check",
    "ruled",
]
