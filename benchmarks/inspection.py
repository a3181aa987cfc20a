"""What does it cost to measure a take and to listen to it, and whom do the flags catch?

What is measured, on takes of the demonstration voice (`lines/control.txt`, `lines/heldout.txt`):

- cost: seconds of one thread for each second of audio, of `measure` and of an inspection (by the
  inspecting program's own processor time, so that a busy machine does not count), and its memory;
- company: how long a line takes to render alone, and while another take is inspected on the same
  core. The program has the lowest priority, so it should be next to nothing;
- flags: the share of takes that are flagged though they were asked for what they say (the voice's
  own slips and the recogniser's are one: who reads this has to listen), and the share that are
  flagged where a word was added to the line or another said, by what was asked of the judge.

Ends in one JSON line on stdout; the table goes to stderr.
"""

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from common import LINES_DIR, arguments, cpu_s, median, report, say
from control_speech import Booth, Spoken

from voicesvc import qc
from voicesvc.measure import measure

OTHER_WORDS = ("lantern", "Thursday", "seven", "slowly", "garden")
SETTINGS: dict[str, dict[str, Any]] = {
    "neutral": {},
    "angry": {"emotion": {"name": "angry"}},
    "shouted": {"emotion": {"name": "shouted"}},
    "whispered": {"emotion": {"name": "whispered"}},
}


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process, and what of it is its own, in MiB; Linux."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, kb, *_ = line.split()
        fields[name.rstrip(":")] = int(kb) / 1024
    own = fields["Private_Dirty"] + fields["Private_Clean"]
    return {"resident": round(fields["Rss"]), "own": round(own)}


def pid_of(inspector: qc.Inspector) -> int:
    """Of the program that listens."""
    process = inspector._program.process
    assert process is not None
    return process.pid


def cost(inspector: qc.Inspector, takes: Sequence[Spoken], texts: Sequence[str]) -> dict[str, Any]:
    """Seconds of one thread, and memory."""
    begin_s = time.perf_counter()
    inspector.inspect(takes[0].pcm, takes[0].rate_hz, texts[0], "en-us")
    first_s = time.perf_counter() - begin_s
    audio_s = sum(len(t.pcm) / t.rate_hz for t in takes)
    begin_s = time.thread_time()
    for take in takes:
        measure(take.pcm, take.rate_hz)
    measured_s = time.thread_time() - begin_s
    pid = pid_of(inspector)
    begin_s = cpu_s(pid)
    for take, text in zip(takes, texts, strict=True):
        inspector.inspect(take.pcm, take.rate_hz, text, "en-us")
    inspected_s = cpu_s(pid) - begin_s
    long = np.concatenate([t.pcm for t in takes])[: 60 * takes[0].rate_hz]
    begin_s = cpu_s(pid)
    inspector.inspect(long, takes[0].rate_hz, " ".join(texts), "en-us")
    minute_s = cpu_s(pid) - begin_s
    return {
        "takes": len(takes),
        "audio_s": round(audio_s, 1),
        "measure_per_audio_s": round(measured_s / audio_s, 4),
        "first_inspection_s": round(first_s, 2),
        "inspection_per_take_s": round(inspected_s / len(takes), 3),
        "inspection_per_audio_s": round(inspected_s / audio_s, 3),
        "inspection_of_a_minute_s": round(minute_s, 2),
        "memory_mb": memory_mb(pid),
    }


@contextmanager
def busy(inspector: qc.Inspector, take: Spoken, text: str) -> Iterator[None]:
    """Inspections one after another until the block ends."""
    on = threading.Event()
    on.set()

    def work() -> None:
        while on.is_set():
            inspector.inspect(take.pcm, take.rate_hz, text, "en-us")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        on.clear()
        thread.join()


def company(inspector: qc.Inspector, booth: Booth, rounds: int) -> dict[str, Any]:
    """Milliseconds that a line takes alone and beside an inspection, on one core."""
    core = {min(os.sched_getaffinity(0))}
    for pid in (0, pid_of(inspector)):
        os.sched_setaffinity(pid, core)
    for task in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(task.name), core)
    for task in Path(f"/proc/{pid_of(inspector)}/task").iterdir():
        os.sched_setaffinity(int(task.name), core)
    take = booth.neutral(0)
    took_ms: dict[str, list[float]] = {"alone": [], "beside": []}

    def spoken_ms() -> float:
        begin_s = time.perf_counter()
        booth.say(1)
        return 1000 * (time.perf_counter() - begin_s)

    for _ in range(rounds):
        took_ms["alone"].append(spoken_ms())
        with busy(inspector, take, booth.texts[0]):
            time.sleep(0.1)
            took_ms["beside"].append(spoken_ms())
    return {f"{name}_ms": median(values, 1) for name, values in took_ms.items()}


def altered(text: str, draw: random.Random) -> dict[str, str]:
    """A line to ask the judge for instead, in which one word is another, or one more."""
    words = text.split()
    at = draw.randrange(len(words))
    other = draw.choice(OTHER_WORDS)
    return {
        "another word": " ".join([*words[:at], other, *words[at + 1 :]]),
        "a word added": " ".join([*words[:at], other, *words[at:]]),
    }


def flagged(inspector: qc.Inspector, booth: Booth) -> dict[str, Any]:
    """Shares of takes with each flag, by setting; and by what the judge was asked for instead."""
    found: dict[str, Any] = {}
    for name, asked in SETTINGS.items():
        rows, wer, mos = [], [], []
        for i, text in enumerate(booth.texts):
            take = booth.say(i, **asked)
            verdict = inspector.inspect(take.pcm, take.rate_hz, text, "en-us")
            rows.append(qc.flags(measure(take.pcm, take.rate_hz), verdict))
            wer.append(verdict.wer or 0.0)
            mos.append(verdict.distillmos or 0.0)
        found[name] = {
            "wer": round(float(np.mean(wer)), 4),
            "distillmos_p5_p50": [round(float(p), 2) for p in np.percentile(mos, [5, 50])],
            **{flag: round(float(np.mean([flag in r for r in rows])), 3) for flag in qc.FLAGS},
        }
    draw = random.Random(1)
    caught: dict[str, list[bool]] = {}
    shown: dict[str, list[bool]] = {}
    for i, text in enumerate(booth.texts):
        take = booth.neutral(i)
        measured = measure(take.pcm, take.rate_hz)
        for name, other in altered(text, draw).items():
            verdict = inspector.inspect(take.pcm, take.rate_hz, other, "en-us")
            caught.setdefault(name, []).append("words" in qc.flags(measured, verdict))
            shown.setdefault(name, []).append(any(w.status != "ok" for w in verdict.words))
    for name in caught:
        found[name] = {
            "words": round(float(np.mean(caught[name])), 3),
            "shown": round(float(np.mean(shown[name])), 3),
        }
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=9, lines=74)
    options = parser.parse_args()
    files = [LINES_DIR / name for name in ("control.txt", "heldout.txt")]
    texts = [line for path in files for line in path.read_text().splitlines()][: options.lines]
    booth = Booth(texts)
    with closing(booth), closing(qc.Inspector()) as inspector:
        takes = [booth.neutral(i) for i in range(len(texts))]
        figures: dict[str, Any] = {"cost": cost(inspector, takes, texts)}
        figures["flags"] = flagged(inspector, booth)
        figures["company"] = company(inspector, booth, options.rounds)
    for name, value in figures.items():
        say(f"{name:10} {value}")
    tools = ("faster-whisper", "distillmos", "pyebur128", "voicesvc")
    report("inspection", figures, {name: metadata.version(name) for name in tools})


if __name__ == "__main__":
    main()
