"""Fingerprints: which take a recording is of, by what survives when it is coded, cut and mixed.

Haitsma and Kalker, A Highly Robust Audio Fingerprinting System (ISMIR 2002), with shorter frames,
so that takes of one text by one voice can be told apart. Knows nothing of where takes are kept.
"""

from voicesvc.fingerprint.bits import (
    SPEEDS,
    WORDS_PER_S,
    Fingerprinter,
    Query,
    Words,
    queries,
    words,
)
from voicesvc.fingerprint.index import SURE_BER, WRONG_BELOW, Index, Match

__all__ = [
    "SPEEDS",
    "SURE_BER",
    "WORDS_PER_S",
    "WRONG_BELOW",
    "Fingerprinter",
    "Index",
    "Match",
    "Query",
    "Words",
    "queries",
    "words",
]
