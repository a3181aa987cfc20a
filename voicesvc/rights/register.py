"""All papers of a service in order, and what follows from them: who is trusted, what is granted.

Pure: it is made anew from all papers, so a key that is no longer trusted takes with it whatever it
had signed. A paper that does not hold is left out, and what it may have stopped stays stopped.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict

from voicesvc.errors import BadGrant, LedgerBroken, UnknownGrant
from voicesvc.rights import canonical, keys
from voicesvc.rights.check import BACK_MS
from voicesvc.rights.grant import Name, Role, record
from voicesvc.rights.ledger import Row
from voicesvc.rights.signed import Trust, Verified, opened, payload_of, sign, verify
from voicesvc.rights.standing import (
    Approval,
    Given,
    Notice,
    Script,
    approval,
    notice,
    revoked,
    stopped,
)

PAPERS = ("trust", "script", "grant", "approval", "notice")
Kind = Literal["trust", "script", "grant", "approval", "notice"]


class Trusted(BaseModel):
    """That the operator trusts a signer's key, or no longer does."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: Literal["voicesvc-trust"] = "voicesvc-trust"
    jwk: dict[str, str]
    name: Name
    role: Role
    trusted: bool
    at: AwareDatetime

    def signed(self, operator: OKPKey) -> str:
        """In an envelope, by the operator's key."""
        return sign(canonical.dumps(self.model_dump(mode="json")), "trust", (operator,))


@dataclass(frozen=True, slots=True)
class Register:
    """What follows from the papers; `newest` is the number of the last one."""

    trust: Trust
    newest: int = -1
    signers: Mapping[str, Trusted] = field(default_factory=dict)  # by kid
    grants: Mapping[str, Sequence[Verified]] = field(default_factory=dict)  # versions, by id
    notices: Mapping[str, Sequence[Given]] = field(default_factory=dict)
    scripts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    approved: Mapping[str, frozenset[str]] = field(default_factory=dict)
    problems: Sequence[str] = ()

    def of(self, actor: str) -> list[Verified]:
        """Every version of every grant for an actor."""
        every = (v for versions in self.grants.values() for v in versions)
        return [v for v in every if v.grant.voice.actor == actor]


def made(papers: Iterable[tuple[Row, str | None]], operator: OKPKey) -> Register:
    """The register of papers, each with its entry of the ledger.

    Raises:
        LedgerBroken: a paper is missing, or is not the one that was entered.
    """
    whole = [(row, _checked(row, content)) for row, content in papers]
    ours = keys.kid(operator)
    problems: list[str] = []
    signers: dict[str, Trusted] = {}
    for row, content in whole:
        if row.kind == "trust":
            try:
                said = trusted(content, operator)
                signers[keys.kid(keys.read(dict(said.jwk)))] = said
            except BadGrant as e:
                problems.append(f"entry {row.seq}: {e}")
    known = {kid: keys.read(dict(s.jwk)) for kid, s in signers.items() if s.trusted}
    trust = Trust({**known, ours: operator}, ours)
    grants: dict[str, list[Verified]] = {}
    notices: dict[str, list[Given]] = {}
    scripts: dict[str, frozenset[str]] = {}
    approved: dict[str, frozenset[str]] = {}
    for row, content in whole:
        try:
            if row.kind == "script":
                script = record(Script, content)
                scripts[script.sha256] = frozenset(script.lines)
            elif row.kind == "grant":
                versions = grants.get(row.subject, [])
                found = verify(content, trust, versions[-1] if versions else None)
                grants[row.subject] = [*versions, found]
            elif row.kind == "approval":
                lines = approves(content, grants, trust).lines
                approved[row.subject] = approved.get(row.subject, frozenset()) | set(lines)
            elif row.kind == "notice":
                notices.setdefault(row.subject, []).append(noticed(content, grants, trust))
        except (BadGrant, UnknownGrant) as e:
            problems.append(f"entry {row.seq}: {e}")
            if row.kind == "notice":
                notices.setdefault(row.subject, []).append(_doubted(content))
    last = whole[-1][0].seq if whole else -1
    return Register(trust, last, signers, grants, notices, scripts, approved, tuple(problems))


def _checked(row: Row, content: str | None) -> str:
    said = json.loads(row.body)
    if content is None or said.get("sha256") != canonical.sha256(content.encode()):
        raise LedgerBroken(
            f"the paper of entry {row.seq} is not the one that was entered", where=str(row.seq)
        )
    return content


def standing(register: Register, now_ms: int) -> frozenset[str]:
    """Actors for whom there is a grant that was not stopped and has not ended."""
    newest = (versions[-1].grant for versions in register.grants.values())
    return frozenset(
        g.voice.actor
        for g in newest
        if now_ms < 1000 * g.term.expires.timestamp()
        and stopped(register.notices.get(g.id, ()), g.threshold) is None
    )


def withdrawn(register: Register, now_ms: int) -> frozenset[str]:
    """Actors for whom every grant has ended, at least one of them by being revoked."""
    every: dict[str, list[tuple[bool, bool]]] = {}
    for id, versions in register.grants.items():
        grant = versions[-1].grant
        gone = revoked(register.notices.get(id, ())) is not None
        over = gone or now_ms >= 1000 * grant.term.expires.timestamp()
        every.setdefault(grant.voice.actor, []).append((over, gone))
    return frozenset(
        actor
        for actor, ends in every.items()
        if all(over for over, _ in ends) and any(gone for _, gone in ends)
    )


