"""`/`: the audition page, with its style sheets in it: nothing else is waited for to paint it.

In it, too, is the script that keeps the keys that are pressed before its modules are there.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from voicesvc.access.sessions import COOKIE, OF_PERSON
from voicesvc.errors import NotAllowed, NotAuthenticated
from voicesvc.keyring import Keyring
from voicesvc.people import People

STATIC = Path(__file__).resolve().parents[1] / "static"
_SHEET = re.compile(r'<link rel="stylesheet" href="/static/([a-z]+\.css)">')
_SCRIPT = re.compile(r'<script src="/static/([a-z]+\.js)"></script>')
# The style sheet that wavesurfer.js puts into its shadow root, at the page's height.
_WAVESURFER = "zdaFn6MNsIUllSDa7XqIUT+gTXa7RqDAINkyj8geYMU="
router = APIRouter()


@router.get("/", include_in_schema=False, response_class=Response)
def page(request: Request) -> Response:
    """The page where takes are made, compared and circled; for who is not logged in, the login."""
    if request.app.state.studio.settings.access == "keys" and not is_logged_in(request):
        return RedirectResponse("/login", 303)
    content, policy = _page()
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(content, headers=headers)


def is_logged_in(request: Request) -> bool:
    """Whether the browser has a session that counts."""
    keyring: Keyring = request.app.state.keyring
    people: People | None = request.app.state.people
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        return False
    try:
        if people is not None and cookie.startswith(OF_PERSON):
            people.of_session(cookie, None)
        else:
            keyring.of_session(cookie)
    except (NotAuthenticated, NotAllowed):
        return False
    return True


@cache
def _page() -> tuple[bytes, str]:
    """The page, and the policy that lets it have these styles and this script and no others."""
    hashes = {"style": [f"'sha256-{_WAVESURFER}'"], "script": []}

    def put_in(tag: str) -> Callable[[re.Match[str]], str]:
        def whole(link: re.Match[str]) -> str:
            content = (STATIC / link[1]).read_text("utf-8")
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            hashes[tag].append(f"'sha256-{digest}'")
            return f"<{tag}>{content}</{tag}>"

        return whole

    html = _SHEET.sub(put_in("style"), (STATIC / "index.html").read_text("utf-8"))
    html = _SCRIPT.sub(put_in("script"), html)
    policy = (
        f"default-src 'none'; script-src 'self' {' '.join(hashes['script'])}; connect-src 'self'; "
        f"style-src 'self' {' '.join(hashes['style'])}; "
        "img-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.encode(), policy
