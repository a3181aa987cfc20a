"""A dictionary of MeCab's with the few words of the tests, in UniDic's form.

The real one (`unidic-lite`, 250 MB) is read by the same programs, which are not replaced.
"""

from pathlib import Path

import fugashi

# As UniDic has them: parts of speech, conjugation, reading, lemma; the rest of its 26 is not asked.
# By 日本 fugashi finds out what form a dictionary has.
_WORDS = """
日本|名詞,固有名詞,地名,国,*,*|ニッポン|ニッポン|日本
「|補助記号,括弧開,*,*,*,*|||「
」|補助記号,括弧閉,*,*,*,*|||」
。|補助記号,句点,*,*,*,*|||。
、|補助記号,読点,*,*,*,*|||、
港|名詞,普通名詞,一般,*,*,*|ミナト|ミナト|港
を|助詞,格助詞,*,*,*,*|ヲ|オ|を
守る|動詞,一般,*,*,五段-ラ行,終止形-一般|マモル|マモル|守る
よ|助詞,終助詞,*,*,*,*|ヨ|ヨ|よ
と|助詞,格助詞,*,*,*,*|ト|ト|と
彼|代名詞,*,*,*,*,*|カレ|カレ|彼
は|助詞,係助詞,*,*,*,*|ハ|ワ|は
言っ|動詞,一般,*,*,五段-ワア行,連用形-促音便|イッ|イッ|言う
待っ|動詞,一般,*,*,五段-タ行,連用形-促音便|マッ|マッ|待つ
て|助詞,接続助詞,*,*,*,*|テ|テ|て
い|動詞,非自立可能,*,*,上一段-ア行,連用形-一般|イ|イ|居る
た|助動詞,*,*,*,助動詞-タ,終止形-一般|タ|タ|た
"""
_CLASSES = """
DEFAULT 0 1 0
SPACE 0 1 0
KANJI 0 0 2
SYMBOL 1 1 0
NUMERIC 1 1 0
ALPHA 1 1 0
HIRAGANA 0 1 2
KATAKANA 1 1 2
0x0020 SPACE
0x0021..0x002F SYMBOL
0x0030..0x0039 NUMERIC
0x003A..0x0040 SYMBOL
0x0041..0x005A ALPHA
0x0061..0x007A ALPHA
0x3041..0x309F HIRAGANA
0x30A1..0x30FF KATAKANA
0x4E00..0x9FFF KANJI
"""
_FIELDS = 26


def _feature(pos: str, kana: str, pron: str, lemma: str) -> str:
    found = [*pos.split(","), "", lemma, lemma, pron]
    return ",".join([*found, *["*"] * (17 - len(found)), kana, *["*"] * (_FIELDS - 18)])


def build(folder: Path) -> Path:
    """Put a package `unidic_lite` into the folder, which may then go on the path."""
    package = folder / "unidic_lite"
    source, into = folder / "source", package / "dicdir"
    source.mkdir(parents=True)
    into.mkdir(parents=True)
    words = [line.split("|") for line in _WORDS.split("\n") if line]
    (source / "lex.csv").write_text(
        "".join(f"{w},0,0,100,{_feature(*rest)}\n" for w, *rest in words), "utf-8"
    )
    (source / "char.def").write_text(_CLASSES, "utf-8")
    names = [line.split()[0] for line in _CLASSES.split("\n") if line and line[0] != "0"]
    unknown = "".join(f"{name},0,0,20000,名詞,普通名詞,一般,*,*,*\n" for name in names)
    (source / "unk.def").write_text(unknown, "utf-8")
    (source / "matrix.def").write_text("1 1\n0 0 0\n", "utf-8")
    dicrc = f"cost-factor = 700\nbos-feature = BOS/EOS{',*' * (_FIELDS - 1)}\n"
    for name, content in (("dicrc", dicrc), ("mecabrc", "")):
        (source / name).write_text(content, "utf-8")
        (into / name).write_text(content, "utf-8")
    fugashi.build_dictionary(f"x -d {source} -o {into} -f utf8 -t utf8")
    (package / "__init__.py").write_text(f"DICDIR = {str(into)!r}\n", "utf-8")
    return folder
