"""The program that listens, and the side that asks it; what is flagged."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import LINE, eventually
from scipy.signal import resample_poly

from voicesvc.audio import Pcm
from voicesvc.directions import Said
from voicesvc.errors import EngineFailed
from voicesvc.measure import measure
from voicesvc.qc import FLAGS, HeardWord, Inserted, Inspector, Limits, Verdict, available, flags
from voicesvc.qc.inspector import COMMAND, PACKAGES

JOE_HZ = 22050
SILENCE = np.zeros(JOE_HZ, np.float32)


@pytest.fixture(scope="module")
def asked_first() -> list[Verdict]:
    """What the program said of the line when it was first asked, by a thread that has ended."""
    return []


@pytest.fixture(scope="module")
def inspector(joe_pcm: Pcm, asked_first: list[Verdict]) -> Iterator[Inspector]:
    """The real one, which does not stand back for other tests."""
    with closing(Inspector(niceness=0)) as program:

        def ask() -> None:
            asked_first.append(program.inspect(joe_pcm, JOE_HZ, LINE, "en-us"))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        yield program


@pytest.fixture(scope="module")
def heard(inspector: Inspector, asked_first: list[Verdict]) -> Verdict:
    """Its verdict on the line as it should be."""
    return asked_first[0]


def pid_of(inspector: Inspector) -> int:
    program = inspector._program.process
    assert program
    return program.pid


def test_the_program_outlives_the_thread_that_asked_first(
    inspector: Inspector, heard: Verdict, joe_pcm: Pcm
) -> None:
    pid = pid_of(inspector)
    assert inspector.inspect(joe_pcm, JOE_HZ, LINE, "en-us") == heard
    assert pid_of(inspector) == pid


def test_the_right_words_in_a_good_voice(heard: Verdict, joe_pcm: Pcm) -> None:
    found = heard
    assert found.wer == 0.0
    assert found.transcript is not None
    assert "harbor" in found.transcript  # it writes American, which is no error
    assert [w.text for w in found.words] == LINE.removesuffix(".").split()
    assert {w.status for w in found.words} == {"ok"}
    assert found.inserted == ()
    assert found.distillmos is not None
    assert found.distillmos > 3.0
    assert found.not_measured == {}
    assert flags(measure(joe_pcm, JOE_HZ), found) == ()


def test_the_wrong_words_are_named(inspector: Inspector, joe_pcm: Pcm) -> None:
    other = LINE.replace("quiet", "very busy").replace("The ", "")
    found = inspector.inspect(joe_pcm, JOE_HZ, other, "en-us")
    wrong = [(w.text, w.status, w.heard) for w in found.words if w.status != "ok"]
    assert wrong == [("very", "substituted", "quiet"), ("busy", "missing", None)]
    assert found.inserted == (Inserted(0, "The"),)
    assert found.wer == pytest.approx(3 / 8)
    assert flags(measure(joe_pcm, JOE_HZ), found) == ("words",)


def test_a_line_that_is_cut_off_and_one_that_is_never_said(
    inspector: Inspector, joe_pcm: Pcm
) -> None:
    half = inspector.inspect(joe_pcm[: len(joe_pcm) // 2], JOE_HZ, LINE, "en-us")
    assert [w.status for w in half.words[-3:]] == ["missing"] * 3
    silent = inspector.inspect(SILENCE, JOE_HZ, LINE, "en-us")
    assert silent.wer == 1.0
    assert flags(measure(SILENCE, JOE_HZ), silent) == ("words", "quality", "silence")


def test_bad_sound_scores_low(inspector: Inspector, joe_pcm: Pcm) -> None:
    coarse = np.round(joe_pcm * 6) / 6  # 4 bits
    found = inspector.inspect(coarse.astype(np.float32), JOE_HZ, LINE, "en-us")
    assert found.distillmos is not None
    assert found.distillmos < 2.0
    assert "quality" in flags(measure(joe_pcm, JOE_HZ), found)


def test_a_take_at_another_rate_is_heard_the_same(
    inspector: Inspector, heard: Verdict, joe_pcm: Pcm
) -> None:
    high = resample_poly(joe_pcm, 320, 147).astype(np.float32)  # 48 kHz
    found = inspector.inspect(high, 48000, LINE, "en-us")
    assert (found.wer, found.transcript) == (0.0, heard.transcript)
    assert found.distillmos == pytest.approx(heard.distillmos, abs=0.1)


def test_stretches_that_are_read_otherwise(inspector: Inspector, joe_pcm: Pcm) -> None:
    text = LINE.replace("harbour", "HBR")
    said = (Said(4, 7, text="harbour"),)
    assert inspector.inspect(joe_pcm, JOE_HZ, text, "en-us", said).wer == 0.0
    assert inspector.inspect(joe_pcm, JOE_HZ, text, "en-us").wer == 0.125


def test_another_language_has_no_words_but_a_score(inspector: Inspector, joe_pcm: Pcm) -> None:
    found = inspector.inspect(joe_pcm, JOE_HZ, "Der Hafen war still.", "de")
    assert found.wer is None
    assert found.transcript is None
    assert found.words == ()
    assert found.not_measured == {"wer": "the recogniser knows en, not 'de'"}
    assert found.distillmos is not None


@pytest.mark.parametrize(
    ("pcm", "text", "why"), [(SILENCE[:0], LINE, "empty"), (SILENCE, "Hmm…", "no word")]
)
def test_what_cannot_be_judged_says_why(
    inspector: Inspector, pcm: Pcm, text: str, why: str
) -> None:
    found = inspector.inspect(pcm, JOE_HZ, text, "en-us")
    assert found.wer is None
    assert why in found.not_measured["wer"]


@pytest.mark.parametrize("pcm", [np.zeros((2, 5)), np.array([np.nan])])
def test_what_is_no_take_is_refused(inspector: Inspector, pcm: Pcm) -> None:
    with pytest.raises(ValueError, match="no take"):
        inspector.inspect(pcm.astype(np.float32), JOE_HZ, LINE, "en-us")


def test_it_has_the_lowest_priority() -> None:
    with subprocess.Popen((*COMMAND, "0", str(os.getpid())), stdin=subprocess.PIPE) as program:
        assert eventually(lambda: os.getpriority(os.PRIO_PROCESS, program.pid) == 19, 60)
        program.kill()
    answer = "{'verdict': {'wer': int(sys.argv[3]), 'words': [], 'inserted': []}}"
    with closing(stub(f"import json; print(json.dumps({answer}))")) as asked:
        assert asked.inspect(SILENCE, JOE_HZ, LINE, "en-us").wer == 19


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_computes_on_one_thread(inspector: Inspector, joe_pcm: Pcm) -> None:
    stat = Path(f"/proc/{pid_of(inspector)}/stat")

    def cpu_s() -> float:
        fields = stat.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before_s, begin_s = cpu_s(), time.monotonic()
    inspector.inspect(np.tile(joe_pcm, 2), JOE_HZ, LINE, "en-us")
    assert 0.1 < cpu_s() - before_s <= 1.1 * (time.monotonic() - begin_s) + 0.05


def test_half_a_take_is_not_taken_for_a_whole_and_the_program_is_started_again(
    inspector: Inspector, heard: Verdict, joe_pcm: Pcm
) -> None:
    asked = {"id": 1, "rate_hz": JOE_HZ, "text": LINE, "language": "en", "pcm_bytes": 4000}
    before = inspector._program.process
    assert before is not None
    assert before.stdin is not None
    before.stdin.write(json.dumps(asked).encode() + b"\n" + bytes(1000))
    before.stdin.close()
    assert before.wait(60) == 1
    assert inspector.inspect(joe_pcm, JOE_HZ, LINE, "en-us") == heard
    assert "1000 of 4000 bytes" in inspector._program.complaint
    assert pid_of(inspector) != before.pid


def test_a_program_killed_while_it_listens_is_asked_once_more(
    inspector: Inspector, heard: Verdict, joe_pcm: Pcm
) -> None:
    killed = pid_of(inspector)
    killer = threading.Timer(0.1, os.kill, (killed, signal.SIGKILL))
    killer.start()
    found = inspector.inspect(np.tile(joe_pcm, 4), JOE_HZ, LINE, "en-us")
    killer.join()
    assert pid_of(inspector) != killed
    assert found.wer == 1.0  # the line four times
    assert inspector.inspect(joe_pcm, JOE_HZ, LINE, "en-us") == heard


def test_a_program_with_nothing_to_do_ends() -> None:
    with closing(Inspector(idle_s=1, niceness=0)) as program:
        program.inspect(SILENCE[:0], JOE_HZ, LINE, "en-us")
        child = program._program.process
        assert child
        assert eventually(lambda: child.poll() == -signal.SIGALRM, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends when it reads again")
@pytest.mark.parametrize("listens", [False, True])
def test_the_program_ends_with_a_killed_parent(listens: bool) -> None:
    script = (
        "import sys, numpy, threading, time\n"
        "from voicesvc.qc import Inspector\n"
        "i = Inspector(niceness=0)\n"
        "if int(sys.argv[1]): i.inspect(numpy.zeros(0, 'float32'), 22050, 'Stop.', 'en')\n"
        "noise = numpy.random.default_rng(1).standard_normal(22050 * 900).astype('float32') / 9\n"
        "ask = threading.Thread(target=i.inspect, args=(noise, 22050, 'Stop.', 'en'))\n"
        "ask.start()\n"
        "while not i._program.process: time.sleep(0.01)\n"
        "models = {'av', 'torch', 'ctranslate2', 'jiwer', *sys.argv[2:]}\n"
        "here = models & {m.split('.')[0] for m in sys.modules}\n"
        "print(i._program.process.pid, *here, flush=True)\n"
    )
    command = (sys.executable, "-c", script, str(int(listens)), *PACKAGES)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid, *models_here = parent.stdout.readline().decode().split()
        child = Path(f"/proc/{pid}/stat")
        assert child.exists()
        # Before it has the lowest priority it may be on its way there; then it ends by itself.
        time.sleep(0.5)
        parent.kill()
    assert models_here == []  # they are the program's alone
    assert eventually(lambda: not child.exists() or " Z " in child.read_text(), 20)


def test_many_threads_share_one_program(inspector: Inspector, heard: Verdict, joe_pcm: Pcm) -> None:
    texts = [LINE, LINE.replace("harbour", "kitchen"), LINE.replace("storm", "rain")]
    found: dict[int, Verdict] = {}

    def work(i: int) -> None:
        found[i] = inspector.inspect(joe_pcm, JOE_HZ, texts[i], "en-us")

    pid = pid_of(inspector)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found[0] == heard
    wrong = [[w.text for w in found[i].words if w.status != "ok"] for i in (1, 2)]
    assert wrong == [["kitchen"], ["rain"]]
    assert pid_of(inspector) == pid


def stub(then: str, **options: float) -> Inspector:
    """An inspector whose program does `then` once it was asked."""
    script = f"import sys, time; sys.stdin.readline(); {then}"
    return Inspector(command=(sys.executable, "-c", script), **options)


def test_a_take_that_takes_too_long_has_no_verdict(joe_pcm: Pcm) -> None:
    with closing(stub("time.sleep(60)", limit_s=0.5)) as program:
        found = program.inspect(joe_pcm, JOE_HZ, LINE, "en-us")
        assert found == Verdict.none("no answer within 0.5 s")
        assert program._program.process is None  # it does not go on listening


def test_the_time_limit_holds_for_the_real_program(joe_pcm: Pcm) -> None:
    with closing(Inspector(limit_s=0.01)) as program:
        found = program.inspect(joe_pcm, JOE_HZ, LINE, "en-us")
    assert found.not_measured == dict.fromkeys(("wer", "distillmos"), "no answer within 0.01 s")


def test_a_program_that_dies_twice_has_no_verdict_and_its_last_words_are_told() -> None:
    with closing(stub("sys.exit('out of memory')")) as program:
        found = program.inspect(SILENCE, JOE_HZ, LINE, "en-us")
    assert found.wer is found.distillmos is None
    assert "failed twice" in found.not_measured["wer"]
    assert "out of memory" in found.not_measured["distillmos"]


def test_closing_ends_the_program_while_it_listens(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    program = stub(f"open({str(begun)!r}, 'w').close(); time.sleep(60)")
    raised: list[str] = []

    def work() -> None:
        try:
            program.inspect(SILENCE, JOE_HZ, LINE, "en-us")
        except EngineFailed as e:
            raised.append(e.detail)

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(begun.exists, 30)
    program.close()
    thread.join(30)
    assert raised == ["the inspector was closed"]
    program.close()
    with pytest.raises(EngineFailed, match="closed"):
        program.inspect(SILENCE, JOE_HZ, LINE, "en-us")


def test_the_program_starts_with_the_first_take_and_no_earlier() -> None:
    with closing(Inspector()) as program:
        assert program._program.process is None


def test_without_the_extra_there_is_a_reason_and_no_failure() -> None:
    check = (
        "import sys, numpy\n"
        "for name in sys.argv[1:]: sys.modules[name] = None  # as if it were not installed\n"
        "from voicesvc.measure import measure\n"
        "from voicesvc.qc import Inspector, available, flags\n"
        "pcm = numpy.zeros(22050, numpy.float32)\n"
        "found = Inspector().inspect(pcm, 22050, 'Stop.', 'en')\n"
        "print(available(), found.not_measured['wer'], flags(measure(pcm, 22050), found))"
    )
    done = subprocess.run(
        (sys.executable, "-c", check, *PACKAGES[:2]), capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "False not installed: distillmos, faster_whisper; uv sync --extra qc ('silence',)\n"
    )


def test_the_filter_answers_by_itself(joe_pcm: Pcm) -> None:
    pcm = joe_pcm.astype("<f4").tobytes()
    asked = {"rate_hz": JOE_HZ, "text": LINE, "language": "en-us", "pcm_bytes": len(pcm)}
    lines = [json.dumps({"id": i} | asked).encode() + b"\n" + pcm for i in ("a", 2)]
    command = (*COMMAND, "0", str(os.getpid()), "0")
    done = subprocess.run(command, input=b"".join(lines), capture_output=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["id"] for a in answers] == ["a", 2]
    assert answers[0]["verdict"] == answers[1]["verdict"]
    assert Verdict.of(answers[0]["verdict"]).wer == 0.0


def test_verdicts_go_through_json() -> None:
    found = Verdict(
        wer=0.5,
        words=(HeardWord("Stop", 0, 4, "ok"), HeardWord("it", 5, 7, "substituted", "that")),
        inserted=(Inserted(2, "please"),),
        transcript="Stop that please.",
        distillmos=4.1,
    )
    assert Verdict.of(json.loads(json.dumps(found.json()))) == found
    nothing = Verdict.none("why")
    assert Verdict.of(json.loads(json.dumps(nothing.json()))) == nothing
    assert available()


# -- flags ---------------------------------------------------------------------------------------


def hum(**figures: float | int | None) -> tuple[str, ...]:
    """Flags of a take that is in order but for these figures."""
    t = np.arange(48000) / 48000
    fine = measure((0.3 * np.sin(2 * np.pi * 120 * t)).astype(np.float32), 48000)
    assert flags(fine) == ()
    return flags(replace(fine, **figures))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figures", "raised"),
    [
        ({"clipped_longest": 1}, ()),
        ({"clipped_longest": 2}, ("clipping",)),
        ({"true_peak_dbtp": -0.01}, ()),
        ({"true_peak_dbtp": 0.01}, ("clipping",)),
        ({"head_ms": 500.0}, ()),
        ({"head_ms": 505.0}, ("silence",)),
        ({"tail_ms": 1000.0}, ()),
        ({"tail_ms": 1005.0}, ("silence",)),
        ({"head_ms": None}, ("silence",)),
        ({"clipped_longest": 9, "tail_ms": 2000.0}, ("clipping", "silence")),
    ],
)
def test_figures_raise_flags(figures: dict[str, float | None], raised: tuple[str, ...]) -> None:
    assert hum(**figures) == raised


@pytest.mark.parametrize(
    ("verdict", "raised"),
    [
        (None, ()),
        (Verdict.none("not installed"), ()),
        (Verdict(wer=0.1, distillmos=2.5), ()),
        (Verdict(wer=0.101), ("words",)),
        (Verdict(distillmos=2.499), ("quality",)),
        (Verdict(wer=1.0, distillmos=1.0), ("words", "quality")),
    ],
)
def test_verdicts_raise_flags(verdict: Verdict | None, raised: tuple[str, ...]) -> None:
    measured = measure(SILENCE + np.float32(0.1), JOE_HZ)
    assert flags(measured, verdict) == raised


def test_limits_are_given() -> None:
    measured = measure(SILENCE + np.float32(0.1), JOE_HZ)
    verdict = Verdict(wer=0.2, distillmos=3.0)
    assert flags(measured, verdict, Limits(max_wer=0.3)) == ()
    assert flags(measured, verdict, Limits(min_distillmos=3.5)) == ("words", "quality")
    assert set(FLAGS) == {"words", "quality", "clipping", "silence"}
