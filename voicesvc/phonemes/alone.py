"""Words said one by one, in this process: gruut's pronunciations, and letters as they are."""

import threading
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from voicesvc import errors
from voicesvc.directions import Said
from voicesvc.phonemes.word import Word
from voicesvc.phonemes.written import instead, joined, to_say, written_of

_GRUUT_SPEAKS = {"&": " and ", "%": " percent", "°": " degrees", "@": " at ", "+": " plus "}


class Gruut:
    """gruut's pronunciations (MIT, in this process), in the symbols that espeak's voices learned.

    Each word is said alone and remembered: gruut tells no word borders either, and is 100 times
    slower than espeak. Raises errors.PackRefused where gruut or its language is not installed.
    """

    def __init__(self, language: str) -> None:
        try:
            import gruut
        except ImportError as error:
            raise errors.PackRefused(
                "the phonemizer 'gruut' is not installed", where="phonemizer"
            ) from error
        self.language = language
        self._gruut = gruut
        if not gruut.is_language_supported(language):
            raise errors.PackRefused(
                f"gruut has no language {language!r}",
                where="language",
                valid=sorted(gruut.get_supported_languages()),
            )
        self._lock = threading.Lock()
        self._alone = lru_cache(maxsize=16384)(self._say_alone)

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence; see Phonemizer."""
        written = written_of(text, start, said)
        asked = to_say(written, self.language)
        with self._lock:
            return joined(written, [self._alone(one) for one in asked], start)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Only its own language is spoken here. Raises errors.PackRefused."""
        raise errors.PackRefused(
            f"this voice cannot say {language!r}", where="language", valid=[self.language]
        )

    def close(self) -> None:
        """Nothing was started."""

    def _say_alone(self, word: str) -> str:
        for sign, said in _GRUUT_SPEAKS.items():
            word = word.replace(sign, said)
        found = self._gruut.sentences(word, lang=self.language, espeak=True)
        heard = ["".join(w.phonemes) for s in found for w in s if w.is_spoken and w.phonemes]
        return unicodedata.normalize("NFD", " ".join(heard)) + " "


class Graphemes:
    """For models that read characters: each word's phones are its own, in lower case if asked."""

    def __init__(self, language: str = "", *, lowercase: bool = False) -> None:
        self.language = language
        self._lowercase = lowercase

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence; one symbol a character. Raises nothing."""
        written = written_of(text, start, said)
        plain = [instead(w, self.language) for w in written]
        shares = [f"{p.lower() if self._lowercase else p} " for p in plain]
        return joined(written, shares, start)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Only its own language is spoken here. Raises errors.PackRefused."""
        raise errors.PackRefused(
            f"this voice cannot say {language!r}", where="language", valid=[self.language]
        )

    def close(self) -> None:
        """Nothing was started."""
