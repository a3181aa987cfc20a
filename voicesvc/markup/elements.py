"""What each element and attribute of SSML means. Knows nothing of where a document is read.

SSML 1.1 (W3C Recommendation, 2010), Azure's `mstts:` and one of Amazon's elements.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from voicesvc.directions import Pause, Style
from voicesvc.markup import values
from voicesvc.markup.ipa import symbols
from voicesvc.markup.names import STYLES
from voicesvc.markup.silence import KINDS, TYPES
from voicesvc.markup.values import Invalid, Level
from voicesvc.markup.xml import Open

T = TypeVar("T")

LONGEST_VALUE = 1000  # characters of an attribute
STYLE_DEGREES = (0.01, 2.0)
ALPHABETS = {"ipa": "ipa", "x-sampa": "x-sampa", "xsampa": "x-sampa"}
EFFECTS = {"whispered": "whispered"}
_VERSIONS = {"1.0": "1.0", "1.1": "1.1"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")

# Element -> the attributes it takes, beside `xml:id`, which any may have.
ELEMENTS: dict[str, tuple[str, ...]] = {
    "speak": ("version", "xml:lang", "xml:base", "xsi:schemaLocation"),
    "p": ("xml:lang",),
    "s": ("xml:lang",),
    "w": ("xml:lang",),
    "token": ("xml:lang",),
    "lang": ("xml:lang",),
    "break": ("time", "strength"),
    "prosody": ("rate", "pitch", "range", "volume", "contour", "duration"),
    "emphasis": ("level",),
    "say-as": ("interpret-as", "format"),
    "phoneme": ("ph", "alphabet", "type"),
    "sub": ("alias",),
    "mark": ("name",),
    "bookmark": ("mark",),
    "meta": ("name", "content", "http-equiv"),
    "metadata": (),
    "mstts:express-as": ("style", "styledegree"),
    "mstts:silence": ("type", "value"),
    "amazon:effect": ("name",),
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "lang": ("xml:lang",),
    "say-as": ("interpret-as",),
    "phoneme": ("ph",),
    "sub": ("alias",),
    "mark": ("name",),
    "bookmark": ("mark",),
    "mstts:express-as": ("style",),
    "mstts:silence": ("type", "value"),
    "amazon:effect": ("name",),
}
# Element, or element and attribute -> (why it is refused, what to do instead).
REFUSED: dict[str, tuple[str, str]] = {
    "voice": ("one actor speaks a line", "the request's `actor`; one request for each actor"),
    "audio": ("only the actor's voice is heard", "recordings are mixed in afterwards"),
    "desc": ("it describes <audio>, which is not done", "leave it out"),
    "lexicon": ("nothing is fetched from an address", "the request's `lexicons`"),
    "lookup": ("it chooses a <lexicon>", "the request's `lexicons`"),
    "mstts:audioduration": ("a length is asked of the whole line", "the request's `fit`"),
    "mstts:backgroundaudio": ("only the actor's voice is heard", "mix it in afterwards"),
    "mstts:viseme": ("mouth shapes are not given", "the times of the phonemes"),
    "mstts:express-as role": ("an actor is one person", "leave it out"),
}
EMPTY = frozenset(("break", "mark", "bookmark", "meta", "mstts:silence"))
UNSAID = frozenset(("metadata", "desc", "lexicon", "mstts:backgroundaudio", "mstts:viseme"))
INLINE = frozenset(("prosody", "emphasis", "mark", "bookmark", "lang", "meta", "mstts:express-as"))
READ = frozenset(("say-as", "phoneme", "sub"))
NOT_WITHIN = {"p": frozenset(("p", "s")), "s": frozenset("s")}


def pause(tag: Open) -> Pause:
    """A break: its time, or else its strength. Raises Invalid."""
    strength = _given(tag, "strength", lambda v: values.one_of(v, values.STRENGTHS))
    length_s = _given(tag, "time", lambda v: values.seconds(v, values.LONGEST_PAUSE_S))
    if length_s is not None:
        return Pause(tag.start, length_s=length_s)
    return Pause(tag.start, strength=strength or "medium")


def silence(tag: Open) -> tuple[str, float]:
    """(kind, seconds) of `mstts:silence`. Raises Invalid."""
    kind = _given(tag, "type", lambda v: values.one_of(v, KINDS, list(TYPES)))
    length_s = _given(tag, "value", lambda v: values.seconds(v, values.LONGEST_PAUSE_S))
    assert kind is not None
    assert length_s is not None
    return kind, length_s


def phones(tag: Open) -> tuple[str, ...]:
    """The symbols of `phoneme`. Raises Invalid with the place of one that is unknown."""
    alphabet = _given(tag, "alphabet", lambda v: values.one_of(v, ALPHABETS)) or "ipa"
    found = _given(tag, "ph", lambda v: symbols(v, alphabet))
    assert found is not None
    return found


def style(tag: Open, around: Level) -> Style:
    """What the element asks for its content, language included. Raises Invalid."""
    asks = _STYLES.get(tag.name)
    asked = asks(tag, around) if asks else Style()
    language = _given(tag, "xml:lang", _language)
    return replace(asked, language=language) if language else asked


def overridden(tag: Open) -> tuple[str, ...]:
    """Attributes that another one overrules (SSML 1.1, 3.2.4)."""
    given = tag.attributes
    names = [n for n in ("pitch", "range") if tag.name == "prosody" and "contour" in given]
    names += ["rate"] * (tag.name == "prosody" and "duration" in given)
    return tuple(n for n in names if n in given)


def check(tag: Open) -> None:
    """Values that are too long, or ask for nothing but have to be right. Raises Invalid."""
    for name, value in tag.attributes.items():
        if len(value) > LONGEST_VALUE:
            error = Invalid(f"{len(value)} characters", f"up to {LONGEST_VALUE}")
            error.attribute = name
            raise error
    if tag.name == "speak":
        _given(tag, "version", lambda v: values.one_of(v, _VERSIONS))
    if tag.name == "phoneme":
        _given(tag, "type", lambda v: values.one_of(v, {"default": "default"}))


def _given(tag: Open, name: str, read: Callable[[str], T]) -> T | None:
    if name not in tag.attributes:
        return None
    try:
        return read(tag.attributes[name])
    except Invalid as error:
        error.attribute = name
        raise


def _language(value: str) -> str | None:
    if value and not _LANGUAGE.fullmatch(value):
        raise Invalid(f"{value[:40]!r} is no language", "a tag such as en-US")
    return value or None


def _prosody(tag: Open, around: Level) -> Style:
    if not any(name in tag.attributes for name in ELEMENTS["prosody"]):
        raise Invalid("<prosody> without an attribute asks for nothing", [*ELEMENTS["prosody"]])
    asked = Style()
    for name in ELEMENTS["prosody"]:
        one = _given(tag, name, partial(_PROSODY[name], around=around))
        if one is not None and name not in overridden(tag):
            asked = values.joined(asked, one)
    return asked


def _duration(value: str, around: Level) -> Style:
    length_s = values.seconds(value, values.LONGEST_STRETCH_S)
    if length_s == 0.0:
        raise Invalid("a stretch lasts longer than 0 s", "a time such as 1.5s")
    return Style(duration_s=length_s)


def _emphasis(tag: Open, around: Level) -> Style:
    level = _given(tag, "level", lambda v: values.one_of(v, values.EMPHASES))
    return Style(emphasis=level or "moderate")


def _express_as(tag: Open, around: Level) -> Style:
    try:
        emotion, intensity = values.one_of(tag.attributes["style"], STYLES)
    except Invalid as error:
        error.attribute, error.skippable = "style", True
        raise
    degree = _given(tag, "styledegree", lambda v: values.plain(v, STYLE_DEGREES))
    return Style(emotion=emotion, intensity=round(intensity * (degree or 1.0), 6))


def _effect(tag: Open, around: Level) -> Style:
    return Style(emotion=_given(tag, "name", lambda v: values.one_of(v, EFFECTS)))


_PROSODY: dict[str, Callable[..., Style]] = {
    "rate": values.rate,
    "pitch": values.pitch,
    "range": values.span,
    "volume": values.volume,
    "contour": values.contour,
    "duration": _duration,
}
_STYLES: dict[str, Callable[[Open, Level], Style]] = {
    "prosody": _prosody,
    "emphasis": _emphasis,
    "mstts:express-as": _express_as,
    "amazon:effect": _effect,
}
