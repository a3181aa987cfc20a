"""What reading XML must withstand: attacks, broken documents, and every offset kept."""

import pytest

from voicesvc.directions import Directed
from voicesvc.errors import BadMarkup
from voicesvc.markup import parse
from voicesvc.markup.draft import DEEPEST
from voicesvc.markup.xml import MOST_ELEMENTS, Open, Run, nodes, value_at

LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(10))


def refused(text: str) -> BadMarkup:
    with pytest.raises(BadMarkup) as caught:
        parse(text, "ssml")
    return caught.value


def ssml(inner: str) -> Directed:
    directed = parse(f"<speak>{inner}</speak>")
    return Directed(directed.text[7:-8], events=directed.events)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (f'<?xml version="1.0"?><!DOCTYPE s [{LAUGHS}]><speak>&l9;</speak>', "document type"),
        (f'<!DOCTYPE s [<!ENTITY q "{"q" * 50_000}">]><speak>{"&q;" * 50_000}</speak>', "document"),
        ('<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><speak>&x;</speak>', "document"),
        ('<!DOCTYPE s SYSTEM "http://127.0.0.1:9/s.dtd"><speak/>', "document type"),
        ('<!DOCTYPE s [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]><speak/>', "document"),
        ("<!DOCTYPE speak><speak/>", "document type"),
        ("<speak>" + "<emphasis>" * 100_000, f"more than {DEEPEST} elements"),
        ("<speak>" + "<p><s>" * 100_000, f"more than {DEEPEST} elements"),
        ("<speak>" + "<s></s>" * 143_000 + "</speak>", f"more than {MOST_ELEMENTS} elements"),
        ("<speak " + " ".join(f'a{i}=""' for i in range(90_000)) + "/>", "<speak a0> is unknown"),
        ("<speak><sub alias='" + "a " * 500_000 + "'>a</sub></speak>", "1000000 characters"),
        ("<speak>" + "<" * 1_000_000, "not well-formed"),
        ("<speak>" + "'\">" * 300_000, "no element found"),
        ("<speak a='" + "<" * 1_000_000, "not well-formed"),
        ("<speak>" + "&x" * 500_000, "not well-formed"),
        ("<speak>a\x00b</speak>", "U+0000"),
        ("<speak>a\ud800b</speak>", "U+D800"),
        ("<speak>a\uffffb</speak>", "U+FFFF"),
        ("<speak>&#0;</speak>", "reference to invalid character number"),
        ("<speak>&#xD800;</speak>", "reference to invalid character number"),
    ],
    ids=lambda value: value[:40].encode("ascii", "replace").decode(),
)
@pytest.mark.timeout(30)  # one that works takes minutes, or all memory
def test_attacks_end_at_once(text: str, detail: str) -> None:
    assert detail in refused(text).detail


@pytest.mark.parametrize(
    "inner",
    [
        "word, and more; 1,000 " * 40_000,
        "a&amp;" * 150_000,
        "a<!---->" * 100_000,
        "a" + "\n " * 400_000 + "b",
        "a" + "<break/>" * (MOST_ELEMENTS - 1) + "b",
        "<mstts:silence type='Comma-exact' value='1s'/>" + "a, b. " * 100_000,
    ],
    ids=lambda value: value[:20],
)
@pytest.mark.timeout(30)  # what is quadratic takes minutes
def test_a_megabyte_takes_linear_time(inner: str) -> None:
    assert ssml(inner).text.strip()


