"""What each element and attribute of SSML asks for, and what is refused."""

import itertools

import pytest

from voicesvc.directions import (
    EMOTION_NAMES,
    Bookmark,
    Directed,
    Event,
    Ignored,
    Pause,
    Said,
    Style,
)
from voicesvc.errors import BadMarkup
from voicesvc.markup import parse
from voicesvc.markup.elements import ELEMENTS, REFUSED, REQUIRED
from voicesvc.markup.names import STYLES
from voicesvc.script import PAUSE_PARAGRAPH_S, PAUSE_SENTENCE_S, clean, sentences, speakable

SSML = "http://www.w3.org/2001/10/synthesis"


def ssml(inner: str, *, lenient: bool = False) -> Directed:
    return parse(f"<speak>{inner}</speak>", lenient=lenient)


def styles(inner: str) -> list[tuple[str, Style]]:
    directed = ssml(inner)
    return [(f"<speak>{inner}</speak>"[s.start : s.end], s.style) for s in directed.styled]


def style(tag: str) -> Style:
    """What a tag asks for the text in it."""
    ((held, found),) = styles(f"<{tag}>go on</{tag.split()[0]}>")
    assert held == "go on"
    return found


def said(inner: str) -> list[tuple[str, str | tuple[str, ...] | None]]:
    """(what is written, what is said for it) of every reading."""
    text = f"<speak>{inner}</speak>"
    return [(text[s.start : s.end], s.text or s.phones) for s in parse(text).said]


def spoken(inner: str) -> list[tuple[str, float]]:
    """(sentence, the pause after it)."""
    found = sentences(clean(ssml(inner).text).text)
    return [(" ".join(s.text.split()), s.pause_s) for s in found]


def refused(inner: str) -> BadMarkup:
    with pytest.raises(BadMarkup) as caught:
        ssml(inner)
    return caught.value


# -- documents -----------------------------------------------------------------------------------


def test_a_whole_document() -> None:
    text = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<speak version="1.1" xmlns="{SSML}" xml:lang="en-US"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="{SSML} synthesis.xsd" xml:base="http://example.com/">
  <meta name="title" content="Harbour"/>
  <metadata><rdf:RDF xmlns:rdf="http://www.w3.org/"><rdf:x>unsaid</rdf:x></rdf:RDF></metadata>
  <p xml:id="one"><s>The <emphasis>harbour</emphasis> was quiet</s>
     <s>before the storm.</s></p>
