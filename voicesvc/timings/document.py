"""The timings of a take as a document: when each word and phoneme is heard.

Knows nothing of takes: it reads what one says of itself.
"""

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicesvc.errors import InvalidRequest

Seconds = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TimedPhoneme(_Strict):
    """One phoneme with its stress and length marks."""

    symbol: str = Field(min_length=1, max_length=64)
    start_s: Seconds
    end_s: Seconds


class TimedWord(_Strict):
    """A word, its place in the text, and its phonemes in order."""

    text: str = Field(min_length=1)
    start_s: Seconds
    end_s: Seconds
    char_start: int = Field(ge=0)
    char_end: int = Field(ge=0)
    phonemes: Annotated[tuple[TimedPhoneme, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _ordered(self) -> "TimedWord":
        edges = [self.start_s, *(t for p in self.phonemes for t in (p.start_s, p.end_s))]
        if any(b < a for a, b in pairwise([*edges, self.end_s])):
            raise ValueError(f"{self.text!r} has times that go back")
        if self.char_end < self.char_start:
            raise ValueError(f"{self.text!r} ends before it begins in the text")
        return self


class TimedMark(_Strict):
    """A name that markup or a plan gave to a time."""

    name: str
    at_s: Seconds


class Timings(_Strict):
    """What `GET /v1/takes/{take}/timings` answers, read.

    Words begin in order; where two renderings were joined, one may reach into the next.
    """

    take: str
    actor: str
    seed: int
    model_sha256: str
    outcome: str
    complete: bool
    duration_s: Seconds | None = Field(description="null until complete")
    sample_rate_hz: int = Field(ge=1)
    dropped_symbols: Annotated[tuple[str, ...], Field(strict=False)]
    marks: Annotated[tuple[TimedMark, ...], Field(strict=False)]
    words: Annotated[tuple[TimedWord, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _ordered(self) -> "Timings":
        for i, (word, later) in enumerate(pairwise(self.words)):
            if later.start_s < word.start_s:
                raise ValueError(f"words.{i + 1} begins before words.{i}")
        return self

    @property
    def end_s(self) -> float:
        """Where the audio ends, as far as it is known: at the last word until it is complete."""
        last_s = max((w.end_s for w in self.words), default=0.0)
        return max(self.duration_s or 0.0, last_s)


def read(content: str | bytes) -> Timings:
    """The document from JSON.

    Raises:
        InvalidRequest: a member is missing, unknown or of the wrong type, or times go back.
    """
    try:
        return Timings.model_validate_json(content)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(map(str, ("timings", *first["loc"])))
        unknown = first["type"] == "extra_forbidden"
        valid = list(Timings.model_fields) if unknown and len(first["loc"]) == 1 else None
        raise InvalidRequest(first["msg"], where=where, valid=valid) from e


def exact(seconds: float) -> str:
    """Seconds in decimals, digit for digit as JSON has them, without an exponent."""
    return format(Decimal(repr(seconds)), "f")


def whole(seconds: float, per_second: int) -> int:
    """Seconds in whole units, `per_second` of them; halves are rounded up.

    Rounds the decimals that JSON shows, not the binary fraction behind them.
    """
    return int((Decimal(repr(seconds)) * per_second).quantize(Decimal(1), ROUND_HALF_UP))
