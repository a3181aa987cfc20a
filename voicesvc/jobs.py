"""Work that nobody waits for with an open ear: takes that are queued, what is measured, upkeep.

Each kind has one thread. What is to be done is read from the database, so a service that ended in
the middle goes on where it was. Knows nothing of HTTP.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from voicesvc import markup, measure, qc, remake, retention
from voicesvc.access.denied import Denied, Tally
from voicesvc.archive import HEARTBEAT_MS, Archive
from voicesvc.audio import Pcm
from voicesvc.compute import Compute, Seat
from voicesvc.door import REFRESH_MS, Door
from voicesvc.errors import BlobsFailed, NotReady, StoreFailed, VoiceError
from voicesvc.fingerprint import Fingerprinter
from voicesvc.keyring import Keyring
from voicesvc.line import Line
from voicesvc.lineplan import MAX_SEED
from voicesvc.loops import Aside, Loop, Manners
from voicesvc.packs import Pack
from voicesvc.remake import line_rate
from voicesvc.rendering import Rendering
from voicesvc.rights.ledger import Entry
from voicesvc.schedule import Asked, Kind
from voicesvc.store import StoredTake, fingerprints, iso, permits, queue, record
from voicesvc.store import takes as rows
from voicesvc.store.takes import Ending
from voicesvc.studio import Studio
from voicesvc.takes import language_of, line_of_take

_IDLE_S = 1.0  # how often the database is asked when nobody said that there is something
LISTENERS_S = 30.0  # for which a take stays unmeasured if somebody waits for sound: a burst is over
_LATER_S = 5.0  # after which a voice that was not ready is asked for again
_PURGE_EVERY = 360  # heartbeats: an hour
KEYS_KEPT_MS = 24 * 3600 * 1000
_NATIVE = {"format": "pcm_f32le", "sample_rate_hz": None, "bit_depth": None}
_log = logging.getLogger(__name__)


class Maker(Loop):
    """Makes the takes that are queued, the oldest first, one at a time.

    Args:
        studio: one with an archive.
        compute: where a chunk of a queued take waits until nobody listens who needs one sooner.
        inspector: listens to takes that are to be of some quality.
    """

    name = "maker"

    def __init__(
        self, studio: Studio, compute: Compute, inspector: qc.Inspector | None = None
    ) -> None:
        super().__init__(_IDLE_S)
        self._inspector = inspector
        assert studio.archive is not None, "without an archive nothing is queued"
        self._studio, self._archive, self._compute = studio, studio.archive, compute
        self._later_s: dict[str, float] = {}  # until when takes of an actor are left on the list

    def work(self) -> bool:
        """The next take of the queue; one whose voice is not ready yet waits for it there."""
        by, now_s = self._archive.by(), self._compute.clock()
        later = {actor for actor, until_s in self._later_s.items() if until_s > now_s}
        take = self._archive.database.write(
            lambda c: queue.claim(c, self._archive.instance, by, later)
        )
        if take is None:
            return False
        state, reason = "failed", "the service failed; its log says how"
        try:
            self._make(take)
            return True
        except NotReady as e:
            _log.warning("take %s waits for its voice: %s", take.id, e)
            self._later_s[take.actor] = self._compute.clock() + _LATER_S
            self._archive.database.write(lambda c: queue.defer(c, take.id, by))
            return True
        except VoiceError as e:
            if self.stopping.is_set():
                self._archive.database.write(lambda c: queue.requeue(c, take.id, by))
                return False
            state, reason = ("refused" if e.status < 500 else "failed"), str(e)
            return True
        finally:
            self._ended(take, state, reason)

    def _make(self, take: StoredTake) -> None:
        key = take.created_by or ""
        seat = self._compute.join(Asked(key, Kind.BATCH, take.actor, len(take.text)))
        try:
            with self._studio.cast.leased(take.actor):  # no compute thread waits for it to load
                if "quality" in take.facts:
                    take = self._chosen(seat, take)
                rendering = seat.submit(partial(remake.begin, self._studio, take)).result()
            try:
                self._drain(seat, rendering)
            finally:
                rendering.close()
        finally:
            seat.end()
        if self.stopping.is_set() and rendering.take.outcome == "cancelled":
            by = self._archive.by()
            self._archive.database.write(lambda c: queue.requeue(c, take.id, by))

    def _chosen(self, seat: Seat, take: StoredTake) -> StoredTake:
        """Try one seed after another until the words are right; the best of them is kept."""
        asked, line = take.facts["quality"], line_of_take(take)
        attempts: list[dict[str, Any]] = []
        for i in range(asked["attempts"]):
            tried = line.model_copy(update={"seed": (take.seed + i) & MAX_SEED, **_NATIVE})
            pcm = self._samples(seat, tried)
            found = self._judge(pcm, line_rate(self._studio, take), tried)
            attempts.append({"seed": tried.seed, **found})
            if self.stopping.is_set() or _worse(found) <= asked["max_wer"]:
                break
        best = min(attempts, key=_worse)
        by, facts = self._archive.by(), {"attempts": attempts}
        return self._archive.database.write(
            lambda c: queue.note(c, take.id, best["seed"], facts, by)
        )

    def _samples(self, seat: Seat, line: Line) -> Pcm:
        rendering = seat.submit(partial(self._studio.open, line, origin=None)).result()
        parts = [rendering.first]
        try:
            while (chunk := seat.submit(rendering.chunk, rendering.cell()).result()) is not None:
                parts.append(chunk)
        finally:
            rendering.close()
        return np.frombuffer(b"".join(parts), "<f4").astype(np.float32)

    def _judge(self, pcm: Pcm, rate_hz: int, line: Line) -> dict[str, Any]:
        """What the inspector says of samples that are to say a line's text."""
        assert self._inspector is not None, "asking for quality is refused without"
        language = line.language or self._studio.cast.pack(line.actor or "").language
        verdict = inspected(self._inspector, pcm, rate_hz, (line.text or "", line.markup, language))
        return {"wer": verdict.wer, "transcript": verdict.transcript}

    def _drain(self, seat: Seat, rendering: Rendering) -> None:
        made: bytes | None = rendering.first
        while made is not None and not self.stopping.is_set():
            seat.took(rendering.audio_s, self._compute.clock())
            made = seat.submit(rendering.chunk, rendering.cell()).result()

    def _ended(self, take: StoredTake, state: Any, reason: str) -> None:
        """End a take that is still open, whatever became of it."""
        if self._archive.take(take.id).state == "open":
            self._archive.end(take.id, Ending(state, {"reason": reason}))


