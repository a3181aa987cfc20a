"""Names that Windows, macOS and Linux all take, whatever a script holds."""

import unicodedata
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from exported import item
from hypothesis import example, given
from hypothesis import strategies as st

from voicesvc.errors import InvalidRequest
from voicesvc.export import DEFAULT_TEMPLATE, FIELDS, Template
from voicesvc.export.names import Names, safe

ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


def fits_everywhere(name: str) -> bool:
    """By rules written down anew, not by those under test."""
    stem = name.split(".")[0].rstrip(" ").upper()
    devices = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"}
    ports = {"COM", "LPT"}
    reserved = stem in devices or (stem[:3] in ports and stem[3:] in [*"0123456789¹²³"])
    return (
        0 < len(name.encode("utf-8")) <= 255
        and not reserved
        and not any(c in '<>:"/\\|?*' or ord(c) < 32 or ord(c) == 127 for c in name)
        and name[-1] not in ". "
        and name[0] not in ". "
        and name == unicodedata.normalize("NFC", name)
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )


def named(template: str = DEFAULT_TEMPLATE, **facts: object) -> str:
    return Template(template).stem(item(**facts))


# -- the template --------------------------------------------------------------------------------


def test_the_usual_name() -> None:
    assert named() == "Harbour Lights_12A_c03_joe_T2"


def test_every_field() -> None:
    values = {
        "production": "Harbour Lights",
        "slug": "harbour-lights",
        "scene": "12A",
        "cue": "c03",
        "character": "Señora Øst",
        "actor": "joe",
        "number": "17",
        "line": "ln_0123456789abcdef0123",
        "take": "2",
        "take_id": "tk_0123456789abcdef0123",
        "seed": "7",
        "timecode": "10-00-00-00",
        "fps": "23.976",
        "date": "2026-11-25",
        "time": "123005",
        "rating": "4",
    }
    assert list(values) == list(FIELDS)
    for field, value in values.items():
        assert named(f"x{{{field}}}y") == f"x{value}y"


def test_numbers_are_padded() -> None:
    assert named("{number:04}-T{take:02}-{seed:03}-{rating:02}") == "0017-T02-007-04"
    assert named("{number:02}", number=12345) == "12345"


@pytest.mark.parametrize(
    ("template", "empty", "expected"),
    [
        (DEFAULT_TEMPLATE, ("cue",), "Harbour Lights_12A_joe_T2"),
        (DEFAULT_TEMPLATE, ("production",), "12A_c03_joe_T2"),
        (DEFAULT_TEMPLATE, ("production", "scene", "cue"), "joe_T2"),
        ("{scene}-{cue}", ("cue",), "12A"),
        ("{scene}-{cue}", ("scene",), "c03"),
        ("{scene}{cue}", ("scene", "cue"), "_"),
        ("_{scene}__{cue}", ("cue",), "_12A_"),
        ("x_{scene}_y", ("scene",), "x_y"),
        ("{timecode}_{scene}", (), "10-00-00-00_12A"),
    ],
)
def test_an_empty_field_takes_its_separator_along(
    template: str, empty: tuple[str, ...], expected: str
) -> None:
    assert named(template, **dict.fromkeys(empty, "")) == expected


