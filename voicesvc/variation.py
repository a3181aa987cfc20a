"""Several takes of one line that really differ: in seed, in emotion, in pace.

The first is as it was asked for; the others lie around it, near ones first. Knows nothing of
engines: what came of it is measured on the takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from voicesvc.delivery import Delivery
from voicesvc.delivery.fields import MAX_INTENSITY, Dimensions, Named
from voicesvc.errors import InvalidRequest
from voicesvc.lineplan import MAX_SEED
from voicesvc.plan import derive_seed

Vary = Literal["seed", "emotion", "pace"]
VARY: tuple[Vary, ...] = get_args(Vary)
PACE = 1.18  # factor of the rate at the far ends
INTENSITY = 0.6  # part of an emotion's own intensity that the far ends have more or less
AROUSAL = 0.5  # what the far ends of a place among emotions are away
# What a line without an emotion is tried with: apart in valence and arousal, and kept mild.
PALETTE: tuple[Named, ...] = (
    Named(name="tender", intensity=0.7),
    Named(name="happy", intensity=0.6),
    Named(name="angry-cold", intensity=0.8),
    Named(name="sad", intensity=0.7),
    Named(name="excited", intensity=0.5),
    Named(name="fearful", intensity=0.5),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One take to be made; `varied` says what differs from what was asked for."""

    seed: int
    delivery: Delivery
    varied: dict[str, Any]


def vary(count: int, names: Sequence[Vary], seed: int, delivery: Delivery) -> list[Variant]:
    """`count` variants; the same arguments give the same.

    Raises:
        InvalidRequest: they would all be the same, or a rate that is a contour is to be varied.
    """
    if count > 1 and not names:
        raise InvalidRequest("takes that do not differ", where="vary", valid=VARY)
    if "pace" in names and isinstance(delivery.rate, tuple):
        raise InvalidRequest(
            "the rate is a contour, which pace does not vary",
            where="vary",
            valid=("seed", "emotion"),
        )
    places = _around(count)
    return [_variant(i, place, names, seed, delivery) for i, place in enumerate(places)]


def _around(count: int) -> list[float]:
    """0 first, then places in [-1, 1] by turns below and above, near ones first."""
    steps = count // 2
    signed = ((-1) ** i * ((i + 1) // 2) / steps for i in range(1, count))
    return [0.0, *(signed if steps else ())]


def _variant(i: int, place: float, names: Sequence[Vary], seed: int, delivery: Delivery) -> Variant:
    varied: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    if "seed" in names and i:
        seed = varied["seed"] = derive_seed(seed, "variant", i) & MAX_SEED
    if "pace" in names and i:
        varied["pace"] = round(PACE**place, 4)
        rate = delivery.rate if isinstance(delivery.rate, float) else 1.0
        changes["rate"] = round(min(max(rate * varied["pace"], 0.5), 2.0), 4)
    if "emotion" in names and i:
        emotion = changes["emotion"] = _emotion(i, place, delivery)
        varied["emotion"] = emotion if isinstance(emotion, dict) else emotion.model_dump()
    return Variant(seed, delivery.model_copy(update=changes), varied)


def _emotion(i: int, place: float, delivery: Delivery) -> Any:
    asked = delivery.emotion
    if asked is None or asked == "neutral":
        return PALETTE[(i - 1) % len(PALETTE)]
    factor = 1.0 + INTENSITY * place
    if isinstance(asked, Dimensions):
        arousal = min(max(asked.arousal + AROUSAL * place, -1.0), 1.0)
        return asked.model_copy(update={"arousal": round(arousal, 4)})
    if isinstance(asked, dict):
        scale = min(factor, 1.0 / sum(asked.values()))
        return {name: round(weight * scale, 4) for name, weight in asked.items()}
    named = asked if isinstance(asked, Named) else Named(name=asked)
    intensity = min(named.intensity * factor, MAX_INTENSITY)
    return named.model_copy(update={"intensity": round(intensity, 4)})
