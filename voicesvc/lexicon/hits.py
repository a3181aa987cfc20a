"""Where a text has words of a lexicon, and what is said there."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from voicesvc.directions import Said, within
from voicesvc.errors import BadLexicon
from voicesvc.lexicon.entries import RUN, Entry, Lexicon
from voicesvc.lexicon.sounds import is_respelled, phones_of, possessive, respelled
from voicesvc.phonemes import Graphemes, Phonemizer

_POSSESSIVE = re.compile(r"'s(?!\w)", re.IGNORECASE)


def hits(
    text: str,
    lexicons: Sequence[Lexicon],
    phonemizer: Phonemizer,
    symbols: Collection[str],
    taken: Sequence[Said] = (),
) -> tuple[Said, ...]:
    """The words of cleaned `text` that a lexicon knows, in order; `taken` is left alone.

    Whole words are found, the longest grapheme first, then the first lexicon's, then the one in
    the text's own case. An English possessive ("Elena's") is found too. `symbols` are the model's.

    Raises:
        BadLexicon: what is to be said has a symbol that the model does not know.
    """
    out: list[Said] = []
    at = 0
    runs = list(RUN.finditer(text)) if lexicons else []
    keys = [r.group().casefold() for r in runs]
    for i, run in enumerate(runs):
        if run.start() < at:
            continue
        found = max(
            (
                (end - begin, -order, exact, begin, end, lexicon.name, entry)
                for order, lexicon in enumerate(lexicons)
                for n in lexicon.lengths.get(keys[i], ())
                for offset, entry in lexicon.index.get(tuple(keys[i : i + n]), ())
                for begin, end, exact in _places(text, run.start() - offset, entry.written)
                if begin >= at and not within(taken, begin, end)
            ),
            key=lambda f: f[:3],
            default=None,
        )
        if found is None:
            continue
        *_, begin, end, name, entry = found
        suffix = _POSSESSIVE.match(text, end) if phonemizer.language.startswith("en") else None
        possessed = suffix is not None and not within(taken, begin, suffix.end())
        end = suffix.end() if suffix and possessed else end
        try:
            out.append(_said((begin, end), entry, possessed, phonemizer, symbols))
        except BadLexicon as error:
            raise BadLexicon(
                f"the voice cannot say {entry.grapheme!r}: {error.detail}",
                where=f"lexicon {name}, {error.where} of {entry.ipa!r}",
                valid=error.valid,
            ) from error
        at = end
    return tuple(out)


def _places(text: str, start: int, written: str) -> Iterator[tuple[int, int, bool]]:
    """(begin, end, whether in the same case) if `written` is whole words of `text` at `start`."""
    m = _pattern(written).match(text, start) if start >= 0 else None
    if m:
        yield m.start(), m.end(), " ".join(m.group().split()) == written


@lru_cache(maxsize=16384)
def _pattern(written: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, written.split()))
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _said(
    stretch: tuple[int, int],
    entry: Entry,
    possessed: bool,
    phonemizer: Phonemizer,
    symbols: Collection[str],
) -> Said:
    begin, end = stretch
    if entry.ipa is not None:
        phones = phones_of(entry.ipa, symbols)
    elif entry.sounds_like is not None and is_respelled(entry.sounds_like):
        if isinstance(phonemizer, Graphemes):
            spelled = entry.sounds_like.replace("-", "").lower()
            return Said(begin, end, text=spelled + "'s" * possessed)
        phones = respelled(entry.sounds_like, phonemizer)
    else:
        return Said(begin, end, text=f"{entry.sounds_like or entry.alias}" + "'s" * possessed)
    return Said(begin, end, phones=possessive(phones, symbols) if possessed else phones)
