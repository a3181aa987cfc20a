"""Listeners who come and go: what those who stay notice, and what is left behind.

What is measured: one listener hears the medium line out, quietly and beside `--leavers` others who
ask for the long line, each on a connection of its own, and hang up at their first sound; in turns.
First audio and the whole as ratios to the quiet round. Beside it: whether every take that was left
ended (`voicesvc_active_streams` back at 0), and how much audio was made for nobody, per leaver.

Ends in one JSON line on stdout.
"""

import http.client
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from common import LINES, arguments, first_audible_s, interleaved, median, report, say
from servers import Service

GONE_LIMIT_S = 10.0


def sample(service: Service, name: str) -> float:
    """The sum of a metric's samples."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(x.split()[-1]) for x in lines if x.startswith((f"{name}{{", f"{name} ")))


def gone(service: Service) -> bool:
    """Whether no take is being made any more; waits for a while."""
    deadline_s = time.monotonic() + GONE_LIMIT_S
    while sample(service, "voicesvc_active_streams"):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--leavers", type=int, default=8, help="beside the one who stays")
    options = parser.parse_args()
    service = Service({"VOICESVC_CHECK_WORDS": "off", "VOICESVC_WORKERS": "2"})
    first_s: dict[str, list[float]] = defaultdict(list)
    total_s: dict[str, list[float]] = defaultdict(list)
    wasted_s: list[float] = []
    ended = True

    def stay(name: str, r: int) -> float:
        heard = service.speak(LINES["medium"], r + 1)
        first_s[name].append(heard.first_audible_s)
        total_s[name].append(heard.total_s)
        return heard.audio_s

    def leave(seed: int) -> None:
        first_audible_s(service.stream(LINES["long"], seed), time.perf_counter())

    def churn(r: int) -> None:
        nonlocal ended
        before_s = sample(service, "voicesvc_audio_seconds_total")
        with ThreadPoolExecutor(options.leavers) as pool:
            leaving = [pool.submit(leave, 100 * r + n) for n in range(options.leavers)]
            heard_s = stay("churn", r)
            for one in leaving:
                one.result()
        ended = gone(service) and ended
        made_s = sample(service, "voicesvc_audio_seconds_total") - before_s
        wasted_s.append((made_s - heard_s) / options.leavers)

    def quiet(r: int) -> None:
        stay("quiet", r)

    try:
        stay("warm", 0)
        interleaved({"quiet": quiet, "churn": churn}, options.rounds)
    finally:
        service.close()
    ratios = {
        f"{what} beside {options.leavers} leavers, over quiet": [
            round(a / b, 4) for a, b in zip(of["churn"], of["quiet"], strict=True)
        ]
        for what, of in (("first audio", first_s), ("the whole", total_s))
    }
    figures = {
        "rounds": options.rounds,
        "leavers": options.leavers,
        "first_ms": {n: median((1e3 * s for s in first_s[n]), 1) for n in ("quiet", "churn")},
        "total_ms": {n: median((1e3 * s for s in total_s[n]), 1) for n in ("quiet", "churn")},
        "made_for_nobody_s": median(wasted_s, 2),
        "every_take_ended": ended,
        "ratios": ratios,
        **service.computes,
    }
    say({key: figures[key] for key in ("first_ms", "total_ms", "made_for_nobody_s")})
    report("churn", figures, {"voicesvc": service.version})


if __name__ == "__main__":
    main()
