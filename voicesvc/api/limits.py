"""A bound on request bodies, kept while they arrive, and a count of what was answered."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicesvc import metrics
from voicesvc.api.problems import response
from voicesvc.errors import TextTooLong


class BodyLimit:
    """Answers 413 as soon as a body passes `max_bytes`, declared or counted.

    The body is whole before the application is called: what an application raises or catches
    while it reads cannot turn this answer into another. Routes of `streamed`
    bound theirs themselves.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, streamed: tuple[str, ...] = ()) -> None:
        self.app, self.max_bytes, self._streamed = app, max_bytes, streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in self._streamed:
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        waiting: list[Message] = []
        size_bytes = int(declared) if declared.isdigit() else 0
        seen_bytes, more = 0, size_bytes <= self.max_bytes
        while more:
            message = await receive()
            waiting.append(message)
            seen_bytes += len(message.get("body", b""))
            more = bool(message.get("more_body")) and seen_bytes <= self.max_bytes
        if max(size_bytes, seen_bytes) > self.max_bytes:
            error = TextTooLong(
                f"the body is over {self.max_bytes} bytes",
                where="body",
                valid=f"up to {self.max_bytes} bytes",
            )
            await response(error, scope["path"])(scope, receive, send)
            return
        waiting.reverse()

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, replayed, send)


class CountRequests:
    """Counts answers by route and status."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unmatched")
                metrics.REQUESTS.labels(route, str(message["status"])).inc()
            await send(message)

        await self.app(scope, receive, counted if scope["type"] == "http" else send)
