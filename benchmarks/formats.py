"""What each format costs: first bytes, the whole line, and bytes per second of audio.

What is measured: the medium line over HTTP in every format, at the voice's own rate where a format
takes it, all formats in turns: ms until the first bytes of the body, ms until the last. Both as
ratios to raw 16-bit samples of the same round, which cost no encoding.

Ends in one JSON line on stdout.
"""

import time
from collections import defaultdict
from functools import partial

from common import LINES, arguments, interleaved, median, report, say
from servers import Service, post

FORMATS = ("pcm_s16le", "wav", "flac", "opus", "mp3")
PLAIN = "pcm_s16le"


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, rounds=9).parse_args()
    service = Service({"VOICESVC_CHECK_WORDS": "off"})
    first_s: dict[str, list[float]] = defaultdict(list)
    total_s: dict[str, list[float]] = defaultdict(list)
    size_bytes: dict[str, int] = {}

    def once(name: str, r: int) -> None:
        asked = {"actor": "joe", "text": LINES["medium"], "format": name, "seed": r + 1}
        begin_s, first, length = time.perf_counter(), None, 0
        for piece in post(service.port, "/v1/speech", asked):
            first = first or time.perf_counter() - begin_s
            length += len(piece)
        first_s[name].append(first or 0.0)
        total_s[name].append(time.perf_counter() - begin_s)
        size_bytes[name] = length

    try:
        for name in FORMATS:
            once(name, -1)
        first_s.clear()
        total_s.clear()
        interleaved({name: partial(once, name) for name in FORMATS}, options.rounds)
        audio_s = service.speak(LINES["medium"], options.rounds).audio_s
    finally:
        service.close()
    ratios = {
        f"{what} of {name}, over raw samples": [
            round(a / b, 4) for a, b in zip(of[name], of[PLAIN], strict=True)
        ]
        for what, of in (("first bytes", first_s), ("the whole", total_s))
        for name in FORMATS
        if name != PLAIN
    }
    figures = {
        "rounds": options.rounds,
        "first_ms": {name: median((1e3 * s for s in runs), 1) for name, runs in first_s.items()},
        "total_ms": {name: median((1e3 * s for s in runs), 1) for name, runs in total_s.items()},
        "kbit_s": {n: round(8 * size / audio_s / 1000, 1) for n, size in size_bytes.items()},
        "ratios": ratios,
        **service.computes,
    }
    say({key: figures[key] for key in ("first_ms", "total_ms", "kbit_s")})
    report("formats", figures, {"voicesvc": service.version})


if __name__ == "__main__":
    main()
