"""IPA and "sounds like" spellings -> the symbols that a voice learned."""

import unicodedata
from collections.abc import Collection
from weakref import WeakKeyDictionary

from voicesvc.errors import BadLexicon
from voicesvc.phonemes import Phonemizer

# What voices that learned espeak-ng's IPA know, as piper lists it, but for signs and figures.
IPA = frozenset(
    "abcdefhijklmnopqrstuvwxyzæçðøħŋœǀǁǂǃɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒ"
    "ʔʕʘʙʛʜʝʟʡʢʲˈˌːˑ˞βθχᵻⱱ\u0327\u032a\u032f\u0329\u0303ʰˤε"
)
_SAME = {
    "g": "ɡ", "r": "ɹ", ":": "ː", "'": "ˈ", "ʧ": "tʃ", "ʤ": "dʒ", "ʦ": "ts", "ʣ": "dz", "ʨ": "tɕ",
    "ʥ": "dʑ", "ɝ": "ɜː", "ɫ": "l", "ɩ": "ɪ", "ɷ": "ʊ",
}  # fmt: skip
_UNHEARD = frozenset(".‿\u0361\u035c|‖")  # syllables, links, ties and breaks
_VOWELS = frozenset("aeiouyæœøɐɑɒɔəɘɚɛɜɞɪɨɯɤɵʉʊʌʏᵻɝ")
_STRESS = frozenset("ˈˌ")
_REMEMBERED = 16384  # syllables
# Syllables that English spelling would not read so, as dictionaries for newspapers write them.
_BARE = {"eh": "ɛ", "ih": "ɪ", "ow": "aʊ", "igh": "aɪ", "uh": "ʌ"}


def phones_of(ipa: str, symbols: Collection[str] = IPA) -> tuple[str, ...]:
    """IPA as single `symbols` of a voice, decomposed (NFD).

    What is written in several ways becomes the voice's one ("g" is "ɡ", "r" is "ɹ", "ʧ" is "tʃ")
    unless it knows that symbol and not the other; syllable dots, ties and spaces are left out.

    Raises:
        BadLexicon: a symbol is not the voice's; `where` gives its offset in `ipa`.
    """
    out: list[str] = []
    for i, written in enumerate(ipa):
        if written in _UNHEARD or written.isspace():
            continue
        plain = _SAME.get(written, written)
        known = plain if all(c in symbols for c in plain) else written
        for c in unicodedata.normalize("NFD", known):
            if c not in symbols:
                raise BadLexicon(
                    f"{c!r} is no phoneme that is known here",
                    where=f"character {i}",
                    valid="".join(sorted(s for s in symbols if len(s) == 1 and s in IPA)),
                )
            out.append(c)
    if not any(c not in _STRESS for c in out):
        raise BadLexicon("no phoneme is left to say", where="character 0", valid="IPA, as hˈɑːɹbɚ")
    return tuple(out)


def is_respelled(sounds_like: str) -> bool:
    """Whether it is written in syllables ("eh-LAY-nuh") and not as plain words ("a layna")."""
    return "-" in sounds_like or any(w.isupper() and len(w) > 1 for w in sounds_like.split())


_heard: WeakKeyDictionary[Phonemizer, dict[str, str]] = WeakKeyDictionary()


def respelled(sounds_like: str, phonemizer: Phonemizer) -> tuple[str, ...]:
    """The symbols of "eh-LAY-nuh": each syllable as the phonemizer reads it, capitals stressed.

    A word without capitals has its stress on the first syllable. Raises errors.EngineFailed.
    """
    out: list[str] = []
    for word in sounds_like.split():
        syllables = [s for s in word.split("-") if s]
        loud = [s.isupper() for s in syllables]
        if not any(loud) and loud:
            loud[0] = True
        if out and syllables:
            out.append(" ")
        for syllable, stressed in zip(syllables, loud, strict=True):
            out += _syllable(syllable.lower(), stressed, phonemizer)
    return tuple(out)


def _syllable(written: str, stressed: bool, phonemizer: Phonemizer) -> list[str]:
    heard = _BARE.get(written)
    if heard is None:
        heard = _alone(written, phonemizer)
        if written.endswith("eh"):
            heard = heard.removesuffix("eɪ") + "ɛ" * heard.endswith("eɪ")
    if not stressed:
        return list(heard.removesuffix("ʌ") + "ə" * heard.endswith("ʌ"))
    vowel = next((i for i, c in enumerate(heard) if c in _VOWELS), 0)
    return [*heard[:vowel], "ˈ", *heard[vowel:]]


def _alone(syllable: str, phonemizer: Phonemizer) -> str:
    """A syllable's symbols without stress, remembered for as long as the phonemizer lives."""
    remembered = _heard.setdefault(phonemizer, {})
    if syllable not in remembered:
        if len(remembered) >= _REMEMBERED:
            remembered.clear()
        words = phonemizer.words(syllable, 0)
        symbols = (s for w in words for s in w.phones)
        remembered[syllable] = "".join(s for s in symbols if s not in _STRESS and s != " ")
    return remembered[syllable]


def possessive(phones: tuple[str, ...], symbols: Collection[str]) -> tuple[str, ...]:
    """English "'s" after these sounds: "Max's" ends otherwise than "Kate's" and "Elena's"."""
    last = next((c for c in reversed(phones) if c not in "ː\u0329\u0303"), "")
    if last in ("s", "z", "ʃ", "ʒ"):
        return (*phones, "ᵻ" if "ᵻ" in symbols else "ɪ", "z")
    return (*phones, "s" if last in ("p", "t", "k", "f", "θ") else "z")