def trusted(content: str, operator: OKPKey) -> Trusted:
    """What a paper says of a signer's key.

    Raises:
        BadGrant: it is not signed by the operator.
    """
    signed = opened(content, "trust", {keys.kid(operator): operator})
    if not signed.kids:
        raise BadGrant("the operator did not sign it", where="signatures")
    return record(Trusted, signed.payload)


def newest(grants: Mapping[str, Sequence[Verified]], id: Any) -> Verified:
    """The newest version of a grant.

    Raises:
        UnknownGrant: there is none.
    """
    versions = grants.get(id)
    if not versions:
        raise UnknownGrant(f"no grant {id!r}", where="grant", valid=sorted(grants)[:100])
    return versions[-1]


def granted(envelope: str, register: Register) -> Verified:
    """A grant, or the next version of one, that is to be entered.

    Raises:
        BadGrant: it is not signed by those who are to, does not follow, or is here already.
    """
    id = canonical.loads(payload_of(envelope)).get("id")
    versions = register.grants.get(id, ()) if isinstance(id, str) else ()
    found = verify(envelope, register.trust, versions[-1] if versions else None)
    if any(v.grant.version == found.grant.version for v in versions):
        valid = f"version {versions[-1].grant.version + 1}"
        raise BadGrant(f"grant {id} is here already", where="version", valid=valid)
    return found


def state_of(found: Verified, register: Register, now_ms: int) -> str:
    """How a version of a grant stands, in words."""
    grant = found.grant
    if newest(register.grants, grant.id).sha256 != found.sha256:
        return "it was superseded"
    if (why := stopped(register.notices.get(grant.id, ()), grant.threshold)) is not None:
        return why
    if now_ms >= 1000 * grant.term.expires.timestamp():
        return "its term ended"
    return "it stands" if now_ms >= 1000 * grant.term.not_before.timestamp() else "not yet"


def subject_of(kind: Kind, content: str, register: Register, operator: OKPKey, now_ms: int) -> str:
    """Check a paper that is to be entered; gives what it is about: a grant, a script, a key.

    What was entered once, or was overtaken since, is not entered again, whoever sends it.

    Raises:
        BadGrant: it does not hold.
        UnknownGrant: it is about a grant that is not here.
    """
    if kind == "trust":
        said = trusted(content, operator)
        kid = keys.kid(keys.read(dict(said.jwk)))
        before = register.signers.get(kid)
        if before is not None and said.at <= before.at:
            valid = f"later than {before.at.isoformat()}"
            raise BadGrant("more is known of this key by now", where="at", valid=valid)
        _not_ahead(said.at, now_ms)
        return kid
    if kind == "script":
        return record(Script, content).sha256
    if kind == "grant":
        return granted(content, register).grant.id
    if kind == "approval":
        return approves(content, register.grants, register.trust).grant
    given = noticed(content, register.grants, register.trust)
    for earlier in register.notices.get(given.notice.grant, ()):
        if earlier.notice == given.notice and given.kids <= earlier.kids:
            raise BadGrant("this notice was entered before", where="at", valid="a new one")
    _not_ahead(given.notice.at, now_ms)
    return given.notice.grant


def _not_ahead(at: datetime, now_ms: int) -> None:
    """What is dated ahead could not be overtaken by anything until then."""
    if 1000 * at.timestamp() > now_ms + BACK_MS:
        now = datetime.fromtimestamp(now_ms // 1000, UTC).isoformat()
        raise BadGrant("it is dated ahead of now", where="at", valid=f"until {now}")


def facts(kind: str, content: str) -> dict[str, Any]:
    """What the ledger says of a paper, beside its hash."""
    said = json.loads(content if kind == "script" else payload_of(content))
    if kind in ("script", "approval"):
        return {"lines": len(said["lines"])}
    return {name: said[name] for name in ("version", "action", "role", "trusted") if name in said}


def approves(content: str, grants: Mapping[str, Sequence[Verified]], trust: Trust) -> Approval:
    """An approval of a grant that is here.

    Raises:
        BadGrant: it does not hold.
    """
    said = canonical.loads(payload_of(content))
    return approval(content, newest(grants, said.get("grant")).grant, trust)


def noticed(content: str, grants: Mapping[str, Sequence[Verified]], trust: Trust) -> Given:
    """A notice for a grant that is here, by its signers or by the operator.

    Raises:
        BadGrant: it does not hold.
    """
    signed = opened(content, "notice", trust.keys)
    said = canonical.loads(signed.payload)
    found = newest(grants, said.get("grant"))
    if trust.operator in signed.kids:
        return Given(record(Notice, signed.payload))
    return notice(content, found.grant, trust)


def _doubted(content: str) -> Given:
    """A notice that no longer holds still stops what it stopped: its key may have been stolen."""
    said = record(Notice, payload_of(content))
    if said.action == "resume":
        return Given(said, frozenset({"nobody"}))
    return Given(said, frozenset({"doubted"}))
