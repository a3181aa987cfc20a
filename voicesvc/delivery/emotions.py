"""Emotions as prosody rules: a table with its sources, mixtures, and places among emotions.

How sizes were chosen, and what they give, is in docs/emotion.md and docs/decisions.md.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from math import dist
from typing import Any, Literal

from voicesvc.delivery.fields import Dimensions, Emotion, Named
from voicesvc.delivery.shape import Shape, blend
from voicesvc.directions import EmotionName
from voicesvc.manifest import Change, EmotionOverride

Quality = Literal["good", "experimental"]
Place = tuple[float, float, float]  # valence, arousal, dominance, each -1 to 1
Rows = Mapping[EmotionName, "Row"]

_LOCALITY = 4.0  # power of the distance: how much the nearest emotions outweigh the others
_WORST_MOS_CHANGE = -0.3
_WORST_WER_CHANGE = 0.02
_UNPROVEN: frozenset[EmotionName] = frozenset({"whispered"})  # rules are not enough for it

JUSLIN_LAUKKA = "Juslin & Laukka 2003, Psychological Bulletin 129: meta-analysis of 104 studies"
MURRAY_ARNOTT = "Murray & Arnott 1993, JASA 93: review"
SCHERER = "Scherer 2003, Speech Communication 40: review"
BANSE_SCHERER = "Banse & Scherer 1996, J. Personality and Social Psychology 70"
SCHRODER = "Schröder 2001, Eurospeech: sizes used by published synthesis rules"
BURKHARDT = "Burkhardt & Sendlmeier 2000, ISCA Workshop on Speech and Emotion: perception tests"
GOBL = "Gobl & Ní Chasaide 2003, Speech Communication 40: voice quality"
TRAUNMULLER = "Traunmüller & Eriksson 2000, JASA 107: vocal effort"
ITO = "Ito, Takeda & Itakura 2005, Speech Communication 45: whispered speech"
RUSSELL = "Russell & Mehrabian 1977, J. Research in Personality 11: ratings of emotion words"


@dataclass(frozen=True, slots=True)
class Row:
    """One emotion at intensity 1, who says so, and where it lies among emotions."""

    shape: Shape
    sources: tuple[str, ...]
    place: Place | None = None  # None: not reached by valence, arousal and dominance


EMOTIONS: dict[EmotionName, Row] = {
    "neutral": Row(Shape(), (), (0.0, 0.0, 0.0)),
    "happy": Row(
        Shape(1.05, 0.85, 2.5, 1.8, 2.0, 2.0),
        (JUSLIN_LAUKKA, SCHERER, SCHRODER),
        (0.81, 0.51, 0.46),
    ),
    "excited": Row(
        Shape(1.06, 0.8, 3.5, 2.3, 4.0, 3.0),
        (BANSE_SCHERER, SCHERER, SCHRODER),
        (0.62, 0.75, 0.38),
    ),
    "sad": Row(
        Shape(0.85, 1.4, -1.8, 0.5, -4.0, -4.0, breathiness=0.07, jitter_st=0.05),
        (JUSLIN_LAUKKA, MURRAY_ARNOTT, SCHERER),
        (-0.63, -0.27, -0.33),
    ),
    "angry": Row(
        Shape(1.05, 0.8, 2.5, 1.9, 5.0, 4.0, jitter_st=0.05),
        (JUSLIN_LAUKKA, MURRAY_ARNOTT, BANSE_SCHERER),
        (-0.51, 0.59, 0.25),
    ),
    "angry-cold": Row(
        Shape(0.9, 1.2, -2.0, 0.6, 2.0, 3.0),
        (BANSE_SCHERER, BURKHARDT),
        (-0.5, 0.15, 0.5),
    ),
    "fearful": Row(
        Shape(1.12, 1.0, 3.0, 0.5, -2.0, -1.0, breathiness=0.08, jitter_st=0.06),
        (JUSLIN_LAUKKA, BURKHARDT, SCHRODER),
        (-0.64, 0.60, -0.43),
    ),
    "disgusted": Row(
        Shape(0.86, 1.2, -2.8, 1.0, -2.0, -1.0, jitter_st=0.1),
        (MURRAY_ARNOTT, SCHERER),  # no place: rated next to anger, it sounds unlike all around it
    ),
    "surprised": Row(
        Shape(1.05, 1.0, 3.0, 1.9, 2.0, 1.0),
        (SCHRODER, SCHERER),
        (0.40, 0.67, -0.13),
    ),
    "tender": Row(
        Shape(0.88, 1.2, -1.3, 0.6, -4.0, -4.0, breathiness=0.2),
        (JUSLIN_LAUKKA, GOBL),
        (0.6, -0.35, -0.1),
    ),
    "intimate": Row(Shape(0.87, 1.2, -2.0, 0.54, -6.0, -5.0, breathiness=0.2), (GOBL, TRAUNMULLER)),
    "whispered": Row(Shape(0.87, 1.2, energy_db=-8.0, whisper=1.0), (ITO, TRAUNMULLER)),
    "shouted": Row(Shape(0.93, 0.9, 5.0, 1.0, 6.0, 5.0, jitter_st=0.1), (TRAUNMULLER,)),
}


def styled(emotion: Emotion | None, styles: Collection[EmotionName]) -> dict[EmotionName, float]:
    """How much of each style: of those emotions that the voice has one for, up to all of it."""
    return {n: min(w, 1.0) for n, w in weights_of(emotion).items() if n in styles and w > 0}


def rows_of(
    overrides: Mapping[EmotionName, EmotionOverride], styles: Collection[EmotionName] = ()
) -> Rows:
    """The table with a pack's own numbers in it; what a style does needs no rule."""
    rows = dict(EMOTIONS)
    for name, override in overrides.items():
        row, own = rows[name], override.model_dump(exclude_none=True)
        rows[name] = replace(row, shape=replace(row.shape, **own))
    return rows | {name: replace(rows[name], shape=Shape()) for name in styles}


