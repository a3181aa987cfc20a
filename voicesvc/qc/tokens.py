"""A text -> the words that a listener should hear, each spelled one way, with its place.

What was asked for and what a recogniser wrote go through the same, so that "$2.5m" and "two point
five million dollars" are equal. Knows nothing of how the two are compared.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from voicesvc import script
from voicesvc.directions import Said
from voicesvc.phonemes.written import Written, to_say, written_of
from voicesvc.qc.spelling import as_one, spelled
from voicesvc.spoken import with_readings
from voicesvc.spoken.numbers import cardinal
from voicesvc.spoken.rules import listed

# Recognisers leave them out, or write them in many ways, so they are not judged.
FILLERS = listed("ack ah er erm hm hmm huh mhm mm mmm psst ugh uh um whew")
LONGEST_JOIN = 5  # words that may be written as one: "F B I"
_PARTS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LETTERS = {"eh": "A", "eye": "I"}  # as rules name them for espeak: "V eye P"
_ROMAN = re.compile("[IVXLCDM]+")
_NUMBERS = {cardinal(str(n)): n for n in (*range(20), *range(20, 100, 10))}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_LARGE = {"hundred": 100, **_SCALES}


@dataclass(frozen=True, slots=True)
class Token:
    """One word to be heard, or a number, however many words it has; `judged` or left out."""

    text: str
    words: tuple[int, ...]  # which of the written words it comes from
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """A text as written words, with offsets in it, and the tokens to be heard, in order."""

    written: tuple[Written, ...]
    tokens: tuple[Token, ...]


def asked(text: str, language: str, said: Sequence[Said] = ()) -> Text:
    """What is to be heard of a text without markup; `said`: stretches that are read otherwise."""
    clean = script.clean(text).text
    written: list[Written] = []
    tokens: list[Token] = []
    for span in script.sentences(clean, said):
        read = with_readings(span.text, span.start, said, language)
        words = written_of(span.text, span.start, read)
        for word, say in zip(words, to_say(words, language), strict=True):
            place = len(written)
            parts = _heard_of(word, say, found=bool(word.said) and word.said not in said)
            tokens += [Token(t, (place,), judged) for t, judged in parts]
            start, end = span.start + word.start, span.start + word.end
            written.append(replace(word, text=text[start:end], start=start, end=end))
    return Text(tuple(written), tuple(_numbers(tokens)))


def heard(transcript: str, language: str) -> Text:
    """The same of what a recogniser wrote; what is not judged is left out."""
    text = asked(transcript, language)
    return Text(text.written, tuple(t for t in text.tokens if t.judged))


def _heard_of(word: Written, say: str, found: bool) -> Iterator[tuple[str, bool]]:
    """The words of one written word, and whether each is judged; `found`: a rule read it."""
    spoken = _PARTS.findall(say)
    if found:
        spoken = [_LETTERS.get(p, p) for p in spoken]
    parts = [p for p in map(spelled, spoken) if p]
    unjudged = 0  # of the first parts
    if found and re.sub(r"[-'.]", "", word.text).isalpha():
        whole = spelled(word.text)
        if all(len(p) == 1 for p in spoken):
            parts = [whole]
        elif "-" in word.text:  # a stutter: what comes of it is judged
            unjudged = len(parts) - 1
        elif not _ROMAN.fullmatch(word.text) and _squeezed("".join(parts)) != _squeezed(whole):
            unjudged = len(parts)  # a noise, or broken off
    for i, part in enumerate(parts):
        yield part, i >= unjudged and part not in FILLERS


def _squeezed(word: str) -> str:
    return re.sub(r"(.)\1+", r"\1", word)


def _numbers(tokens: Sequence[Token]) -> Iterator[Token]:
    """Runs of number words as one token in figures: "nineteen eighty four" -> "1984"."""
    at = 0
    while at < len(tokens):
        end = _run_end(tokens, at)
        if end == at:
            yield tokens[at]
            at += 1
        else:
            run = tokens[at:end]
            words = tuple(dict.fromkeys(w for t in run for w in t.words))
            yield Token(_figures([t.text for t in run]), words)
            at = end


def _run_end(tokens: Sequence[Token], begin: int) -> int:
    """Where the number that begins at a token ends; `begin` where none does."""

    def word(i: int) -> str:
        return tokens[i].text if i < len(tokens) else ""

    end = begin
    while True:
        here, after, inside = word(end), word(end + 1), end > begin
        joins = here in ("point", "oh") or (here == "and" and word(end - 1) in _LARGE)
        if here in _NUMBERS or (here in _LARGE and inside):
            end += 1
        elif after in (_NUMBERS if inside and joins else _LARGE if here == "a" else ()):
            end += 2
        else:
            return end


def _figures(words: Sequence[str]) -> str:
    """Number words in figures, those that make no one number side by side."""
    out = ""
    total, group = 0, -1  # what is complete up to thousands, and what may still grow; -1: nothing
    for word in (*words, ""):
        value = _NUMBERS.get(word, 0 if word == "oh" else 1 if word == "a" else -1)
        tens = group % 100
        if word == "hundred":
            group = 100 * max(group, 1)
        elif word in _SCALES:
            total, group = total + _SCALES[word] * max(group, 1), -1
        elif word == "and":
            continue
        elif value >= 0 and (
            group < 0
            or (group > 0 and tens == 0 and 0 < value < 100)
            or (tens >= 20 and tens % 10 == 0 and 0 < value < 10)
        ):
            group = max(group, 0) + value
        else:  # "point", the end, or a number of its own
            if total or group >= 0:
                out += str(total + max(group, 0))
            out += "." * (word == "point")
            total, group = 0, value
    return out


def joined(tokens: Sequence[Token], others: Collection[str]) -> list[Token]:
    """Neighbours written as one where the other side does so: "good" "bye" for "goodbye"."""
    out: list[Token] = []
    at = 0
    while at < len(tokens):
        for n in range(min(LONGEST_JOIN, len(tokens) - at), 1, -1):
            some = tokens[at : at + n]
            one = next((w for w in as_one([t.text for t in some]) if w in others), None)
            if one is not None:
                words = tuple(dict.fromkeys(w for t in some for w in t.words))
                out.append(Token(one, words, any(t.judged for t in some)))
                at += n
                break
        else:
            out.append(tokens[at])
            at += 1
    return out
