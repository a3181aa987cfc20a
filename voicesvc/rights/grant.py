"""A grant: who may use which voice, for what, until when and at what fee. Only its words."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from voicesvc.errors import BadGrant
from voicesvc.rights import canonical

# fmt: off
Category = Literal[
    "advertising", "political", "sexual", "hate", "violence", "medical", "endorsement",
    "impersonation", "training",
]
Purpose = Literal["promo", "trailer", "realtime", "singing"]
Medium = Literal[
    "feature", "series", "game", "audiobook", "podcast", "radio", "advertising", "online", "other",
]
# fmt: on
Role = Literal["performer", "estate", "guardian", "counsel", "union", "operator"]
Basis = Literal["line", "second", "session", "day", "flat"]

R = TypeVar("R", bound=BaseModel)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Kid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,79}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Prose = Annotated[str, StringConstraints(max_length=4000)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[a-z0-9]{2,8})?$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Money = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$")]
Count = Annotated[int, Field(ge=1, le=2**53 - 1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Grantor(_Strict):
    """Who grants, and by what authority."""

    role: Literal["performer", "estate", "guardian", "operator"]
    name: Name
    authority_sha256: Sha256 | None = Field(
        None, description="of the paper that gives the authority; an estate and a guardian have one"
    )


class Subject(_Strict):
    """Whose voice it is."""

    name: Name
    status: Literal["living", "deceased"]
    died: date | None = None


class Signer(_Strict):
    """One of those who are to sign; `kid` is the RFC 7638 thumbprint of the Ed25519 key."""

    kid: Kid
    role: Role
    name: Name


class Voice(_Strict):
    """Which model of it."""

    actor: Id
    model_sha256: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=100)]


class Licensee(_Strict):
    """Who may use it."""

    name: Name
    id: Name | None = None


class Production(_Strict):
    """For what; `id` is the slug or id that the service knows it by."""

    id: Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9][a-z0-9_-]{0,98})$")]
    title: Name
    ids: dict[Literal["isan", "eidr", "imdb", "own"], Name] = {}
    media: tuple[Medium, ...] = Field((), description="none: any")
    episodes: tuple[Name, ...] = Field((), description="none: any")


class Purposes(_Strict):
    """What use is made of it. The description is what a court reads (California AB 2602)."""

    description: Annotated[str, StringConstraints(min_length=20, max_length=4000)]
    characters: tuple[Name, ...] = Field((), description="none: any")
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    new_dialogue: bool = Field(description="words that are not in the script")
    script_sha256: Sha256 | None = Field(None, description="of the canonical list of its lines")
    prohibited: tuple[Category, ...] = ()
    realtime: bool = False
    singing: bool = False
    promo: bool = Field(False, description="promotion and trailers")


class Term(_Strict):
    """From when until when; what was made may be kept and delivered until `retain_until`."""

    not_before: AwareDatetime
    expires: AwareDatetime
    retain_until: AwareDatetime
    delete_by: AwareDatetime | None = None

    @property
    def deletion(self) -> datetime:
        """When what was made is removed."""
        return self.delete_by or self.retain_until

    @model_validator(mode="after")
    def _in_order(self) -> "Term":
        times = [self.not_before, self.expires, self.retain_until, self.delete_by]
        known = [t for t in times if t is not None]
        if known != sorted(known) or self.not_before == self.expires:
            raise ValueError("not_before < expires <= retain_until <= delete_by")
        return self


class Approvals(_Strict):
    """Whether somebody approves the words before they are spoken; with whose key."""

    kind: Literal["none", "script", "line"] = "none"
    approver: Kid | None = None

    @model_validator(mode="after")
    def _has_approver(self) -> "Approvals":
        if (self.kind == "none") != (self.approver is None):
            raise ValueError("an approver goes with script or line")
        return self


class Compensation(_Strict):
    """What is owed for what is made; amounts are decimal numbers in a string."""

    basis: Basis
    rate: Money
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    minimum: Money | None = None
    cap: Money | None = None
    payee: Name

    @model_validator(mode="after")
    def _in_order(self) -> "Compensation":
        if self.minimum and self.cap and Decimal(self.minimum) > Decimal(self.cap):
            raise ValueError("minimum is over cap")
        return self


class Limits(_Strict):
    """How much may be made in all; None: no limit."""

    seconds: Count | None = None
    lines: Count | None = None
    takes: Count | None = None


class Reporting(_Strict):
    """How often the payee gets a statement."""

    every: Literal["month", "quarter", "year", "request"] = "request"
    to: Name | None = None


class Spoken(_Strict):
    """What is said aloud before what leaves, where nothing else tells that a machine speaks."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    media: tuple[Medium, ...] = Field(
        (), description="in which it is said, and where none was stated; none: in all"
    )
    voice: Literal["own", "neutral"] = Field(
        "own", description="the actor's, or the one that the service has for it"
    )


