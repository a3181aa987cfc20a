"""What HTTP adds: the whole line over HTTP against the same code in a process without a server.

What is measured: seconds from asking to the last sample of a short, a medium and a long sentence,
by the client's clock over HTTP and by the process's own clock without it, in turns, one compute
thread each. Over HTTP the take is kept, too (a row in SQLite and its audio), as it is for everyone;
without, it is not. The aim is 3 % at most on the long line; a short one has the same milliseconds
over less work. A turn begins when the service is idle: it measures a take once it has ended, and
that is no part of this. Only a quiet machine can say 3 %; `load_1min` tells.

Ends in one JSON line on stdout.
"""

import time
from collections import defaultdict
from functools import partial

import peers
from common import LINES, arguments, cpu_s, interleaved, median, report, say
from servers import Service

AIM = 1.03
SETTLE_S, SETTLE_LIMIT_S = 0.1, 3.0


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, rounds=15).parse_args()
    service, inside = Service({"VOICESVC_CHECK_WORDS": "off"}), peers.in_process()
    over_http: dict[str, list[float]] = defaultdict(list)
    without: dict[str, list[float]] = defaultdict(list)

    def settled() -> None:
        """A take is measured once it has ended: not in the next one's turn."""
        pid, deadline_s = service.child.process.pid, time.monotonic() + SETTLE_LIMIT_S
        used = -1.0
        while time.monotonic() < deadline_s and (now := cpu_s(pid)) > used:
            used = now
            time.sleep(SETTLE_S)

    def http(line: str, r: int) -> None:
        settled()
        over_http[line].append(service.speak(LINES[line], r + 1).total_s)

    def own(line: str, r: int) -> None:
        settled()
        inside.speak(LINES[line], r + 1)
        without[line].append(inside.inside["total_s"])

    try:
        for line, text in LINES.items():
            for speaker in (service, inside):
                speaker.speak(text, 0)
            interleaved({"http": partial(http, line), "own": partial(own, line)}, options.rounds)
    finally:
        inside.close()
        service.close()
    ratios = {
        f"HTTP over in-process, {line} line": [
            round(a / b, 4) for a, b in zip(over_http[line], without[line], strict=True)
        ]
        for line in LINES
    }
    figures = {
        "rounds": options.rounds,
        "total_ms": {
            line: {
                "http": median((1e3 * s for s in over_http[line]), 1),
                "in_process": median((1e3 * s for s in without[line]), 1),
            }
            for line in LINES
        },
        "ratios": ratios,
        "reached": median(ratios["HTTP over in-process, long line"]) <= AIM,
        **service.computes,
    }
    for name, values in ratios.items():
        say(f"{name:40} {median(values):8.4f}")
    report("overhead", figures, {"voicesvc": service.version})


if __name__ == "__main__":
    main()