@pytest.mark.parametrize(
    ("text", "detail", "where", "valid"),
    [
        ("<speak>\n  R & B</speak>", "not well-formed", "line 2, column 6 (character 13)", "&amp;"),
        ("<speak>\r\n\r\n&nbsp;</speak>", "undefined entity", "line 3, column 1", "&#233;"),
        ("<speak>é<s>a</p></speak>", "mismatched tag", "column 15 (character 14)", "opened last"),
        ("<speak>\ud83d</speak>", "U+D83D", "column 8 (character 7)", None),
        (" \n<speak><s></speak>", "mismatched tag", "line 2, column 13", "opened last"),
        ("<speak>", "no element found", "line 1, column 8 (character 7)", "<speak>"),
        ("<speak/><speak/>", "junk after document element", "column 9 (character 8)", None),
        ("<speak a='1' a='2'/>", "duplicate attribute", "line 1", None),
        ("hello", "syntax error", "line 1, column 1 (character 0)", "<speak>"),
        ("", "no element found", "line 1, column 1 (character 0)", "<speak>"),
        ("<speak>\U0001f600\U0001f600<b/></speak>", "<b>", "column 10 (character 9)", "emphasis"),
    ],
)
def test_broken_documents_come_with_the_place(
    text: str, detail: str, where: str, valid: str | None
) -> None:
    error = refused(text)
    assert detail in error.detail
    assert where in str(error.where)
    assert valid is None or valid in str(error.valid)


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1", "nonsense"])
def test_the_declared_encoding_does_not_matter(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<speak>Café</speak>'
    assert parse(text).text.strip() == "Café"


def test_nodes_lie_where_they_are_written() -> None:
    text = "<speak>\r\nx\U0001f600<b k='>&lt;'/><!-- > --> é<![CDATA[a&b]]><?p i?>\r</speak >\n"
    found = list(nodes(text))
    kinds = [type(n).__name__[0] for n in found]
    assert "".join(kinds) == "OROCGRGRGGRC"
    pieces = [n.text if isinstance(n, Run) else text[n.start : n.end] for n in found]
    assert pieces == [
        "<speak>",
        "  x\U0001f600",
        "<b k='>&lt;'/>",
        "",
        "<!-- > -->",
        " é",
        "<![CDATA[",
        "a&b",
        "]]>",
        "<?p i?>",
        " ",
        "</speak >",
    ]
    assert isinstance(found[2], Open)
    assert found[2].attributes == {"k": "><"}


def test_the_place_of_a_value() -> None:
    text = "<speak><b one = 'x' two=\"abc\" x:three='&lt;c'/></speak>"
    tag = next(n for n in nodes(text) if isinstance(n, Open) and n.name == "b")
    assert value_at(text, tag, "two", 1) == text.index("bc")
    assert value_at(text, tag, "x:three", 1) == text.index("&lt;")
    assert value_at(text, tag, "four") == tag.start


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("AT&amp;T", "AT~~~~&T"),
        ("R &amp; B", "R &     B"),
        ("don&apos;t", "don~~~~~'t"),
        ("&quot;Hi&quot; he", '     "Hi"      he'),
        ("caf&#233;", "café     "),
        ("caf&#xe9;s", "caf~~~~~és"),
        ("&#72;&#105;", "    Hi     "),
        ("dogs&apos; ", "dogs'      "),
        ("3&#46;5", "3~~~~.5"),
        ("a&#32;b", "a     b"),
        ("a&lt;b", "a~~~<b"),
        ("1 &lt; 2", "1 <    2"),
        ("<![CDATA[a &amp; b]]>", " " * 9 + "a &amp; b" + " " * 3),
        ("<emphasis>har</emphasis>bour", " " * 10 + "har" + "~" * 11 + "bour"),
        ("har<mark name='m'/><!-- c -->bour", "har" + "~" * 26 + "bour"),
        ("<emphasis>boat</emphasis>'s", " " * 10 + "boat" + "~" * 11 + "'s"),
        ("<w>ice</w><w>cream</w>", "   ice       cream    "),
        ("one\ntwo\r\n\n three\rfour", "one two\r\n\n three four"),
        ("\n\none\n\n", "  one  "),
        ("one\n\n<mark name='m'/>two", "one" + " " * 18 + "two"),
    ],
)
def test_text_keeps_its_place(written: str, text: str) -> None:
    assert ssml(written).text == text.replace("~", "\u2060")