class Grant(_Strict):
    """A licence for a voice, as it is signed."""

    type: Literal["voicesvc-grant"] = "voicesvc-grant"
    schema_version: Literal[1] = 1
    id: Id
    version: Annotated[int, Field(ge=1, le=10_000)]
    supersedes: Sha256 | None = Field(None, description="sha256 of the version before")
    demonstration: bool = Field(False, description="for a demonstration voice: no distribution")
    grantor: Grantor
    subject: Subject
    signers: Annotated[tuple[Signer, ...], Field(min_length=1, max_length=10)]
    threshold: Annotated[int, Field(ge=1, le=10)]
    voice: Voice
    licensee: Licensee
    production: Production
    use: Purposes
    territory: tuple[Country, ...] = Field((), description="none: the world")
    term: Term
    approvals: Approvals = Approvals()
    compensation: Compensation | None = None
    limits: Limits = Limits()
    reporting: Reporting = Reporting()
    disclosure: Prose = ""
    spoken_disclosure: Spoken | None = None
    notes: Prose = ""

    @model_validator(mode="after")
    def _agrees(self) -> "Grant":
        kids = [s.kid for s in self.signers]
        if len(set(kids)) != len(kids) or self.threshold > len(kids):
            raise ValueError("signers are there once each, threshold of them at most")
        if (self.version == 1) != (self.supersedes is None):
            raise ValueError("a version after the first names in supersedes the one before")
        if self.grantor.role not in {s.role for s in self.signers}:
            raise ValueError("the grantor is one of the signers")
        if self.grantor.role in ("estate", "guardian") and not self.grantor.authority_sha256:
            raise ValueError("authority_sha256 of the grantor is needed")
        if self.subject.status == "deceased" and self.grantor.role == "performer":
            raise ValueError("the dead do not grant: the grantor is an estate")
        if self.demonstration != (self.grantor.role == "operator"):
            raise ValueError("the operator grants demonstrations, and nothing else")
        if self.production.id == "*" and not self.demonstration:
            raise ValueError("a production is named; only a demonstration is for any")
        if not self.use.new_dialogue and self.use.script_sha256 is None:
            raise ValueError("without new dialogue there is a script")
        return self

    def canonical(self) -> bytes:
        """The bytes that are signed (RFC 8785)."""
        return canonical.dumps(self.model_dump(mode="json", exclude_none=True))

    @property
    def sha256(self) -> str:
        """Names this version of the grant."""
        return canonical.sha256(self.canonical())


def read(content: bytes) -> Grant:
    """A grant from what was signed.

    Raises:
        BadGrant: it is not canonical JSON, or a field is missing, unknown or not valid.
    """
    canonical.loads(content)
    grant = parse(content)
    if grant.canonical() != content:
        raise BadGrant(
            "the payload is not written as this service writes it",
            where="payload",
            valid="`voicesvc grant new` writes it",
        )
    return grant


def parse(content: str | bytes) -> Grant:
    """A grant from JSON in any form, as a person writes it.

    Raises:
        BadGrant: a field is missing, unknown or not valid.
    """
    return record(Grant, content)


def record(kind: type[R], content: str | bytes) -> R:
    """JSON as one of the records of this package.

    Raises:
        BadGrant: a field is missing, unknown or not valid.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(str(p) for p in first["loc"])
        reason = re.sub(r"^Value error, ", "", first["msg"])
        valid = first.get("ctx", {}).get("expected") or None
        if first["type"] == "extra_forbidden":
            valid = list(kind.model_fields) if len(first["loc"]) == 1 else None
        raise BadGrant(reason, where=where or "payload", valid=valid) from e


def schema() -> dict[str, Any]:
    """The JSON Schema of a grant (2020-12)."""
    made = Grant.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:voicesvc:grant:1",
        **made,
    }
