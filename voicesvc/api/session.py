"""`/login`: who opens the page says who they are, once; a cookie says so from then on."""

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voicesvc import access
from voicesvc.access import sessions
from voicesvc.api.gate import check_origin
from voicesvc.api.page import STATIC
from voicesvc.keyring import Keyring

router = APIRouter(tags=["operation"])
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Login(BaseModel):
    """Who it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: str = Field(max_length=200, description="a key, vsk_…")


@router.get("/login", response_class=Response)
async def page() -> FileResponse:
    """A page that takes a key and gives a session for it, or ends one."""
    return FileResponse(STATIC / "login.html", headers={"Content-Security-Policy": _POLICY})


@router.post("/v1/session")
def log_in(body: Login, request: Request) -> JSONResponse:
    """A session for a key, as a cookie that no script reads; it ends with the key, or in 12 h."""
    check_origin(request.headers)
    keyring: Keyring = request.app.state.keyring
    caller, token = keyring.session(body.key.strip())
    said = {"name": caller.name, "scopes": [s for s in access.SCOPES if s in caller.scopes]}
    answer = JSONResponse(said, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        sessions.COOKIE,
        token,
        max_age=sessions.LASTS_S,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.delete("/v1/session", status_code=204, response_class=Response)
def log_out(request: Request) -> Response:
    """Have the browser forget its session."""
    check_origin(request.headers)
    answer = Response(status_code=204)
    answer.delete_cookie(sessions.COOKIE, httponly=True, samesite="strict")
    return answer
