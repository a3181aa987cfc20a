"""Chinese, Japanese and Korean in the Latin letters that XTTS learned them in.

The letters are those of coqui's tokenizer: pypinyin's pinyin with tones as figures, cutlet's
Hepburn, the academic romanization of Hangul. Where words are not parted by spaces, they are
parted as these programs part them; every word keeps its place in the text. Knows no models.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from voicesvc import errors
from voicesvc.directions import Said
from voicesvc.phonemes.word import Word
from voicesvc.phonemes.written import Written, instead, written_of

EXTRA = "cjk"
# What each language is read with: one of each group has to be installed.
_NEEDS = {
    "ja": (("cutlet",), ("fugashi",), ("unidic_lite", "unidic")),
    "ko": (("ko_speech_tools",),),  # comes with coqui-tts
    "zh": (("pypinyin",),),
}
_SIGNS = {
    "ko": {
        "&": " 그리고 ",
        "@": " 에 ",
        "%": " 퍼센트 ",
        "#": " 번호 ",
        "$": " 달러 ",
        "£": " 파운드 ",
        "°": " 도 ",
    },
    "zh": {"&": "和", "@": "在", "%": "百分之", "#": "号", "$": "美元", "£": "英镑", "°": "度"},
}
# A stretch of one kind of sign: Chinese characters, figures, letters, or one that is read aloud.
_HAN = r"[\u3005\u3007\u3400-\u9fff\U00020000-\U0003ffff]"
_STRETCH = re.compile(rf"{_HAN}+|\d+(?:\.\d+)?%?|(?:(?!{_HAN})[^\W\d])+|[&@%#$£°]")
_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_MYRIADS = ("", "万", "亿", "万亿")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word inside a written one: its place there, its letters, whether a space follows."""

    start: int
    end: int
    letters: str
    space: bool


_Reader = Callable[[str], Iterator[_Piece]]


def lacking(language: str) -> str | None:
    """Why a language cannot be read here; None where it can."""
    groups = _NEEDS.get(language.partition("-")[0], ())
    absent = [group[0] for group in groups if not any(find_spec(name) for name in group)]
    if not absent:
        return None
    return (
        f"{' and '.join(a.replace('_', '-') for a in absent)} not installed: it comes with the"
        f" extra [{EXTRA}] (uv sync --extra {EXTRA}, or pip install 'voicesvc[{EXTRA}]')"
    )


def is_romanized(language: str) -> bool:
    """Whether a language is given to XTTS in Latin letters that are not its own."""
    return language.partition("-")[0] in _NEEDS


class Romanized:
    """Chinese, Japanese or Korean as XTTS hears it: a symbol is a Latin letter or a tone.

    Raises errors.PackRefused where what reads the language is not installed; see `lacking`.
    """

    def __init__(self, language: str) -> None:
        missing = lacking(language)
        if missing is not None:
            raise errors.PackRefused(f"{language}: {missing}", where="language")
        self.language = language
        root = language.partition("-")[0]
        self._read: _Reader = {"ja": _japanese, "ko": _korean, "zh": _chinese}[root]
        self._close = root == "zh"  # no space where none is written: its training text had none

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence; see Phonemizer. Raises nothing."""
        written = written_of(text, start, said)
        out: list[Word] = []
        for i, one in enumerate(written):
            pieces = list(self._pieces(one))
            last = i + 1 == len(written)
            between = text[one.end : len(text) if last else written[i + 1].start]
            apart = not last and (not self._close or any(c.isspace() for c in between))
            end = (*((one.mark,) if one.mark else ()), *((" ",) if apart else ()))
            for piece in pieces:
                final = piece is pieces[-1]
                after = end if final else (" ",) if piece.space else ()
                at = start + one.start
                out.append(
                    Word(
                        one.text[piece.start : piece.end],
                        at + piece.start,
                        at + piece.end,
                        one.said.phones if one.said and one.said.phones else tuple(piece.letters),
                        after,
                    )
                )
            if not pieces and out and one.mark:  # what is not heard leaves its punctuation
                before = out.pop()
                out.append(Word(before.text, before.start, before.end, before.phones, end))
        return tuple(out)

    def _pieces(self, one: Written) -> Iterator[_Piece]:
        if one.said is None:
            yield from self._read(one.text.rstrip("."))
            return
        if one.said.phones is not None:
            letters = "".join(one.said.phones)
        else:
            read = self._read(instead(one, self.language))
            letters = "".join(p.letters + " " * p.space for p in read).strip()
        if letters:
            yield _Piece(0, len(one.text), letters, False)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Only its own language is spoken here. Raises errors.PackRefused."""
        raise errors.PackRefused(
            f"this voice cannot say {language!r}", where="language", valid=[self.language]
        )

    def close(self) -> None:
        """Nothing was started."""


