"""`/login`: who opens the page says who they are, once; a cookie says so from then on."""

import html
from functools import cache
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voicesvc import access
from voicesvc.access import flow, sessions
from voicesvc.api.gate import check_origin
from voicesvc.api.page import STATIC
from voicesvc.keyring import Keyring
from voicesvc.people import People

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
async def page(request: Request) -> HTMLResponse:
    """A page that takes a key and gives a session for it, or ends one; `next` is where it leads."""
    return login_page(request, flow.page_of(request.query_params.get("next")))


def login_page(request: Request, following: str, said: str = "", status: int = 200) -> HTMLResponse:
    """The page, with the way to the provider where people log in there, and what went wrong."""
    people: People | None = request.app.state.people
    way = ""
    if people is not None and people.login is not None:
        host = html.escape(urlsplit(people.terms.issuer).netloc)
        address = f"/login/oidc?next={quote(following, safe='')}"
        way = f'<p><a id="provider" href="{address}">Log in at {host}</a></p>'
    content = _template().replace("<!-- provider -->", way)
    content = content.replace('data-next="/"', f'data-next="{html.escape(following)}"')
    content = content.replace("<!-- said -->", html.escape(said))
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(content, status, headers=headers)


@cache
def _template() -> str:
    return (STATIC / "login.html").read_text("utf-8")


@router.post("/v1/session")
def log_in(body: Login, request: Request) -> JSONResponse:
    """A session for a key, as a cookie that no script reads; it ends with the key, or in 12 h."""
    check_origin(request.headers)
    keyring: Keyring = request.app.state.keyring
    caller, token = keyring.session(body.key.strip())
    said = {"name": caller.name, "scopes": [s for s in access.SCOPES if s in caller.scopes]}
    answer = JSONResponse(said, headers={"Cache-Control": "no-store"})
    give(answer, token, sessions.LASTS_S, secure=request.url.scheme == "https")
    return answer


def give(answer: Response, token: str, lasts_s: int, *, secure: bool) -> None:
    """Have a browser keep a session, which no script reads and no other site sends."""
    answer.set_cookie(
        sessions.COOKIE, token, max_age=lasts_s, secure=secure, httponly=True, samesite="strict"
    )


@router.delete("/v1/session", status_code=204, response_class=Response)
def log_out(request: Request) -> Response:
    """End the browser's session, for whoever else has its cookie too."""
    check_origin(request.headers)
    keyring: Keyring = request.app.state.keyring
    people: People | None = request.app.state.people
    cookie = request.cookies.get(sessions.COOKIE, "")
    if people is not None and cookie.startswith(sessions.OF_PERSON):
        until_ms = people.session_until_ms(cookie)
    else:
        until_ms = keyring.session_until_ms(cookie)
    if until_ms is not None:
        keyring.end(cookie, until_ms)
    answer = Response(status_code=204)
    answer.delete_cookie(sessions.COOKIE, httponly=True, samesite="strict")
    return answer
