"""`/v1/keys`: who may ask, made, shown, given another secret and revoked by admins."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from voicesvc.access import Key
from voicesvc.access.asked import NewKey
from voicesvc.access.keys import DEFAULT_OVERLAP_S, LONGEST_OVERLAP_S
from voicesvc.api.changes import who
from voicesvc.api.scopes import needs
from voicesvc.keyring import Keyring, told

router = APIRouter(tags=["keys"])


class Rotation(BaseModel):
    """How a key gets another secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    overlap_s: int = Field(
        DEFAULT_OVERLAP_S,
        ge=0,
        le=LONGEST_OVERLAP_S,
        description="seconds in which the secret that it had counts, too",
    )


def _answer(key: Key, shown: str | None = None, status: int = 200) -> JSONResponse:
    return JSONResponse(told(key, shown), status, headers={"Cache-Control": "no-store"})


def keyring_of(request: Request) -> Keyring:
    """The keys of this service."""
    keyring: Keyring = request.app.state.keyring
    return keyring


@router.get("/v1/keys")
@needs("admin")
def keys(request: Request) -> dict[str, Any]:
    """Every key, revoked ones too, the oldest first; without their secrets."""
    return {"items": [told(key) for key in keyring_of(request).every()]}


@router.post("/v1/keys", status_code=201)
@needs("admin")
def make(body: NewKey, request: Request) -> JSONResponse:
    """Make a key. The answer is the only time that it is shown."""
    now_ms = request.app.state.studio.archive.now_ms()
    return _answer(*keyring_of(request).make(body.key(now_ms), who(request)), 201)


@router.get("/v1/keys/{key}")
@needs("admin")
def key(key: str, request: Request) -> JSONResponse:
    """One key, without its secret."""
    return _answer(keyring_of(request).get(key))


@router.post("/v1/keys/{key}/rotate")
@needs("admin")
def rotate(key: str, body: Rotation, request: Request) -> JSONResponse:
    """Give a key another secret, shown once; for some time the one that it had counts, too."""
    return _answer(*keyring_of(request).rotate(key, body.overlap_s, who(request)))


@router.post("/v1/keys/{key}/revoke")
@needs("admin")
def revoke(key: str, request: Request) -> JSONResponse:
    """End a key at once; what is being answered with it is broken off."""
    return _answer(keyring_of(request).revoke(key, who(request)))
