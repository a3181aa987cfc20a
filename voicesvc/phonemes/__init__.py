"""Span -> words with the symbols a model hears. Knows nothing about models or sound."""

from collections.abc import Callable

from voicesvc import errors
from voicesvc.phonemes.alone import Graphemes, Gruut
from voicesvc.phonemes.espeak import Espeak
from voicesvc.phonemes.romanized import Romanized, is_romanized, lacking
from voicesvc.phonemes.word import Phonemizer, Word

__all__ = [
    "PHONEMIZERS",
    "Espeak",
    "Graphemes",
    "Gruut",
    "Phonemizer",
    "Romanized",
    "Word",
    "lacking",
    "phonemizer",
]

PHONEMIZERS: dict[str, Callable[[str], Phonemizer]] = {
    "espeak": Espeak,
    "graphemes": Graphemes,
    "gruut": Gruut,
}


def phonemizer(name: str, language: str, lowercase: bool = False) -> Phonemizer:
    """The phonemizer of this name; `lowercase` is for graphemes.

    A model that reads letters reads Chinese, Japanese and Korean in Latin ones: XTTS does.

    Raises errors.PackRefused for an unknown name or language, or one that is not installed.
    """
    if name not in PHONEMIZERS:
        raise errors.PackRefused(
            f"no phonemizer is called {name!r}", where="phonemizer", valid=sorted(PHONEMIZERS)
        )
    if name == "graphemes" and is_romanized(language):
        return Romanized(language)
    if name == "graphemes":
        return Graphemes(language, lowercase=lowercase)
    return PHONEMIZERS[name](language)
