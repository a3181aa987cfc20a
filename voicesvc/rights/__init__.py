"""Rights: grants, signed by those who give them, and the one door that every use goes through.

Knows nothing of SQL or HTTP. `check` alone makes a `Permit`, `verify` alone a `Verified` grant.
"""

from voicesvc.rights.check import CLAUSES, Looked, NotLicensed, Permit, Use, check
from voicesvc.rights.grant import Grant
from voicesvc.rights.signed import Trust, Verified, sign, verify
from voicesvc.rights.standing import Approval, Given, Notice, Script, Standing, Used

__all__ = [
    "CLAUSES",
    "Approval",
    "Given",
    "Grant",
    "Looked",
    "NotLicensed",
    "Notice",
    "Permit",
    "Script",
    "Standing",
    "Trust",
    "Use",
    "Used",
    "Verified",
    "check",
    "sign",
    "verify",
]
