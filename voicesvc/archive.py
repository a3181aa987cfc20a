"""Where takes are kept: rows in the database, samples among the blobs, never one without the other.

A take's row is there before its first sample leaves; its samples are safe before the row says
`complete`. Knows nothing of how samples are made.
"""

import fcntl
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from joserfc.jwk import OKPKey

from voicesvc import blobs
from voicesvc.audio import Pcm
from voicesvc.blobs import Blobs, Writer
from voicesvc.config import Settings
from voicesvc.errors import (
    BadSetting,
    BlobDamaged,
    NotMade,
    StoreFailed,
    UnknownBlob,
    UnknownTake,
    VoiceError,
)
from voicesvc.rights import keys
from voicesvc.rights.stated import Stated
from voicesvc.store import By, Database, StoredTake, documents, queue
from voicesvc.store import takes as rows
from voicesvc.store.takes import Ending, NewTake

HEARTBEAT_MS = 10_000
_SILENT_MS = 3 * HEARTBEAT_MS  # a process that has not been heard of for this long is gone
_log = logging.getLogger(__name__)
_READ_BYTES = 4 * 2**16  # whole samples
_ORPHAN_S = 24 * 3600.0
_TEMPORARY_S = 3600.0  # a temporary file of another process may still be written to for this long


NOTHING = Stated()
# A take's credentials as it is kept, and a mark that they are to be made or to be time-stamped yet.
CREDENTIALS, DUE = "c2pa", "c2pa-due"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a take comes from; `take_id` names it, `queued` says that its row is there already.

    Without `kept` it is allowed or refused as one of these, but no take is kept of it.

    `production` is its id or its slug; `stated` what the caller said of the use.
    """

    who: str | None = None
    made_by: str = "speech"
    production: str | None = None
    line: str | None = None
    parent: str | None = None
    take_id: str | None = None
    queued: bool = False
    kept: bool = True
    stated: Stated = NOTHING
    facts: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None  # the caller's trace, by W3C Trace Context


FROM_SPEECH = Origin()


class Recording:
    """A take while it is made: `feed` its samples, then `complete` or `drop`."""

    def __init__(self, archive: "Archive", take_id: str, opened: "Future[Any] | None") -> None:
        self._archive, self._take_id, self._opened = archive, take_id, opened
        self._writer: Writer = archive.blobs.create()
        self._samples = 0

    def opened(self) -> None:
        """Return once the row is there.

        Raises:
            StoreFailed: it could not be written.
        """
        if self._opened is not None:
            self._opened.result()

    def feed(self, pcm: Pcm) -> None:
        """The next samples, [n]."""
        self._samples += len(pcm)
        self._writer.feed(np.ascontiguousarray(pcm, "<f4").tobytes())

    def complete(self, made: "Made") -> StoredTake:
        """Everything is there; returns once it is safe.

        Raises:
            StoreFailed: it is not.
        """
        self.opened()
        due = {DUE: b""} if self._archive.signs else {}
        with self._archive.closing():
            ending = Ending(
                "complete",
                made.facts,
                seed=made.seed,
                text=made.text,
                pcm_sha256=self._writer.commit(),
                plan_sha256=hashlib.sha256(made.documents["plan"]).hexdigest(),
                sample_rate_hz=made.sample_rate_hz,
                samples=self._samples,
                compute_s=round(made.compute_s, 6),
                documents={**made.documents, **due},
            )
            return self._archive.end(self._take_id, ending)

    def drop(self, state: Any, reason: str | None, spoken_s: float = 0.0) -> None:
        """It ends here; what there is of it is not kept. Never raises: something else went wrong.

        `spoken_s` is how much of it was heard, for what is owed for it.

        A row that cannot be written now is ended when the service next starts.
        """
        self._writer.abort()
        facts = {"reason": reason} if reason else {}
        if spoken_s:
            facts["spoken_s"] = f"{spoken_s:.3f}"
        try:
            self._archive.end(self._take_id, Ending(state, facts))
        except (StoreFailed, UnknownTake) as e:
            _log.error("take %s is %s, which could not be noted: %s", self._take_id, state, e)


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of a take once it is made."""

    seed: int
    sample_rate_hz: int
    compute_s: float
    facts: Mapping[str, Any]
    documents: Mapping[str, bytes]
    text: str | None = None  # what is said, where that is not what was asked for


