"""Time to first audio (TTFA): from sending the text to holding the first sample one can hear.

What is measured: a sample counts when its magnitude is above 1e-3; headers and leading silence do
not. Cases: a short, a medium and a long sentence; one sentence of 15 s; three such sentences sent
together, where only the first is needed; and, for voicesvc alone, a scene of twenty pages, read up
to its first sound, after which the client leaves. onnxruntime, coqui and piper-tts speak when all
is done: that is how each one's front end works. (A server that sent each sentence as it is done
would give them their 15 s figure on the three sentences.)

In-process against HTTP: the same service code in a process of its own, asked over a pipe, and timed
by its own clock, once with the take kept as the service keeps it (its permit, its row in SQLite,
its samples) and once without; the difference between what the HTTP client sees and the former is
what HTTP adds, that between the two is what keeping adds.

One compute thread each, in turns within one run, medians. Peers: see `peers.py`.
Ends in one JSON line on stdout; the table goes to stderr.
"""

import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any

import peers
from common import (
    LINES,
    LINES_DIR,
    Speaker,
    first_audible_s,
    interleaved,
    median,
    report,
    say,
)
from servers import Service

PAGE_CHARS = 1800  # a typed page
Times = dict[str, dict[str, list[float]]]  # speaker -> case -> seconds


def cases() -> dict[str, str]:
    """The texts that every speaker says."""
    sentences = (LINES_DIR / "sentences15.txt").read_text().split("\n")[:3]
    return {**LINES, "15 s": sentences[0], "3 x 15 s": " ".join(sentences)}


def scene(pages: int = 20) -> str:
    """Pages of dialogue, four lines a paragraph, from the held-out lines over and over."""
    lines = cycle((LINES_DIR / "heldout.txt").read_text().splitlines())
    text = ""
    while len(text) < pages * PAGE_CHARS:
        text += " ".join(islice(lines, 4)) + "\n\n"
    return text


def measure(speakers: dict[str, Speaker], rounds: int) -> tuple[Times, dict[str, list[float]]]:
    """TTFA by speaker and case, in s; and each case's lengths of audio, in s."""
    times: Times = defaultdict(lambda: defaultdict(list))
    audio_s: dict[str, list[float]] = defaultdict(list)

    def once(name: str, case: str, text: str, r: int) -> None:
        heard = speakers[name].speak(text, r + 1)
        times[name][case].append(heard.first_audible_s)
        if name == "voicesvc":
            audio_s[case].append(heard.audio_s)

    for case, text in cases().items():
        jobs: dict[str, Callable[[int], None]] = {n: partial(once, n, case, text) for n in speakers}
        interleaved(jobs, rounds)
    return times, audio_s


def measure_scene(service: Service, rounds: int) -> dict[str, float]:
    """Median TTFA of the scene and of its first sentence alone, in ms, in turns."""
    text = scene()
    texts = {"scene": text, "its first sentence alone": text[: text.index(".") + 1]}
    times: dict[str, list[float]] = defaultdict(list)

    def once(name: str, r: int) -> None:
        sent_s = time.perf_counter()
        times[name].append(first_audible_s(service.stream(texts[name], r + 1), sent_s))
        time.sleep(0.5)  # the service notices that the client left

    interleaved({n: partial(once, n) for n in texts}, rounds)
    return {name: median((s * 1e3 for s in runs), 1) for name, runs in times.items()}


def measure_http(service: Service, rounds: int) -> dict[str, Any]:
    """What HTTP and what keeping a take adds, by line: medians in ms of first audio and of all."""
    times: dict[str, Times] = {"first": defaultdict(lambda: defaultdict(list))}
    times["total"] = defaultdict(lambda: defaultdict(list))

    def noted(way: str, line: str, first_s: float | None, total_s: float) -> None:
        times["first"][way][line].append(first_s or total_s)
        times["total"][way][line].append(total_s)

    def over_http(line: str, r: int) -> None:
        heard = service.speak(LINES[line], r + 1)
        noted("http", line, heard.first_audible_s, heard.total_s)

    def inside(piped: peers.Piped, way: str, line: str, r: int) -> None:
        piped.speak(LINES[line], r + 1)
        noted(way, line, piped.inside["first_audible_s"], piped.inside["total_s"])

    with contextlib.ExitStack() as running:
        data = running.enter_context(tempfile.TemporaryDirectory())
        own = running.enter_context(contextlib.closing(peers.in_process()))
        kept = running.enter_context(contextlib.closing(peers.in_process(data)))
        for line in LINES:
            jobs: dict[str, Callable[[int], None]] = {
                "http": partial(over_http, line),
                "kept": partial(inside, kept, "kept", line),
                "own": partial(inside, own, "own", line),
            }
            for piped in (own, kept):
                piped.speak(LINES[line], 0)
            interleaved(jobs, rounds)
    return {
        what: {
            line: {
                "http": median((s * 1e3 for s in taken["http"][line]), 1),
                "kept": median((s * 1e3 for s in taken["kept"][line]), 1),
                "in_process": median((s * 1e3 for s in taken["own"][line]), 1),
                "added": _added(taken["http"][line], taken["kept"][line]),
                "keeping_adds": _added(taken["kept"][line], taken["own"][line]),
            }
            for line in LINES
        }
        for what, taken in times.items()
    }


def _added(longer_s: Sequence[float], shorter_s: Sequence[float]) -> float:
    """Median difference by round, in ms."""
    return median((1e3 * (a - b) for a, b in zip(longer_s, shorter_s, strict=True)), 1)


def main() -> None:
    """Measure and print."""
    options = peers.arguments(__doc__).parse_args()
    with peers.started(options) as (speakers, missing):
        service = speakers["voicesvc"]
        assert isinstance(service, Service)
        times, audio_s = measure(speakers, options.rounds)
        scene_ms = measure_scene(service, options.rounds)
        http_ms = measure_http(service, options.rounds)
    ttfa_ms = {
        name: {case: median((s * 1e3 for s in runs), 1) for case, runs in by_case.items()}
        for name, by_case in times.items()
    }
    lengths_s = {case: median(runs, 2) for case, runs in audio_s.items()}
    say(f"{'TTFA, ms':28}" + "".join(f"{f'{c} ({s:.1f} s)':>18}" for c, s in lengths_s.items()))
    for name, by_case in ttfa_ms.items():
        say(f"{name:28}" + "".join(f"{ms:>18.1f}" for ms in by_case.values()))
    say(f"scene of 20 pages: {scene_ms}")
    say(f"HTTP adds: {http_ms}")
    figures = {
        "rounds": options.rounds,
        "threads": 1,
        "audio_s": lengths_s,
        "ttfa_ms": ttfa_ms,
        "ratios": {
            f"first audio of {case}, over {name}": [
                round(a / b, 4) for a, b in zip(times["voicesvc"][case], runs, strict=True)
            ]
            for name, by_case in times.items()
            if name != "voicesvc"
            for case, runs in by_case.items()
        },
        **service.computes,
        "voicesvc_over_peer": {
            name: {c: round(ttfa_ms["voicesvc"][c] / ms, 4) for c, ms in by_case.items()}
            for name, by_case in ttfa_ms.items()
            if name != "voicesvc"
        },
        "scene_ms": scene_ms,
        "http_ms": http_ms,
        "not_measured": missing,
    }
    report("first_byte", figures, {name: s.version for name, s in speakers.items()})


if __name__ == "__main__":
    main()
