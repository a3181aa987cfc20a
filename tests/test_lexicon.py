import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.directions import Said
from voicesvc.errors import (
    BadLexicon,
    InvalidRequest,
    MalformedBody,
    PackRefused,
    UnknownLexicon,
    VoiceError,
)
from voicesvc.lexicon import Entry, Lexicon, Lexicons, hits, phones_of, read_json, read_pls, to_json
from voicesvc.lexicon.sounds import IPA, possessive
from voicesvc.phonemes import Espeak, Graphemes, Phonemizer
from voicesvc.script import sentences

PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon"
    alphabet="ipa" xml:lang="en-US">
  <!-- names -->
  <metadata><rdf:x xmlns:rdf="r">anything</rdf:x></metadata>
  <lexeme>
    <grapheme>Elena</grapheme>
    <grapheme>Helena</grapheme>
    <phoneme>ɛlˈiːnə</phoneme>
    <phoneme prefer="true">ɛ.lˈe͡ɪ.nə</phoneme>
    <example>Elena came.</example>
  </lexeme>
  <lexeme><grapheme>W3C</grapheme><alias>World Wide Web Consortium</alias></lexeme>
</lexicon>
"""


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    program = Espeak("en-us")
    yield program
    program.close()


def lexicon(*entries: dict[str, str], name: str = "cast") -> Lexicon:
    return Lexicon(name, tuple(Entry(**e) for e in entries))


def found(text: str, phonemizer: Phonemizer, *lexicons: Lexicon) -> list[tuple[str, str]]:
    return [
        (text[s.start : s.end], s.text or "".join(s.phones or ()))
        for s in hits(text, lexicons, phonemizer, IPA)
    ]


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("ɛlˈeɪnə", "ɛlˈeɪnə"),
        ("gaʁ", "ɡaʁ"),
        ("t͡ʃʧ", "tʃtʃ"),
        ("ˈhɑː.bə hi", "ˈhɑːbəhi"),
        ("mɑ̃", "mɑ\u0303"),
        ("ca:'r", "caːˈɹ"),
    ],
)
def test_ipa_becomes_what_voices_know(ipa: str, phones: str) -> None:
    assert "".join(phones_of(ipa)) == phones


@pytest.mark.parametrize(
    ("ipa", "where"), [("ɛl5a", 2), ("ab♫", 2), ("a ⟨", 2), ("ˈ.", 0), ("Elena", 0)]
)
def test_an_unknown_phoneme_is_refused_with_its_offset(ipa: str, where: int) -> None:
    with pytest.raises(BadLexicon) as refused:
        phones_of(ipa)
    assert refused.value.where == f"character {where}"


def test_a_voice_with_other_symbols_says_so() -> None:
    assert phones_of("rag", {"r", "a", "g"}) == ("r", "a", "g")
    with pytest.raises(BadLexicon, match="'ʃ'") as refused:
        phones_of("aʃ", {"a", "b"})
    assert refused.value.valid == "ab"


def test_pls_is_read() -> None:
    assert read_pls(PLS.encode()) == (
        Entry(grapheme="Elena", ipa="ɛ.lˈe͡ɪ.nə"),
        Entry(grapheme="Helena", ipa="ɛ.lˈe͡ɪ.nə"),
        Entry(grapheme="W3C", alias="World Wide Web Consortium"),
    )


def test_x_sampa_becomes_ipa() -> None:
    text = PLS.replace('alphabet="ipa"', 'alphabet="x-sampa"')
    in_x_sampa = text.replace("ɛ.lˈe͡ɪ.nə", 'E."leI.n@').replace("ɛlˈiːnə", 'El"i:n@')
    assert "ɛlˈeɪnə" in [e.ipa for e in read_pls(in_x_sampa.encode())]
    with pytest.raises(BadLexicon, match="X-SAMPA"):
        read_pls(text.encode())
    with pytest.raises(BadLexicon, match="arpabet") as refused:
        read_pls(text.replace("x-sampa", "arpabet").encode())
    assert refused.value.valid == ["ipa", "x-sampa"]


@pytest.mark.parametrize(
    ("old", "new", "where", "why"),
    [
        ("<lexeme>", "<lexeme", "line 7, column 5", "broken XML"),
        ("</lexicon>", "", "line 15, column 1", "broken XML"),
        ("ɛ.lˈe͡ɪ.nə", "ɛ5", "line 10, column 5, character 1", "'5'"),
        ("<example>", "<speak>", "line 11, column 5", "speak"),
        ("<alias>World Wide Web Consortium</alias>", "", "line 13", "something to be said"),
        ("<grapheme>W3C</grapheme>", "", "line 13", "a grapheme"),
        ("W3C", "!!", "line 13, column 11", "no letter"),
        ("W3C", "W" * 201, "line 13, column 11", "200"),
        ("World", "W" * 2000, "line 13", "too long"),
        ("lexicon", "speak", "line 2, column 1", "speak"),
        ('alphabet="ipa"', 'alphabet="arpabet"', "line 2, column 1", "arpabet"),
        ('"UTF-8"', '"none-8"', "line 1", "encoding"),
        ("<lexicon", "<!DOCTYPE x><lexicon", "line 2", "document type"),
        (
            "<lexicon",
            '<!DOCTYPE l [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><lexicon',
            "line 2",
            "document type",
        ),
    ],
)
def test_pls_that_is_not_valid_is_refused_by_place(
    old: str, new: str, where: str, why: str
) -> None:
    assert old in PLS
    with pytest.raises(BadLexicon, match=why) as refused:
        read_pls(PLS.replace(old, new).encode())
    assert (refused.value.where or "").startswith(where)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (read_pls, read_json):
        with suppress(VoiceError):
            read(body)


def test_json_is_read_and_written() -> None:
    entries = read_json(
        b'{"entries": [{"grapheme": "A b", "ipa": "ab"}, {"grapheme": "c", "sounds_like": "see"}]}'
    )
    assert entries == (Entry(grapheme="A b", ipa="ab"), Entry(grapheme="c", sounds_like="see"))
    assert read_json(to_json(entries)) == entries


@pytest.mark.parametrize(
    ("body", "error", "where"),
    [
        ("{", MalformedBody, "body"),
        ("[]", BadLexicon, "body"),
        ('{"entries": 3}', BadLexicon, "entries"),
        ('{"entries": [{"grapheme": "a"}]}', BadLexicon, "entries.0"),
        ('{"entries": [{"grapheme": "a", "ipa": "a", "alias": "b"}]}', BadLexicon, "entries.0"),
        ('{"entries": [{"grapheme": "a", "arpabet": "a"}]}', BadLexicon, "entries.0.arpabet"),
        ('{"entries": [{"grapheme": "", "ipa": "a"}]}', BadLexicon, "entries.0.grapheme"),
        ('{"entries": [{"grapheme": "?", "ipa": "a"}]}', BadLexicon, "entries.0.grapheme"),
        ('{"entries": [{"grapheme": "a", "alias": "?"}]}', BadLexicon, "entries.0.alias"),
        (
            '{"entries": [{"grapheme": "b", "ipa": "a"}, {"grapheme": "a", "ipa": "ab5"}]}',
            BadLexicon,
            "entries.1.ipa, character 2",
        ),
    ],
)
def test_json_that_is_not_valid_is_refused(body: str, error: type[VoiceError], where: str) -> None:
    with pytest.raises(error) as refused:
        read_json(body.encode())
    assert refused.value.where == where


def test_the_longest_whole_words_are_found(espeak: Espeak) -> None:
    cast = lexicon(
        {"grapheme": "Ann", "ipa": "a"},
        {"grapheme": "Ann Lee", "ipa": "b"},
        {"grapheme": "ann", "ipa": "k"},
        {"grapheme": ".NET", "ipa": "d"},
    )
    text = "Ann, ANN Lee and ann\n Lee's Anna; .NET is ann."
    assert found(text, espeak, cast) == [
        ("Ann", "a"),
        ("ANN Lee", "b"),
        ("ann\n Lee's", "bz"),
        (".NET", "d"),
        ("ann", "k"),
    ]


def test_a_page_with_a_large_lexicon_is_read_in_time(espeak: Espeak) -> None:
    # Trying each of the 20,000 at each word would not end within the time that a test may take.
    large = lexicon(*({"grapheme": f"word {i}", "ipa": "a"} for i in range(20_000)))
    assert len(hits("word 7 " * 20_000, (large,), espeak, IPA)) == 20_000


def test_the_first_lexicon_wins_and_what_is_taken_is_left(espeak: Espeak) -> None:
    one = lexicon({"grapheme": "bow", "ipa": "a"})
    two = lexicon({"grapheme": "bow", "ipa": "b"}, {"grapheme": "tie", "ipa": "d"})
    assert found("bow tie", espeak, one, two) == [("bow", "a"), ("tie", "d")]
    taken = [Said(0, 3, text="x")]
    assert [s.start for s in hits("bow tie bow", (one,), espeak, IPA, taken)] == [8]


@pytest.mark.parametrize(
    ("ipa", "said"),
    [("kˈeɪt", "kˈeɪts"), ("mˈæks", "mˈæksᵻz"), ("ˈænə", "ˈænəz"), ("bˈɒb", "bˈɒbz")],
)
def test_possessives(ipa: str, said: str) -> None:
    assert "".join(possessive(tuple(ipa), IPA)) == said


@pytest.mark.parametrize(
    ("sounds_like", "said"),
    [
        ("eh-LAY-nuh", "ɛlˈeɪnə"),
        ("SHIV-awn", "ʃˈɪvɔːn"),
        ("kah-mih-lee", "kˈɑːmɪliː"),
        ("LEE", "lˈiː"),
        ("leena", "leena"),
        ("see ARE-uh", "sˈiː ˈɑːɹə"),
    ],
)
def test_sounds_like(espeak: Espeak, sounds_like: str, said: str) -> None:
    cast = lexicon({"grapheme": "X", "sounds_like": sounds_like})
    assert found("X", espeak, cast) == [("X", said)]


def test_letters_are_given_to_voices_that_learned_letters() -> None:
    cast = lexicon(
        {"grapheme": "Elena", "sounds_like": "eh-LAY-nuh"}, {"grapheme": "Ann", "ipa": "ʃ"}
    )
    reader = Graphemes("en")
    assert [s.text for s in hits("Elena's", (cast,), reader, "abc")] == ["ehlaynuh's"]
    with pytest.raises(BadLexicon, match="Ann") as refused:
        hits("Ann", (cast,), reader, "abc")
    assert refused.value.where == "lexicon cast, character 0 of 'ʃ'"


def test_a_lexicon_is_heard_in_its_sentence(espeak: Espeak) -> None:
    text = "I saw Dr. Who's Elena. Good."
    cast = lexicon(
        {"grapheme": "Dr. Who", "alias": "the doctor"},
        {"grapheme": "Elena", "sounds_like": "eh-LAY-nuh"},
    )
    said = hits(text, (cast,), espeak, IPA)
    first, _ = sentences(text, said)
    words = espeak.words(first.text, first.start, said)
    heard = "".join("".join(w.phones + w.after) for w in words)
    assert heard == "aɪ sˈɔː ðə dˈɑːktɚz ɛlˈeɪnə."


def test_kept_lexicons(tmp_path: Path) -> None:
    kept = Lexicons(tmp_path / "lexicons")
    entries = (Entry(grapheme="Elena", ipa="a"),)
    assert kept.names() == ()
    with pytest.raises(UnknownLexicon):
        kept.get("cast")
    first, new = kept.put("cast", entries)
    assert new
    assert not kept.put("cast", entries)[1]
    assert kept.names() == ("cast",)
    assert kept.get("cast").entries == entries
    assert kept.get("cast") is kept.get("cast")
    assert Lexicons(tmp_path / "lexicons").get("cast").sha256 == first.sha256
    kept.put("cast", (Entry(grapheme="Elena", ipa="o"),))
    assert kept.get("cast").entries[0].ipa == "o"
    assert [f.name for f in (tmp_path / "lexicons").iterdir()] == ["cast.json"]
    kept.delete("cast")
    with pytest.raises(UnknownLexicon):
        kept.delete("cast")


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "-a", "a" * 81, "a\n"])
def test_names_are_slugs(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        Lexicons(tmp_path).put(name, ())


def test_a_reader_never_sees_half_a_lexicon(tmp_path: Path) -> None:
    kept = Lexicons(tmp_path)
    sizes = (1, 400)
    entries = [tuple(Entry(grapheme=f"w{i}", ipa="a") for i in range(n)) for n in sizes]
    kept.put("cast", entries[0])

    def write() -> None:
        for i in range(30):
            kept.put("cast", entries[i % 2])

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert len(Lexicons(tmp_path).get("cast").entries) in sizes
        assert len(kept.get("cast").entries) in sizes
    writer.join()
    assert kept.get("cast").entries == entries[1]


def test_which_lexicons_a_line_uses(tmp_path: Path) -> None:
    kept = Lexicons(tmp_path / "lexicons")
    pack = tmp_path / "ann"
    pack.mkdir()
    assert kept.of((), pack) == ()
    for name in ("heist", "actor-ann", "actor-joe"):
        kept.put(name, (Entry(grapheme=name, ipa="a"),))
    (pack / "lexicon.pls").write_text(PLS, "utf-8")
    assert [x.name for x in kept.of(["heist"], pack)] == [
        "heist",
        "actor-ann",
        "lexicon.pls of ann",
    ]
    with pytest.raises(UnknownLexicon):
        kept.of(["none"], pack)
    (pack / "lexicon.pls").write_text("<lexicon>", "utf-8")
    with pytest.raises(PackRefused, match=r"lexicon\.pls"):
        kept.of((), pack)
