"""The one door: every use of a voice asks here, and only here a permit is had.

Keeps this process's register up to date, enters refusals in the ledger, and says at every chunk
whether a permit still stands. Knows nothing of HTTP.
"""

import logging
import math
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from voicesvc import archive as archives
from voicesvc import markup
from voicesvc.archive import Archive, Origin
from voicesvc.cast import Cast
from voicesvc.config import Settings
from voicesvc.errors import LedgerBroken, StoreFailed, Unlicensed
from voicesvc.line import Line
from voicesvc.noted import Notes
from voicesvc.packs import Pack
from voicesvc.rights import (
    Notice,
    NotLicensed,
    Permit,
    Standing,
    Trust,
    Use,
    Used,
    check,
    keys,
    sign,
    stated,
)
from voicesvc.rights import register as registers
from voicesvc.rights.check import STALE_MS, Kind
from voicesvc.rights.demonstration import demonstration, id_of
from voicesvc.rights.register import Register
from voicesvc.rights.standing import Action, stopped
from voicesvc.rights.stated import Stated
from voicesvc.store import Database, StoredTake, permits
from voicesvc.takes import language_of
from voicesvc.withdrawn import Withdrawals

T = TypeVar("T")
REFRESH_MS = 500  # how old the register may become before it is read again
_log = logging.getLogger(__name__)


