"""Failures as RFC 9457 problem+json. The caller's input is never echoed as a whole."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from voicesvc import delivery, metrics
from voicesvc.api.secure import ALWAYS
from voicesvc.errors import (
    InvalidRequest,
    MalformedBody,
    NotAllowed,
    NotAuthenticated,
    Unforeseen,
    VoiceError,
)

PROBLEMS_PATH = "/problems/"  # where `reference` explains each type
OPENAI_PREFIX = "/v1/audio/"
_OPENAI_NAMES = {"actor": "voice", "text": "input", "format": "response_format", "rate": "speed"}
_LONGEST = 300  # characters of a text in an answer: it may hold what the caller sent
_log = logging.getLogger(__name__)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def problem(error: VoiceError) -> dict[str, Any]:
    """The body: type, title, status, detail, and where and valid where they are known."""
    body = {
        "type": PROBLEMS_PATH + error.slug,
        "title": error.title,
        "status": error.status,
        "detail": _short(error.detail),
        "where": _short(error.where) if error.where else None,
        "valid": error.valid,
        **error.extra,
    }
    return {k: v for k, v in body.items() if v is not None}


def response(error: VoiceError, path: str = "") -> JSONResponse:
    """The answer; OpenAI's clients find their own `error` object in it too."""
    metrics.REFUSED.labels(error.slug).inc()
    if path.startswith(OPENAI_PREFIX):
        where = _OPENAI_NAMES.get(error.where or "", error.where)
        given, error = error, type(error)(error.detail, where=where, valid=error.valid)
        vars(error).update({k: v for k, v in vars(given).items() if k != "where"})
    body = problem(error)
    if path.startswith(OPENAI_PREFIX):
        body["error"] = {
            "message": _short(str(error)),
            "type": "invalid_request_error" if error.status < 500 else "server_error",
            "param": body.get("where"),
            "code": error.slug,
        }
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, NotAuthenticated | NotAllowed):
        headers["WWW-Authenticate"] = error.challenge
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(body, error.status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Answer every failure as a problem."""

    @app.exception_handler(VoiceError)
    async def _voice_error(request: Request, error: VoiceError) -> JSONResponse:
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s %s", request.method, request.url.path, exc_info=error)
        return response(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return response(_first(error, request), request.url.path)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.BAD_REQUEST:
            return response(_malformed("it cannot be read"), request.url.path)
        return _plain(request, error)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, _: Exception) -> JSONResponse:
        answer = response(Unforeseen("the service failed; its log says how"), request.url.path)
        answer.headers.update(ALWAYS)  # it is sent from outside of all that sets headers
        answer.headers["Connection"] = "close"  # the server drops it when this is raised again
        return answer


def _plain(request: Request, error: HTTPException) -> JSONResponse:
    """A failure that HTTP itself has the words for: no such path, no such method."""
    status = HTTPStatus(error.status_code)
    metrics.REFUSED.labels(f"http-{status.value}").inc()
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": _short(f"{request.method} {request.url.path}: {error.detail}"),
    }
    if status == HTTPStatus.NOT_FOUND:
        body |= {"where": "path", "valid": sorted(request.app.openapi()["paths"])}
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        body |= {"where": "method", "valid": (error.headers or {}).get("Allow", "").split(", ")}
    return JSONResponse(
        body, status.value, media_type="application/problem+json", headers=error.headers
    )


def _malformed(reason: str, where: str = "body") -> MalformedBody:
    return MalformedBody(
        f"the body is not JSON: {reason}", where=where, valid="a JSON object in UTF-8"
    )


def _first(error: RequestValidationError, request: Request) -> VoiceError:
    first = error.errors()[0]
    if first["loc"][0] == "query":
        return _in_query(first, request)
    where = delivery.place_of(p for p in first["loc"] if p != "body") or "body"
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return _malformed(reason, f"character {where}")
    if isinstance(error.body, bytes):
        return InvalidRequest(
            "the body is not sent as JSON", where="Content-Type", valid=["application/json"]
        )
    fields, name = _fields(request, first["loc"])
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"unknown field {where!r}", where=where, valid=list(fields))
    valid = first.get("ctx", {}).get("expected") or fields.get(name) or list(fields) or None
    return InvalidRequest(first["msg"], where=where, valid=valid)


def _in_query(first: Any, request: Request) -> VoiceError:
    """A parameter that is unknown or has no value that it may have."""
    name = str(first["loc"][1])
    known: dict[str, str] = {}
    for parameter in request.scope["route"].dependant.query_params:
        kind = parameter.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            known |= {n: f.description or "" for n, f in kind.model_fields.items()}
        else:
            known[parameter.alias] = parameter.field_info.description or ""
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"unknown parameter {name!r}", where=name, valid=list(known))
    valid = first.get("ctx", {}).get("expected") or known.get(name)
    return InvalidRequest(first["msg"], where=name, valid=valid)


def _fields(request: Request, loc: Iterable[str | int]) -> tuple[dict[str, str], str]:
    """The fields that there may be where the body's error is, what each is, and the one it is in.

    What of `loc` is no field, a list's number or an alternative's name, is passed over; of
    alternatives all that any of them may have. "": in none of them.
    """
    body = getattr(request.scope.get("route"), "body_field", None)
    models = _models(getattr(getattr(body, "field_info", None), "annotation", None))
    names = delivery.place_of(p for p in loc if p != "body").split(".")
    name = ""
    for i, part in enumerate(names):
        found = [m.model_fields[part] for m in models if part in m.model_fields]
        deeper = [m for field in found for m in _models(field.annotation)]
        if found:
            name = part
        if deeper and i + 1 < len(names):
            models, name = deeper, ""
    return {n: f.description or "" for m in models for n, f in m.model_fields.items()}, name


def _models(annotation: object) -> list[type[BaseModel]]:
    """All bodies that something so annotated may be or hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in get_args(annotation) for m in _models(inner)]
