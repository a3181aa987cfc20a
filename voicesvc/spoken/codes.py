"""Roman numerals, codes, signs, addresses and a script's short forms in English words."""

import re

from voicesvc.spoken.acronyms import PRONOUNCED, SPELLED, is_word
from voicesvc.spoken.numbers import cardinal, designation, letters, ordinal
from voicesvc.spoken.rules import Rule, before, listed, rule

_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# What is counted ("Chapter IV" is four); a name that is none of these is a person's ("the fourth").
_COUNTED = listed(
    "act appendix apollo article bowl book canto chapter class figure grade level mark mk"
    " olympiad part phase psalm rambo rocky saturn scene season section series stage star table"
    " terminator tier title type vol vol. volume war wars"
)
_REGNAL = listed(
    "albert alexander alfonso benedict carl catherine charles christian clement edward"
    " elizabeth ferdinand francis frederick george gregory gustav haakon harald henry innocent"
    " ivan james john juan julius leo leopold louis ludwig margaret mary maximilian napoleon"
    " nicholas otto paul pedro peter philip pius ramses richard robert thutmose umberto urban"
    " victor victoria wilhelm william"
)
_SHORT = {
    "apt": "apartment", "art": "article", "bldg": "building", "ch": "chapter", "ep": "episode",
    "ext": "extension", "fig": "figure", "figs": "figures", "fl": "floor", "hwy": "highway",
    "no": "number", "nos": "numbers", "p": "page", "para": "paragraph", "pg": "page",
    "pp": "pages", "pt": "part", "rm": "room", "rte": "route", "sc": "scene", "sec": "section",
    "ste": "suite", "tel": "telephone", "vol": "volume", "vols": "volumes",
}  # fmt: skip
_SCRIPT = {
    "v.o.": "voice over", "o.s.": "off screen", "o.c.": "off camera", "vo": "voice over",
    "os": "off screen", "oc": "off camera", "cont'd": "continued", "contd": "continued",
    "cont'd.": "continued", "cont.": "continued", "w/": "with", "w/o": "without",
    "c/o": "care of", "b/c": "because", "int./ext.": "interior exterior",
    "i/e.": "interior exterior", "a.k.a.": "eh K eh", "aka": "eh K eh",
}  # fmt: skip
_SIGNS = {
    "&": "and", "@": "at", "+": "plus", "=": "equals", "×": "times", "÷": "divided by",
    "±": "plus or minus", "%": "percent", "©": "copyright", "®": "registered", "™": "trademark",
    "°": "degrees",
}  # fmt: skip
_TLDS = "com|org|net|gov|edu|info|io|co|tv|uk|de|fr|eu|ai|app|dev|us|ca|me|fm"
_SAID_TLDS = listed("com org net info app dev co me gov")
_IN_ADDRESS = {".": " dot ", "-": " dash ", "_": " underscore ", "/": " slash ", "+": " plus "}
_IN_ADDRESS |= {"@": " at ", "?": " question mark ", "=": " equals ", "&": " and ", ":": " colon "}
_PIECE = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_CODE_PART = re.compile(r"[A-Za-z]+|\d+")


def _roman(m: re.Match[str], british: bool) -> str | None:
    written, name = m["roman"], before(m)
    if not _ROMAN.fullmatch(written):
        return None
    values = [_VALUES[c] for c in written]
    n = sum(v if v >= max(values[i:]) else -v for i, v in enumerate(values))
    counted = name.strip("\"'(") in _COUNTED
    if counted and written not in ("C", "D", "L", "M"):
        return cardinal(str(n), british)
    if n >= 40 or counted:
        return None
    regnal = name in _REGNAL
    rest = m.string[m.end() : m.end() + 4]
    ends = not rest.strip() or rest[0] in ",.;:!?)" or rest.startswith(" of ")
    if len(written) == 1 and not (regnal and (written == "V" or ends)):
        return None
    if not m.string[m.start() - len(name) - 1].isupper():
        return None
    return f"the {ordinal(n, british)}"


def _code(m: re.Match[str], _: bool) -> str:
    return " ".join(_part(p) for p in _CODE_PART.findall(m.group()))


def _part(part: str) -> str:
    if part.isdigit():
        return designation(part)
    if part == "x":
        return "by"
    known = part in PRONOUNCED or (
        len(part) > 3 and (part.islower() or part.istitle() or is_word(part))
    )
    return part.lower() if known or (len(part) == 3 and part.istitle()) else letters(part)


def _postcode(m: re.Match[str], _: bool) -> str:
    return " ".join(letters(p) if p.isalpha() else cardinal(p) for p in _CODE_PART.findall(m[0]))


def _numbered(m: re.Match[str], _: bool) -> str | None:
    short = m["short"]
    if short.lower() in ("no", "art", "p", "pt", "fl") and not m["dot"]:
        return None
    return f"{_SHORT[short.lower()]} {_after_short(m['n'])}"


def _after_short(written: str) -> str:
    first, dash, last = written.partition("-")
    if dash and first.isdigit() and last.isdigit():
        return f"{cardinal(first)} to {cardinal(last)}"
    return " ".join(
        cardinal(p) if p.isdigit() and p[0] != "0" else _part(p)
        for p in _CODE_PART.findall(written)
    )


def _script_note(m: re.Match[str], _: bool) -> str:
    return _SCRIPT[m.group().lower()]


def _address(written: str) -> str:
    said = [_IN_ADDRESS.get(p, p if p.isalnum() else " ") for p in _PIECE.findall(written)]
    return " ".join("".join(_spelled_out(p) for p in said).split())


