"""Plain text -> sentences. Knows nothing about phonemes or sound.

Every step keeps the length of the text, so that an offset here is an offset in the request.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from voicesvc.directions import Said
from voicesvc.spoken import COUNTED, ENDINGS, INITIALS, TITLES

PAUSE_SENTENCE_S = 0.2
PAUSE_PARAGRAPH_S = 0.6
LONGEST = 400  # characters of a span: the first audio of endless text comes as fast as of a line
CUT = 300  # characters: a longer sentence is cut before here, so that no single word is left over
WRAPPED = 60  # characters: a line this long was broken by an editor's margin, not by its author
SKIP_REASONS = ("control", "emoji", "script", "symbol")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the line that is spoken in one go: here, a sentence."""

    text: str  # what is to be said; same length as text[start:end] of the request
    start: int  # character offsets in the text of the request
    end: int
    pause_s: float  # silence after it


@dataclass(frozen=True, slots=True)
class Skipped:
    """A range of the request that is not spoken; `why` is one of SKIP_REASONS."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`text` has the request's length; what cannot be spoken is spaces in it."""

    text: str
    skipped: tuple[Skipped, ...]


# Signs that belong to the letter before them: of Latin, Arabic and Devanagari.
_MARKS = (
    "\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8"
    "\u06ea-\u06ed\u0900-\u0903\u093a-\u093c\u093e-\u094f\u0951-\u0957\u0962\u0963"
)
# Between these no space is written.
_CLOSE = "\u3005-\u3007\u3041-\u30ff\u3400-\u9fff"
_OPENS, _CLOSES = "「『【〈《〔", "」』】〉》〕"
_QUOTING = tuple("とって")  # after a quotation in Japanese: 「行く。」と言った is one sentence
_SAID = "&@#%+=$£€¥¢°©®™×÷±"  # symbols that are read aloud
# A word as written. A dot joins "U.S", "3.50" and "example.com", but not "end.Next".
_WORD = re.compile(
    rf"""
    (?: (?<!\w)'(?=(?i:em|cause|til|tis|twas|n|\d0s)\b) | (?<![\w.])[-.](?=\d) )?
    (?: [^\W_] | [{_SAID}] )
    (?: [^\W_] | [{_SAID}{_MARKS}\u2060]
      | ['/-](?=[^\W_]) | (?<=\d)[,:](?=\d) | (?<=Ph)\.(?=D)
      | (?<![^\W\d_][^\W\d_])\.(?=[^\W_]) | \.(?=[a-z])
    )*
    """,
    re.VERBOSE,
)

_FIRST_WORD = re.compile(
    "After|All|Although|And|Another|As|At|Because|Before|But|By|Did|Do|Does|For|From|Had|Has|Have"
    "|Her?e?|His|How|However|I|If|In|Is|Its?|Let|Maybe|My|Nobody|Not|Now|Of|On|Once|One|Or|Our"
    "|Perhaps|She|Since|So|Some|Such|That|The|Then|There|These|They|This|Those|To|Until|Was|We"
    "|Well|Were|What|When|Where|Which|While|Who|Why|With|Would|Yes|Yet|Your?"
)
# Possessive and anchored to a run's first mark, so that a page of "!!!" costs no backtracking.
_END = re.compile(
    rf"(?<![.!?…])[.!?…]++[\"')\]}}{_CLOSES}]*+(?=\s|\Z|[{_OPENS}{_CLOSE}])|(?<!\s)\s*\n\s*+"
)
_CUT_CLAUSE = re.compile(rf"[,;:)—…][\"')\]{_CLOSES}]*\s|\s[—-]\s|[,;:—…](?=[{_OPENS}{_CLOSE}])")
_SPACE = re.compile(r"\s+")
_IN_READING = re.compile(r"[^\w.]|_")


def speakable(text: str) -> bool:
    """Whether anything in cleaned text can be said aloud."""
    return _WORD.search(text) is not None


def written_words(text: str) -> Iterator[re.Match[str]]:
    """The words of cleaned text, without the dot that ends an abbreviation."""
    return _WORD.finditer(text)


