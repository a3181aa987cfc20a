"""IPA and X-SAMPA -> the symbols a phonemizer gives: one each, decomposed (NFD).

X-SAMPA: J. C. Wells, "Computer-coding the IPA: a proposed extension of SAMPA" (1995).
"""

import unicodedata
from itertools import chain

from voicesvc.markup.values import Invalid

X_SAMPA = {
    **dict(zip("abcdefhijklmnopqrstuvwxyz", "abcdefhijklmnopqrstuvwxyz", strict=True)),
    **{"g": "ɡ", "A": "ɑ", "B": "β", "C": "ç", "D": "ð", "E": "ɛ", "F": "ɱ", "G": "ɣ", "H": "ɥ"},
    **{"I": "ɪ", "J": "ɲ", "K": "ɬ", "L": "ʎ", "M": "ɯ", "N": "ŋ", "O": "ɔ", "P": "ʋ", "Q": "ɒ"},
    **{"R": "ʁ", "S": "ʃ", "T": "θ", "U": "ʊ", "V": "ʌ", "W": "ʍ", "X": "χ", "Y": "ʏ", "Z": "ʒ"},
    **{"b_<": "ɓ", "d_<": "ɗ", "g_<": "ɠ", "G\\_<": "ʛ", "J\\_<": "ʄ"},
    **{"d`": "ɖ", "l`": "ɭ", "n`": "ɳ", "r`": "ɽ", "r\\`": "ɻ", "s`": "ʂ", "t`": "ʈ", "z`": "ʐ"},
    **{"h\\": "ɦ", "j\\": "ʝ", "l\\": "ɺ", "p\\": "ɸ", "r\\": "ɹ", "s\\": "ɕ", "v\\": "ʋ"},
    **{"x\\": "ɧ", "z\\": "ʑ", "B\\": "ʙ", "G\\": "ɢ", "H\\": "ʜ", "I\\": "ᵻ", "J\\": "ɟ"},
    **{"K\\": "ɮ", "L\\": "ʟ", "M\\": "ɰ", "N\\": "ɴ", "O\\": "ʘ", "R\\": "ʀ", "U\\": "ᵿ"},
    **{"X\\": "ħ", "@": "ə", "@\\": "ɘ", "@`": "ɚ", "{": "æ", "}": "ʉ", "&": "ɶ", "1": "ɨ"},
    **{"2": "ø", "3": "ɜ", "3\\": "ɞ", "3`": "ɝ", "4": "ɾ", "5": "ɫ", "6": "ɐ", "7": "ɤ"},
    **{"8": "ɵ", "9": "œ", "?": "ʔ", "?\\": "ʕ", "<\\": "ʢ", ">\\": "ʡ", "!\\": "ǃ"},
    **{"|\\": "ǀ", "|\\|\\": "ǁ", "=\\": "ǂ"},
    **{'"': "ˈ", "%": "ˌ", ":": "ː", ":\\": "ˑ", "'": "ʲ", ".": ".", "-": "", "-\\": "‿"},
    **{"^": "ꜛ", "!": "ꜜ", "|": "|", "||": "‖", "<F>": "↘", "<R>": "↗"},
    **{"`": "˞", "~": "\u0303", "=": "\u0329"},
    **{'_"': "\u0308", "_+": "\u031f", "_-": "\u0320", "_/": "\u030c", "_0": "\u0325"},
    **{"_=": "\u0329", "_>": "ʼ", "_?\\": "ˤ", "_\\": "\u0302", "_^": "\u032f", "_}": "\u031a"},
    **{"_`": "˞", "_~": "\u0303", "_A": "\u0318", "_a": "\u033a", "_B": "\u030f"},
    **{"_B_L": "\u1dc5", "_c": "\u031c", "_d": "\u032a", "_e": "\u0334", "_F": "\u0302"},
    **{"_G": "ˠ", "_H": "\u0301", "_H_T": "\u1dc4", "_h": "ʰ", "_j": "ʲ", "_k": "\u0330"},
    **{"_L": "\u0300", "_l": "ˡ", "_M": "\u0304", "_m": "\u033b", "_N": "\u033c", "_n": "ⁿ"},
    **{"_O": "\u0339", "_o": "\u031e", "_q": "\u0319", "_R": "\u030c", "_R_F": "\u1dc8"},
    **{"_r": "\u031d", "_T": "\u030b", "_t": "\u0324", "_v": "\u032c", "_w": "ʷ"},
    **{"_X": "\u0306", "_x": "\u033d"},
}
_LONGEST = max(map(len, X_SAMPA))
_UNHEARD = frozenset(".‿\u0361\u035c")  # syllables, links and ties: models were taught none
_BREAKS = frozenset("|‖↘↗")
_ASIDE = "ɚɝʦʣʧʤʨʥᵻᵿɩɷʇʗʖʞεʰʱ\u030a\u0311\u0348\u034a˥˦˧˨˩ˀˁ"  # beside what X-SAMPA writes
_IPA = frozenset(unicodedata.normalize("NFD", "".join(X_SAMPA.values()) + _ASIDE))
_IPA_KNOWN = _IPA - _UNHEARD - _BREAKS
_VOWELS = frozenset("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɚɝᵻᵿɩɷ")
_STRESS = "ˈˌ"
_SYLLABIC = "\u0329"
# What is typed for a symbol that looks like it, and letters that were made one.
_SAME = {
    "g": "ɡ",
    ":": "ː",
    "'": "ˈ",
    "’": "ʼ",
    "ʦ": "ts",
    "ʣ": "dz",
    "ʧ": "tʃ",
    "ʤ": "dʒ",
    "ʨ": "tɕ",
    "ʥ": "dʑ",
}


