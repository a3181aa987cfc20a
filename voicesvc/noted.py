"""What the ledger has beside takes and papers: refusals, uses, loaded models, withdrawn voices.

Nobody waits until it is written. Without an archive nothing is noted.
"""

from collections.abc import Sequence

from voicesvc.archive import Archive
from voicesvc.packs import Pack
from voicesvc.rights import NotLicensed, Permit
from voicesvc.rights.ledger import Entry
from voicesvc.store import StoredTake, permits


class Notes:
    """Any method may be called from any thread."""

    def __init__(self, archive: Archive | None) -> None:
        self._archive = archive

    def refused(self, refused: NotLicensed) -> None:
        """That no grant covered a use, and by which clauses."""
        use = refused.use
        facts = {
            "production": use.production,
            "line": use.line,
            "use": use.kind,
            "model_sha256": use.model_sha256,
            "clauses": [f"{x.grant} {x.clause}" for x in refused.looked_at],
        }
        self._note(Entry("refused", use.actor, facts, {"text": use.text}))

    def use(self, kind: str, take: StoredTake, permit: Permit, who: str | None) -> None:
        """That a take was heard, downloaded or exported."""
        facts = {"actor": take.actor, "pcm_sha256": take.pcm_sha256}
        self._note(Entry(kind, take.id, facts, grant=permit.grant), who)

    def model(self, pack: Pack, device: str) -> None:
        """That a voice was brought onto a device."""
        facts = {"model_sha256": pack.model_sha256, "device": device}
        self._note(Entry("model", pack.actor_id, facts))

    def withdrawn(self, actor: str, removed: Sequence[str]) -> None:
        """That a voice was let go of for good, and what of its weights was removed."""
        self._note(Entry("withdrawn", actor, {"removed": list(removed)}))

    def _note(self, entry: Entry, who: str | None = None) -> None:
        if self._archive is not None:
            by = self._archive.by(who)
            self._archive.database.submit(lambda c: permits.note(c, entry, by))
