"""The words of a sentence as they are written, and what is to be said for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voicesvc.directions import Said
from voicesvc.phonemes.word import Word
from voicesvc.script import written_words
from voicesvc.spoken import is_short_form, readings, spoken


@dataclass(frozen=True, slots=True)
class Written:
    """A word as it is written, or a stretch that is read as one; offsets in the sentence."""

    text: str
    start: int
    end: int
    mark: str  # the punctuation after it as one symbol, "" for none
    said: Said | None = None  # how it is read, if otherwise than written


# The strongest first. espeak's voices learned ";" for a dash.
_MARKS = ((".", "."), (";", ";"), ("—", ";"), ("--", ";"), (" - ", ";"), (":", ":"))


def _mark(between: str, last: bool) -> str:
    """The one symbol that a voice learned for the punctuation between two words."""
    for c in between:
        if c in "?!":
            return c
    if "…" in between or ".." in between:
        return "." if last else ","
    for found, symbol in _MARKS:
        if found in between:
            return symbol
    return "," if "," in between else ""


def written_of(text: str, start: int = 0, said: Sequence[Said] = ()) -> list[Written]:
    """Words and read stretches in order; `text` begins at `start`, as the stretches count."""
    found = _found(text, start, said)
    out = []
    for i, (begin, end, reading) in enumerate(found):
        last = i + 1 == len(found)
        next_begin, next_end, _ = (len(text), len(text), None) if last else found[i + 1]
        word, after, between = text[begin:end], text[next_begin:next_end], text[end:next_begin]
        if reading:
            between = "." + between if last and word.endswith(".") else between
        elif between[:1] == "." and between[:2] != ".." and is_short_form(word + ".", after):
            end += 1
            between = between if last else between[1:]
        out.append(Written(text[begin:end], begin, end, _mark(between, last), reading))
    return out


def _found(text: str, start: int, said: Sequence[Said]) -> list[tuple[int, int, Said | None]]:
    """(begin, end, how it is read) of every word, offsets in `text`."""
    stretches = [(max(s.start - start, 0), min(s.end - start, len(text)), s) for s in said]
    for begin, end, _ in stretches:
        text = f"{text[:begin]}{' ' * (end - begin)}{text[end:]}"
    words = [(m.start(), m.end(), None) for m in written_words(text)]
    return sorted([*words, *stretches], key=lambda found: found[0])


def clauses(words: Sequence[Written]) -> Iterator[Sequence[Written]]:
    """What is said in one go: words up to and with one that punctuation follows."""
    start = 0
    for i, word in enumerate(words, 1):
        if word.mark or i == len(words):
            yield words[start:i]
            start = i


def instead(word: Written, language: str) -> str:
    """What is said for the word, its figures written out where they stand for something else."""
    if not word.said or word.said.text is None:
        return word.text.replace("\u2060", "")
    text = word.said.text
    if not any(c.isdigit() for c in text):
        return text
    out, at = "", 0
    for s in readings(text, 0, (), language):
        out += text[at : s.start] + (s.text or "")
        at = s.end
    return out + text[at:]


def to_say(words: Sequence[Written], language: str) -> list[str]:
    """What a phoneme program is given for each word."""
    english = language.startswith("en")
    plain = [instead(w, language) for w in words]
    after = [*plain[1:], ""]
    out = []
    for i, (w, text) in enumerate(zip(words, plain, strict=True)):
        if w.said:
            out.append(" ".join(to_say(written_of(text), language)))
        else:
            out.append(spoken(text, after[i]) if english else text.rstrip("."))
    return out


def joined(written: Sequence[Written], shares: Sequence[str], start: int) -> tuple[Word, ...]:
    """Words from what is said for each: a share that ends in a space has one before the next."""
    out: list[Word] = []
    symbols = [w.said.phones if w.said else None for w in written]
    for i, (w, share) in enumerate(zip(written, shares, strict=True)):
        given = symbols[i]
        more = i + 1 < len(written)
        apart = w.mark or share.endswith(" ") or symbols[i : i + 2] != [None] * 2
        space = (" ",) if more and apart else ()
        after = (w.mark, *space) if w.mark else space
        phones = tuple(share.strip(" ")) if given is None else given
        if phones:
            out.append(Word(w.text, start + w.start, start + w.end, phones, after))
        elif out and w.mark:  # a word that is not heard leaves its punctuation to the one before
            b = out.pop()
            out.append(Word(b.text, b.start, b.end, b.phones, after))
    return tuple(out)
