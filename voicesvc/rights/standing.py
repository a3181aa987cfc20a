"""What has happened to grants since they were signed: notices, approvals, what was used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from voicesvc.errors import BadGrant
from voicesvc.rights import canonical
from voicesvc.rights.grant import Grant, Id, Prose, Sha256, record
from voicesvc.rights.signed import Trust, opened

Action = Literal["revoke", "suspend", "resume"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def canonical(self) -> bytes:
        """The bytes that are signed (RFC 8785)."""
        return canonical.dumps(self.model_dump(mode="json", exclude_none=True))


class Notice(_Strict):
    """That a grant is withdrawn, or stands still, or goes on."""

    type: Literal["voicesvc-notice"] = "voicesvc-notice"
    grant: Id
    action: Action
    at: AwareDatetime
    reason: Prose = ""


class Approval(_Strict):
    """That somebody approves lines; each is named by `canonical.text_sha256`."""

    type: Literal["voicesvc-approval"] = "voicesvc-approval"
    grant: Id
    at: AwareDatetime
    lines: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=20_000)]


class Script(_Strict):
    """The lines of a script, by their hashes; its own names it in grants."""

    type: Literal["voicesvc-script"] = "voicesvc-script"
    lines: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=20_000)]

    @property
    def sha256(self) -> str:
        """Names it."""
        return canonical.sha256(self.canonical())


@dataclass(frozen=True, slots=True)
class Given:
    """A notice, and by whom: kids of signers, or the operator where there are none."""

    notice: Notice
    kids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Used:
    """What has been made under a grant so far."""

    seconds: float = 0.0
    takes: int = 0
    lines: frozenset[str] = frozenset()  # ids of lines, and of takes that belong to none


@dataclass(frozen=True, slots=True)
class Standing:
    """All of it, as it was known at `as_of_ms`; times are UTC milliseconds since 1970.

    `newest_ms` is the latest time that is on record: it is never earlier than that now.
    """

    as_of_ms: int
    newest_ms: int = 0
    notices: Mapping[str, Sequence[Given]] = field(default_factory=dict)  # by grant, in order
    used: Mapping[str, Used] = field(default_factory=dict)
    scripts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    approved: Mapping[str, frozenset[str]] = field(default_factory=dict)  # lines, by grant


def notice(envelope: str, grant: Grant, trust: Trust) -> Given:
    """A signed notice, if its signers may give it.

    Any signer of the grant may suspend it (a union its strike); the grantor, or `threshold` of the
    signers, may revoke it. Who may end a suspension is looked at by `suspended`.

    Raises:
        BadGrant: it is for another grant, or they may not.
    """
    signed = opened(envelope, "notice", trust.keys)
    canonical.loads(signed.payload)
    said: Notice = record(Notice, signed.payload)
    if said.grant != grant.id:
        raise BadGrant(f"the notice is for {said.grant}", where="grant", valid=[grant.id])
    theirs = {s.kid: s.role for s in grant.signers if s.kid in signed.kids}
    may = bool(theirs)
    if said.action == "revoke":
        may = grant.grantor.role in theirs.values() or len(theirs) >= grant.threshold
    if not may:
        valid = [f"{s.name} ({s.role}), {s.kid}" for s in grant.signers]
        detail = f"{said.action} is not signed by those who may"
        raise BadGrant(detail, where="signatures", valid=valid)
    return Given(said, frozenset(theirs))


def approval(envelope: str, grant: Grant, trust: Trust) -> Approval:
    """A signed approval.

    Raises:
        BadGrant: it is for another grant, or not by its approver.
    """
    signed = opened(envelope, "approval", trust.keys)
    canonical.loads(signed.payload)
    said: Approval = record(Approval, signed.payload)
    if said.grant != grant.id:
        raise BadGrant(f"the approval is for {said.grant}", where="grant", valid=[grant.id])
    if grant.approvals.approver not in signed.kids:
        valid = [grant.approvals.approver]
        raise BadGrant("not signed by the grant's approver", where="signatures", valid=valid)
    return said


def revoked(notices: Iterable[Given]) -> Notice | None:
    """The notice that ended a grant; nothing brings it back."""
    return next((g.notice for g in notices if g.notice.action == "revoke"), None)


def suspended(notices: Iterable[Given], threshold: int) -> Notice | None:
    """The notice that a grant stands still by.

    A suspension is ended by who gave it: the operator's by the operator, a signer's by the same
    signer or by `threshold` of them. What is dated before it ends nothing: it would be an old
    paper that somebody kept.
    """
    by: dict[frozenset[str], Notice] = {}
    for given in notices:
        if given.notice.action == "suspend":
            by[given.kids] = given.notice
        elif given.notice.action == "resume":
            enough = len(given.kids) >= threshold
            for kids in list(by):
                theirs = kids == given.kids or (kids and (kids <= given.kids or enough))
                if theirs and given.notice.at >= by[kids].at:
                    del by[kids]
    return next(iter(by.values()), None)


def stopped(notices: Sequence[Given], threshold: int) -> str | None:
    """Why a grant does not stand now; None where no notice stops it."""
    if revoked(notices) is not None:
        return "it was revoked"
    return None if suspended(notices, threshold) is None else "it is suspended"
