"""What XTTS is given to say, as it is spelt to it, and where its letters are taken to lie."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from voicesvc.engines.vocoder import Positions
from voicesvc.packs import Pack, tag_of
from voicesvc.plan import PlannedWord

# How long a symbol is taken to last, next to a letter: nothing in the model says so.
_WEIGHTS = {" ": 0.4, ",": 2.5, ";": 3.0, ":": 3.0, ".": 3.0, "?": 3.0, "!": 3.0}
# Read in Latin letters: their limits count characters as written, and what was read is final.
_ROMANIZED = ("ja", "ko", "zh")
# Where a character is a syllable, each lasts about as long, however many letters it is spelt with.
_SYLLABIC = ("ko", "zh")
_SYLLABLE = 2.4  # letters
_CLAUSE_ENDS = frozenset(",;:.?!")
_AS_CLAUSE = str.maketrans(dict.fromkeys(";:.?!", ","))  # Chinese was trained with commas alone


class Tokens:
    """A part's text as the model's tokens, by coqui's own tokenizer. Safe for many threads.

    A language "" is the pack's.
    """

    def __init__(self, pack: Pack) -> None:
        from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

        self._language = pack.language
        self._bpe = VoiceBpeTokenizer(pack.folder / pack.xtts_network.vocabulary.file)
        self._most = pack.xtts_network.gpt_max_text_tokens - 1

    def __call__(self, text: str, language: str = "") -> list[int]:
        """The ids of a part's text, its language before it."""
        language = language or self._language
        root = language.partition("-")[0]
        if root in _ROMANIZED:
            clean = text.translate(_AS_CLAUSE) if root == "zh" else text
        else:
            clean = self._bpe.preprocess_text(text, root)
        said = f"{tag_of(language)}{clean}".replace(" ", "[SPACE]")
        return list(self._bpe.tokenizer.encode(said).ids)

    def share(self, words: Sequence[PlannedWord], language: str = "") -> float:
        """How much of what the model takes at once the words are."""
        text = text_of(words)
        root = (language or self._language).partition("-")[0]
        length = len(text)
        if root in _ROMANIZED:
            marks = (u.symbol in _CLAUSE_ENDS for w in words for u in w.units)
            length = sum(len(w.text) for w in words) + sum(marks)
        most_letters = int(self._bpe.char_limits[root]) - 1
        return max(length / most_letters, len(self(text, language)) / self._most)

    def parts(
        self, words: Sequence[PlannedWord], language: str = ""
    ) -> list[Sequence[PlannedWord]]:
        """The words in as few parts as the model takes, cut where something ends.

        Where there are several, two that follow one another are together no more than it takes.
        """
        return [words] if self.share(words, language) <= 1 else self._halves(words, language)

    def _halves(self, words: Sequence[PlannedWord], language: str) -> list[Sequence[PlannedWord]]:
        n = math.ceil(2 * self.share(words, language))
        if len(words) == 1 or n == 1:
            return [words]
        begins = np.cumsum([len(w.units) for w in words])[:-1].tolist()
        borders = range(1, len(words))
        clauses = [i for i in borders if any(u.symbol in _CLAUSE_ENDS for u in words[i - 1].units)]
        middle = sum(len(w.units) for w in words) * (n // 2) / n
        at = min(clauses or borders, key=lambda i: abs(begins[i - 1] - middle))
        return [*self._halves(words[:at], language), *self._halves(words[at:], language)]

    def lasting(
        self, part: Sequence[PlannedWord], frames: int, language: str = ""
    ) -> list[PlannedWord]:
        """The part's words with their share of its frames, by what they are written with."""
        root = (language or self._language).partition("-")[0]
        return lasting(part, frames, syllabic=root in _SYLLABIC)


def text_of(words: Iterable[PlannedWord]) -> str:
    """What is said, as it is spelt to the model."""
    return "".join(u.symbol for w in words for u in w.units).strip()


def lasting(
    part: Sequence[PlannedWord], frames: int, *, syllabic: bool = False
) -> list[PlannedWord]:
    """The part's words with their share of its frames, by the letters that they have.

    `syllabic`: by the characters that they are written with.
    """
    weights: list[float] = []
    for word in part:
        spoken = sum(u.symbol not in _WEIGHTS for u in word.units)
        each = _SYLLABLE * len(word.text) / max(spoken, 1) if syllabic else 1.0
        weights += [_WEIGHTS.get(u.symbol, each) for u in word.units]
    ends = np.rint(np.cumsum(weights) * (frames / sum(weights))).astype(int)
    lasts = iter(np.diff(ends, prepend=0).tolist())
    return [
        replace(
            w,
            units=tuple(
                replace(u, frames_model=float(n), frames=n)
                for u, n in zip(w.units, lasts, strict=False)
            ),
        )
        for w in part
    ]


def positions(part: Sequence[PlannedWord]) -> Positions | None:
    """Where each frame lies among those that the model said; None where nothing was moved.

    A unit that is to last longer or shorter has its frames spread over the same stretch.
    """
    units = [u for w in part for u in w.units]
    if all(u.frames == u.frames_model for u in units):
        return None
    at: list[Positions] = []
    begin = 0.0
    for u in units:
        if u.frames:
            steps = (np.arange(u.frames) + 0.5) * (u.frames_model / u.frames) - 0.5
            at.append((begin + steps).astype(np.float32))
        begin += u.frames_model
    return np.concatenate(at).clip(0, max(begin - 1, 0))