</speak>
"""
    directed = parse(text)
    assert directed.text.split() == ["The", "harbour", "was", "quiet.", "before", "the", "storm."]
    assert [s.style for s in directed.styled] == [
        Style(language="en-US"),
        Style(emphasis="moderate"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<speak>Hi</speak>",
        f'<speak xmlns="{SSML}" version="1.0">Hi</speak>',
        f'<speak xmlns="{SSML.replace("http:", "https:")}">Hi</speak>',
        f'<?xml version="1.0"?><ssml:speak xmlns:ssml="{SSML}"><ssml:s>Hi.</ssml:s></ssml:speak>',
    ],
)
def test_namespaces(text: str) -> None:
    assert parse(text).text.strip().rstrip(".") == "Hi"


@pytest.mark.parametrize(
    "declared",
    [
        "",
        ' xmlns:mstts="http://www.w3.org/2001/mstts"',
        ' xmlns:mstts="https://www.w3.org/2001/mstts"',
    ],
)
def test_azures_prefix_need_not_be_declared(declared: str) -> None:
    text = f'<speak{declared}><mstts:express-as style="sad">Hi</mstts:express-as></speak>'
    assert parse(text).styled[0].style == Style(emotion="sad", intensity=1.0)


def test_another_prefix_may_be_azures() -> None:
    declared = ' xmlns:x="http://www.w3.org/2001/mstts"'
    text = f'<speak{declared}><x:express-as style="sad">Hi</x:express-as></speak>'
    assert parse(text).styled[0].style.emotion == "sad"
    with pytest.raises(BadMarkup, match="<x:express-as> is not known here"):
        parse(text.replace(declared, ""))


def test_a_foreign_namespace_is_not_ssml() -> None:
    with pytest.raises(BadMarkup, match="unknown namespace"):
        parse('<speak xmlns="http://example.com/">Hi</speak>')


# -- sentences and paragraphs --------------------------------------------------------------------


def test_sentences_end_where_they_are_marked() -> None:
    assert spoken("<s>one</s><s>Two?</s> three <s>'Four.'</s><s>five,</s>") == [
        ("one.", PAUSE_SENTENCE_S),
        ("Two?", PAUSE_SENTENCE_S),
        ("three.", PAUSE_SENTENCE_S),
        ("'Four.'", PAUSE_SENTENCE_S),
        ("five,.", 0.0),
    ]


def test_paragraphs_end_where_they_are_marked() -> None:
    assert spoken("Lead<p>one</p><p>Two. three</p>four\n\nfive") == [
        ("Lead", PAUSE_PARAGRAPH_S),
        ("one", PAUSE_PARAGRAPH_S),
        ("Two.", PAUSE_SENTENCE_S),
        ("three", PAUSE_PARAGRAPH_S),
        ("four", PAUSE_PARAGRAPH_S),
        ("five", 0.0),
    ]
    assert spoken("<p><s>one</s>\n <s>two</s></p>\n<p><s>three</s></p>") == [
        ("one.", PAUSE_SENTENCE_S),
        ("two.", PAUSE_PARAGRAPH_S),
        ("three.", 0.0),
    ]


def test_lines_of_a_document_are_no_sentences() -> None:
    assert spoken("\n  The\n  Harbour\n  Was quiet\n") == [("The Harbour Was quiet", 0.0)]


# -- breaks and marks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "event"),
    [
        ("<break/>", Pause(9, strength="medium")),
        ("<break></break>", Pause(9, strength="medium")),
        ("<break strength='x-strong'/>", Pause(9, strength="x-strong")),
        ("<break time='250ms'/>", Pause(9, length_s=0.25)),
        ("<break time='3s' strength='weak'/>", Pause(9, length_s=3.0)),
        ("<mark name='here'/>", Bookmark(9, "here")),
        ("<bookmark mark='here'/>", Bookmark(9, "here")),
    ],
)
def test_events(tag: str, event: Event) -> None:
    assert ssml(f"a {tag} b").events == (event,)
    assert ssml(f"a {tag} b").text[9] == ("," if isinstance(event, Pause) else " ")


def test_a_break_beside_a_mark_adds_no_comma() -> None:
    for inner in ("a,<break/> b", "a <break/>. B", "<s>a</s><break/><s>b</s>", "<break/>a<break/>"):
        assert ssml(inner).text.count(",") == inner.count(","), inner
    assert ssml("a <break strength='none'/> b").text.count(",") == 0
    assert ssml("a <emphasis><break/>b</emphasis>").text.count(",") == 1


# -- prosody, emphasis, language -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ("rate='80%'", Style(rate=0.8)),
        ("pitch='+2st'", Style(pitch_st=2.0)),
        ("pitch='120Hz' range='+20%'", Style(pitch_hz=120.0, range=1.2)),
        ("pitch='+10Hz'", Style(pitch_delta_hz=10.0)),
        ("volume='-6dB'", Style(energy_db=-6.0)),
        ("duration='1.5s'", Style(duration_s=1.5)),
        ("contour='(0%,+1st) (100%,-1st)'", Style(pitch_st=((0.0, 1.0), (1.0, -1.0)))),
        ("rate='default' volume='x-soft'", Style(rate=1.0, energy_db=-12.0)),
    ],
)
def test_prosody(attributes: str, found: Style) -> None:
    assert style(f"prosody {attributes}") == found


def test_what_another_attribute_overrules_is_reported() -> None:
    directed = ssml(
        "<prosody contour='(0%,+1st)' pitch='low' range='low' rate='2' duration='1s'>a</prosody>"
    )
    assert directed.styled[0].style == Style(pitch_st=((0.0, 1.0), (1.0, 1.0)), duration_s=1.0)
    assert [i.why.split()[0] for i in directed.ignored] == ["pitch", "range", "rate"]


def test_labels_within_others_are_levels() -> None:
    outer, inner = "<prosody rate='slow' pitch='low'>", "<prosody rate='slow' pitch='default'>"
    assert [s for _, s in styles(f"{outer}a{inner}b</prosody></prosody>")] == [
        Style(rate=0.64, pitch_st=-2.0),
        Style(rate=1.0, pitch_st=2.0),
    ]


def test_stretches_lie_between_their_tags_outer_ones_first() -> None:
    inner = "<prosody rate='2'><emphasis>a</emphasis> b</prosody><emphasis></emphasis>"
    assert [held for held, _ in styles(inner)] == ["<emphasis>a</emphasis> b", "a"]


def test_emphasis() -> None:
    assert style("emphasis") == Style(emphasis="moderate")
    for level in ("strong", "moderate", "none", "reduced"):
        assert style(f"emphasis level='{level}'").emphasis == level


def test_languages() -> None:
    assert style("lang xml:lang='fr-FR'") == Style(language="fr-FR")
    assert style("w xml:lang='de'") == Style(language="de")
    assert [s.language for _, s in styles("<p xml:lang='it'><s xml:lang='es'>a</s></p>")] == [
        "it",
        "es",
    ]
    assert styles("<p xml:lang=''>a</p>") == []


def test_azures_styles() -> None:
    for name, (emotion, intensity) in STYLES.items():
        found = style(f"mstts:express-as style='{name}'")
        assert found == Style(emotion=emotion, intensity=intensity)
        assert emotion in EMOTION_NAMES
    found = style("mstts:express-as style='Cheerful' styledegree='2'")
    assert found == Style(emotion="happy", intensity=2.0)
    assert style("mstts:express-as style='gentle' styledegree='0.01'").intensity == 0.007


def test_amazons_whisper() -> None:
    assert style("amazon:effect name='whispered'") == Style(emotion="whispered")


# -- readings ------------------------------------------------------------------------------------


def test_readings() -> None:
    assert said("<sub alias='World  Wide Web'>WWW</sub> a") == [("WWW", "World Wide Web")]
    assert said("<say-as interpret-as='date' format='mdy'> 10/19/2010 </say-as>") == [
        ("10/19/2010", "October nineteenth twenty ten")
    ]
    phones = ("h", "ˈ", "ɑ", "ː", "ɹ", "b", "ɚ")
    assert said("<phoneme ph='hˈɑːɹbɚ'>harbour</phoneme>") == [("harbour", phones)]
    assert said("<phoneme alphabet='x-sampa' ph='h\"A:r\\b@`'>harbour</phoneme>") == [
        ("harbour", phones)
    ]


def test_what_is_read_keeps_its_place_and_its_writing() -> None:
    directed = ssml("to <sub alias='x'>the&amp;<!-- c --> quay</sub>, now")
    (reading,) = directed.said
    assert directed.text[reading.start : reading.end].split() == ["the&", "quay"]
    assert directed.text.split() == ["to", "the&", "quay", ",", "now"]


@pytest.mark.parametrize(
    "inner",
    [
        "Go <phoneme ph='a'/> now",
        "Go <sub alias='Moscow'>Москва</sub> now",
        "Go <sub alias='smiles'>😀</sub> now",
        "Go <sub alias='x'> </sub> now",
    ],
)
def test_a_reading_of_nothing_speakable_still_has_a_word(inner: str) -> None:
    directed = ssml(inner)
    (reading,) = directed.said
    assert speakable(clean(directed.text).text[reading.start : reading.end])
    assert len(spoken(inner)) == 1


def test_no_sentence_ends_within_a_reading() -> None:
    assert len(spoken("<sub alias='a'>One. Two! Three</sub> four")) == 1
    assert len(spoken("<sub alias='Number'>Nr.</sub> Five")) == 1
    assert spoken("Lamps, <sub alias='and so on'>usw.</sub>")[0][0] == "Lamps, usw."
    assert len(spoken("<p>Lamps, <sub alias='and so on'>usw.</sub></p>Go")) == 2
    assert len(spoken("<phoneme ph='a'>Stop.</phoneme> Go")) == 2


# -- silences ------------------------------------------------------------------------------------


def pauses(inner: str, types: dict[str, str]) -> list[tuple[str, float | None]]:
    """(the text from the pause on, its length)."""
    tags = "".join(f"<mstts:silence type='{t}' value='{v}'/>" for t, v in types.items())
    directed = ssml(tags + inner)
    found = [e for e in directed.events if isinstance(e, Pause)]
    return [(directed.text[e.at :].strip(), e.length_s) for e in found]


def test_silences_at_the_ends() -> None:
    for exact in ("", "-exact"):
        found = pauses("Hi.", {f"Leading{exact}": "1s", f"Tailing{exact}": "500ms"})
        assert found == [("Hi.", 1.0), ("", 0.5)]
    assert pauses("Hi.", {"Leading-exact": "1s", " leading ": "2s"}) == [("Hi.", 1.0)]
    assert pauses("Hi.", {"Trailing": "1s"}) == [("", 1.0)]
    assert pauses("", {"Leading": "1s"}) == []


def test_silences_between_sentences() -> None:
    inner = "One. Two.\n\nThree."
    assert pauses(inner, {"Sentenceboundary": "200ms"}) == [
        ("Two.\n\nThree.", pytest.approx(PAUSE_SENTENCE_S + 0.2)),
        ("Three.", pytest.approx(PAUSE_PARAGRAPH_S + 0.2)),
    ]
    exact = {"Sentenceboundary": "9s", "Sentenceboundary-exact": "50ms"}
    assert pauses(inner, exact) == [("Two.\n\nThree.", 0.05), ("Three.", 0.05)]
    assert pauses("One. <break time='3s'/> Two.", exact) == [("Two.", 3.0)]


def test_silences_at_marks() -> None:
    inner = "1,000 men, ten; one、two"
    assert pauses(inner, {"comma-exact": "1s"}) == [(", ten; one、two", 1.0)]
    assert pauses(inner, {"Semicolon-exact": "1s"}) == [("; one、two", 1.0)]
    assert pauses(inner, {"Enumerationcomma-exact": "1s"}) == [("、two", 1.0)]
    found = pauses("a, <break/> b <break/> c", {"Comma-exact": "1s"})
    assert [length_s for _, length_s in found] == [None, None]


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(n for n in REFUSED if " " not in n))
def test_elements_that_are_refused_say_why_and_what_instead(name: str) -> None:
    error = refused(f"a <{name}>b</{name}>")
    why, instead = REFUSED[name]
    assert error.detail == f"<{name}> is refused: {why}"
    assert error.valid == instead
    assert error.where == "text, line 1, column 10 (character 9)"
    directed = ssml(f"a <{name}>b</{name}> c", lenient=True)
    assert directed.ignored == (Ignored(9, 9 + len(name) + 2, error.detail),)
    unsaid = name in ("desc", "lexicon", "mstts:backgroundaudio", "mstts:viseme")
    assert directed.text.split() == (["a", "c"] if unsaid else ["a", "b", "c"])


def test_unknown_elements_come_with_the_list() -> None:
    error = refused("a\n <blink>b</blink>")
    assert error.detail == "<blink> is not known here"
    assert error.where == "text, line 2, column 2 (character 10)"
    assert error.valid == sorted(ELEMENTS)
    directed = ssml("<blink>a <emphasis>b</emphasis></blink>", lenient=True)
    assert directed.text.split() == ["a", "b"]
    assert [s.style.emphasis for s in directed.styled] == ["moderate"]


@pytest.mark.parametrize("name", sorted(ELEMENTS))
def test_unknown_attributes_come_with_the_list(name: str) -> None:
    needed = " ".join(f"{n}='{VALUES[n]}'" for n in REQUIRED.get(name, ()))
    tag = f"<{name} {needed} loud='1'"
    text = f"{tag}>a</speak>" if name == "speak" else f"<speak>{tag}/></speak>"
    with pytest.raises(BadMarkup) as caught:
        parse(text)
    assert caught.value.detail == f"<{name} loud> is unknown"
    assert caught.value.valid == [*ELEMENTS[name], "xml:id"]
    assert f"(character {text.index('1', text.index('loud'))})" in str(caught.value.where)
    if name != "prosody":
        assert [i.why for i in parse(text, lenient=True).ignored] == [f"<{name} loud> is unknown"]


VALUES = {
    "xml:lang": "en",
    "interpret-as": "expletive",
    "ph": "a",
    "alias": "a",
    "name": "whispered",
    "mark": "a",
    "style": "sad",
    "type": "Leading",
    "value": "1s",
}


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_attributes_that_are_needed(name: str) -> None:
    for missing in REQUIRED[name]:
        given = " ".join(f"{n}='{VALUES[n]}'" for n in REQUIRED[name] if n != missing)
        assert refused(f"<{name} {given}/>").detail == f"<{name}> needs {missing!r}"
        assert refused(f"<{name} {given} {missing}=' '/>").valid == [missing]


@pytest.mark.parametrize(
    ("inner", "mark", "detail"),
    [
        ("<break time='1'/>", "1'", "<break time>: '1' is no time"),
        ("<break time='61s'/>", "61s", "<break time>: '61s' is outside"),
        ("<break strength='loud'/>", "loud", "<break strength>: 'loud' is not known here"),
        ("<prosody>a</prosody>", "a<", "<prosody>: <prosody> without an attribute"),
        ("<prosody rate='quick'>a</prosody>", "quick", "<prosody rate>: 'quick' cannot be read"),
        ("<prosody range='80Hz'>a</prosody>", "80Hz", "<prosody range>: '80Hz' is no change"),
        ("<prosody volume='+99dB'>a</prosody>", "+99", "<prosody volume>: '+99dB' is outside"),
        ("<prosody duration='0s'>a</prosody>", "0s", "<prosody duration>: a stretch lasts"),
        (
            "<prosody contour='(0%,+1st) x'>a</prosody>",
            "x'",
            "<prosody contour>: no contour target",
        ),
        ("<prosody contour='(0%,90Hz)'>a</prosody>", "90Hz", "<prosody contour>: a contour holds"),
        ("<emphasis level='high'>a</emphasis>", "high", "<emphasis level>: 'high' is not known"),
        ("<lang xml:lang='e!'>a</lang>", "e!", "<lang xml:lang>: 'e!' is no language"),
        ("<phoneme ph='a7'>a</phoneme>", "7", "<phoneme ph>: '7' is no symbol of the IPA"),
        ("<phoneme ph='a' alphabet='sapi'>a</phoneme>", "sapi", "<phoneme alphabet>: 'sapi' is"),
        ("<phoneme ph='a' type='ruby'>a</phoneme>", "ruby", "<phoneme type>: 'ruby' is not known"),
        ("<phoneme alphabet='x-sampa' ph='ab*'/>", "*", "<phoneme ph>: '*' is no X-SAMPA"),
        ("<say-as interpret-as='address'>a</say-as>", "address", "<say-as interpret-as>: 'addr"),
        ("<say-as interpret-as='digits'>ten</say-as>", "ten", "<say-as>: 'ten' has no figures"),
        (
            "<say-as interpret-as='digits' format='x'>1</say-as>",
            "x'",
            "<say-as format>: digits has",
        ),
        ("<mstts:express-as style='odd'>a</mstts:express-as>", "odd", "<mstts:express-as style>"),
        (
            "<mstts:express-as style='sad' styledegree='3'>a</mstts:express-as>",
            "3'",
            "<mstts:express-as styledegree>: '3' is outside what is taken, 0.01 to 2",
        ),
        (
            "<mstts:express-as style='sad' role='Girl'>a</mstts:express-as>",
            "Girl",
            "<mstts:express-as role> is refused: an actor is one person",
        ),
        ("<mstts:silence type='Middle' value='1s'/>", "Middle", "<mstts:silence type>: 'Middle'"),
        (
            "<mstts:silence type='Leading' value='x'/>",
            "x'",
            "<mstts:silence value>: 'x' is no time",
        ),
        (
            "<amazon:effect name='drc'>a</amazon:effect>",
            "drc",
            "<amazon:effect name>: 'drc' is not",
        ),
        ("<break>a</break>", "a<", "<break> holds nothing"),
        ("<break><s/></break>", "<s/>", "no element stands within <break>"),
        ("<sub alias='a'><emphasis>b</emphasis></sub>", "<em", "no element stands within <sub>"),
        ("<p>a<p>b</p></p>", "<p>b", "<p> within <p>"),
        ("<s>a<p>b</p></s>", "<p>", "<p> within <s>"),
        ("<s>a<emphasis><s>b</s></emphasis></s>", "<s>b", "<s> within <s>"),
        ("<speak>a</speak>", "<speak>a", "<speak> within <speak>"),
        ("<s role='x'>a</s>", "x'", "<s role> is unknown"),
    ],
)
def test_refused_at_its_place(inner: str, mark: str, detail: str) -> None:
    error = refused(inner)
    assert error.detail.startswith(detail)
    assert error.valid
    at = f"<speak>{inner}</speak>".rindex(mark) if mark != "<em" else 7 + inner.index(mark)
    assert f"(character {at})" in str(error.where)


def test_versions() -> None:
    with pytest.raises(BadMarkup, match="version"):
        parse("<speak version='2.0'>a</speak>")


def test_lenient_passes_over_names_it_does_not_know_and_no_other_value() -> None:
    directed = ssml(
        "<mstts:express-as style='odd'>a</mstts:express-as>"
        "<say-as interpret-as='address'> 1 Main. </say-as><say-as interpret-as='digits'>x</say-as>",
        lenient=True,
    )
    assert directed.text.split() == ["a", "1", "Main.", "x"]
    assert directed.said == ()
    assert len(directed.ignored) == 3
    for inner in ("<break time='x'/>", "<phoneme ph='7'>a</phoneme>", "<p><p/></p>"):
        with pytest.raises(BadMarkup):
            ssml(inner, lenient=True)


def test_readings_never_overlap() -> None:
    inner = "<sub alias='a'>b</sub><phoneme ph='a'>b</phoneme><sub alias='a'/><sub alias='b'/>"
    found = ssml(inner).said
    assert len(found) == 4
    assert all(isinstance(s, Said) for s in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
