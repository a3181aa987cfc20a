"""Do the controls do what they say? Asked against achieved, measured by tools that are not ours.

What is measured, on 24 lines of dialogue (`lines/control.txt`) that the service's own code renders
in this process, every control at five settings:

- length (`fit`): samples, at 22.05, 44.1 and 48 kHz, asked for in seconds, samples and frames.
- pause: silence between two words by Praat's intensity, asked for in the text and in the plan.
- rate: seconds from the first sound to the last, and without the pauses, by Praat's intensity.
- pitch and contour: Praat's autocorrelation pitch, frame by frame against the neutral rendering's,
  which has the same durations; the median over the frames that are voiced in both.
- range: the 10th to 90th percentile of pitch. Energy: integrated loudness by pyloudnorm. Tilt and
  breathiness: Praat's spectrum and harmonics-to-noise ratio. Emphasis: length, pitch and level.
- emotions, at half and full intensity: whether pitch, range, articulation rate and loudness move
  to the side that the table in `voicesvc.delivery` says.
- what it costs: word errors by faster-whisper, in these lines and in `lines/heldout.txt` together,
  DistillMOS and DNSMOS, against the neutral lines.
- what it costs in time: first audible sample with everything on against nothing on, in turns.

Why so: a control that is measured by the code that made it always works. Praat is under the GPL,
so it is used here and in tests and nowhere in the service. A setting is reached when 95 % of the
lines are within reach; lines, seeds and settings are fixed, so a run can be repeated.

Ends in one JSON line on stdout; the tables go to stderr, and with `--write docs/control.md` into
that file between its marks.
"""

import argparse
import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from common import (
    LINES,
    LINES_DIR,
    ONE_THREAD,
    BenchmarkFailed,
    arguments,
    first_audible_s,
    interleaved,
    median,
    report,
    say,
)

os.environ.update(ONE_THREAD)  # before torch is imported

from control_checks import CHECKS, Found
from control_emotions import Cost, Judge, Moved, costs, emotions
from control_speech import Booth
from control_table import markdown, written

QUICK_LINES = 6
ALL = "1000"  # more than there are
MOST_LATER_MS = 60.0
EXTRA = ("emotions", "costs", "ttfa")  # what --only takes beside the checks
EVERYTHING: dict[str, Any] = {
    "emotion": {"name": "excited", "intensity": 0.7},
    "rate": 0.95,
    "pitch_st": [[0.0, 1.0], [0.5, -1.0], [1.0, 0.5]],
    "range": 1.2,
    "energy_db": -2.0,
    "tilt_db": 2.0,
    "breathiness": 0.2,
    "pause_scale": 1.2,
    "breaths": "auto",
    "room_tone": True,
}


def texts(asked: str) -> list[str]:
    """The first so many of the lines, or those of a file or of `lines/`, without empty ones.

    Raises:
        BenchmarkFailed: there is no such file.
    """
    if asked.isdecimal():
        return _read(LINES_DIR / "control.txt")[: int(asked)]
    for path in (Path(asked), LINES_DIR / f"{asked}.txt"):
        if path.is_file():
            return _read(path)
    raise BenchmarkFailed(f"no lines {asked!r}: a number, a file, or one of lines/")


def others(asked: str) -> list[str]:
    """What words are counted in beside those: the other lines, where all of one file are asked."""
    return {ALL: texts("heldout"), "heldout": texts(ALL)}.get(asked, [])


def _read(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()]


def checked(booth: Booth, names: Sequence[str]) -> Iterator[Found]:
    """Everything that is found, as it is found."""
    for name in names:
        begin_s = time.perf_counter()
        for found in CHECKS[name](booth):
            figures = found.json()
            mark = "reached" if found.reached else "MISSED "
            say(
                f"{mark} {found.control:12} {found.setting:>12}  within {found.within:4.0%}"
                f"  error {figures['error']['median']:g} (median),"
                f" {figures['error']['p95']:g} (95 %), {figures['error']['worst']:g} (worst)"
                f" {found.unit}  achieved {figures.get('achieved', '-')}  {found.notes or ''}"
            )
            yield found
        say(f"        {name} took {time.perf_counter() - begin_s:.0f} s")