class Door:
    """Any method may be called from any thread.

    Args:
        cast: the actors; a pack that is a demonstration comes with a grant, and a voice that no
            grant is for any more is let go of.
        archive: where papers and the ledger are; None for a process that keeps nothing, which
            reads the papers of the settings' database where it needs them.
    """

    def __init__(self, cast: Cast, settings: Settings, archive: Archive | None) -> None:
        self._cast, self._settings, self._archive = cast, settings, archive
        self.notes = Notes(archive)
        self.key = keys.new() if archive is None else archive.key
        ours = keys.kid(self.key)
        self.register = Register(Trust({ours: self.key}, ours))
        self._broken: str | None = None
        self._as_of_ms = self._newest_ms = 0
        self._used: dict[str, tuple[int, Used]] = {}
        self._live: dict[str, dict[int, float]] = {}  # seconds, by grant and permit
        self.withdrawals = Withdrawals(cast, self.notes)
        self._lock = threading.RLock()
        self.refresh()
        for pack in cast.packs.values():
            if isinstance(pack, Pack):
                self._demonstrate(pack)
        self.withdrawals.follow(self.register, self.now_ms())
        cast.stands, cast.loaded = self.stands, self.notes.model

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""
        return archives.now_ms() if self._archive is None else self._archive.now_ms()

    # -- the register ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read papers that came since, and let go of voices that no grant is for now."""
        with self._lock:
            at_ms = self.now_ms()
            if self._archive is not None:
                database = self._archive.database
                newest, self._newest_ms = database.read(permits.state)
                if newest != self.register.newest:
                    self._read(database)
            self._as_of_ms = at_ms
        self.withdrawals.follow(self.register, at_ms)

    def _read(self, database: Database) -> None:
        try:
            self.register = registers.made(database.read(permits.papers), self.key)
            self._broken = None
        except LedgerBroken as e:
            self._broken = str(e)
            _log.error("no voice speaks: %s", e)
        for problem in self.register.problems:
            _log.error("a paper does not hold: %s", problem)

    def stands(self, actor: str) -> bool:
        """Whether there is any grant for an actor that was not stopped and has not ended."""
        self._alone(actor)
        pack = self._cast.packs.get(actor)
        if isinstance(pack, Pack):
            self._demonstrate(pack)
        return actor in self.withdrawals.standing

    def _demonstrate(self, pack: Pack) -> None:
        """Grant what a demonstration voice is for, where that is not granted yet."""
        if not pack.demonstration or self._broken:
            return
        with self._lock:
            versions = self.register.grants.get(id_of(pack.actor_id), ())
            before = versions[-1] if versions else None
            if before and pack.model_sha256 in before.grant.voice.model_sha256:
                return
            made = (self.key, self.now_ms())
            grant = demonstration(pack.actor_id, pack.model_sha256, pack.languages, made, before)
            envelope = sign(grant.canonical(), "grant", (self.key,))
            if self._archive is not None:
                self.enter("grant", grant.id, envelope, None)
                return
            found = registers.granted(envelope, self.register)
            grants = {**self.register.grants, grant.id: (*versions, found)}
            self.register = replace(self.register, grants=grants)
            self.withdrawals.follow(self.register, self.now_ms())

    def _alone(self, actor: str) -> None:
        """Without an archive: read the database's papers, for a voice that no grant here is for."""
        if self._archive is not None or self.register.of(actor):
            return
        url = self._settings.database_url
        if url is None and not (self._settings.data_path / "takes.db").exists():
            return
        database = Database(self._settings.takes_url)
        try:
            self.key = keys.local(self._settings.key_path)
            self._read(database)
        finally:
            database.close()

    def enter(self, kind: str, subject: str, content: str, who: str | None) -> None:
        """Enter a paper, which was checked before; it counts from now on.

        Raises:
            StoreFailed: it could not be written.
        """
        assert self._archive is not None, "papers are kept: give the studio an archive"
        by = self._archive.by(who)
        paper = permits.Paper(kind, subject, content, registers.facts(kind, content))
        self._archive.database.write(lambda c: permits.add_paper(c, paper, by))
        self.refresh()

    def notice(self, grant: str, action: Action, reason: str) -> str:
        """The operator's notice that stops a grant, or lets it go on, signed and not yet entered.

        Raises:
            UnknownGrant: there is none.
        """
        registers.newest(self.register.grants, grant)
        at = datetime.fromtimestamp(self.now_ms() / 1000, UTC)
        said = Notice(grant=grant, action=action, at=at, reason=reason)
        return sign(said.canonical(), "notice", (self.key,))

    # -- permits -----------------------------------------------------------------------------------

    def speak(self, pack: Pack, line: Line, origin: Origin, takes: int = 1) -> Permit:
        """That a line may be spoken.

        Raises:
            Unlicensed: no grant covers it.
        """
        self._alone(pack.actor_id)
        self._demonstrate(pack)
        text, certain = self._words(pack.actor_id, line)
        place = self._where(origin.production, origin.line)
        return self.permit(
            self._use(
                place,
                origin.stated,
                actor=pack.actor_id,
                model_sha256=pack.model_sha256,
                language=pack.language,
                text=text,
                line=origin.line,
                certain=certain,
                takes=takes,
            )
        )

    def _use(self, place: permits.Where | None, said: Stated, **more: Any) -> Use:
        return Use(
            production=self._settings.production if place is None else place.slug,
            production_id=None if place is None else place.id,
            character=(None if place is None else place.character) or said.character,
            medium=said.medium,
            episode=said.episode,
            territory=said.territory or self._settings.territory,
            purposes=said.purpose,
            categories=said.category,
            **more,
        )

    def again(self, take: StoredTake, kind: Kind) -> Permit:
        """That a take that was made may be heard, exported, or made once more.

        Raises:
            Unlicensed: no grant covers that now.
        """
        pack = self._cast.packs.get(take.actor)
        model = take.model_sha256  # for what was made; what is made anew, by the one that is here
        if kind == "speak" and isinstance(pack, Pack):
            model = pack.model_sha256
        said = stated.kept(take.facts.get("use", {}))
        place = self._where(take.production, take.line)
        return self.permit(
            self._use(
                place,
                said,
                actor=take.actor,
                model_sha256=model,
                language=language_of(take, pack) if isinstance(pack, Pack) else "",
                text=take.text,
                kind=kind,
                line=take.line,
                certain=_certain(take),
            )
        )

    def assigned(self, take: StoredTake, line: str) -> None:
        """That a take may be given to a line: as if it were to be made for it.

        Raises:
            Unlicensed: no grant covers that.
        """
        pack = self._cast.packs.get(take.actor)
        self.permit(
            self._use(
                self._where(None, line),
                stated.kept(take.facts.get("use", {})),
                actor=take.actor,
                model_sha256=take.model_sha256,
                language=language_of(take, pack) if isinstance(pack, Pack) else "",
                text=take.text,
                line=line,
                certain=_certain(take),
                takes=0,
            )
        )

    def demand_actor(self, actor: str) -> None:
        """That any grant for an actor stands: without, not even a line is planned.

        Raises:
            Unlicensed: none does.
        """
        if not self.stands(actor):
            use = Use(actor, "", self._settings.production, "", "")
            found = self._checked(use)
            looked = () if isinstance(found, Permit) else found.looked_at
            raise self._refused(NotLicensed(use, f"no grant for {actor!r} stands", looked))

    def permit(self, use: Use) -> Permit:
        """That a use is covered.

        Raises:
            Unlicensed: it is not; says which grants were looked at, and what would be needed.
        """
        if self.now_ms() - self._as_of_ms > REFRESH_MS:
            self._try_refresh()
        found = self._checked(use)
        if isinstance(found, Permit):
            return found
        raise self._refused(found)

    def _checked(self, use: Use) -> Permit | NotLicensed:
        if self._broken is not None:
            return NotLicensed(use, f"the register of grants is broken: {self._broken}")
        register, grants = self.register, self.register.of(use.actor)
        limited = {v.grant.id for v in grants if v.grant.limits != type(v.grant.limits)()}
        standing = Standing(
            as_of_ms=self._as_of_ms,
            newest_ms=self._newest_ms,
            notices=register.notices,
            used={id: self._used_of(id) for id in limited},
            scripts=register.scripts,
            approved=register.approved,
        )
        return check(use, grants, standing, self.now_ms())

    def _try_refresh(self) -> None:
        """What cannot be read now leaves the register as old as it is, until it is too old."""
        try:
            self.refresh()
        except StoreFailed as e:
            _log.error("the register of grants: %s", e)

    def _used_of(self, grant: str) -> Used:
        if self._archive is None:
            return Used()
        with self._lock:
            after, before = self._used.get(grant, (-1, Used()))
            read = self._archive.database.read
            self._used[grant] = read(lambda c: permits.used(c, grant, after, before))
            used, live = self._used[grant][1], sum(self._live.get(grant, {}).values())
            return replace(used, seconds=used.seconds + live)

    def _refused(self, refused: NotLicensed) -> Unlicensed:
        """The error that says why; the ledger has it too."""
        error = Unlicensed(refused.detail, where="actor")
        error.extra = {"grants": [looked.json() for looked in refused.looked_at]}
        self.notes.refused(refused)
        return error

    def _where(self, production: str | None, line: str | None) -> permits.Where | None:
        if self._archive is None or (production is None and line is None):
            return None
        return self._archive.database.read(lambda c: permits.where(c, production, line))

    def _words(self, actor: str, line: Line) -> tuple[str, bool]:
        """What is said, and whether it is certain to be what is heard; matters to few grants."""
        if line.plan is not None:
            words = (w.text + w.after for s in line.plan.sentences for w in s.words)
            return "".join(words), False
        bound = (v.grant for v in self.register.of(actor))
        if all(g.use.new_dialogue and g.approvals.kind == "none" for g in bound):
            return line.text or "", True
        directed = markup.parse(line.text or "", line.markup, lenient=line.lenient)
        return directed.text, not directed.said and not line.lexicons

    # -- while something is made or sent -----------------------------------------------------------

    def demand(self, permit: Permit, audio_s: float = 0.0) -> None:
        """That a permit still stands, after so many seconds of audio under it.

        Raises:
            Unlicensed: its grant was stopped, has ended or is used up, or nobody knows.
        """
        if self.now_ms() - self._as_of_ms > 4 * REFRESH_MS:  # nobody watches it, or that is slow
            self._try_refresh()
        register, now_ms = self.register, self.now_ms()
        versions = register.grants.get(permit.grant)
        reason = None
        if self._broken is not None or versions is None:
            reason = "it does not hold any more"
        elif now_ms >= permit.expires_ms:
            reason = "its term ended"
        elif now_ms - self._as_of_ms > STALE_MS and self._archive is not None:
            reason = "what was revoked is not known"
        elif permit.grant in register.notices:
            reason = stopped(register.notices[permit.grant], versions[-1].grant.threshold)
        if reason is None and math.isfinite(permit.seconds_left) and versions is not None:
            with self._lock:
                live = self._live.setdefault(permit.grant, {})
                live[id(permit)] = audio_s
                used_s = self._used.get(permit.grant, (-1, Used()))[1].seconds
                if used_s + sum(live.values()) > (versions[-1].grant.limits.seconds or 0):
                    reason = "its seconds are used up"
        if reason is not None:
            raise Unlicensed(f"grant {permit.grant}: {reason}", where="actor")

    def done(self, permit: Permit) -> None:
        """What was made under a permit is in the ledger, and counts from there."""
        if math.isfinite(permit.seconds_left):
            with self._lock:
                self._live.get(permit.grant, {}).pop(id(permit), None)
                self._used_of(permit.grant)

    def guarded(self, permit: Permit, chunks: Iterator[T]) -> Generator[T]:
        """The chunks, for as long as the permit stands.

        Raises:
            Unlicensed: it no longer does; the stream is to be broken off.
        """
        for chunk in chunks:
            self.demand(permit)
            yield chunk


def _certain(take: StoredTake) -> bool:
    """Whether what is heard of a take is what its text says."""
    read = take.facts.get("from_plan") or take.facts.get("asked", {}).get("lexicons")
    return not read and take.made_by not in ("retake", "drift")