def test_what_a_take_lacks_is_empty() -> None:
    assert named(
        "{scene}_{take}_{timecode}_{rating}", take=None, timecode_in=None, rating=None
    ) == ("12A")


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ("{title}", "{title}"),
        ("{production.__class__}", "{production.__class__}"),
        ("{scene[0]}", "{scene[0]}"),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{scene!r}", "{scene!r}"),
        ("{ scene}", "{ scene}"),
    ],
)
def test_unknown_fields_are_refused_with_those_there_are(template: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Template(template)
    assert field in refused.value.detail
    assert refused.value.where == "template"
    assert refused.value.valid == list(FIELDS)


@pytest.mark.parametrize(
    ("template", "detail"),
    [
        ("", "0 characters"),
        ("x" * 501, "501 characters"),
        ("{scene", "expected '}'"),
        ("a}b", "Single '}'"),
        ("{scene}/{cue}", "'/'"),
        ("..\\{cue}", r"'\\\\'"),
        ("{scene}:{cue}", "':'"),
        ("a\nb", r"'\\n'"),
        ("\ud800{cue}", "ud800"),
        ("{scene:04}", "{scene:04}"),
        ("{take:>9}", "{take:>9}"),
        ("{take:4}", "{take:4}"),
        ("{take:{seed}}", "{take:{seed}}"),
        ("{take:0999999999}", "cannot be padded"),
    ],
)
def test_templates_that_make_no_name_are_refused(template: str, detail: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Template(template)
    assert detail.replace("\\\\", "\\") in refused.value.detail
    assert refused.value.where == "template"
    assert refused.value.valid


def test_braces_can_be_written() -> None:
    assert named("{{{scene}}}") == "{12A}"


# -- any text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("CON", "_CON"),
        ("nul", "_nul"),
        ("Aux.take 1", "_Aux.take 1"),
        ("com1", "_com1"),
        ("LPT³", "_LPT³"),
        ("CON .x", "_CON .x"),
        ("CONSOLE", "CONSOLE"),
        ("COM10", "COM10"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("C:\\Windows", "C--Windows"),
        ('<a>:"b"|?*', "-a---b----"),
        ("x. . ", "x"),
        (" .hidden", "hidden"),
        ("tab\tand\nline", "tab and line"),
        ("bell\x07 del\x7f", "bell- del-"),
        ("e\u0301", "é"),
        ("turn\u202eed", "turned"),
        ("\ud800", "-"),
        ("...", "_"),
        ("", "_"),
    ],
)
def test_safe(text: str, stem: str) -> None:
    assert safe(text) == stem


@given(text=ANY_TEXT)
@example(text="\u0344")  # does not stay as one character in NFC
@example(text="con\u200b")
def test_any_text_is_made_safe(text: str) -> None:
    name = Names().claim(safe(text), ".wav")
    assert fits_everywhere(name)
    assert safe(safe(text)) == safe(text)


@given(values=st.lists(ANY_TEXT, min_size=4, max_size=4), other=ANY_TEXT)
def test_any_item_has_a_safe_name(values: list[str], other: str) -> None:
    fields = dict(zip(("production", "scene", "cue", "actor"), values, strict=True))
    assert fits_everywhere(Names().claim(named(**fields, take=None), ".wav"))
    assert fits_everywhere(Names().claim(named("{character}", character=other), ".wav"))


def test_names_that_fit_pass_as_they_are() -> None:
    for text in ("Harbour_12A_joe_T2", "Señora Øst", "北京", "a.b", "T2 (1)", "~$x", "#1 & 2;3"):
        assert safe(text) == text


@pytest.mark.parametrize("char", ["x", "é", "語", "🎬"])
def test_long_names_are_cut_between_characters(char: str) -> None:
    names = Names()
    first, second = (names.claim(char * 300, ".wav") for _ in range(2))
    for name in (first, second):
        assert 250 < len(name.encode()) <= 255
        assert fits_everywhere(name)
    assert set(first) == {*char, *".wav"}
    assert second.endswith(" (2).wav")


def test_a_cut_leaves_no_space_before_the_suffix() -> None:
    name = Names().claim("x" * 250 + " " + "y" * 40, ".wav")
    assert name == "x" * 250 + ".wav"


def test_names_that_a_file_system_takes_for_the_same_are_told_apart() -> None:
    names = Names(("manifest.csv",))
    claimed = [
        names.claim(stem, ".wav")
        for stem in ("a", "A", "a", "a (2)", "é", "É", "straße", "STRASSE")
    ]
    assert claimed == [
        "a.wav",
        "A (2).wav",
        "a (3).wav",
        "a (2) (2).wav",
        "é.wav",
        "É (2).wav",
        "straße.wav",
        "STRASSE (2).wav",
    ]
    assert names.claim("Manifest", ".CSV") == "Manifest (2).CSV"


@given(stems=st.lists(st.text("aAéÉe\u0301ßsS.() 2", max_size=6), max_size=40))
def test_no_name_is_claimed_twice(stems: list[str]) -> None:
    names = Names()
    claimed = [names.claim(safe(stem), ".wav") for stem in stems]
    assert all(map(fits_everywhere, claimed))
    for fold in (str.casefold, str.upper, str.lower):
        same = {unicodedata.normalize("NFD", fold(name)) for name in claimed}
        assert len(same) == len(claimed)


def test_thousands_of_one_name_take_no_time() -> None:
    names = Names()
    claimed = {names.claim("take", ".wav") for _ in range(10_000)}
    assert len(claimed) == 10_000
    assert "take (10000).wav" in claimed


def test_zipfile_takes_a_name_as_it_is() -> None:
    name = Names().claim(safe("Señora/Øst: “12A”?"), ".wav")
    assert zipfile.ZipInfo(name).filename == name == "Señora-Øst- “12A”-.wav"
