"""A filter: one JSON request a line on stdin, one JSON answer a line on stdout, until stdin ends.

    {"language": "en-us", "clauses": [{"words": ["of", "the"], "end": "."}]}
    {"clauses": [["ʌv", "ðə"]]}
    {"error": "espeak-ng has no language 'xx'", "valid": ["af", ...]}

A clause's strings, joined, are its phonemes as espeak says them in one go; each string is one
word's share, with the space after it where espeak makes one. `end` is the punctuation after the
clause, which changes how some last words are said.

SPDX-License-Identifier: GPL-3.0-or-later
"""

import json
import sys
from functools import lru_cache
from typing import Any

from espeak_words.align import shares
from espeak_words.library import Espeak, UnknownLanguage


class Filter:
    """Answers requests; remembers how the commonest words are said alone."""

    def __init__(self) -> None:
        self._espeak = Espeak()
        self._alone = lru_cache(maxsize=16384)(self._say_alone)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request's answer. Raises UnknownLanguage, KeyError, TypeError."""
        language = request["language"]
        if not isinstance(language, str):
            raise TypeError("language is not a string")
        self._espeak.set_language(language)
        return {"clauses": [self._clause(language, **c) for c in request["clauses"]]}

    def _clause(self, language: str, words: list[str], end: str) -> list[str]:
        said = self._espeak.phonemes(" ".join(words) + end)
        return shares(said, [self._alone(language, word) for word in words])

    def _say_alone(self, _language: str, word: str) -> str:
        return self._espeak.phonemes(word)


def main() -> None:
    """Answer until stdin ends, which it does when the parent process does."""
    to = Filter()
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    for line in sys.stdin:
        try:
            answer = to.answer(json.loads(line))
        except UnknownLanguage as error:
            answer = {"error": str(error), "valid": error.valid}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": f"not a request: {error!r}", "valid": []}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
