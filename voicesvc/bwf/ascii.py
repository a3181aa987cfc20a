"""Any text in ASCII, which is all that `bext` may hold (EBU Tech 3285)."""

import unicodedata

from anyascii import anyascii

_SILENT = ("Mn", "Me", "Cf")  # marks that are left alone once their letter is known, joiners


def ascii_of(text: str, most: int | None = None) -> str:
    """`text` as printable ASCII on one line, `most` characters of it.

    Letters of any script are transliterated (anyascii); "?" stands where nothing can.
    """
    line = "".join(map(_ascii, " ".join(unicodedata.normalize("NFC", text).split())))
    return " ".join(line.split())[:most].rstrip()  # what is silent leaves spaces beside others


def _ascii(char: str) -> str:
    said = anyascii(char)
    if said and said.isascii() and said.isprintable():
        return said
    return "" if unicodedata.category(char) in _SILENT else "?"
