"""How speech gives way when it is stretched: pauses first, then vowels, consonants least.

That consonants give way less than vowels, and vowels less than pauses: Gay 1978 (J. Acoust. Soc.
Am. 63), Crystal and House 1982 (J. Acoust. Soc. Am. 72); that no sound is shortened at will:
Klatt 1976 (J. Acoust. Soc. Am. 59). Knows nothing of audio.
"""

import math
from collections.abc import Iterable, Sequence

from voicesvc.lineplan import SentencePlan, WordPlan, rounded_ms
from voicesvc.plan import is_vowel, kind_of

# How much of the stretch each takes: a factor's logarithm is this times a common one.
PAUSE, VOWEL, CONSONANT = 2.0, 1.0, 0.6
Sentences = Sequence[SentencePlan]


def elasticity(symbol: str) -> float:
    """VOWEL or CONSONANT; a gap inside a word is a PAUSE."""
    if is_vowel(symbol):
        return VOWEL
    return CONSONANT if any(kind_of(c, "phone") == "phone" for c in symbol) else PAUSE


def stretched_by(line: Sentences, k: float) -> list[SentencePlan]:
    """Every duration times e to its elasticity times `k`; 0 leaves all as it is.

    A pause with a breath in it is not shortened: the breath needs it.
    """
    silence = math.exp(PAUSE * k)
    return [
        s.model_copy(
            update={
                "lead_ms": s.lead_ms if s.breath and k < 0 else rounded_ms(s.lead_ms * silence),
                "words": tuple(stretched_word(w, k) for w in s.words),
                "tail_ms": rounded_ms(s.tail_ms * silence),
                "pause_ms": rounded_ms(s.pause_ms * silence),
            }
        )
        for s in line
    ]


def stretched_word(word: WordPlan, k: float, *, pause: bool = True) -> WordPlan:
    """One word as `stretched_by` would have it; without `pause` the silence after it stays."""
    kept = not pause or (word.breath and k < 0)
    silence = 1.0 if kept else math.exp(PAUSE * k)
    phonemes = tuple(
        p.model_copy(
            update={"duration_ms": rounded_ms(p.duration_ms * math.exp(elasticity(p.symbol) * k))}
        )
        for p in word.phonemes
    )
    pause_ms = rounded_ms(word.pause_ms * silence)
    own = {} if kept else {"own_pause_ms": pause_ms}
    return word.model_copy(update={"pause_ms": pause_ms, "phonemes": phonemes, **own})


def sums_ms(line: Sentences) -> dict[float, float]:
    """How much of the line has each elasticity."""
    sums = word_sums_ms(w for s in line for w in s.words)
    sums[PAUSE] += sum(s.lead_ms + s.tail_ms + s.pause_ms for s in line)
    sums[PAUSE] += sum(w.pause_ms for s in line for w in s.words)
    return sums


def word_sums_ms(words: Iterable[WordPlan]) -> dict[float, float]:
    """The same for words without the pauses after them."""
    sums = dict.fromkeys((PAUSE, VOWEL, CONSONANT), 0.0)
    for word in words:
        for p in word.phonemes:
            sums[elasticity(p.symbol)] += p.duration_ms
    return sums


def solve(sums_ms: dict[float, float], aim_ms: float) -> float:
    """The common stretch at which the sums come to `aim_ms`, by bisection."""
    low, high = -8.0, 8.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if sum(total * math.exp(e * middle) for e, total in sums_ms.items()) <= aim_ms:
            low = middle
        else:
            high = middle
    return low