def symbols(ph: str, alphabet: str) -> tuple[str, ...]:
    """`ph` in "ipa" or "x-sampa" as single symbols; words are apart by " ".

    Syllable dots, links and ties are left out, and stress stands before the vowel, where espeak's
    voices learned it, wherever in the syllable it was written. Raises Invalid with the place of a
    symbol that is none of the alphabet, or of a break, which belongs between words.
    """
    if alphabet == "x-sampa":
        written = list(_from_x_sampa(ph))
    else:
        written = [(_SAME.get(c, c), i) for i, c in enumerate(ph)]
    out: list[str] = []
    for said, at in written:
        for c in unicodedata.normalize("NFD", said):
            if c.isspace():
                out.extend(" " * (bool(out) and out[-1] != " "))
            elif c in _IPA_KNOWN:
                out.append(c)
            elif c not in _UNHEARD:
                why = "marks a pause or a tune" if c in _BREAKS else "is no symbol of the IPA"
                raise Invalid(f"{c!r} {why}", f"{alphabet} of one or several words", at)
    while out[-1:] == [" "]:
        out.pop()
    if not out:
        raise Invalid("no symbol is left to say", f"{alphabet}, such as {_example(alphabet)}")
    return tuple(_stressed(out))


def _stressed(written: list[str]) -> list[str]:
    """Symbols with each stress before the nucleus that follows it in its word, if one does."""
    moved: dict[int, str] = {}
    for i, mark in enumerate(written):
        if mark in _STRESS:
            moved[_nucleus(written, i + 1)] = mark
    placed = ([*moved.get(i, ""), *(c if c not in _STRESS else "")] for i, c in enumerate(written))
    return [*chain.from_iterable(placed), *moved.get(len(written), "")]


def _nucleus(written: list[str], start: int) -> int:
    """Where the first vowel or syllabic consonant from `start` on is, else `start`."""
    for i in range(start, len(written)):
        if written[i] in _VOWELS or written[i + 1 : i + 2] == [_SYLLABIC]:
            return i
        if written[i] in _STRESS or written[i] == " ":
            break
    return start


def _example(alphabet: str) -> str:
    return "hˈɑːɹbɚ" if alphabet == "ipa" else 'h"A:r\\b@`'


def _from_x_sampa(ph: str) -> list[tuple[str, int]]:
    """(IPA, where in `ph`), the longest symbol first."""
    out = []
    at = 0
    while at < len(ph):
        for length in range(_LONGEST, 0, -1):
            piece = ph[at : at + length]
            if piece in X_SAMPA or (length == 1 and piece.isspace()):
                out.append((X_SAMPA.get(piece, " "), at))
                at += len(piece)
                break
        else:
            raise Invalid(f"{ph[at : at + 4]!r} is no X-SAMPA", "x-sampa of one or more words", at)
    return out
