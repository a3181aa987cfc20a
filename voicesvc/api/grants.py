"""`/v1/grants`: licences for voices, imported as they were signed, stopped, read and printed."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse, Response

from voicesvc import access, retention
from voicesvc.access import Need
from voicesvc.api import reach
from voicesvc.api.changes import Body, archive_of, make_once, who
from voicesvc.api.scopes import caller_of, needs
from voicesvc.door import Door
from voicesvc.rights import Verified
from voicesvc.rights import page as pages
from voicesvc.rights import register as registers
from voicesvc.rights.register import Kind
from voicesvc.rights.standing import Action
from voicesvc.store import permits
from voicesvc.studio import Studio

router = APIRouter(tags=["grants"])
PRINTED = (  # what a page that is read and printed may do
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def door_of(request: Request) -> Door:
    """The door of this service."""
    studio: Studio = request.app.state.studio
    return studio.door


def told(found: Verified, door: Door) -> dict[str, Any]:
    """A version of a grant as an answer."""
    grant = found.grant
    return {
        "id": grant.id,
        "version": grant.version,
        "state": registers.state_of(found, door.register, door.now_ms()),
        "actor": grant.voice.actor,
        "production": grant.production.id,
        "demonstration": grant.demonstration,
        "sha256": found.sha256,
        "signed_by": sorted(found.kids),
        "grant": grant.model_dump(mode="json", exclude_none=True),
    }


def _reached(request: Request, found: Verified) -> bool:
    grant = found.grant
    need = Need(actor=grant.voice.actor, production=grant.production.id)
    return access.check(caller_of(request), need) is None


def newest_reached(request: Request, grant: str) -> Verified:
    """The newest version of a grant, where it can be reached.

    Raises:
        UnknownGrant: there is none, or it is for another actor or production.
    """
    found = registers.newest(door_of(request).register.grants, grant)
    return found if _reached(request, found) else registers.newest({}, grant)


class GrantsAsked(BaseModel):
    """Which grants; what is left out does not matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor: str | None = Field(None, description="actor id")
    production: str | None = Field(None, description="as the grant names it")


@router.get("/v1/grants")
@needs("grants")
def grants(request: Request, asked: Annotated[GrantsAsked, Query()]) -> dict[str, Any]:
    """The newest version of each grant, and whether it stands."""
    door = door_of(request)
    newest = [versions[-1] for versions in door.register.grants.values()]
    items = [
        told(v, door)
        for v in newest
        if _reached(request, v)
        and asked.actor in (None, v.grant.voice.actor)
        and asked.production in (None, v.grant.production.id)
    ]
    if not caller_of(request).everywhere:
        return {"items": items}
    signers = {
        kid: {"name": s.name, "role": s.role, "trusted": s.trusted}
        for kid, s in door.register.signers.items()
    }
    return {"items": items, "signers": signers, "problems": list(door.register.problems)}


class Paper(BaseModel):
    """Something that was signed: JWS in general JSON; a script is its JSON alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["grant", "notice", "approval", "script", "trust"] = Field(
        "grant", description="grant, notice, approval, script or trust"
    )
    content: dict[str, Any] = Field(description="the envelope: payload and signatures")


@router.post("/v1/grants", status_code=201)
@needs("grants")
def enter(body: Paper, raw: Body, request: Request) -> JSONResponse:
    """Import a grant, its next version, a notice, an approval, a script or a signer's key.

    Takes `Idempotency-Key`.
    """
    reach.everywhere(request)
    door, kind = door_of(request), body.kind
    content = json.dumps(body.content, separators=(",", ":"), ensure_ascii=False)

    def checked() -> tuple[str, str]:
        now_ms = door.now_ms()
        return registers.subject_of(kind, content, door.register, door.key, now_ms), content

    return JSONResponse(entered(request, raw, kind, checked), 201)


def entered(
    request: Request, raw: bytes, kind: Kind, checked: Callable[[], tuple[str, str]]
) -> dict[str, Any]:
    """Enter a paper, what it is about and its content, unless this request was sent before.

    Raises:
        BadGrant, UnknownGrant: it does not hold, says `checked`.
    """
    door, by = door_of(request), archive_of(request).by(who(request))

    def make(c: Any) -> dict[str, Any]:
        subject, content = checked()
        paper = permits.Paper(kind, subject, content, registers.facts(kind, content))
        permits.add_paper(c, paper, by)
        return {"kind": kind, "subject": subject}

    door.refresh()
    made, _ = make_once(request, raw, make)
    door.refresh()
    return made


@router.get("/v1/retention")
@needs("grants")
def deletions(request: Request) -> dict[str, Any]:
    """When what was made under each grant is removed, the soonest first."""
    reach.everywhere(request)
    archive, door = archive_of(request), door_of(request)
    now_ms = door.now_ms()
    return {"items": [d.json(now_ms) for d in retention.announced(archive, door.register)]}


@router.get("/v1/grants/{grant}")
@needs("grants")
def grant(grant: str, request: Request) -> dict[str, Any]:
    """One grant: every version, and what it was signed as."""
    door = door_of(request)
    newest_reached(request, grant)
    versions = [told(v, door) for v in door.register.grants[grant]]
    signed = json.loads(door.register.grants[grant][-1].envelope)
    notices = [
        {**g.notice.model_dump(mode="json"), "by": sorted(g.kids) or "operator"}
        for g in door.register.notices.get(grant, ())
    ]
    return {**versions[-1], "signed": signed, "notices": notices, "versions": versions}


@router.get("/v1/grants/{grant}/page", response_class=Response)
@needs("grants")
def page(grant: str, request: Request) -> HTMLResponse:
    """The newest version as a page, to be read and printed."""
    door = door_of(request)
    found = newest_reached(request, grant)
    html = pages.page(
        found.grant,
        registers.state_of(found, door.register, door.now_ms()),
        found.sha256,
        found.kids,
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": PRINTED})


class Stop(BaseModel):
    """What the operator does to a grant, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: Action = Field(description="revoke, for good; suspend; or resume what was suspended")
    reason: str = Field("", max_length=4000, description="for the record")


@router.post("/v1/grants/{grant}/notices", status_code=201)
@needs("grants")
def notice(grant: str, body: Stop, raw: Body, request: Request) -> dict[str, Any]:
    """Revoke, suspend or resume as the operator; streams under it are cut at once.

    Takes `Idempotency-Key`.
    """
    door = door_of(request)
    door.refresh()
    newest_reached(request, grant)
    entered(request, raw, "notice", lambda: (grant, door.notice(grant, body.action, body.reason)))
    return told(registers.newest(door.register.grants, grant), door)