def felt(booth: Booth, judge: Judge | None) -> tuple[list[Moved], list[Cost]]:
    """Emotions, and what they cost at full intensity where there is a judge."""
    moved: list[Moved] = []
    lost: list[Cost] = []
    for found, spoken in emotions(booth):
        moved.append(found)
        say(f"{'reached' if found.reached else 'MISSED '} {found.json()}")
        if judge is not None and found.intensity == 1.0:
            asked = {"emotion": {"name": found.name, "intensity": found.intensity}}
            lost.append(judge.cost(found.name, spoken, asked))
            say(f"        {lost[-1].json()}")
    return moved, lost


def first_audio(booth: Booth, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds to the first audible sample: plain, with everything on, and the difference."""
    taken_ms: dict[tuple[str, str], list[float]] = defaultdict(list)

    def once(line: str, kind: str, asked: dict[str, Any], number: int) -> None:
        request = {"text": LINES[line], "seed": number + 1, "format": "pcm_s16le", **asked}
        sent_s = time.perf_counter()
        with contextlib.closing(booth.open(request)) as pieces:
            taken_ms[line, kind].append(1000 * first_audible_s(pieces, sent_s))

    kinds = {"plain": {}, "everything": EVERYTHING}
    for line in LINES:
        jobs: dict[str, Callable[[int], None]] = {
            kind: partial(once, line, kind, asked) for kind, asked in kinds.items()
        }
        interleaved(jobs, rounds)
    found = {line: {k: median(taken_ms[line, k], 1) for k in kinds} for line in LINES}
    for line, ms in found.items():
        ms["later"] = round(ms["everything"] - ms["plain"], 1)
        say(f"{'reached' if ms['later'] <= MOST_LATER_MS else 'MISSED '} ttfa {line} {ms}")
    return found


def options() -> argparse.Namespace:
    """What was typed."""
    parser = arguments(__doc__, rounds=9)
    every = [*CHECKS, *EXTRA]
    parser.add_argument("--only", default="", help=f"some of {','.join(every)}")
    parser.add_argument("--lines", default="", help="how many, a file, or a name of lines/")
    parser.add_argument("--quick", action="store_true", help="few lines, no scores, no times")
    parser.add_argument("--write", type=Path, help="put the tables into this file")
    given = parser.parse_args()
    quick = [*CHECKS, "emotions"]
    given.only = given.only.split(",") if given.only else quick if given.quick else every
    unknown = sorted(set(given.only) - set(every))
    if unknown:
        parser.error(f"no control {unknown[0]!r}; valid: {', '.join(every)}")
    given.lines = given.lines or (str(QUICK_LINES) if given.quick else ALL)
    return given


def main() -> None:
    """Measure and print."""
    given = options()
    booth, judge = Booth(texts(given.lines)), None
    figures: dict[str, Any] = {"lines": len(booth.texts)}
    try:
        found = list(checked(booth, [name for name in CHECKS if name in given.only]))
        figures["controls"] = [f.json() for f in found]
        if "costs" in given.only:
            judge = Judge(booth, Booth(others(given.lines)))
        moved, lost = felt(booth, judge) if "emotions" in given.only else ([], [])
        if judge is not None:
            figures["neutral"] = {"wer": round(judge.neutral_wer, 4), **judge.neutral_mos}
            for cost in costs(booth, judge):
                say(f"        {cost.json()}")
                lost.append(cost)
        figures["emotions"] = [m.json() for m in moved]
        figures["costs"] = [c.json() for c in lost]
        if "ttfa" in given.only:
            figures["ttfa_ms"] = first_audio(booth, given.rounds)
    finally:
        booth.close()
        if judge is not None:
            judge.close()
    if given.write:
        given.write.write_text(written(given.write.read_text(), markdown(figures)))
    tools = ("praat-parselmouth", "pyloudnorm", "faster-whisper", "speechmos", "distillmos")
    report("control", figures, {name: metadata.version(name) for name in (*tools, "voicesvc")})


if __name__ == "__main__":
    main()
