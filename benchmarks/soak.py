"""Half an hour of listeners: does memory grow, does first audio get later?

What is measured: `--streams` clients ask for lines of mixed length, one after another, for
`--minutes`; every tenth leaves at its first sound. Every `--every-s` seconds the resident memory of
the server and its children, and the median first audio since the last time. After the first
quarter, in which caches fill, straight lines are laid through both, with the interval of a block
bootstrap (see `regress.slope`). Level means: the slope's interval has 0 in it, or what it adds in
an hour is under 2 % of what is held. The same for each process: the one that listens to words (see
`VOICESVC_CHECK_WORDS`) holds more or less from line to line, the service is not to.

Ends in one JSON line on stdout.
"""

import http.client
import itertools
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from common import LINES, BenchmarkFailed, arguments, first_audible_s, median, report, say
from memory import lines, resident_by
from regress import Interval, slope
from servers import Service

LEAVE_EVERY = 10
LEVEL_SHARE = 0.02
_LONGER = 4  # every fourth line is a long one


def level(found: Interval, held: float) -> bool:
    """Whether it adds nothing, or too little to matter; `found` is per hour."""
    return found.low <= 0 or found.high < LEVEL_SHARE * held


@dataclass
class Heard:
    """What the clients have heard; each adds to it from its own thread."""

    firsts_s: list[float] = field(default_factory=list)  # since somebody looked
    lines: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def since(self) -> list[float]:
        """Seconds to the first audio of each line since this was asked last."""
        since, self.firsts_s[:] = list(self.firsts_s), []
        return since


def listen(service: Service, seed: int, end_s: float, heard: Heard) -> None:
    """One client, until `end_s` by `time.monotonic`, or until the service fails one."""
    rng, texts = random.Random(seed), lines()
    for at in itertools.count():
        if time.monotonic() > end_s or heard.failed:
            return
        text = LINES["long"] if at % _LONGER == 0 else next(texts)
        line_seed, sent_s = rng.randrange(2**32), time.perf_counter()
        try:
            if at % LEAVE_EVERY == LEAVE_EVERY - 1:
                heard.firsts_s.append(first_audible_s(service.stream(text, line_seed), sent_s))
            else:
                heard.firsts_s.append(service.speak(text, line_seed).first_audible_s)
        except (OSError, http.client.HTTPException, BenchmarkFailed) as e:
            heard.failed.append(str(e))
            return
        heard.lines.append(text)


def by_process(held_mb: Sequence[Mapping[str, float]], every_s: float) -> dict[str, Any]:
    """A straight line through each process's memory, after warming; 0 where it was not running."""
    late, rng = held_mb[len(held_mb) // 4 :], np.random.default_rng(1)
    found: dict[str, Any] = {}
    for name in sorted({name for held in late for name in held}):
        one = [held.get(name, 0.0) for held in late]
        line = slope(one, every_s / 3600, rng)
        found[name] = {
            "after_warming_mb": round(one[0], 1),
            "end_mb": round(one[-1], 1),
            "mb_per_hour": [round(x, 2) for x in (line.low, line.middle, line.high)],
            "level": level(line, one[0]),
        }
    return found


def laid(held_mb: Sequence[float], first_ms: Sequence[float], every_s: float) -> dict[str, Any]:
    """Straight lines through memory and first audio, one value each `every_s`, after warming."""
    late = len(held_mb) // 4
    rng, step_h = np.random.default_rng(1), every_s / 3600
    memory = slope(held_mb[late:], step_h, rng)
    first = slope(first_ms[late:], step_h, rng)
    return {
        "held_mb": {"after_warming": round(held_mb[late], 1), "end": round(held_mb[-1], 1)},
        "memory_mb_per_hour": [round(x, 2) for x in (memory.low, memory.middle, memory.high)],
        "first_ms_per_hour": [round(x, 2) for x in (first.low, first.middle, first.high)],
        "first_ms": median(first_ms[late:], 1),
        "level": level(memory, held_mb[late]),
    }


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--every-s", type=float, default=10.0)
    options = parser.parse_args()
    service = Service({"VOICESVC_TAKES_KEPT": "100", "VOICESVC_WORKERS": str(options.streams)})
    end_s, heard = time.monotonic() + 60 * options.minutes, Heard()
    held: list[dict[str, float]] = []
    first_ms: list[float] = []
    clients = [
        threading.Thread(target=listen, args=(service, n, end_s, heard))
        for n in range(options.streams)
    ]
    try:
        for one in clients:
            one.start()
        while time.monotonic() < end_s and not heard.failed:
            time.sleep(options.every_s)
            since = heard.since()
            if since:
                held.append(resident_by(service.child.process.pid))
                first_ms.append(1e3 * median(since))
            if len(held) % 6 == 0:
                now_mb = {name: round(mb, 1) for name, mb in held[-1].items()}
                say(f"{len(heard.lines):5} lines, first audio {first_ms[-1]:.0f} ms, MiB: {now_mb}")
        for one in clients:
            one.join()
    finally:
        service.close()
    figures = {
        "minutes": options.minutes,
        "streams": options.streams,
        "lines": len(heard.lines),
        "failed": heard.failed,
        **laid([sum(one.values()) for one in held], first_ms, options.every_s),
        "processes": by_process(held, options.every_s),
        **service.computes,
    }
    say(figures)
    report("soak", figures, {"voicesvc": service.version})


if __name__ == "__main__":
    main()
