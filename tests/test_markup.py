"""Light marks, and what holds for every text whatever its markup."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicesvc.directions import (
    EMOTION_NAMES,
    Bookmark,
    Breath,
    Directed,
    Ignored,
    Pause,
    Style,
    Styled,
)
from voicesvc.errors import BadMarkup
from voicesvc.markup import Kind, parse
from voicesvc.markup.marks import MARKS
from voicesvc.markup.names import DELIVERIES
from voicesvc.script import clean, sentences, written_words


def styles(text: str, **options: bool) -> list[tuple[str, Style]]:
    """What each style's stretch covers in the request."""
    directed = parse(text, **options)
    return [(text[s.start : s.end], s.style) for s in directed.styled]


def words(text: str) -> list[str]:
    cleaned = clean(parse(text).text).text
    return [m.group().replace("\u2060", "") for m in written_words(cleaned)]


def spoken(text: str) -> list[str]:
    return [" ".join(s.text.split()) for s in sentences(clean(parse(text).text).text)]


def refused(text: str, kind: Kind = "auto") -> BadMarkup:
    with pytest.raises(BadMarkup) as caught:
        parse(text, kind)
    return caught.value


# -- which markup it is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Hold fast.",
        "3 * 4 is 12, ** is a power, f*ck this sh*t, and * is a star",
        "(He left.) A smile (a thin one) and [",
        "a < b && c > d, at C:\\music",
        "**Bold** and ***more***",
        "* one\n* two\n* three",
        "",
    ],
)
def test_text_without_marks_comes_back_as_it_is(text: str) -> None:
    assert parse(text) == Directed(text)


def test_auto_takes_ssml_by_how_the_text_begins() -> None:
    for text in ("<speak>*Hi*</speak>", " \n\ufeff<?xml version='1.0'?><speak>*Hi*</speak>"):
        assert parse(text).text.strip() == "*Hi*"
    assert parse("<speaker> is *out*").text == "<speaker> is  out "
    assert parse("<speak>", "plain") == Directed("<speak>")
    assert parse("*a* (sad) [pause]", "plain") == Directed("*a* (sad) [pause]")
    assert parse("<b>*a*", "marks").text == "<b> a "
    assert "the root is <b>" in refused("<b>a</b>", "ssml").detail


# -- stress --------------------------------------------------------------------------------------


def test_stress() -> None:
    text = "The *harbour* was *very, very* quiet."
    assert parse(text).text == "The  harbour  was  very, very  quiet."
    strong = Style(emphasis="strong")
    assert styles(text) == [("harbour", strong), ("very, very", strong)]


def test_stress_beside_punctuation_and_within_quotes() -> None:
    assert [t for t, _ in styles('"*Stop*!" (*now*) —*go*.')] == ["Stop", "now", "go"]
    assert words("the *harbour*'s edge") == ["the", "harbour's", "edge"]


def test_stress_ends_with_its_paragraph() -> None:
    assert styles("*one\n\ntwo*") == []
    assert [t for t, _ in styles("*one\ntwo*")] == ["one\ntwo"]


# -- pauses, breaths, names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "event"),
    [
        ("[pause 0.4s]", Pause(5, length_s=0.4)),
        ("[pause 400ms]", Pause(5, length_s=0.4)),
        ("[PAUSE .4s]", Pause(5, length_s=0.4)),
        ("[pause 0s]", Pause(5, length_s=0.0)),
        ("[pause]", Pause(5, strength="medium")),
        ("[pause strong]", Pause(5, strength="strong")),
        ("[beat]", Pause(5, strength="medium")),
        ("(beat)", Pause(5, strength="medium")),
        ("(pause)", Pause(5, strength="medium")),
        ("(long pause)", Pause(5, strength="strong")),
        ("[breath]", Breath(5)),
        ("(takes a breath)", Breath(5)),
        ("[mark here 2]", Bookmark(5, "here 2")),
    ],
)
def test_events(mark: str, event: Pause | Breath | Bookmark) -> None:
    directed = parse(f"Hold {mark} fast.")
    assert directed.events == (event,)
    assert directed.styled == ()
    assert words(f"Hold {mark} fast.") == ["Hold", "fast"]


