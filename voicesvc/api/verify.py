"""`POST /v1/verify`: is a recording ours? And the page that asks it.

The file is taken in pieces into a temporary one, examined by a program at the lowest priority, one
after another. Who may ask is a setting; how often, by address.
"""

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse
from starlette.responses import Response

from voicesvc import metrics
from voicesvc.api.forms import FIELD, FORM, VALID, OneFile
from voicesvc.api.page import STATIC, is_logged_in
from voicesvc.api.scopes import ANY, VERIFY, needs
from voicesvc.archive import Archive
from voicesvc.config import Settings
from voicesvc.errors import BadRecording, Overloaded, RecordingTooLong, TooManyRequests, UnknownKind
from voicesvc.examine import Examiner
from voicesvc.loops import Manners
from voicesvc.studio import Studio
from voicesvc.verify import Verifier, verdict

PATH = VERIFY
PAGE_PATH = "/verify"
WAITING = 8  # files that are taken in, wait or are examined at the same time
UPLOAD_S = 120.0  # that a file may take to come
_RETRY_S = 15
_PREFIX, _LEFT_S = "verify-", 3600.0
_ADDRESSES = 10_000  # that are remembered
_MINUTE_S = 60.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _FILE},
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {FIELD: _FILE},
                    "required": [FIELD],
                    "additionalProperties": False,
                }
            },
        },
    }
}


class Pace:
    """How often each address may ask: `a_minute` times at once, and then as they come free."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._each_s, self._clock = _MINUTE_S / a_minute, clock
        self._free_at_s: OrderedDict[str, float] = OrderedDict()  # when all of it is free again

    def take(self, address: str) -> None:
        """One turn of an address.

        Raises:
            TooManyRequests: it has none left now.
        """
        now_s = self._clock()
        free_at_s = max(self._free_at_s.get(address, 0.0), now_s) + self._each_s
        over_s = free_at_s - now_s - _MINUTE_S
        if over_s > 1e-9:
            error = TooManyRequests(
                f"over {_MINUTE_S / self._each_s:g} in a minute", where="address"
            )
            error.retry_after_s = max(1, round(over_s + 0.5))
            raise error
        self._free_at_s[address] = free_at_s
        self._free_at_s.move_to_end(address)
        if len(self._free_at_s) > _ADDRESSES:
            self._free_at_s.popitem(last=False)


class Desk:
    """Where recordings are handed in."""

    def __init__(self, studio: Studio, archive: Archive, manners: Manners) -> None:
        settings: Settings = studio.settings
        self._settings = settings
        self._pace = Pace(settings.verify_per_minute)
        self._examiner = Examiner(
            settings.verify_max_s, settings.c2pa_trust, niceness=settings.check_nice
        )
        self._verifier = Verifier(archive.database, lambda: studio.door.register, archive.now_ms)
        self._thread = ThreadPoolExecutor(1, "verify")
        self._manners, self._closing = manners, threading.Event()
        self._folder: Path | None = None
        self._inside = 0

    async def verify(self, request: Request) -> dict[str, Any]:
        """All that is known of the file that a request brings.

        Raises:
            BadRecording, UnknownKind, RecordingTooLong: it cannot be examined.
            InvalidRequest: it brings a form that is not one of one file.
            Overloaded: too many are waiting.
            TooManyRequests: the address asks too often.
        """
        self._pace.take(request.client.host if request.client else "")
        if self._inside >= WAITING:
            error = Overloaded(f"{self._inside} recordings are being examined")
            error.retry_after_s = _RETRY_S
            raise error
        self._inside += 1
        try:
            async with self._taken(request) as path:
                work = self._thread.submit(self._verify, path)
                told: dict[str, Any] = await asyncio.wrap_future(work)
        finally:
            self._inside -= 1
        metrics.VERIFIED.labels(verdict(told["watermark"], told)).inc()
        return told

    def _verify(self, path: Path) -> dict[str, Any]:
        report = self._examiner.examine(path)
        self._manners.give_way(self._closing)
        return self._verifier.answer(report)

    @contextlib.asynccontextmanager
    async def _taken(self, request: Request) -> AsyncIterator[Path]:
        """The body, or the file of the form that it is, in a file, which is gone afterwards."""
        self._folder = self._folder or _folder(self._settings.data_path)
        most = self._settings.verify_max_bytes
        form = OneFile(request.headers["Content-Type"]) if _kind(request) == FORM else None
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            size = 0
            try:
                async with asyncio.timeout(UPLOAD_S):
                    async for body in request.stream():
                        part = body if form is None else form.feed(body)
                        size += len(part)
                        if size > most:
                            raise RecordingTooLong(f"over {most} bytes", valid=f"up to {most}")
                        await asyncio.to_thread(file.write, part)
            except TimeoutError as e:
                raise BadRecording(f"it did not come within {UPLOAD_S:g} s", where="body") from e
            if form is not None:
                form.flush()
            file.flush()
            yield Path(file.name)

    def close(self) -> None:
        """End the program, what it examines included."""
        self._closing.set()
        self._examiner.close()
        self._thread.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder)


def _folder(data: Path) -> Path:
    """A new one for files that are examined; what a service left that was killed goes."""
    data.mkdir(parents=True, exist_ok=True)
    for old in data.glob(f"{_PREFIX}*"):
        if time.time() - old.stat().st_mtime > _LEFT_S:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=data))


def _kind(request: Request) -> str:
    """What the body is said to be, without its parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def router_of(settings: Settings) -> APIRouter:
    """The routes, where the setting has them."""
    router = APIRouter(tags=["verify"])
    if settings.verify == "off":
        return router

    @router.post(PATH, openapi_extra=_BODY)
    @needs(ANY)  # where it is for anybody, nobody is asked
    async def verify(request: Request) -> dict[str, Any]:
        """Is a recording ours, which take is it, and where; the body is the file, or a form."""
        kind = _kind(request)
        if kind.startswith(("text/", "application/json")):
            detail = f"the body is {kind}, not a recording"
            valid = f"the file itself as the body, or {VALID}"
            raise UnknownKind(detail, where="Content-Type", valid=valid)
        desk: Desk = request.app.state.desk
        return await desk.verify(request)

    @router.get(PAGE_PATH, include_in_schema=False, response_class=Response)
    async def page(request: Request) -> Response:
        """A page to drop a file on."""
        if settings.verify == "keys" and not is_logged_in(request):
            return RedirectResponse(f"/login?next={PAGE_PATH}", 303)
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
        return FileResponse(STATIC / "verify.html", headers=headers)

    return router
