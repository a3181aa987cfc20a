"""`/login/oidc` and `/login/callback`: logging in on the page through an OpenID provider.

The browser is sent to the provider by a link, and comes back with a code, which is handed in from
here. It has a cookie meanwhile, sent along when it comes back, that its answer has to fit.
"""

import html
import logging

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from voicesvc import metrics
from voicesvc.access import flow
from voicesvc.access.terms import CALLBACK, Login
from voicesvc.api.session import give, login_page
from voicesvc.errors import NotAllowed, NotAuthenticated, ProviderFailed
from voicesvc.people import People

router = APIRouter(tags=["operation"])
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address has the code
}
# Where another site leads to the session's cookie is not sent; so this leads to the next page.
_ON = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>voicesvc: logged in</title>'
    '<meta http-equiv="refresh" content="0;url={page}"><p><a href="{page}">Go on</a></p></html>'
)
_log = logging.getLogger(__name__)


def _people(request: Request) -> tuple[People, Login]:
    people: People | None = request.app.state.people
    if people is None or people.login is None:
        raise HTTPException(404, "nobody logs in through a provider here")
    return people, people.login


@router.get("/login/oidc", response_class=Response)
async def begin(request: Request) -> Response:
    """To the provider of tokens, to log in there; `next` is the page to go on to afterwards."""
    people, login = _people(request)
    wanted = request.query_params.get("next")
    try:
        url, kept = await people.begin(wanted)
    except ProviderFailed as e:
        return _refused(request, e)
    answer = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        flow.cookie_name(over_tls=login.over_tls),
        kept,
        max_age=flow.LASTS_S,
        secure=login.over_tls,
        httponly=True,
        samesite="lax",  # it is to come along when the provider leads back here
    )
    return answer


@router.get(CALLBACK, response_class=Response)
async def finish(request: Request) -> Response:
    """Back from the provider of tokens: a session, or why there is none."""
    people, login = _people(request)
    name = flow.cookie_name(over_tls=login.over_tls)
    try:
        session = await people.finish(request.cookies.get(name, ""), request.query_params)
    except (NotAuthenticated, NotAllowed, ProviderFailed) as e:
        answer: Response = _refused(request, e)
    else:
        answer = HTMLResponse(_ON.format(page=html.escape(session.page)), headers=_HEADERS)
        give(answer, session.cookie, login.lasts_s, secure=login.over_tls)
    answer.delete_cookie(name, secure=login.over_tls, httponly=True, samesite="lax")
    return answer


def _refused(
    request: Request, error: NotAuthenticated | NotAllowed | ProviderFailed
) -> HTMLResponse:
    metrics.REFUSED.labels(error.slug).inc()
    _log.info("refused", extra={"status": error.status, "reason": error.detail})
    said = f"That failed: {error.detail}."
    answer = login_page(request, flow.PAGES[0], said, error.status)
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer
