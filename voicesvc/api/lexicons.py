"""`/v1/lexicons`: how words are said, by production and by actor."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from voicesvc.api import reach
from voicesvc.api.scopes import needs
from voicesvc.errors import InvalidRequest
from voicesvc.lexicon import Entry, Lexicon, read_json, read_pls, to_json
from voicesvc.studio import Studio

router = APIRouter(tags=["lexicons"])
PLS, JSON = "application/pls+xml", "application/json"
_READERS: dict[str, Callable[[bytes], tuple[Entry, ...]]] = {PLS: read_pls, JSON: read_json}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {"type": "object"},
                "example": {"entries": [{"grapheme": "Elena", "sounds_like": "eh-LAY-nuh"}]},
            },
            PLS: {"schema": {"type": "string"}},
        },
    }
}


async def _body(request: Request) -> bytes:
    return await request.body()


def _told(lexicon: Lexicon) -> dict[str, Any]:
    return {"name": lexicon.name, "entries": len(lexicon.entries), "sha256": lexicon.sha256}


def _headers(lexicon: Lexicon) -> dict[str, str]:
    return {"ETag": f'"{lexicon.sha256}"', "Cache-Control": "no-cache"}


@router.get("/v1/lexicons")
@needs("audition")
def lexicons(request: Request) -> dict[str, Any]:
    """Every lexicon that is kept, with the number of its entries."""
    studio: Studio = request.app.state.studio
    return {"lexicons": [_told(studio.lexicons.get(n)) for n in studio.lexicons.names()]}


@router.get("/v1/lexicons/{name}", response_class=Response)
@needs("audition")
def lexicon(name: str, request: Request) -> Response:
    """The entries as JSON. 304 if `If-None-Match` has its `ETag`."""
    studio: Studio = request.app.state.studio
    found = studio.lexicons.get(name)
    headers = _headers(found)
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(to_json(found.entries), media_type=JSON, headers=headers)


@router.put("/v1/lexicons/{name}", response_class=Response, openapi_extra=_BODY)
@needs("speak")
def put(name: str, request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
    """Keep a lexicon, W3C PLS or JSON, in place of any other of the name. 201 if it is new."""
    studio: Studio = request.app.state.studio
    reach.everywhere(request)
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _READERS:
        raise InvalidRequest(
            "the lexicon's format is not said", where="Content-Type", valid=[JSON, PLS]
        )
    kept, new = studio.lexicons.put(name, _READERS[kind](body))
    return JSONResponse(_told(kept), 201 if new else 200, headers=_headers(kept))


@router.delete("/v1/lexicons/{name}", status_code=204, response_class=Response)
@needs("speak")
def delete(name: str, request: Request) -> Response:
    """Forget a lexicon."""
    studio: Studio = request.app.state.studio
    reach.everywhere(request)
    studio.lexicons.delete(name)
    return Response(status_code=204)