def _worse(found: dict[str, Any]) -> float:
    """The word error rate; what could not be listened to is worst."""
    return 1.0 if found["wer"] is None else float(found["wer"])


def inspected(
    inspector: qc.Inspector, pcm: Pcm, rate_hz: int, asked: tuple[str, markup.Kind, str]
) -> qc.Verdict:
    """Whether samples say a text, given with its markup and its language."""
    text, kind, language = asked
    directed = markup.parse(text, kind, lenient=True)
    return inspector.inspect(pcm, rate_hz, directed.text, language, directed.said)


class Measurer(Aside):
    """Measures takes that are complete, the oldest first: levels and pitch, and what was said."""

    name = "measurer"

    def __init__(self, studio: Studio, inspector: qc.Inspector | None, manners: Manners) -> None:
        super().__init__(_IDLE_S, manners)
        assert studio.archive is not None, "without an archive there is nothing to measure"
        self._studio, self._archive, self._inspector = studio, studio.archive, inspector

    def work(self) -> bool:
        """The next take that nothing has been measured of."""
        found = self._archive.database.read(lambda c: queue.unmeasured(c, 1))
        if not found:
            return False
        take = self._archive.take(found[0])
        age_s = (self._archive.now_ms() - (take.closed_ms or 0)) / 1000
        between = self.piece(LISTENERS_S - age_s)
        between()
        try:
            figures, flags = self._measured(take, between)
        except BlobsFailed as e:  # the place of all audio: the take is measured once it is back
            _log.error("measuring: %s", e)
            return False
        except (VoiceError, ValueError) as e:
            if self.stopping.is_set():  # the inspector was closed; the take is measured next time
                return False
            # Noted, and not tried again: one take must not keep the others from being measured.
            figures, flags = {"not_measured": {"audio": str(e)}}, ()
        by = self._archive.by()
        self._archive.database.write(lambda c: rows.measured(c, take.id, figures, flags, by))
        return True

    def _measured(
        self, take: StoredTake, between: Callable[[], None]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        pcm, rate_hz = self._archive.whole(take), take.sample_rate_hz or 0
        levels, verdict = measure.measure(pcm, rate_hz, between), None
        figures = levels.json()
        if self._inspector is not None:
            pack = self._studio.cast.packs.get(take.actor)
            language = language_of(take, pack) if isinstance(pack, Pack) else ""
            loose = take.made_by == "retake" or take.facts.get("from_plan")
            kind: markup.Kind = "plain" if loose else take.facts["asked"].get("markup", "auto")
            verdict = inspected(self._inspector, pcm, rate_hz, (take.text, kind, language))
            heard = verdict.json()
            both = {**figures["not_measured"], **heard["not_measured"]}
            figures |= {**heard, "not_measured": both}
        return figures, qc.flags(levels, verdict)


class Printer(Aside):
    """Makes the fingerprints of takes that are complete, the oldest first."""

    name = "printer"

    def __init__(self, archive: Archive, manners: Manners) -> None:
        super().__init__(_IDLE_S, manners)
        self._archive = archive

    def work(self) -> bool:
        """The next take that has none."""
        database = self._archive.database
        id = database.read(fingerprints.awaited)
        if id is None:
            return False
        between = self.piece()
        words: bytes | None = None
        try:
            words = self._words(self._archive.take(id), between)
        except BlobsFailed as e:  # the place of all audio: it is tried again once it is back
            _log.error("fingerprints: %s", e)
            return False
        except VoiceError as e:  # what is lost has none, and must not keep the others from theirs
            _log.error("take %s has no fingerprint: %s", id, e)
        database.write(lambda c: fingerprints.put(c, id, words))
        return True

    def _words(self, take: StoredTake, between: Callable[[], None]) -> bytes:
        made = Fingerprinter(take.sample_rate_hz or 0)
        for pcm in self._archive.pcm(take):
            between()
            made.feed(pcm)
        return made.flush().astype("<u4").tobytes()


class Watcher(Loop):
    """Keeps what this process knows up to date, whichever process it was changed by.

    That is the register of grants, and which keys count.
    """

    name = "watcher"

    def __init__(self, door: Door, keyring: Keyring) -> None:
        super().__init__(REFRESH_MS / 1000)
        self._door, self._keyring = door, keyring

    def work(self) -> bool:
        """Read what came; False, so that the next time waits."""
        try:
            self._door.refresh()
            self._keyring.refresh()
        except StoreFailed as e:
            _log.error("grants and keys: %s", e)
        return False


class Auditor(Loop):
    """Enters who was not let in, as far as a tally says that it is due."""

    name = "auditor"

    def __init__(self, archive: Archive, tally: Tally) -> None:
        super().__init__(_IDLE_S)
        self._archive, self._tally = archive, tally

    def work(self) -> bool:
        """What is due; False, so that the next time waits."""
        self._enter(self._tally.due())
        return False

    def stop(self) -> None:
        """End; what was not told is told."""
        super().stop()
        self._enter(self._tally.rest())

    def _enter(self, told: list[Denied]) -> None:
        by = self._archive.by()
        for one in told:
            facts = {"reason": one.reason, "count": one.count, "since": iso(one.since_ms)}
            entry = Entry("denied", one.subject, facts)
            self._archive.database.submit(partial(permits.note, entry=entry, by=by))


class Keeper(Loop):
    """Says that this process lives, ends takes of those that do not, and removes what is due."""

    name = "keeper"

    def __init__(self, archive: Archive, door: Door, deleted_kept_ms: int) -> None:
        super().__init__(HEARTBEAT_MS / 1000)
        self._archive, self._door, self._kept_ms = archive, door, deleted_kept_ms
        self._reminders = retention.Reminders()
        self._removed: set[str] = set()  # grants under which nothing is left
        self._beats = 0

    def work(self) -> bool:
        """One heartbeat; False, so that the next one waits."""
        try:
            self._archive.beat()
            self._door.withdrawals.sweep()
            self._retain()
            if self._beats == 0:
                self._archive.remove_orphans()
            if self._beats % _PURGE_EVERY == 0:
                self._archive.purge(self._kept_ms)
                due = retention.announced(self._archive, self._door.register)
                self._reminders.tell(due, self._archive.now_ms())
                before_ms = self._archive.now_ms() - KEYS_KEPT_MS
                self._archive.database.write(lambda c: record.forget(c, before_ms))
        except (StoreFailed, BlobsFailed) as e:
            _log.error("upkeep: %s", e)
        self._beats += 1
        return False

    def _retain(self) -> None:
        """Remove what was made under grants that say that it is to go by now."""
        register, now_ms = self._door.register, self._archive.now_ms()
        for grant in register.grants.keys() - self._removed:
            due_ms = retention.due_ms(register, grant)
            if due_ms is not None and due_ms <= now_ms:
                n_takes = retention.remove(self._archive, grant)
                self._removed.add(grant)
                if n_takes:
                    _log.warning("%d takes under grant %s were removed", n_takes, grant)