@pytest.mark.parametrize(
    ("text", "comma"),
    [
        ("Hold [pause] fast", True),
        ("Hold[pause]fast", True),
        ('"Hold" [pause] "fast"', True),
        ("Hold [breath] fast", True),
        ("Hold [pause][breath] [pause] fast", True),
        ("Hold, [pause] fast", False),
        ("Hold [pause], fast", False),
        ('"Hold." [pause] Fast', False),
        ("Hold — [pause] fast", False),
        ("Hold [pause] — fast", False),
        ("Hold\n[pause] fast", False),
        ("Hold [pause]\nFast", False),
        ("[pause] Hold fast", False),
        ("Hold fast [pause]", False),
        ("Hold [pause none] fast", False),
        ("Hold [pause 0s] fast", False),
        ("Hold [mark x] fast", False),
    ],
)
def test_a_pause_is_a_comma_where_no_mark_is(text: str, comma: bool) -> None:
    written = parse(text).text
    assert written.count(",") - text.count(",") == comma
    if comma:
        assert written.index(",") == parse(text).events[0].at


# -- delivery ------------------------------------------------------------------------------------


def test_a_delivery_holds_to_the_next_or_the_paragraph() -> None:
    text = "One. (sad 0.6) Two. Three.\nFour. (whispered) Five.\n\nSix. (angrily)"
    assert styles(text) == [
        (" Two. Three.\nFour. ", Style(emotion="sad", intensity=0.6)),
        (" Five.", Style(emotion="whispered")),
    ]
    assert "sad" not in parse(text).text


@pytest.mark.parametrize("name", DELIVERIES)
def test_every_delivery(name: str) -> None:
    assert styles(f"({name.title()}) Go.") == [(" Go.", Style(emotion=DELIVERIES[name]))]


def test_every_emotion_has_a_delivery() -> None:
    assert set(DELIVERIES.values()) == set(EMOTION_NAMES)


def test_a_cue_may_hold_a_beat_too() -> None:
    directed = parse("Go (beat, then) now. (beat, sadly) Or not.")
    assert directed.events == (Pause(21, strength="medium"),)
    assert [s.style.emotion for s in directed.styled] == ["sad"]
    assert "(beat, then)" in directed.text
    assert "one delivery" in refused("(sadly, whispered) Go.").detail


# -- spans ---------------------------------------------------------------------------------------


def test_spans() -> None:
    text = "[rate 80%]Slow [volume -6dB]and *soft*[/volume][/rate] [pitch high]up[/pitch]"
    assert parse(text).styled == (
        Styled(10, 47, Style(rate=0.8)),
        Styled(28, 38, Style(energy_db=-6.0)),
        Styled(33, 37, Style(emphasis="strong")),
        Styled(67, 69, Style(pitch_st=2.0)),
    )


def test_a_label_within_a_span_is_a_level() -> None:
    assert [s.rate for _, s in styles("[rate 0.5]a [rate slow]b[/rate][/rate]")] == [0.5, 1.28]
    assert styles("[range low]a[/range]") == [("a", Style(range=0.7))]


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "detail"),
    [
        ("Hold [sic] on", 5, "[sic] is no mark"),
        ("Hold [] on", 5, "[] is no mark"),
        ("Hold [1] on", 5, "[1] is no mark"),
        ("Hold [/pause] on", 5, "[/pause] is no mark"),
        ("Hold [pause 0.4", 5, "the mark is not closed"),
        ("Hold [pause 4] on", 5, "[pause]: '4' is no time"),
        ("Hold [pause 61s] on", 5, "[pause]: '61s' is outside what is taken, 0 to 60"),
        ("Hold [breath deep] on", 5, "[breath]: 'deep' is too much"),
        ("Hold [mark] on", 5, "[mark]: a mark has a name"),
        ("Hold [rate 0.8]on", 5, "[rate] is not closed"),
        ("Hold [/rate]on", 5, "[rate]: it closes what is not open"),
        ("[rate 2]a[pitch +1st]b[/rate]c[/pitch]", 22, "[rate]: it closes what is not open"),
        ("Hold [rate fast-ish]on[/rate]", 5, "[rate]: 'fast-ish' cannot be read"),
        ("Hold (sad 1.5) on", 5, "(sad): '1.5' is outside what is taken, 0 to 1"),
        ("[rate 2]" * 33, 256, "[rate]: more than 32 spans in one another"),
    ],
)
def test_refused(text: str, at: int, detail: str) -> None:
    error = refused(text)
    assert error.detail == detail
    assert error.where == f"text, line 1, column {at + 1} (character {at})"
    assert error.valid


def test_unknown_marks_come_with_the_list_and_the_place() -> None:
    error = refused("One.\r\nTwo.\n Hold [sic].")
    assert error.where == "text, line 3, column 7 (character 17)"
    assert error.valid == [*MARKS.values(), "\\[ for a bracket"]


