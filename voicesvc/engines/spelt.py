"""What XTTS is given to say, as it is spelt to it, and where its letters are taken to lie."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from voicesvc.engines.vocoder import Positions
from voicesvc.packs import Pack
from voicesvc.plan import PlannedWord

# How long a symbol is taken to last, next to a letter: nothing in the model says so.
_WEIGHTS = {" ": 0.4, ",": 2.5, ";": 3.0, ":": 3.0, ".": 3.0, "?": 3.0, "!": 3.0}


class Tokens:
    """A part's text as the model's tokens, by coqui's own tokenizer. Safe for many threads."""

    def __init__(self, pack: Pack) -> None:
        from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

        self._language = pack.language.partition("-")[0]
        self._bpe = VoiceBpeTokenizer(pack.folder / pack.xtts_network.vocabulary.file)
        self.most_letters = int(self._bpe.char_limits[self._language]) - 1

    def __call__(self, text: str) -> list[int]:
        """The ids of a part's text, its language before it."""
        clean = self._bpe.preprocess_text(text, self._language)
        said = f"[{self._language}]{clean}".replace(" ", "[SPACE]")
        return list(self._bpe.tokenizer.encode(said).ids)


def text_of(words: Iterable[PlannedWord]) -> str:
    """What is said, as it is spelt to the model."""
    return "".join(u.symbol for w in words for u in w.units).strip()


def lasting(part: Sequence[PlannedWord], frames: int) -> list[PlannedWord]:
    """The part's words with their share of its frames, by the letters that they have."""
    weights = [_WEIGHTS.get(u.symbol, 1.0) for w in part for u in w.units]
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
