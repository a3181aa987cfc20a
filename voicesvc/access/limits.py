"""How much one caller may ask: requests in a minute, by a token bucket, and requests at a time."""

import math
from dataclasses import dataclass, field

_MINUTE_S = 60.0


@dataclass(slots=True)
class Bucket:
    """A minute's worth of requests at once, then one each time as much has come in again."""

    per_minute: int
    tokens: float
    at_s: float

    def take(self, now_s: float) -> float:
        """One request: 0 where there is room for it, else the seconds until there is."""
        came = max(0.0, now_s - self.at_s) * self.per_minute / _MINUTE_S
        self.tokens, self.at_s = min(float(self.per_minute), self.tokens + came), now_s
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) * _MINUTE_S / self.per_minute


@dataclass(slots=True)
class Limits:
    """Of all callers of a process, by their ids. Time is in seconds of one monotonic clock."""

    buckets: dict[str, Bucket] = field(default_factory=dict)
    inside: dict[str, int] = field(default_factory=dict)

    def enter(self, id: str, per_minute: int, at_once: int, now_s: float) -> int | None:
        """Let a request in, which is to `leave`; else in how many whole seconds to come again.

        0 for either limit: there is none. A request that is not let in costs nothing.
        """
        if at_once and self.inside.get(id, 0) >= at_once:
            return 1  # or whenever one of the others ends
        if per_minute:
            bucket = self.buckets.get(id)
            if bucket is None or bucket.per_minute != per_minute:
                bucket = self.buckets[id] = Bucket(per_minute, float(per_minute), now_s)
            if wait_s := bucket.take(now_s):
                return math.ceil(wait_s)
        self.inside[id] = self.inside.get(id, 0) + 1
        return None

    def leave(self, id: str) -> None:
        """A request that was let in has ended."""
        self.inside[id] -= 1
        if not self.inside[id]:
            del self.inside[id]