class Archive:
    """The takes of this service. Any method may be called from any thread.

    Args:
        database: where the rows are.
        audio: where the samples are.
        now_ms: UTC milliseconds since 1970.
        instance: names this process among those that share the database.
        key: the service's own, that signs what it hands out.
    """

    def __init__(
        self,
        database: Database,
        audio: Blobs,
        now_ms: Callable[[], int],
        instance: str,
        key: OKPKey,
    ) -> None:
        self.database, self.blobs, self.now_ms, self.instance = database, audio, now_ms, instance
        self.key = key
        self.alone = False  # whether no other process uses the database
        self.lock: BinaryIO | None = None  # what says so
        self.signs = False  # whether takes are signed as they are kept
        self.folder: Path | None = None  # for what belongs to this service alone
        self._closings = 0  # takes whose samples are safe and whose row does not say so yet
        self._idle = threading.Condition()

    @contextmanager
    def closing(self) -> Iterator[None]:
        """While it lasts no blob is removed: its row may be on its way."""
        with self._idle:
            self._closings += 1
        try:
            yield
        finally:
            with self._idle:
                self._closings -= 1
                self._idle.notify_all()

    def by(self, who: str | None = None) -> By:
        """Who does something, now."""
        return By(who, self.now_ms())

    def open(self, new: NewTake, origin: Origin) -> Recording:
        """Begin a take; its row is written meanwhile, `Recording.opened` waits for it."""
        if origin.queued:
            return Recording(self, new.id, None)
        by, mine = self.by(origin.who), replace(new, instance=self.instance)
        opened = self.database.submit(lambda c: rows.add(c, [mine], by))
        return Recording(self, new.id, opened)

    def end(self, take_id: str, ending: Ending) -> StoredTake:
        """Note how a take ended."""
        by = self.by()
        return self.database.write(lambda c: rows.close(c, take_id, ending, by))

    def take(self, take_id: str, *, deleted: bool = True) -> StoredTake:
        """One that is kept.

        Raises:
            TakeGone: it was deleted, and deleted ones are not wanted.
            UnknownTake: there is none.
        """
        return self.database.read(lambda c: rows.get(c, take_id, deleted=deleted))

    def is_whole(self, take: StoredTake) -> bool:
        """Whether the take's samples are there and are still what their sha256 says: reads all."""
        if take.pcm_sha256 is None or take.purged_ms is not None:
            return False
        try:
            for _ in self.blobs.open(take.pcm_sha256):
                pass
        except (UnknownBlob, BlobDamaged):
            return False
        return True

    def put_back(self, pcm: Pcm) -> None:
        """Keep samples [n] of a take once more, in place of those that were lost or damaged.

        Raises:
            BlobsFailed, NoSpace: they cannot be written.
        """
        with self.closing(), self.blobs.create() as writer:
            writer.feed(np.ascontiguousarray(pcm, "<f4").tobytes())
            writer.commit()

    def document(self, take_id: str, name: str) -> bytes:
        """One of a take's documents: plan, timings or peaks.

        Raises:
            NotMade: the take has none, because it is not complete.
        """
        content = self.database.read(lambda c: documents.get(c, take_id, name))
        if content is None:
            raise NotMade(f"take {take_id} has no {name}", where="take", valid="a complete take")
        return content

    def json_document(self, take_id: str, name: str) -> Any:
        """The same, read."""
        return json.loads(self.document(take_id, name))

    def pcm(self, take: StoredTake) -> Iterator[Pcm]:
        """The take's samples, at its own rate, part by part.

        Raises:
            BlobDamaged: its samples are no longer what they were.
            NotMade: it has none.
            StoreFailed: its samples are lost.
        """
        if take.pcm_sha256 is None or take.purged_ms is not None:
            raise NotMade(f"take {take.id} has no audio", where="take", valid="a complete take")
        return self._pcm(take.id, take.pcm_sha256)

    def _pcm(self, take_id: str, sha256: str) -> Iterator[Pcm]:
        try:
            for part in self.blobs.open(sha256, _READ_BYTES):
                yield np.frombuffer(part, "<f4").astype(np.float32)
        except UnknownBlob as e:
            raise StoreFailed(f"take {take_id} lost its audio: {e.detail}", where="take") from e
        except BlobDamaged as e:
            raise BlobDamaged(f"take {take_id}: {e.detail}", where="take") from e

    def whole(self, take: StoredTake) -> Pcm:
        """All of the take's samples, checked against their sha256.

        Raises:
            BlobDamaged: its samples are no longer what they were.
            NotMade: it has none.
            StoreFailed: its samples are lost.
        """
        pcm = np.concatenate([np.zeros(0, np.float32), *self.pcm(take)])
        if hashlib.sha256(pcm.astype("<f4").tobytes()).hexdigest() != take.pcm_sha256:
            raise BlobDamaged(f"the audio of take {take.id} is damaged", where="take")
        return pcm

    def sweep(self) -> None:
        """At start: put in order what a process left that died.

        Takes that nobody makes, and temporary files. Where no other process uses the database,
        whatever is there was left.
        """
        by = self.by()
        self.database.write(lambda c: queue.alive(c, self.instance, by.now_ms))
        silent_ms = by.now_ms if self.alone else by.now_ms - _SILENT_MS
        self.database.write(lambda c: queue.abandoned(c, silent_ms, by))
        self.blobs.sweep(0.0 if self.alone else _TEMPORARY_S, by.now_ms / 1000)

    def beat(self) -> None:
        """Say that this process is at work, and end takes of those that are not any more."""
        by = self.by()
        self.database.write(lambda c: queue.alive(c, self.instance, by.now_ms))
        self.database.write(lambda c: queue.abandoned(c, by.now_ms - _SILENT_MS, by))

    def purge(self, kept_ms: int) -> int:
        """Remove the audio of takes that were deleted longer ago; gives how many blobs went."""
        by = self.by()
        gone = self.database.write(lambda c: rows.purge(c, by.now_ms - kept_ms, by))
        return self.let_go(gone)

    def let_go(self, hashes: Iterable[str]) -> int:
        """Remove blobs that no take has any more; gives how many."""
        return sum(self._remove(sha256) for sha256 in hashes)

    def remove_orphans(self) -> int:
        """Remove blobs that no take has; gives how many.

        Where other processes make takes, only those that are too old to be one's on its way.
        """
        now_s = self.now_ms() / 1000
        return sum(
            self._remove(sha256)
            for sha256 in self.blobs.names()
            if self.alone or now_s - self.blobs.written_s(sha256) > _ORPHAN_S
        )

    def _remove(self, sha256: str) -> bool:
        with self._idle:
            self._idle.wait_for(lambda: not self._closings)
            if self.database.read(lambda c: rows.needed(c, sha256)):
                return False
            self.blobs.delete(sha256)
            return True

    def close(self) -> None:
        """Let go of the database and the blobs."""
        self.database.close()
        self.blobs.close()
        if self.lock is not None:
            self.lock.close()


def open_in(settings: Settings, instance: str) -> Archive:
    """The archive that the settings name, with what a crash left put in order.

    Raises:
        BadGrant: the file of the service's key has none.
        BadSetting: another service has the data folder, or a setting names no database or store.
        BlobsFailed, StoreFailed: they cannot be opened.
    """
    lock = None
    if settings.database_url is None:
        with blobs.disk("make the data folder"):
            settings.data_path.mkdir(parents=True, exist_ok=True)
            lock = _lock(settings.data_path / "lock")
    database = Database(settings.takes_url)
    try:
        audio, key = blobs.of(settings.audio_path), keys.local(settings.key_path)
        archive = Archive(database, audio, now_ms, instance, key)
        archive.lock, archive.alone = lock, lock is not None
        archive.folder = settings.data_path
        archive.sweep()
    except VoiceError:
        database.close()
        raise
    return archive


def now_ms() -> int:
    """UTC milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _lock(path: Path) -> BinaryIO:
    """Held until the file is closed or the process ends, however it ends."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        file.close()
        raise BadSetting(
            f"another voicesvc has {path.parent}",
            where="VOICESVC_DATA_DIR",
            valid="another folder, or end the other one first",
        ) from e
    return file
