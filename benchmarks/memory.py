"""Does the service's memory stay flat over 2,000 lines?

What is measured: resident memory of the server and its children after every 20 of 2,000 short
lines, each different (lengths and words vary, because an allocator that keeps one block per shape
grows only with new shapes). The first quarter is left out as warm-up: caches fill, the kept takes'
list reaches its length. Then a straight line is fitted by least squares. Flat means: what that
slope would add over 2,000 lines is under 2 % of what the server holds.

Every 50th client leaves after its first audio, since a voice that leaks, leaks there.
Ends in one JSON line on stdout.
"""

import itertools
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import arguments, first_audible_s, report, say
from servers import Service

SAMPLE_EVERY = 20
LEAVE_EVERY = 50
FLAT_SHARE = 0.02
WHO = ("The captain", "My sister", "A stranger", "Doctor Reed", "Nobody", "The old man", "Elena")
DID = ("opened", "forgot", "painted", "followed", "sold", "counted", "buried", "heard about")
WHAT = ("the door", "three letters", "a blue horse", "her name", "the bridge", "every lamp")
WHEN = ("", " at night", " before the war", " in the rain", " on the ninth of May", " again")


def lines() -> Iterator[str]:
    """Short lines without end, 2,016 of them different, in a fixed shuffled order."""
    every = [" ".join(words) for words in itertools.product(WHO, DID, WHAT)]
    texts = [f"{text}{when}." for text in every for when in WHEN]
    random.Random(1).shuffle(texts)
    return itertools.cycle(texts)


def resident_by(pid: int) -> dict[str, float]:
    """Resident memory of a process and all its children by what each runs, in MiB."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,rss=,args="], check=True, capture_output=True, text=True
    )
    rows = [row.split(None, 3) for row in listed.stdout.splitlines()]
    family, held_mb = {pid}, dict[str, float]()
    for row in sorted(rows, key=lambda r: int(r[0])):  # a parent's id is below its child's
        child, parent, rss_kb = map(int, row[:3])
        if child in family or parent in family:
            family.add(child)
            name = "service" if child == pid else run_by(row[3] if len(row) > 3 else "")
            held_mb[name] = held_mb.get(name, 0.0) + rss_kb / 1024
    return held_mb


def run_by(command: str) -> str:
    """The module or file that a command line runs."""
    words = command.split()
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    files = [w for w in words if w.endswith(".py")] or words[:1]
    return Path(files[0]).name if files else "ended"


def resident_mb(pid: int) -> float:
    """Resident memory of a process and all its children, in MiB."""
    return sum(resident_by(pid).values())


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, lines=2000).parse_args()
    # Kept takes grow until there are `takes_kept` of them; that is a setting, not a leak.
    service = Service({"VOICESVC_TAKES_KEPT": "100"})
    held_mb: list[float] = []
    try:
        for n, text in enumerate(itertools.islice(lines(), options.lines)):
            if n % LEAVE_EVERY == LEAVE_EVERY - 1:
                first_audible_s(service.stream(text, n), 0.0)
            else:
                service.speak(text, n)
            if n % SAMPLE_EVERY == 0:
                held_mb.append(resident_mb(service.child.process.pid))
            if n % 200 == 0:
                say(f"{n:5} lines {held_mb[-1]:8.1f} MiB")
    finally:
        service.close()
    late = held_mb[len(held_mb) // 4 :]
    slope = float(np.polyfit(np.arange(len(late)) * SAMPLE_EVERY, late, 1)[0])
    growth_mb = slope * 2000
    figures = {
        "lines": options.lines,
        "start_mb": round(held_mb[0], 1),
        "end_mb": round(held_mb[-1], 1),
        "most_mb": round(max(held_mb), 1),
        "slope_mb_per_2000_lines": round(growth_mb, 2),
        "flat": growth_mb < FLAT_SHARE * late[0],
    }
    say(figures)
    report("memory", figures, {"voicesvc": service.version})


if __name__ == "__main__":
    main()