def _chinese(run: str) -> Iterator[_Piece]:
    """Pinyin, parted into words by the phrases that pypinyin knows."""
    from pypinyin import Style, pinyin
    from pypinyin.contrib.mmseg import seg

    def read(text: str) -> str:
        found = pinyin(text, style=Style.TONE3, heteronym=False, neutral_tone_with_five=True)
        return "".join(syllable[0] for syllable in found)

    for stretch in _STRETCH.finditer(run):
        text, at = stretch.group(), stretch.start()
        if text[0].isdigit():
            year = run[stretch.end() : stretch.end() + 1] == "年" and len(text) == 4
            number = _number(text.removesuffix("%"), by_digit=year)
            share = _SIGNS["zh"]["%"] if text.endswith("%") else ""
            yield _Piece(at, stretch.end(), read(share + number), False)
        elif text in _SIGNS["zh"]:
            yield _Piece(at, stretch.end(), read(_SIGNS["zh"][text]), False)
        elif re.match(_HAN, text) is None:
            yield _Piece(at, stretch.end(), text.lower(), False)
        else:
            for word in seg.cut(text):
                yield _Piece(at, at + len(word), read(word), False)
                at += len(word)


def _number(figures: str, *, by_digit: bool) -> str:
    """Figures as Chinese reads them: 2040 is 二千零四十, as a year 二零四零."""
    whole, _, part = figures.partition(".")
    if by_digit or len(whole) > 4 * len(_MYRIADS):
        said = "".join(_DIGITS[int(d)] for d in whole)
    else:
        said = _integer(int(whole))
    return said + ("点" + "".join(_DIGITS[int(d)] for d in part) if part else "")


def _integer(number: int) -> str:
    if number == 0:
        return _DIGITS[0]
    said, gap = "", False
    for place in reversed(range(len(_MYRIADS))):
        four = number // 10000**place % 10000
        if four == 0:
            gap = bool(said)
            continue
        if said and (gap or four < 1000):
            said += _DIGITS[0]
        said += _below_myriad(four) + _MYRIADS[place]
        gap = False
    return said[1:] if said.startswith("一十") else said  # 十二, not 一十二


def _below_myriad(number: int) -> str:
    said, gap = "", False
    for place in reversed(range(4)):
        digit = number // 10**place % 10
        if digit == 0:
            gap = bool(said)
            continue
        said += (_DIGITS[0] if gap else "") + _DIGITS[digit] + _PLACES[place]
        gap = False
    return said


def _korean(run: str) -> Iterator[_Piece]:
    """Hangul letter by letter; Korean has spaces between its words."""
    from ko_speech_tools import hangul_romanize
    from num2words import num2words

    spelt = re.sub(r"\d+", lambda m: num2words(int(m.group()), lang="ko"), run.lower())
    for sign, said in _SIGNS["ko"].items():
        spelt = spelt.replace(sign, said)
    letters = hangul_romanize(" ".join(spelt.split()))
    if letters:
        yield _Piece(0, len(run), letters, False)


def _japanese(run: str) -> Iterator[_Piece]:
    """Hepburn; what cutlet writes as one word is one: 待っ and た are `matta`."""
    katsu, lock = _cutlet()
    with lock:
        nodes = katsu.tagger(run)
        # Its lattice is the tagger's, and goes with the next text: all is read under the lock.
        tokens = katsu.romaji_tokens(nodes, capitalize=False)
        pairs = [
            (node.surface, token.surface.strip().lower(), token.space)
            for node, token in zip(nodes, tokens, strict=True)
        ]
    start = at = 0
    letters = ""
    for i, (surface, said, space) in enumerate(pairs):
        at += len(surface)
        letters += said
        if letters and (space or i + 1 == len(pairs)):
            yield _Piece(start, at, letters, i + 1 < len(pairs))
            start, letters = at, ""


@cache
def _cutlet() -> tuple[Any, threading.Lock]:
    """Cutlet as coqui has it, but that what it cannot read stays, to be reported as dropped."""
    import cutlet

    return cutlet.Cutlet(ensure_ascii=False), threading.Lock()
