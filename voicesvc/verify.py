"""Is a recording ours, and which take: what it shows itself, the register, the ledger, the grants.

What is told to anybody: ids that say nothing, numbers of entries, times. Never what is said, by
whom, or for which production.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voicesvc.examine import Report
from voicesvc.fingerprint import WRONG_BELOW, Query
from voicesvc.registry import Registry
from voicesvc.rights.register import Register
from voicesvc.rights.standing import stopped
from voicesvc.store import Database, iso, ledger

_MOST_TAKES = 20
_ENTRIES = ("made", "deleted", "restored", "purged")


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger has of a take, and whether it may still be used."""

    take: str
    entry: int
    made_at: str | None
    kept: bool  # not deleted
    stands: bool
    reason: str | None  # why the grant does not

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        told = {"entry": self.entry, "proof": f"/v1/ledger/{self.entry}", "made_at": self.made_at}
        grant = {"stands": self.stands, "reason": self.reason}
        return {"take": self.take, "ledger": told, "kept": self.kept, "grant": grant}


class Verifier:
    """Answers for one service.

    Args:
        database: where its takes and its ledger are.
        register: gives its grants, as they are now.
        now_ms: UTC milliseconds since 1970.
    """

    def __init__(
        self, database: Database, register: Callable[[], Register], now_ms: Callable[[], int]
    ) -> None:
        self._database, self._register, self._now_ms = database, register, now_ms
        self._registry = Registry(database)

    def answer(self, report: Report) -> dict[str, Any]:
        """All that is known of a file that was examined.

        Raises:
            StoreFailed: the database does not answer.
        """
        found = dict(report.found)
        credentials, watermark = found.pop("credentials"), found.pop("watermark")
        told = self.takes(report.queries, credentials)
        return {
            "answer": sentence(watermark, credentials, told),
            "recording": found,
            "credentials": credentials,
            "watermark": watermark,
            **told,
        }

    def takes(
        self, queries: Sequence[Query], credentials: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Which takes a recording is of, by its words and by what its credentials say.

        Raises:
            StoreFailed: the database does not answer.
        """
        matches, among = self._registry.find(queries)
        matches = matches[:_MOST_TAKES]
        ids = [match.take for match in matches]
        # Whoever is not trusted can sign that a file is any take.
        if credentials is not None and credentials["state"] == "trusted" and credentials["take"]:
            ids.append(credentials["take"])
        known = {id: found for id in dict.fromkeys(ids) if (found := self._known(id)) is not None}
        return {
            "fingerprint": {
                "among": among,
                "wrong_below": WRONG_BELOW,
                "matches": [asdict(match) for match in matches if match.take in known],
            },
            "takes": [one.json() for one in known.values()],
        }

    def _known(self, take: str) -> Known | None:
        """What the ledger has of a take; None where it was not made here."""
        rows = self._database.read(lambda c: ledger.find(c, subject=take, kinds=_ENTRIES))
        made = next((row for row in rows if row.kind == "made"), None)
        if made is None:
            return None
        reason = self._reason(made.grant)
        kept = rows[-1].kind in ("made", "restored")
        return Known(take, made.seq, iso(made.at_ms), kept, reason is None, reason)

    def _reason(self, grant: str | None) -> str | None:
        """Why a grant does not stand now; None where it does."""
        register = self._register()
        versions = register.grants.get(grant or "")
        if not versions:
            return "there is no grant for it any more"
        newest = versions[-1].grant
        if self._now_ms() >= 1000 * newest.term.expires.timestamp():
            return "the grant's term has ended"
        why = stopped(register.notices.get(newest.id, ()), newest.threshold)
        return None if why is None else "the grant was revoked or suspended"


def verdict(watermark: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """`take`, `marked`, `unknown` or `inconclusive`."""
    if told["takes"]:
        return "take"
    by_mark = {"marked": "marked", "not marked": "unknown"}
    return by_mark.get(watermark["verdict"], "inconclusive")


def sentence(
    watermark: Mapping[str, Any], credentials: Mapping[str, Any], told: Mapping[str, Any]
) -> str:
    """All of it in a few plain words."""
    kind = verdict(watermark, told)
    said = ""
    if credentials["state"] in ("trusted", "valid") and credentials["synthetic"]:
        said = " Its content credentials say that it is synthetic."
    elif credentials["state"] == "invalid":
        said = " Its content credentials are not to be believed."
    if kind == "take":
        return _of_takes(told) + said
    if kind == "marked":
        return f"It is synthetic: it has the watermark, but is no take that is kept here.{said}"
    if kind == "inconclusive":
        return f"Nothing can be told from this sound: it is silent or has no low tones.{said}"
    return f"Nothing shows that it was made here. That is no proof that it is real.{said}"


def _of_takes(told: Mapping[str, Any]) -> str:
    takes, matches = told["takes"], told["fingerprint"]["matches"]
    if not matches:
        said = f"Its content credentials name take {takes[0]['take']}, which was made here"
        said += ", but its sound is not found among the takes that are kept."
    else:
        first: Mapping[str, Any] = matches[0]
        where = f"from {first['begin_s']:.1f} to {first['end_s']:.1f} s"
        said = f"It is synthetic and was made here: {where} it is take {first['take']}"
        rest = len({match["take"] for match in matches}) - 1
        said += f", and {rest} more takes are in it or have the same sound." if rest else "."
    if all(take["grant"]["stands"] for take in takes):
        return f"{said} The ledger has it, and the grant it was made under still stands."
    return f"{said} The ledger has it, but a grant it was made under does not stand any more."
