import unicodedata

import pytest

from voicesvc.markup.ipa import X_SAMPA, symbols
from voicesvc.markup.values import Invalid


@pytest.mark.parametrize(
    ("x_sampa", "ipa"),
    [
        ('h"A:r\\b@`', "hˈɑːɹbɚ"),
        ('t@"meIt@U', "təmˈeɪtəʊ"),
        ("dZIn", "dʒɪn"),
        ("p_h{t", "pʰæt"),
        ("bVtn=", "bʌtn̩"),
        ("s`_}", "ʂ̚"),
        ("a_B_Lb", "a᷅b"),
        ("r\\`", "ɻ"),
        ("|\\|\\", "ǁ"),
        ("J\\_<", "ʄ"),
        ("a~", "ã"),
        ("h@.l-@U", "hələʊ"),
        ("one  tu:", "one tuː"),
    ],
)
def test_x_sampa(x_sampa: str, ipa: str) -> None:
    assert "".join(symbols(x_sampa, "x-sampa")) == unicodedata.normalize("NFD", ipa)


def test_x_sampa_has_the_whole_chart() -> None:
    chart = (  # IPA (2005): consonants, other symbols, vowels, suprasegmentals
        "p b t d ʈ ɖ c ɟ k ɡ q ɢ ʔ m ɱ n ɳ ɲ ŋ ɴ ʙ r ʀ ɾ ɽ ɸ β f v θ ð s z ʃ ʒ ʂ ʐ ç ʝ x ɣ χ ʁ ħ ʕ"
        " h ɦ ɬ ɮ ʋ ɹ ɻ j ɰ l ɭ ʎ ʟ ʘ ǀ ǃ ǂ ǁ ɓ ɗ ʄ ɠ ʛ ʍ w ɥ ʜ ʢ ʡ ɕ ʑ ɺ ɧ"
        " i y ɨ ʉ ɯ u ɪ ʏ ʊ e ø ɘ ɵ ɤ o ə ɛ œ ɜ ɞ ʌ ɔ æ ɐ a ɶ ɑ ɒ ˈ ˌ ː ˑ"
    )
    assert set(chart.split()) <= set(X_SAMPA.values())
    for written, said in X_SAMPA.items():
        if said and said not in ".‿|‖↘↗":
            assert "".join(symbols(written, "x-sampa")) == unicodedata.normalize("NFD", said)


def test_ipa_is_one_symbol_each() -> None:
    assert symbols("t͡ʃˈiːz", "ipa") == ("t", "ʃ", "ˈ", "i", "ː", "z")
    assert symbols("ʤ.'gã:", "ipa") == ("d", "ʒ", "ɡ", "ˈ", "a", "\u0303", "ː")
    assert symbols(" a  b ", "ipa") == ("a", " ", "b")


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("ˈtʃuːz", "tʃˈuːz"),
        ("tʃˈuːz", "tʃˈuːz"),
        ("ˌɪntəˈstɹʌkt", "ˌɪntəstɹˈʌkt"),
        ("ˈl̩", "ˈl̩"),
        ("ˈsn̩a", "sˈn̩a"),
        ("ˈst ˈma", "ˈst mˈa"),
        ("aˈ", "aˈ"),
    ],
)
def test_stress_stands_before_the_vowel(written: str, heard: str) -> None:
    assert "".join(symbols(written, "ipa")) == unicodedata.normalize("NFD", heard)


@pytest.mark.parametrize(
    ("ph", "alphabet", "at"),
    [
        ("haʬ", "ipa", 2),
        ("ab5", "ipa", 2),
        ("aB", "ipa", 1),
        ("a|b", "ipa", 1),
        ("ab*", "x-sampa", 2),
        ("abé", "x-sampa", 2),
        ("a_", "x-sampa", 1),
        ("a||b", "x-sampa", 1),
        (" . ", "ipa", 0),
        ("", "x-sampa", 0),
    ],
)
def test_unknown_symbols_come_with_their_place(ph: str, alphabet: str, at: int) -> None:
    with pytest.raises(Invalid) as caught:
        symbols(ph, alphabet)
    assert caught.value.at == at
    assert caught.value.valid
