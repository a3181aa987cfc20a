"""File names from a template, safe on Windows, macOS and Linux. Knows nothing of what is in a file.

Windows' rules: Microsoft, "Naming Files, Paths, and Namespaces". Names are compared as NTFS and
APFS do it or more strictly, so no file of one export replaces another.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from string import Formatter

from voicesvc.errors import InvalidRequest
from voicesvc.export.items import DEFAULT_TEMPLATE, ExportItem

MOST_BYTES = 255  # of a name in UTF-8, with its suffix
LONGEST_TEMPLATE = 500
FORBIDDEN = '<>:"/\\|?*'
RESERVED = frozenset(
    [
        *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"),
        *(f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789¹²³"),
    ]
)
_SEPARATORS = ("_", "-", " ", ".")
_PADDED = re.compile(r"0[1-9][0-9]?")


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d}"


FIELDS: dict[str, Callable[[ExportItem], str | int]] = {
    "production": lambda i: i.production,
    "slug": lambda i: i.slug,
    "scene": lambda i: i.scene,
    "cue": lambda i: i.cue,
    "character": lambda i: i.character,
    "actor": lambda i: i.actor,
    "number": lambda i: i.number,
    "line": lambda i: i.line_id,
    "take": lambda i: "" if i.take is None else i.take,
    "take_id": lambda i: i.take_id,
    "seed": lambda i: i.seed,
    "timecode": lambda i: i.timecode_in or "",
    "fps": lambda i: i.fps,
    "date": lambda i: _day(i.created_at),
    "time": lambda i: f"{i.created_at.astimezone(UTC):%H%M%S}",
    "rating": lambda i: "" if i.rating is None else i.rating,
}
_NUMBERS = frozenset(("number", "take", "seed", "rating"))


class Template:
    """A pattern for names: text and `{field}`s; `{take:02}` pads a number with zeros.

    Raises:
        InvalidRequest: it names a field that there is not, or holds what no file name may.
    """

    def __init__(self, template: str) -> None:
        if not 0 < len(template) <= LONGEST_TEMPLATE:
            raise _refused(f"{len(template)} characters", f"1 to {LONGEST_TEMPLATE} characters")
        try:
            self._parts = list(Formatter().parse(template))
        except ValueError as e:
            raise _refused(f"{template!r}: {e}", DEFAULT_TEMPLATE) from e
        for literal, name, spec, conversion in self._parts:
            bad = next((c for c in literal if _unsafe(c)), None)
            if bad is not None:
                raise _refused(f"no file name may hold {bad!r}", f"none of {FORBIDDEN}")
            if name is None:
                continue
            if name not in FIELDS or conversion:
                shown = name + (f"!{conversion}" if conversion else "")
                raise InvalidRequest(
                    f"there is no field {{{shown}}}", where="template", valid=FIELDS
                )
            if spec and not (name in _NUMBERS and _PADDED.fullmatch(spec)):
                only = ", ".join(f"{{{n}:04}}" for n in FIELDS if n in _NUMBERS)
                raise _refused(f"{{{name}:{spec}}} cannot be padded so", f"widths, as in {only}")

    def stem(self, item: ExportItem) -> str:
        """The name of an item's file without its suffix: safe, and not empty.

        An empty field takes the separator before it away, or at the start the one after it.
        """
        made, skipped = "", False
        for literal, name, spec, _ in self._parts:
            at_start = skipped and not made
            made += literal[1:] if at_start and literal.startswith(_SEPARATORS) else literal
            if name is None:
                continue
            value = FIELDS[name](item)
            said = format(value, spec or "") if isinstance(value, int) else _plain(value)
            skipped = not said
            made = made[:-1] if skipped and made.endswith(_SEPARATORS) else made + said
        return safe(made)


def _refused(detail: str, valid: str) -> InvalidRequest:
    return InvalidRequest(detail, where="template", valid=valid)


def _unsafe(char: str) -> bool:
    return char in FORBIDDEN or unicodedata.category(char) in ("Cc", "Cs", "Cn", "Zl", "Zp")


def _plain(text: str) -> str:
    """A text in NFC on one line, with "-" for each character that some system forbids."""
    shown = (c for c in text if unicodedata.category(c) != "Cf")
    line = " ".join("".join(shown).split())
    return unicodedata.normalize("NFC", "".join("-" if _unsafe(c) else c for c in line))


def safe(text: str) -> str:
    """A stem that every system takes: "_" before a reserved name, or where nothing is left.

    Hidden characters, which can turn text round, are taken out.
    """
    stem = _plain(text).strip(". ")
    if stem.partition(".")[0].rstrip().upper() in RESERVED:
        stem = f"_{stem}"
    return stem or "_"


class Names:
    """Names that no other file of the export has, in any case of letters."""

    def __init__(self, taken: tuple[str, ...] = ()) -> None:
        self._taken = {_key(name) for name in taken}
        self._next: dict[str, int] = {}

    def claim(self, stem: str, suffix: str) -> str:
        """A safe stem with its suffix, at most MOST_BYTES; " (2)" and so on where it is taken."""
        name = _within(stem, suffix)
        first = _key(name)
        while _key(name) in self._taken:
            self._next[first] = self._next.get(first, 1) + 1
            name = _within(stem, f" ({self._next[first]}){suffix}")
        self._taken.add(_key(name))
        return name


def _within(stem: str, ending: str) -> str:
    """The stem cut so that name and ending fit, never within a character."""
    room = MOST_BYTES - len(ending.encode())
    cut = stem.encode()[:room].decode(errors="ignore").rstrip(". ")
    return (cut or "_") + ending


def _key(name: str) -> str:
    """What is the same to a file system that does not tell case or composition apart."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).upper().casefold())