def sentences(text: str, said: Sequence[Said] = ()) -> Iterator[Span]:
    """Cleaned text, sentence by sentence, found as they are asked for.

    A blank line ends a paragraph. A single newline ends a sentence too, unless it looks like a
    wrapped line: the next one goes on in lower case, or this one is at least WRAPPED characters
    long, or ends in a comma. A sentence over LONGEST characters is cut at a clause border before
    CUT, else at a space, with no pause there. What holds nothing speakable is left out.

    A stretch of `said` (in order, none overlapping another) stays whole: what is in it ends no
    sentence, unless it ends in a dot.
    """
    shown = _whole(text, said)
    held: Span | None = None
    at = 0
    while at < len(text):
        end, pause_s = _sentence_end(shown, at)
        if pause_s == 0.0:
            end = _outside(end, at, said)
        piece = shown[at:end]
        start = at + len(piece) - len(piece.lstrip())
        stop = at + len(piece.rstrip())
        at = end
        if not speakable(piece):
            if held and pause_s > held.pause_s:
                held = Span(held.text, held.start, held.end, pause_s)
            continue
        if held:
            yield held
        held = Span(text[start:stop], start, stop, pause_s)
    if held:
        yield Span(held.text, held.start, held.end, 0.0)


def _whole(text: str, said: Sequence[Said]) -> str:
    """The text with every stretch that is read otherwise as one word, at the same length."""
    parts: list[str] = []
    at = 0
    for s in said:
        parts += text[at : s.start], _IN_READING.sub("x", text[s.start : s.end])
        at = s.end
    return "".join([*parts, text[at:]])


def _outside(cut: int, begin: int, said: Sequence[Said]) -> int:
    """A place for the cut outside of what is read as one."""
    i = bisect_left(said, cut, key=lambda s: s.start) - 1
    if i < 0 or said[i].end <= cut:
        return cut
    return said[i].start if said[i].start > begin else said[i].end


def _sentence_end(text: str, start: int) -> tuple[int, float]:
    """Where the sentence at `start` ends, with the space after it, and the pause there."""
    lead = _SPACE.match(text, start)
    begin = lead.end() if lead else start
    limit = begin + LONGEST
    for m in _END.finditer(text, begin, min(len(text), limit + 64)):
        if m.start() > limit:
            break
        if "\n" in m.group():
            if _ends_line(text, begin, m):
                return m.end(), _pause_s(m.group())
        elif _ends_sentence(text, begin, m):
            space = _SPACE.match(text, m.end())
            return (space.end(), _pause_s(space.group())) if space else (m.end(), PAUSE_SENTENCE_S)
    if len(text) <= limit:
        return len(text), PAUSE_SENTENCE_S
    return _cut(text, begin, begin + CUT), 0.0


def _pause_s(space: str) -> float:
    return PAUSE_PARAGRAPH_S if space.count("\n") > 1 else PAUSE_SENTENCE_S


def _ends_line(text: str, begin: int, newline: re.Match[str]) -> bool:
    if newline.group().count("\n") > 1 or newline.end() == len(text):
        return True
    before = text[newline.start() - 1] if newline.start() > begin else ""
    long = "\n" not in text[max(0, newline.start() - WRAPPED) : newline.start()]
    long = long and newline.start() >= WRAPPED
    return not (text[newline.end()].islower() or before in ",-" or long)


def _ends_sentence(text: str, begin: int, mark: re.Match[str]) -> bool:
    said = text[begin : mark.start()]
    after = text[mark.end() : mark.end() + 24].lstrip()
    if not after:
        return True
    signs = mark.group()
    if signs[-1] in _CLOSES and after.startswith(_QUOTING):
        return False
    first = re.match(r"[\"'(\[{]*(\w*)", after)
    word = first.group(1) if first else ""
    if signs[0] != "." or signs[:2] == "..":
        trails_off = signs[0] in ".…"
        quoted = signs[-1] in "\"')]}"
        return not ((trails_off or quoted) and word[:1].islower())
    if signs[-1] in "\"'":
        return True  # "It is I." "Oh!"
    if said.strip().isdigit():
        return False  # "1. The first point"
    last = re.split(r"[\s\"'(\[{—]", said)[-1]
    short = last + "."
    low = short.lower()
    if low in TITLES or (low in COUNTED and word[:1].isdigit()):
        return False
    if low in ENDINGS or INITIALS.fullmatch(short):
        return bool(_FIRST_WORD.fullmatch(word)) and not after.startswith("I.")
    return True


def _cut(text: str, begin: int, limit: int) -> int:
    """A place for a cut at or before `limit`: the last clause border, else space, else there."""
    borders = [m.end() for m in _CUT_CLAUSE.finditer(text, begin, limit)]
    if borders and borders[-1] > begin + CUT // 4:
        return borders[-1]
    spaces = [m.end() for m in _SPACE.finditer(text, begin, limit)]
    return spaces[-1] if spaces else limit


