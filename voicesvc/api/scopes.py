"""What each route takes, said beside it: `@needs("speak")`; and who asks, of a request.

A route that says nothing is open to nobody, but for those of `PUBLIC`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import Scope as AsgiScope

from voicesvc import access
from voicesvc.access import Caller, Need, Scope
from voicesvc.errors import NotAllowed

F = TypeVar("F", bound=Callable[..., Any])
ANY: Literal["any"] = "any"  # of a route that takes a key, whatever its scopes
VERIFY = "/v1/verify"
PUBLIC = (
    *("/", "/live", "/docs", "/openapi.json", "/asyncapi.json", "/problems/{slug}"),
    *("/livez", "/readyz", "/login", "/login/oidc", "/login/callback", "/v1/session"),
    *("/verify", VERIFY),  # there by a setting, for anybody by another, bounded by address
)
PUBLIC_FOLDERS = ("/static/", "/docs/ui/")
_SAID = "__voicesvc_scope__"


def needs(scope: Scope | Literal["any"]) -> Callable[[F], F]:
    """Says which scope a route takes; goes between the route's decorator and its function."""

    def said(endpoint: F) -> F:
        setattr(endpoint, _SAID, scope)
        return endpoint

    return said


def said_of(route: BaseRoute) -> Scope | Literal["any"] | None:
    """Which scope a route takes, if it says so."""
    said: Scope | Literal["any"] | None = getattr(getattr(route, "endpoint", None), _SAID, None)
    return said


def matched(routes: Sequence[BaseRoute], scope: AsgiScope) -> BaseRoute | None:
    """The route that answers a request; None where none does."""
    for route in routes:
        if route.matches(scope)[0] is Match.FULL:
            return route
    return None


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks."""
    caller: Caller = connection.state.caller
    return caller


def demand(connection: HTTPConnection, need: Need) -> None:
    """That who asks may do it.

    Raises:
        NotAllowed: they may not; says why.
    """
    refused = access.check(caller_of(connection), need)
    if refused is not None:
        raise not_allowed(refused)


def not_allowed(refused: access.Refused) -> NotAllowed:
    """A refusal as an error."""
    error = NotAllowed(refused.reason)
    if refused.scope is not None:
        error.extra = {"scope": refused.scope}
    return error
