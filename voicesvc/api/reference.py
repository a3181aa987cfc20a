"""`/docs` and `/problems`: what this service is, told by itself.

Everything comes from this server, so the pages work where there is no internet.
"""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from swagger_ui_bundle import swagger_ui_path

from voicesvc.api.problems import PROBLEMS_PATH
from voicesvc.errors import PROBLEMS

STATIC = Path(__file__).resolve().parents[1] / "static"
# Swagger UI sets styles from its script; scripts still come from here alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
router = APIRouter(tags=["reference"])


@router.get(PROBLEMS_PATH + "{slug}")
async def problem(slug: str) -> dict[str, Any]:
    """What a problem's `type` means."""
    for error in PROBLEMS:
        if error.slug == slug:
            meaning = (error.__doc__ or "").strip()
            return {
                "type": PROBLEMS_PATH + slug,
                "title": error.title,
                "status": error.status,
                "meaning": meaning,
            }
    slugs = ", ".join(error.slug for error in PROBLEMS)
    raise HTTPException(404, f"no problem {slug!r}; there are: {slugs}")


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    """The HTTP interface, to read and to try."""
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return FileResponse(STATIC / "docs.html", headers=headers)


def install(app: FastAPI) -> None:
    """Add both, and the files that `/docs` is made of."""
    app.include_router(router)
    app.mount("/docs/ui", StaticFiles(directory=str(swagger_ui_path)), name="docs-ui")
