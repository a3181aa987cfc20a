"""A word with its phonemes, and what says words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from voicesvc.directions import Said


@dataclass(frozen=True, slots=True)
class Word:
    """One written word of a sentence and what is said for it.

    All words' `phones + after`, joined in order, are the sentence as the model hears it.
    """

    text: str  # as written, without the punctuation around it
    start: int  # character offsets of `text` in the text of the request
    end: int
    phones: tuple[str, ...]  # one symbol each: "h", "ə", "ˈ", "l" ...
    after: tuple[str, ...]  # what separates it from the next word: " ", ",", "." ...


class Phonemizer(Protocol):
    """Says words of `language`. `words` may be called from any thread."""

    language: str

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence of cleaned text that begins at `start` of the request.

        Each stretch of `said` (in order, within the sentence, none overlapping another) is one
        word, said as it asks; the rest is said as written, and a word that a stretch covers in
        part is words of their own around it. Raises errors.EngineFailed when a phoneme program
        fails.
        """
        ...

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Words of cleaned text as `language` ("fr") says them.

        Raises errors.PackRefused where that language cannot be said.
        """
        ...

    def close(self) -> None:
        """End what was started; nothing is said after it."""
        ...
