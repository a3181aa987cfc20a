"""`/`: the audition page, with its style sheets in it: nothing else is waited for to paint it."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

STATIC = Path(__file__).resolve().parents[1] / "static"
_SHEET = re.compile(r'<link rel="stylesheet" href="/static/([a-z]+\.css)">')
# The style sheet that wavesurfer.js puts into its shadow root, at the page's height.
_WAVESURFER = "zdaFn6MNsIUllSDa7XqIUT+gTXa7RqDAINkyj8geYMU="
router = APIRouter()


@router.get("/", include_in_schema=False)
def page() -> HTMLResponse:
    """The page where takes are made, compared and circled."""
    content, policy = _page()
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(content, headers=headers)


@cache
def _page() -> tuple[bytes, str]:
    """The page, and the policy that lets it have these styles and no others."""
    styles = [_WAVESURFER]

    def put_in(link: re.Match[str]) -> str:
        sheet = (STATIC / link[1]).read_text("utf-8")
        styles.append(base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode())
        return f"<style>{sheet}</style>"

    html = _SHEET.sub(put_in, (STATIC / "index.html").read_text("utf-8"))
    hashes = " ".join(f"'sha256-{style}'" for style in styles)
    policy = (
        "default-src 'none'; script-src 'self'; connect-src 'self'; "
        f"style-src 'self' {hashes}; "
        "img-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html.encode(), policy