_SAME_LENGTH = str.maketrans(
    dict.fromkeys("“”„‟«»″", '"')
    | dict.fromkeys("‘’‚‛′‹›`", "'")
    | dict.fromkeys("‐‑‒−", "-")
    | dict.fromkeys("–―", "—")
    | dict.fromkeys("\x0b\x0c\x85\u2028\u2029", "\n")
    | dict.fromkeys("\u00ad\u200c", "\u2060")  # invisible inside a word
    | dict(zip("⁄‼⁇⁈⁉。、،؛؟｡､।॥۔", "/!???.,,;?.,...", strict=True))
)
_EMOJI_BASE = "\U0001f000-\U0001faff\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff〰〽㊗㊙"
_EMOJI_TAIL = "\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_EMOJI = re.compile(
    rf"[0-9#*]\ufe0f?\u20e3|[©®™]\ufe0f|[{_EMOJI_BASE}][{_EMOJI_TAIL}]*"
    rf"(?:\u200d[{_EMOJI_BASE}♀♂][{_EMOJI_TAIL}]*)*|[{_EMOJI_TAIL}]+"
)
_ODD = re.compile(r"[^\n\x20-\x7e]+")
_RANGE_DASH = re.compile(r"(?<=\d)—(?=\d)")


# Words that begin the Unicode names of a language's letters, beside Latin ones.
_SCRIPTS = {
    **dict.fromkeys(("ar", "fa", "ur"), ("ARABIC",)),
    **dict.fromkeys(("be", "bg", "kk", "ky", "mk", "ru", "sr", "tt", "uk"), ("CYRILLIC",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("DEVANAGARI",)),
    "el": ("GREEK",),
    "ja": ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "ko": ("HANGUL", "CJK"),
    "zh": ("CJK", "IDEOGRAPHIC"),
}


ANY = ("LATIN", *dict.fromkeys(name for names in _SCRIPTS.values() for name in names))


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts that a language ("ja", "ru-ru") is written in, as `clean` takes them."""
    return ("LATIN", *_SCRIPTS.get(language.partition("-")[0], ()))


def clean(text: str, scripts: Iterable[str] = ("LATIN",)) -> Cleaned:
    """Text with only what a voice of these `scripts` (Unicode names) can say, at the same length.

    Typographic quotes, dashes, spaces and fullwidth forms become their plain ones; emoji, control
    characters, unpaired surrogates and letters of other scripts become spaces and are reported.
    ASCII letters are kept for any voice.
    """
    if _ODD.search(text) is None:
        return Cleaned(text, ())
    spoken = frozenset(scripts)
    found: list[Skipped] = []

    def note(start: int, end: int, why: str) -> None:
        if found and found[-1].why == why and not text[found[-1].end : start].strip():
            start = found.pop().start
        found.append(Skipped(start, end, why))

    out = list(text)
    at = 0
    for run in _ODD.finditer(text):
        at = max(at, run.start() - 1)  # a keycap's digit stands before its odd signs
        for emoji in _EMOJI.finditer(text, at, run.end()):
            for i in range(emoji.start(), emoji.end()):
                out[i] = ""
        for i in range(run.start(), run.end()):
            if out[i]:
                out[i] = _plain(out[i], spoken)
        at = run.end()
    for i, c in enumerate(out):
        if len(c) != 1:
            out[i] = " "
            note(i, i + 1, c or "emoji")
    joined = "".join(out).replace("\r\n", " \n").replace("\r", "\n")
    return Cleaned(_RANGE_DASH.sub("-", joined), tuple(found))


@lru_cache(maxsize=4096)
def _plain(char: str, scripts: frozenset[str]) -> str:
    """The one character to write for `char`, or the reason (a longer string) to leave it out."""
    char = char.translate(_SAME_LENGTH)
    wide = unicodedata.normalize("NFKC", char)
    kind = unicodedata.category(char)
    if len(wide) == 1 and char not in "¹²³µ":
        char, kind = wide, unicodedata.category(wide)
    if kind == "Nd":
        return str(unicodedata.digit(char))
    if char in "\n\r" or kind[0] == "P" or char in _SAID + "\u2060¹²³¼½¾":
        return char
    if char == "\t" or kind[0] == "Z":
        return " "
    if kind[0] == "C":
        return "control"
    if kind[0] not in "LM":
        return "symbol"
    script = unicodedata.name(char, "UNKNOWN").split()[0]
    rare = char > "\u1eff" and len(wide) == 1  # phonetic and medieval letters that nobody reads out
    known = script in scripts and not (rare and script == "LATIN")
    return char if known or char == "µ" or "\u0300" <= char <= "\u036f" else "script"


def skipped_header(skipped: Iterable[Skipped], most: int = 20) -> str:
    """A short ASCII header value: `4-6 emoji, 10-15 script`, then `+3 more` after `most` ranges."""
    ranges = list(skipped)
    shown = [f"{s.start}-{s.end} {s.why}" for s in ranges[:most]]
    return ", ".join(shown + [f"+{len(ranges) - most} more"] * (len(ranges) > most))