def test_lenient_skips_unknown_marks_and_says_so() -> None:
    directed = parse("Hold [sic] on", lenient=True)
    assert directed == Directed("Hold       on", ignored=(Ignored(5, 10, "[sic] is no mark"),))
    with pytest.raises(BadMarkup):
        parse("Hold [pause 4] on", lenient=True)


def test_a_backslash_makes_text_of_a_sign() -> None:
    text = r"\*a\* \[b\] \(sad\) \\ c\d"
    assert parse(text) == Directed(r" *a *  [b ]  (sad )  \ c\d")


# -- every text ----------------------------------------------------------------------------------

MARKS_APART = r"""
* ** *a* [pause] [pause_2s] [beat] [breath] (sad) (sad_0.3) (beat) (so) [rate_2] [/rate]
[mark_x] [ ] ( ) \ \\ \* a bc . , — 1 é 😀
"""
TAGS_APART = """
a bc 1 . , é 😀 &amp; &#233; &lt; <!--_c_--> <![CDATA[&]]> <?p_i?> < & <foo> </foo>
<s> </s> <p> </p> <break/> <break_time='1s'/> <mark_name='m'/> <emphasis> </emphasis>
<prosody_rate='slow'_pitch='+10Hz'> </prosody> <sub_alias='x_y'> </sub> <w> </w>
<phoneme_ph='ab'/> <say-as_interpret-as='digits'> </say-as> <voice_name='v'> </voice>
<mstts:silence_type='Comma-exact'_value='1s'/> <metadata> </metadata> <lang_xml:lang='de'> </lang>
<mstts:silence_type='Sentenceboundary'_value='1s'/> <mstts:express-as_style='sad'>
</mstts:express-as>
"""
ODD = (" ", "\n", "\n\n", "\r\n", "\ud800", "\x00")


def pieces(apart: str) -> st.SearchStrategy[str]:
    choices = [piece.replace("_", " ") for piece in apart.split()]
    return st.lists(st.sampled_from([*choices, *ODD])).map("".join)


MARKED = pieces(MARKS_APART)
TAGGED = pieces(TAGS_APART).map(lambda inner: f"<speak>{inner}</speak>")
NESTED = st.recursive(
    st.sampled_from(
        ["a", "b c.", "&amp;", "1,", "<break/>", "<mark name='m'/>", "<phoneme ph='a'/>"]
    ),
    lambda inner: st.tuples(
        st.sampled_from(
            ("p", "s", "emphasis", "prosody rate='slow'", "lang xml:lang='de'", "w", "voice")
        ),
        st.lists(inner, max_size=4),
    ).map(lambda made: f"<{made[0]}>{''.join(made[1])}</{made[0].split()[0]}>"),
).map(lambda inner: f"<speak>{inner}</speak>")


@settings(max_examples=300)  # a shared machine may stall
@given(
    st.one_of(MARKED, TAGGED, NESTED, st.text(st.characters())),
    st.sampled_from(("auto", "plain", "marks", "ssml")),
    st.booleans(),
)
@example("<speak><sub alias='x'/></speak>", "auto", False)
@example("*\u2060*", "marks", False)
def test_the_text_keeps_its_length_and_offsets_lie_in_it(
    text: str, kind: Kind, lenient: bool
) -> None:
    try:
        directed = parse(text, kind, lenient=lenient)
    except BadMarkup as error:
        found = re.search(r"\(character (\d+)\)\Z", str(error.where))
        assert found is not None
        assert int(found[1]) <= len(text)
        return
    n = len(text)
    assert len(directed.text) == n
    assert len(clean(directed.text).text) == n
    assert all(0 <= s.start < s.end <= n for s in (*directed.styled, *directed.said))
    assert all(0 <= i.start <= i.end <= n for i in directed.ignored)
    assert all(0 <= e.at < n for e in directed.events)
    ats = [e.at for e in directed.events]
    assert ats == sorted(ats)
    said = directed.said
    assert all(a.end <= b.start for a, b in pairwise(said))
    assert all((s.text is None) != (s.phones is None) for s in said)
    starts = [(s.start, -s.end) for s in directed.styled]
    assert starts == sorted(starts)


@given(st.text(st.characters(exclude_characters="*[](\\")))
def test_text_without_a_sign_of_markup_is_left_alone(text: str) -> None:
    assert parse(text, "marks") == Directed(text)
    assert parse(text, "plain") == Directed(text)