def weights_of(emotion: Emotion | None) -> dict[EmotionName, float]:
    """How much of each emotion of the table; what they lack to 1 is neutral.

    A place among emotions is read by inverse distance weighting (Shepard 1968): at a row's place
    it is that row, at the origin neutral.
    """
    if emotion is None:
        return {}
    if isinstance(emotion, str):
        return {emotion: 1.0}
    if isinstance(emotion, Named):
        return {emotion.name: emotion.intensity}
    if isinstance(emotion, Dimensions):
        return _near((emotion.valence, emotion.arousal, emotion.dominance))
    return dict(emotion)


def _near(place: Place) -> dict[EmotionName, float]:
    apart = {n: dist(place, r.place) for n, r in EMOTIONS.items() if r.place is not None}
    nearest = min(apart, key=lambda name: apart[name])
    if apart[nearest] == 0.0:
        return {nearest: 1.0}
    pull = {name: (apart[nearest] / d) ** _LOCALITY for name, d in apart.items()}
    total = sum(pull.values())
    return {name: p / total for name, p in pull.items()}


def shape_of(emotion: Emotion | None, rows: Rows = EMOTIONS) -> Shape:
    """What an emotion does; intensity and mixtures go from neutral, geometrically for factors."""
    return blend((weight, rows[name].shape) for name, weight in weights_of(emotion).items())


def quality_of(name: EmotionName, measured: Mapping[EmotionName, Change]) -> Quality:
    """Whether the voice keeps its quality in an emotion, measured where it was."""
    change = measured.get(name)
    if change is None:
        return "experimental" if name in _UNPROVEN else "good"
    mos = min(change.dnsmos_change, change.distillmos_change)
    kept = mos >= _WORST_MOS_CHANGE and change.wer_change <= _WORST_WER_CHANGE
    return "good" if kept else "experimental"


def source_of(
    emotion: Emotion | None,
    measured: Mapping[EmotionName, Change],
    styles: Collection[EmotionName] = (),
) -> dict[str, str | None]:
    """What made the emotion, and how good that is: `{"source": "prosody", "quality": "good"}`.

    A mixture is as good as the worst in it that weighs 5 % or more. A style is experimental until
    it is measured.
    """
    names = [n for n, weight in weights_of(emotion).items() if n != "neutral" and weight >= 0.05]
    if not names:
        return {"source": "none", "quality": None}
    worst = any(
        quality_of(name, measured) == "experimental" or (name in styles and name not in measured)
        for name in names
    )
    made = ["style"] * any(n in styles for n in names)
    made += ["prosody"] * any(n not in styles for n in names)
    return {"source": ", ".join(made), "quality": "experimental" if worst else "good"}


def emotions_of(
    overrides: Mapping[EmotionName, EmotionOverride],
    measured: Mapping[EmotionName, Change],
    styles: Collection[EmotionName] = (),
) -> dict[str, dict[str, Any]]:
    """What a voice can do: each emotion's source, quality, what was measured, and its rule."""
    told: dict[str, dict[str, Any]] = {}
    for name, row in rows_of(overrides, styles).items():
        change = measured.get(name)
        told[name] = source_of(name, measured, styles) | {
            "measured": None if change is None else change.model_dump(),
            "rule": asdict(row.shape),
        }
    return told
