"""What a face does for each letter of the IPA: Azure's viseme and a pose of ARKit's shapes.

Visemes are those that Microsoft documents ("Get facial position with viseme", "Map phonemes to
visemes", and the tables of "SSML phonetic alphabets": en-US first, then the other languages'
tables; letters that no table has are given the id of the nearest sound). Shapes are Apple's
(ARFaceAnchor.BlendShapeLocation). The weights are ours: places of articulation and lip rounding as
the chart of the IPA has them, and the rules of JALI (Edwards, Landreth, Fiume and Singh 2016, ACM
TOG 35(4)): lips close for bilabials, lower lip and upper teeth meet for labiodentals, sibilants
narrow the jaw, and sounds of the tongue alone take the lips of their neighbours.

Knows nothing of time.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

SILENT = 0
VISEMES: Mapping[int, str] = {
    1: "æəʌɚɐøɵɘɤ",
    2: "ɑaɒ",
    3: "ɔ",
    4: "ɛʊeœyε",
    5: "ɝɜɞ",
    6: "iɪjᵻɨʉɯʝ",
    7: "wuʏɥʍᵿ",
    8: "oɶ",
    12: "hħxçχʕɦʜʢ",
    13: "ɹrʁʀɻ",
    14: "lʎɭɫɬɮɺ",
    15: "szʂʐ",
    16: "ʃʒɕʑɧcɟʄ",
    17: "ð",
    18: "fvʋⱱɱ",
    19: "tdnθɾʔɲɳʈɖɗɽʡǀǁǂǃ",
    20: "kɡŋgqɣɰɢɠʛɴʟ",
    21: "pbmβɸɓʘʙ",
}
# Microsoft's en-US table has one viseme for the whole of each of these; the others have two.
DIPHTHONGS: Mapping[str, int] = {"aʊ": 9, "ɔɪ": 10, "aɪ": 11}

SHAPES = (
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "tongueOut",
)
SIDES = ("Left", "Right")


def track_of(shape: str) -> str:
    """The name of what moves a shape: a face speaks with both sides alike."""
    return next((shape.removesuffix(s) for s in SIDES if shape.endswith(s)), shape)


TRACKS = tuple(dict.fromkeys(map(track_of, SHAPES)))


@dataclass(frozen=True, slots=True)
class Pose:
    """What the sounds of `letters` want of the face.

    `weights` are targets from 0 to 1 by track; others are 0. `jaw` and `lips` say how much a sound
    cares about the jaw and the lips, against its neighbours. `ahead_s` and `behind_s` are the times
    in which its hold of the lips falls to 1/e before and after it. A `held` sound is none unless
    it is reached: lips, or lip and teeth, touch.
    """

    letters: str
    weights: Mapping[str, float]
    jaw: float
    lips: float
    ahead_s: float = 0.05
    behind_s: float = 0.05
    held: bool = False


def _w(jaw: float, **mouth: float) -> dict[str, float]:
    return {"jawOpen": jaw, **{f"mouth{name}": weight for name, weight in mouth.items()}}


def _spread(letters: str, weights: Mapping[str, float]) -> Pose:
    """A vowel whose lips resist rounding."""
    return Pose(letters, weights, jaw=1.0, lips=0.8)


def _rounded(letters: str, weights: Mapping[str, float]) -> Pose:
    """Lips come forward early and go back late: the "lip-heavy" sounds of JALI."""
    return Pose(letters, weights, jaw=0.9, lips=1.0, ahead_s=0.1, behind_s=0.07)


def _tongue(letters: str, weights: Mapping[str, float]) -> Pose:
    """Made behind the teeth: the lips are those of the neighbours."""
    return Pose(letters, weights, jaw=0.3, lips=0.05)


def _sibilant(letters: str, weights: Mapping[str, float]) -> Pose:
    """Needs the teeth together, and leaves the lips to the neighbours, more or less."""
    return Pose(letters, weights, jaw=1.0, lips=0.25)


def _held(letters: str, weights: Mapping[str, float]) -> Pose:
    return Pose(letters, weights, jaw=0.9, lips=0.2, held=True)


CLOSED = "lips closed"
POSES: Mapping[str, Pose] = {
    CLOSED: _held("pbmɓʘʙ", _w(0.1, Press=0.3, RollLower=0.15, RollUpper=0.1)),
    "lip on teeth": _held("fvʋⱱɱ", _w(0.08, RollLower=0.45, UpperUp=0.12)),
    "lips near": Pose("βɸ", _w(0.08, Pucker=0.15), jaw=0.9, lips=0.8),
    "tongue at teeth": Pose(
        "θð", _w(0.14, LowerDown=0.12, UpperUp=0.05) | {"tongueOut": 0.25}, jaw=0.7, lips=0.2
    ),
    "tongue at ridge": _tongue("tdnɾrɗʈɖɳɽʡǀǁǂǃ", _w(0.12)),
    "tongue's sides": _tongue("lɫɭʎɺɬɮ", _w(0.2)),
    "hissing": _sibilant("szʂʐɕʑ", _w(0.04, Stretch=0.15, LowerDown=0.15, UpperUp=0.1)),
    "hushing": _rounded("ʃʒɧ", _w(0.06, Funnel=0.5, Pucker=0.25, LowerDown=0.1, UpperUp=0.1)),
    "hard palate": _tongue("cɟʄɲçʝ", _w(0.12, Smile=0.15)),
    "soft palate": _tongue("kɡgŋxɣɰqɢɠʛɴχʁʀʟ", _w(0.18)),
    "throat": Pose("hɦʔħʕʜʢ", _w(0.2), jaw=0.1, lips=0.02),
    "r": _rounded("ɹɻ", _w(0.12, Funnel=0.25, Pucker=0.3)),
    "w": _rounded("wʍɥ", _w(0.06, Funnel=0.25, Pucker=0.75)),
    "j": Pose("j", _w(0.1, Smile=0.25, Stretch=0.15), jaw=0.7, lips=0.4),
    "i": _spread("i", _w(0.1, Smile=0.35, Stretch=0.2, LowerDown=0.1, UpperUp=0.05)),
    "ɪ": _spread("ɪᵻɨɯ", _w(0.16, Smile=0.22, Stretch=0.12, LowerDown=0.08)),
    "e": _spread("e", _w(0.22, Smile=0.25, Stretch=0.15, LowerDown=0.1)),
    "ɛ": _spread("ɛε", _w(0.3, Smile=0.18, Stretch=0.12, LowerDown=0.12)),
    "æ": _spread("æ", _w(0.45, Smile=0.15, Stretch=0.2, LowerDown=0.15, UpperUp=0.08)),
    "a": _spread("a", _w(0.55, Stretch=0.1, LowerDown=0.12)),
    "ɑ": _spread("ɑ", _w(0.55, LowerDown=0.08)),
    "ʌ": _spread("ʌɐ", _w(0.34, LowerDown=0.08)),
    "ə": Pose("əɘɤ", _w(0.22, LowerDown=0.05), jaw=0.6, lips=0.4),
    "ɜ": Pose("ɜɝɚ", _w(0.22, Funnel=0.22, Pucker=0.2), jaw=0.9, lips=0.8, ahead_s=0.07),
    "ɒ": _rounded("ɒ", _w(0.48, Funnel=0.3, Pucker=0.1)),
    "ɔ": _rounded("ɔ", _w(0.4, Funnel=0.45, Pucker=0.2)),
    "o": _rounded("o", _w(0.28, Funnel=0.4, Pucker=0.45)),
    "ʊ": _rounded("ʊᵿ", _w(0.16, Funnel=0.3, Pucker=0.45)),
    "u": _rounded("uʉ", _w(0.1, Funnel=0.3, Pucker=0.75)),
    "y": _rounded("yʏ", _w(0.1, Funnel=0.25, Pucker=0.7)),
    "ø": _rounded("øɵ", _w(0.24, Funnel=0.35, Pucker=0.45)),
    "œ": _rounded("œɶɞ", _w(0.36, Funnel=0.4, Pucker=0.25)),
}

_VISEME_OF = {letter: viseme for viseme, letters in VISEMES.items() for letter in letters}
_POSE_OF = {letter: pose for pose in POSES.values() for letter in pose.letters}
_COMPOSED = {"c\u0327": "ç"}  # the one letter of the IPA that NFD takes apart


def letters(symbol: str) -> tuple[str, ...]:
    """A phoneme's letters, without stress, length, ties and what else modifies them.

    An affricate or a diphthong that is one symbol ("t͡ʃ", "aɪ") has two.
    """
    apart = unicodedata.normalize("NFD", symbol)
    for written, letter in _COMPOSED.items():
        apart = apart.replace(written, letter)
    return tuple(c for c in apart if unicodedata.category(c) in ("Ll", "Lo", "Lu"))


def viseme(letter: str) -> int | None:
    """Azure's id; None for what is no letter of the IPA."""
    return _VISEME_OF.get(letter)


def pose(letter: str) -> Pose | None:
    """What the face does; None for what is no letter of the IPA."""
    return _POSE_OF.get(letter)