def _spelled_out(piece: str) -> str:
    if piece.isdigit():
        return f" {designation(piece)} "
    if piece.lower() == "www":
        return "W W W"
    return letters(piece) if piece.isalpha() and not re.search("[aeiouyAEIOUY]", piece) else piece


def _email(m: re.Match[str], _: bool) -> str:
    return _address(m["user"]) + " at " + _domain(m["host"])


def _domain(host: str) -> str:
    name, _, top = host.rpartition(".")
    said = top.lower() if top.lower() in _SAID_TLDS else letters(top)
    return f"{_address(name)} dot {said}"


def _url(m: re.Match[str], _: bool) -> str:
    path = (m["path"] or "").rstrip("/")
    return _domain(m["host"]) + (" " + _address(path) if path else "")


def _hashtag(m: re.Match[str], _: bool) -> str:
    words = [designation(w) if w.isdigit() else w for w in _CAMEL.findall(m["tag"])]
    return " ".join(["hashtag", *words])


def _number_sign(m: re.Match[str], british: bool) -> str:
    return f"number {cardinal(m['n'], british)}"


def _handle(m: re.Match[str], _: bool) -> str:
    return "at " + _address(m["name"])


def _joined(m: re.Match[str], _: bool) -> str:
    sides = (m[1], m[2])
    return " and ".join(letters(s) if len(s) < 3 and s.isupper() else s for s in sides)


def _sign(m: re.Match[str], _: bool) -> str:
    return _SIGNS[m.group()]


def _initials(m: re.Match[str], _: bool) -> str | None:
    written = m.group().replace(".", "")
    return letters(written) if written in SPELLED or is_word(written) else None


ADDRESSES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.+-])(?P<user>[\w.+-]{1,64})@(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63}){0,3}"
        r"\.[A-Za-z]{2,12})(?!\w)",
        _email,
        needs="@",
    ),
    rule(
        rf"(?<![\w.@/-])(?:https?://)?(?P<host>(?:[A-Za-z0-9-]{{1,63}}\.){{1,4}}(?:{_TLDS}))"
        r"(?![\w-]|\.\w)(?P<path>/[\w/.=?&+-]{0,200}(?<![.?]))?",
        _url,
        needs=".",
    ),
    rule(
        r"https?://(?P<host>(?:[A-Za-z0-9-]{1,63}\.){1,4}[a-z]{2,12})(?P<path>/[\w/.=?&+-]{0,200})?",
        _url,
        needs="://",
    ),
    rule(r"(?<![\w#&])\#(?P<tag>[^\W\d]\w{0,99})", _hashtag, needs="#"),
    rule(r"(?<![\w#&])\#\s?(?P<n>\d{1,3}(?:,\d{3}){1,3}|\d{1,12})(?!\w)", _number_sign, needs="#"),
    rule(r"(?<![\w@])@(?P<name>[^\W\d]\w{0,63})", _handle, needs="@"),
)
SHORT_FORMS: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.'-])(?P<short>(?i:" + "|".join(_SHORT) + r"))(?P<dot>\.?)\s?"
        r"(?P<n>\d{1,6}-\d{1,6}|\d{1,6}[A-Za-z]?(?:-\d{1,3})?|(?<=\s)[A-Z](?=\W|\Z))(?!\w|[.,:/]\d)",
        _numbered,
        needs=".0",
    ),
    rule(
        r"(?<![\w.'/])(?i:v\.o\.|o\.s\.|o\.c\.|cont'd\.?|a\.k\.a\.|int\./ext\.|i/e\.)",
        _script_note,
        needs=".'",
    ),
    rule(r"(?<=\()(?i:vo|os|oc|cont\.|contd)(?=\))", _script_note, needs="("),
    rule(r"(?<![\w/])(?i:w/o(?!\w)|c/o(?!\w)|b/c(?!\w)|w/(?=\s|\w))", _script_note, needs="/"),
)
CODES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.-])[A-Z]{1,2}\d[\dA-Z]?\s(?:\d[A-Z]{2}|[A-Z]{2})(?![\w-])",
        _postcode,
    ),
    rule(
        r"""(?<![\w.'/-])(?!\d{1,12}(?:st|nd|rd|th|s)(?!\w))
        (?:[A-Za-z]{1,8}-?\d{1,6}|\d{1,6}-?[A-Za-z]{1,3}(?![a-z])\d{0,4})
        (?:-?[A-Za-z]{1,3}(?![A-Za-z])\d{0,4}|-\d{1,4}){0,3}(?![\w/]|-\w|'\w)""",
        _code,
    ),
)
ROMANS: tuple[Rule, ...] = (
    rule(r"(?<=\w\s)(?P<roman>[IVXLCDM]{1,8})(?![\w'-]|\.\w)", _roman, needs="IVXLCDM"),
)
SIGNS: tuple[Rule, ...] = (
    rule(
        r"(?<![\w/.])[A-Za-z']{1,24}(?:/[A-Za-z']{1,24}){1,4}(?![\w/])",
        lambda m, _: m.group().replace("/", " "),
        needs="/",
    ),
    rule(r"(?<![\w&])([A-Za-z]{1,12})&([A-Za-z]{1,12})(?![\w&])", _joined, needs="&"),
    rule(r"(?<!\S)[&@+=×÷±](?!\S)", _sign, needs="&@+=×÷±"),
    rule(r"[©®™÷×±]|(?<!\S)[°%](?!\S)", _sign, needs="©®™÷×±°%"),
    rule(r"(?<![\w.])(?:[A-Z]\.){2,6}(?!\w)", _initials, needs="."),
)
