"""Signs takes as they are kept, in the background, and has that time-stamped."""

import logging
import math
import time
from functools import partial

from voicesvc import metrics
from voicesvc.archive import CREDENTIALS, DUE, Archive
from voicesvc.errors import (
    BlobDamaged,
    BlobsFailed,
    NotMade,
    SigningFailed,
    StoreFailed,
    UnknownTake,
)
from voicesvc.loops import Aside, Manners
from voicesvc.seal import Seal
from voicesvc.store import StoredTake, documents

_SIGN_EVERY_S = 5.0
_SIGNED_AT_ONCE = 100
_STAMP_WAIT_S, _STAMP_WAIT_MOST_S = 0.5, 600.0  # until an authority is asked again
_LEFT_S = 5.0
_log = logging.getLogger(__name__)


class Signer(Aside):
    """Signs takes as they are kept, and has the signatures time-stamped once an authority answers.

    An authority is asked for a signature that is there already, so nobody waits for it; while it
    does not answer it is asked again, after twice as long each time.
    """

    name = "signer"

    def __init__(
        self, archive: Archive, seal: Seal, stamped_by: str | None, manners: Manners
    ) -> None:
        super().__init__(_SIGN_EVERY_S, manners)
        self._archive, self._seal, self._stamped_by = archive, seal, stamped_by
        self._wait_s, self._asked_s = _STAMP_WAIT_S, -math.inf

    def stop(self) -> None:
        """End; a request that an authority leaves unanswered is left behind."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(_LEFT_S)

    def work(self) -> bool:
        """Sign what is due; False, so that the next time waits."""
        for id in self._archive.database.read(lambda c: documents.having(c, DUE, _SIGNED_AT_ONCE)):
            self.give_way()
            if self.stopping.is_set():
                break
            try:
                self._signed(self._archive.take(id))
            except (NotMade, UnknownTake):  # its samples are gone
                self._archive.database.write(partial(documents.drop, id=id, name=DUE))
            except (SigningFailed, StoreFailed, BlobsFailed, BlobDamaged) as e:
                _log.error("the credentials of take %s: %s", id, e)
        return False

    def _signed(self, take: StoredTake) -> None:
        read = partial(documents.get, id=take.id, name=CREDENTIALS)
        if self._archive.database.read(read) is None:
            made = self._seal.kept(take)
            self._archive.database.write(lambda c: documents.keep(c, take.id, {CREDENTIALS: made}))
        if self._stamped_by is not None:
            if time.monotonic() - self._asked_s < self._wait_s:
                return
            stamped = self._stamped(take)
            if stamped is None or self.stopping.is_set():
                return
            self._archive.database.write(
                lambda c: documents.keep(c, take.id, {CREDENTIALS: stamped})
            )
        self._archive.database.write(partial(documents.drop, id=take.id, name=DUE))

    def _stamped(self, take: StoredTake) -> bytes | None:
        try:
            made = self._seal.kept(take, self._stamped_by)
        except SigningFailed as e:
            metrics.STAMPS.labels("failed").inc()
            self._asked_s = time.monotonic()
            self._wait_s = min(2 * self._wait_s, _STAMP_WAIT_MOST_S)
            _log.warning("no time-stamp, asked again in %d s: %s", self._wait_s, e)
            return None
        metrics.STAMPS.labels("stamped").inc()
        self._wait_s, self._asked_s = _STAMP_WAIT_S, -math.inf
        return made
