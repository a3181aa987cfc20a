"""Content credentials (C2PA): a signed statement of what a file is, made into it and read again.

`Signing` makes it, `read` reads it and says in words what it found. Knows nothing of takes, of
where keys are set, or of HTTP. The library is imported when a file is signed or read.
"""

from voicesvc.credentials.apart import SIDECAR, read
from voicesvc.credentials.claim import LICENCE, Facts, opaque
from voicesvc.credentials.explained import Credentials, State, explain
from voicesvc.credentials.finished import collected, finished, parts
from voicesvc.credentials.identity import Identity
from voicesvc.credentials.signing import EMBEDDED, Signing

__all__ = (
    "EMBEDDED",
    "LICENCE",
    "SIDECAR",
    "Credentials",
    "Facts",
    "Identity",
    "Signing",
    "State",
    "collected",
    "explain",
    "finished",
    "opaque",
    "parts",
    "read",
)
