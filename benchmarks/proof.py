"""What rights, mark and ledger add: a line with all of them against the same line without any.

What is measured, in one process and in turns: a short, a medium and a long line by a studio that
asks a grant, enters the take into the ledger, marks it and keeps it, and by one that has no archive
and no mark. Seconds to the first chunk (the mark lets go of the first 0.07 s, the other studio's is
0.3 s, so this is the price of the whole order, not of the mark's arithmetic), and processor time of
the whole process per second of audio, threads that write included. One compute thread; what a
service does with a take afterwards (measuring, fingerprint, signature) is not in it.

Aims: 30 ms of first audio at most, and 0.05 seconds of processor time per second of audio.

Ends in one JSON line on stdout.
"""

import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import LINES, arguments, interleaved, median, report, say

from voicesvc import archive
from voicesvc.config import Settings
from voicesvc.line import Line
from voicesvc.studio import Studio

AIM_FIRST_MS, AIM_RTF = 30.0, 0.05


def studio(folder: Path, *, whole: bool) -> Studio:
    """One that has spoken; `whole` with rights, mark and ledger."""
    watermark = "on" if whole else "off"
    settings = Settings.read({}, data_dir=folder, actors=("joe",), watermark=watermark)
    kept = archive.open_in(settings, "in_benchmark") if whole else None
    made = Studio(settings, entropy=random.Random(1), archive=kept)
    made.warm()
    made.cast.lease(made.cast.pack("joe")).release()
    return made


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, rounds=15).parse_args()
    first_ms: dict[tuple[str, str], list[float]] = defaultdict(list)
    rtf: dict[tuple[str, str], list[float]] = defaultdict(list)

    def speak(name: str, of: Studio, line: str, n: int) -> None:
        asked = Line(actor="joe", text=LINES[line], format="pcm_s16le", seed=n + 1)
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        rendering = of.open(asked)
        first_ms[name, line].append(1e3 * (time.perf_counter() - begin_s))
        for _ in rendering.chunks():
            pass
        rtf[name, line].append((time.process_time() - cpu_s) / rendering.take.audio_s)

    with tempfile.TemporaryDirectory() as folder:
        studios = {
            "bare": studio(Path(folder) / "bare", whole=False),
            "whole": studio(Path(folder) / "whole", whole=True),
        }
        for line in LINES:
            jobs: dict[str, Callable[[int], None]] = {
                name: partial(speak, name, of, line) for name, of in studios.items()
            }
            interleaved(jobs, 2)
            for figures in (first_ms, rtf):
                for name in studios:
                    figures[name, line].clear()
            interleaved(jobs, options.rounds)
        for one in studios.values():
            one.close()
            if one.archive is not None:
                one.archive.close()
    added = {
        line: {
            "first_ms": median(
                a - b for a, b in zip(first_ms["whole", line], first_ms["bare", line], strict=True)
            ),
            "processor_rtf": median(
                a - b for a, b in zip(rtf["whole", line], rtf["bare", line], strict=True)
            ),
        }
        for line in LINES
    }
    medians = {
        f"{name}, {line}": {
            "first_ms": median(first_ms[name, line]),
            "rtf": median(rtf[name, line]),
        }
        for name, line in first_ms
    }
    for line, found in added.items():
        say(f"{line:8} first audio +{found['first_ms']:.1f} ms, +{found['processor_rtf']:.4f} RTF")
    reached = all(
        found["first_ms"] <= AIM_FIRST_MS and found["processor_rtf"] <= AIM_RTF
        for found in added.values()
    )
    facts = {"rounds": options.rounds, "added": added, "medians": medians, "reached": reached}
    report("proof", facts, {})


if __name__ == "__main__":
    main()
