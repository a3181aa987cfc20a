"""Everybody comes through here: who asks, whether the route is for them, and for how long.

Goes before the body is read, so that who is not let in costs nothing and learns nothing.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from voicesvc import access
from voicesvc.access import LOCAL, Caller, Need, sessions, terms, tokens
from voicesvc.access.addresses import is_loopback
from voicesvc.access.limits import Limits
from voicesvc.access.sessions import COOKIE
from voicesvc.api import scopes
from voicesvc.api.problems import response
from voicesvc.config import Settings
from voicesvc.errors import BadSetting, NotAllowed, NotAuthenticated, TooManyRequests, VoiceError
from voicesvc.keyring import Keyring
from voicesvc.people import People

PROTOCOL = "voicesvc"  # of a socket whose key comes as another protocol: browsers set no headers
_KEY_PROTOCOL = "bearer."
_SAFE = ("GET", "HEAD", "OPTIONS")
_POLICY = 1008  # RFC 6455
_log = logging.getLogger(__name__)


def check_settings(settings: Settings) -> None:
    """That a service which others reach asks who they are, and of whom it asks goes together.

    Raises:
        BadSetting: it would not, or does not.
    """
    if settings.access == "local" and not is_loopback(settings.host):
        raise BadSetting(
            f"others reach {settings.host}, and nobody would be asked for a key",
            where="VOICESVC_ACCESS",
            valid="keys; or local with VOICESVC_HOST=127.0.0.1",
        )
    terms.of(settings)


@dataclass(eq=False, slots=True)
class _Visit:
    """A request that is being answered."""

    caller: Caller
    task: "asyncio.Task[object]"
    over: bool = False  # it was ended because its caller is not let in any more
    began: bool = field(default=False)  # something was sent


class Doorkeeper:
    """Who is inside. Everything but `soon` is called on the event loop.

    Args:
        people: who has tokens of a provider; None where nobody has.
        routes: those of the service, with what they take.
        mounted: all that the application has.
    """

    def __init__(
        self,
        settings: Settings,
        keyring: Keyring,
        people: People | None,
        routes: Sequence[BaseRoute],
        mounted: Sequence[BaseRoute],
    ) -> None:
        self._settings, self._keyring, self._people = settings, keyring, people
        self._routes, self._mounted = routes, mounted
        public = set(scopes.PUBLIC) | ({"/metrics"} if settings.metrics == "open" else set())
        self._public = public - ({scopes.VERIFY} if settings.verify == "keys" else set())
        self._inside: set[_Visit] = set()
        self._limits = Limits()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """From now on, those whose keys are revoked are sent away."""
        self._loop = asyncio.get_running_loop()
        self._keyring.on_change(self.soon)

    def soon(self) -> None:
        """Something about keys changed; for any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed)

    def _changed(self) -> None:
        for visit in self._inside:
            if not visit.over and not self._keyring.stands(visit.caller):
                visit.over = True
                visit.task.cancel()

    async def caller(self, scope: Scope) -> Caller | None:
        """Who asks; None where nobody has to say.

        Raises:
            NotAllowed: they may not.
            NotAuthenticated: they do not say, or not truly.
            StoreFailed: which keys count is not known.
        """
        headers = Headers(scope=scope)
        if self._settings.access == "local":
            self._check_local(scope, headers)
            return LOCAL
        route = scopes.matched(self._routes, scope)
        if self._is_public(scope, route):
            return None
        said = None if route is None else scopes.said_of(route)
        taken = None if said == scopes.ANY else said
        caller = await self._known(scope, headers, taken)
        if said is None:
            raise NotAllowed("nothing says who may use this route")
        refused = access.check(caller, Need(taken))
        if refused is not None:
            raise scopes.not_allowed(refused)
        return caller

    def _is_public(self, scope: Scope, route: BaseRoute | None) -> bool:
        """Whether anybody may have it, or nobody can, because there is no such route."""
        if route is not None:
            return getattr(route, "path", "") in self._public
        path = scope["path"]
        if path in self._public or path.startswith(scopes.PUBLIC_FOLDERS):
            return True
        return scopes.matched(self._mounted, scope) is None

    async def _known(self, scope: Scope, headers: Headers, taken: access.Scope | None) -> Caller:
        kind, _, presented = headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            given = [p for p in scope.get("subprotocols", ()) if p.startswith(_KEY_PROTOCOL)]
            presented = given[0].removeprefix(_KEY_PROTOCOL) if given else ""
        cookie = cookie_parser(headers.get("Cookie", "")).get(COOKIE)
        if not presented and cookie:
            caller = await self._of_session(cookie, taken)
            if scope["type"] == "websocket" or scope["method"] not in _SAFE:
                check_origin(headers, said=True)
            return caller
        if not presented:
            error = NotAuthenticated("no key came", where="Authorization", valid="Bearer vsk_…")
            error.presented = False
            raise error
        presented = presented.strip()
        if self._people is not None and tokens.looks_like(presented):
            return await self._people.caller(presented, taken)
        await self._refreshed()
        return self._keyring.caller(presented)

    async def _of_session(self, cookie: str, taken: access.Scope | None) -> Caller:
        await self._refreshed()
        if self._people is not None and cookie.startswith(sessions.OF_PERSON):
            return self._people.of_session(cookie, taken)
        return self._keyring.of_session(cookie)

    async def _refreshed(self) -> None:
        if self._keyring.is_stale:
            await asyncio.to_thread(self._keyring.refresh)

    def _check_local(self, scope: Scope, headers: Headers) -> None:
        """No page of the internet may act through a browser of this machine.

        The name it was reached by is checked, since any name can be made to lead to 127.0.0.1.
        """
        host = headers.get("Host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if not is_loopback(name) and name != self._settings.host:
            raise NotAllowed(
                f"this service was reached as {name[:60]!r}, and it is for this machine alone",
                where="Host",
                valid="localhost or 127.0.0.1",
            )
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            check_origin(headers)

    def enter(self, caller: Caller) -> _Visit:
        """Somebody comes in; they are to `leave`.

        Raises:
            TooManyRequests: they ask too much.
        """
        given = self._settings
        per_minute = given.per_minute if caller.per_minute is None else caller.per_minute
        at_once = given.at_once if caller.at_once is None else caller.at_once
        wait_s = self._limits.enter(caller.id, per_minute, at_once, time.monotonic())
        if wait_s is not None:
            error = TooManyRequests(
                "that is more than you may ask",
                where="Authorization",
                valid=f"{per_minute} requests in a minute and {at_once} at a time; 0: any number",
            )
            error.retry_after_s = wait_s
            raise error
        task = asyncio.current_task()
        assert task is not None, "a request is answered in a task"
        visit = _Visit(caller, task)
        self._inside.add(visit)
        return visit

    def leave(self, visit: _Visit) -> None:
        """They go."""
        self._inside.discard(visit)
        self._limits.leave(visit.caller.id)


def check_origin(headers: Headers, *, said: bool = False) -> None:
    """That a change is not asked for by another site's page; `said`: which page it is has to be.

    Raises:
        NotAllowed: it is.
    """
    origin = headers.get("Origin")
    if origin is None:
        foreign = said and headers.get("Sec-Fetch-Site") != "same-origin"
    else:
        foreign = urlsplit(origin).netloc != headers.get("Host")
    if foreign or headers.get("Sec-Fetch-Site") == "cross-site":
        raise NotAllowed("a page of another site asks for a change", where="Origin")


class Gate:
    """Lets requests in, or answers why not; ends them when their caller is let in no more."""

    def __init__(self, app: ASGIApp, keeper: Doorkeeper) -> None:
        self.app, self._keeper = app, keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._keeper.caller(scope)
            known = caller is not None and caller is not LOCAL
            visit = self._keeper.enter(caller) if caller and known else None
        except VoiceError as e:
            await _refuse(e, scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        if visit is None:
            await self.app(scope, receive, send)
            return
        try:
            await self._watched(visit, scope, receive, send)
        finally:
            self._keeper.leave(visit)

    async def _watched(self, visit: _Visit, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            visit.began = True
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except asyncio.CancelledError:
            if not visit.over:
                raise
            visit.task.uncancel()
            await _end(visit, scope, receive, send)


async def _end(visit: _Visit, scope: Scope, receive: Receive, send: Send) -> None:
    """Tell somebody who was inside to go."""
    _log.info("ended: the key or token counts no more", extra={"key": visit.caller.id})
    error = NotAuthenticated("the key or token counts no more", where="Authorization")
    if not visit.began:
        await _refuse(error, scope, receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY, "reason": error.detail})
    # What was begun over HTTP is left without an end: the server closes the connection.


async def _refuse(error: VoiceError, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(error, NotAuthenticated | NotAllowed):
        _log.info("refused", extra={"status": error.status, "reason": error.detail})
    answer = response(error, scope["path"])
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    socket = WebSocket(scope, receive, send)
    if "websocket.http.response" in scope.get("extensions", {}):
        await socket.send_denial_response(answer)
    else:
        await socket.close(_POLICY)  # before it was accepted: the answer is 403
