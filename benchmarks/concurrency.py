"""Many at once: first audio, gaps and throughput with 1 to 16 streams; then three times too many.

Bursts: n streams of mixed length (single sentences of about 2 to 17 s) are asked for at the same
moment, each on a connection of its own, and read as fast as they come. For each n and speaker: time
to the first audible sample (p50, p95, p99 over all streams of all rounds), underruns (how many
listeners who play what they get from its first sample on would have run dry, for how long at
worst), and seconds of audio per second from the first request to the last byte.

Against: the service of another commit (`--against REV`, in a git worktree of its own, with as many
workers), and with `--servers` those of others (`peer_servers.py`), which answer with whole files.
All take turns within one run; a ratio is the median over rounds of what two had in the same round,
since on a machine that others use too the minutes differ more than the servers.

With `--line-s` all lines are about as long as that. `--everybody` sets `VOICESVC_LOAD` so that this
service refuses nobody in the bursts, as the others do not.

Overload: requests come at random (Poisson) at three times the audio per second that this service
made with 16 streams, for `--overload-s`. What counts: audio per second of takes that were let in,
against that capacity; how fast the others are told; and whether who was let in ran dry.

Ends in one JSON line on stdout; the table goes to stderr.
"""

import argparse
import contextlib
import http.client
import json
import random
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import common
import numpy as np
from common import (
    AUDIBLE,
    LINES,
    LINES_DIR,
    ROOT,
    BenchmarkFailed,
    interleaved,
    median,
    report,
    say,
)
from peer_servers import SERVERS
from servers import Service

NUMBERS = (1, 2, 4, 8, 16)
QUIET = {"VOICESVC_CHECK_WORDS": "off"}  # or each would listen to its takes in the other's turn
_GAP_S = 0.005  # shorter is the clock's and the socket's noise
_RATE_HZ = 22050
WORDS_PER_S = 2.6  # read aloud


@dataclass
class Stream:
    """One answer as its listener got it; times in seconds from when it was asked for."""

    status: int = 0
    told_s: float = 0.0  # until the status
    first_s: float | None = None
    audio_s: float = 0.0
    total_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)
    retry_after_s: int = 0


def texts(line_s: float | None = None) -> list[str]:
    """Lines of mixed length, in the order in which they are asked for, or all of about `line_s`."""
    sentences = (LINES_DIR / "sentences15.txt").read_text().splitlines()
    heldout = (LINES_DIR / "heldout.txt").read_text().splitlines()
    if line_s is not None:
        words = " ".join(heldout).split()
        size = round(line_s * WORDS_PER_S)
        return [" ".join(words[i : i + size]) for i in range(0, len(words) - size, size)]
    mixed = [LINES["long"], LINES["medium"], LINES["short"], sentences[0]]
    return [text for n, text in enumerate(heldout) for text in (mixed[n % 4], text)]


Body = Callable[[str, int], tuple[str, dict[str, Any], int]]  # path, JSON, header bytes


def listen(port: int, path: str, body: dict[str, Any], header_bytes: int) -> Stream:
    """Ask, and read as fast as it comes."""
    heard, begin_s = Stream(), time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        heard.status, heard.told_s = answer.status, time.perf_counter() - begin_s
        heard.retry_after_s = int(answer.headers.get("Retry-After", 0))
        if answer.status != 200:
            answer.read()
            return heard
        skip_bytes, n_bytes, rest = header_bytes, 0, b""
        while piece := answer.read1(65536):
            now_s = time.perf_counter() - begin_s
            skipped = min(skip_bytes, len(piece))
            skip_bytes, piece = skip_bytes - skipped, rest + piece[skipped:]
            rest = piece[len(piece) - len(piece) % 2 :]
            samples = np.frombuffer(piece[: len(piece) - len(rest)], "<i2") / 32768.0
            if n_bytes == 0:
                plays_s = now_s  # from when on it is played
            elif (gap_s := now_s - plays_s - heard.audio_s) > _GAP_S:
                heard.gaps_s.append(gap_s)
                plays_s += gap_s  # it goes on later by as much
            if heard.first_s is None and np.abs(samples).max(initial=0.0) > AUDIBLE:
                heard.first_s = now_s
            n_bytes += 2 * len(samples)
            heard.audio_s = n_bytes / 2 / _RATE_HZ
        heard.total_s = time.perf_counter() - begin_s
    return heard


def ours(text: str, seed: int) -> tuple[str, dict[str, Any], int]:
    """A request of this service."""
    fields = {"actor": "joe", "text": text, "format": "pcm_s16le", "seed": seed}
    return "/v1/speech", fields, 0


@dataclass(frozen=True, slots=True)
class Speaker:
    """A server and how it is asked."""

    port: int
    body: Body

    def hear(self, text: str, seed: int) -> Stream:
        """One stream."""
        return listen(self.port, *self.body(text, seed))


@dataclass
class Burst:
    """All streams of one number and speaker; by round the means of first audio and of rates."""

    streams: list[Stream] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # seconds of audio per second
    means_ms: list[float] = field(default_factory=list)

    def over(self, other: "Burst") -> dict[str, float]:
        """First audio and rate over another's, in the median round."""
        return {
            "ttfa": median(a / b for a, b in zip(self.means_ms, other.means_ms, strict=True)),
            "audio_s_per_s": median(a / b for a, b in zip(self.rates, other.rates, strict=True)),
        }

    def figures(self) -> dict[str, Any]:
        """Percentiles in ms, underruns, audio seconds per second."""
        whole = [s for s in self.streams if s.first_s is not None]
        first_ms = [1e3 * (s.first_s or 0.0) for s in whole]
        gaps_s = [sum(s.gaps_s) for s in whole]
        return {
            **{f"ttfa_p{p}_ms": round(float(np.percentile(first_ms, p)), 1) for p in (50, 95, 99)},
            "underrun_streams": sum(g > 0 for g in gaps_s),
            "underrun_worst_s": round(max(gaps_s), 3),
            "streams": len(self.streams),
            "refused": sum(s.status == 503 for s in self.streams),
            "audio_s_per_s": round(float(np.median(self.rates)), 2),
        }


def burst(speaker: Speaker, into: Burst, lines: list[str], n: int, round_: int) -> None:
    """n streams at the same moment."""
    together = threading.Barrier(n)

    def one(i: int) -> Stream:
        together.wait()
        return speaker.hear(lines[(i + 3 * round_) % len(lines)], 1 + i + 100 * round_)

    begin_s = time.perf_counter()
    with ThreadPoolExecutor(n) as crowd:
        heard = list(crowd.map(one, range(n)))
    took_s = time.perf_counter() - begin_s
    failed = [s.status for s in heard if s.status not in (200, 503)]
    if failed:
        raise BenchmarkFailed(f"HTTP {failed[0]}")
    into.streams += heard
    into.means_ms.append(fmean(1e3 * s.first_s for s in heard if s.first_s is not None))
    into.rates.append(sum(s.audio_s for s in heard) / took_s)


def overload(speaker: Speaker, capacity: float, times: float, lasts_s: float) -> dict[str, Any]:
    """Requests at `times` the capacity, in audio seconds per second, for so long."""
    lines, dice = texts(), random.Random(1)
    mean_s = float(np.mean([len(line) * 0.065 for line in lines]))
    heard: list[Stream] = []
    crowd: list[threading.Thread] = []

    begin_s = time.perf_counter()
    at_s = 0.0
    while at_s < lasts_s:
        at_s += dice.expovariate(times * capacity / mean_s)
        time.sleep(max(0.0, begin_s + at_s - time.perf_counter()))
        text, seed = dice.choice(lines), len(crowd)
        crowd.append(
            threading.Thread(target=lambda t=text, s=seed: heard.append(speaker.hear(t, s)))
        )
        crowd[-1].start()
    for thread in crowd:
        thread.join()
    took_s = time.perf_counter() - begin_s
    told_ms = [1e3 * s.told_s for s in heard if s.status == 503]
    spoken = Burst([s for s in heard if s.status == 200])
    spoken.rates.append(sum(s.audio_s for s in spoken.streams) / took_s)
    percentiles = np.percentile(told_ms, (50, 95, 99)) if told_ms else (0.0, 0.0, 0.0)
    return {
        "times": times,
        "asked": len(heard),
        **spoken.figures(),
        "refused": len(told_ms),
        "refused_told_ms": [round(float(ms), 1) for ms in percentiles],
        "goodput": round(spoken.rates[0] / capacity, 3),
        "failed": sum(s.status not in (200, 503) for s in heard),
    }


@contextlib.contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """The repository at a revision, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), revision], check=True, text=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


@contextlib.contextmanager
def started(
    options: argparse.Namespace,
) -> Iterator[tuple[dict[str, Speaker], dict[str, str]]]:
    """The servers by name, this one first, each with a few lines behind it; why others are not."""
    speakers: dict[str, Speaker] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        trees = {"voicesvc": ROOT}
        if options.against:
            trees[f"voicesvc {options.against}"] = running.enter_context(worktree(options.against))
        for name, tree in trees.items():
            data = running.enter_context(tempfile.TemporaryDirectory())
            given = {"VOICESVC_WORKERS": str(options.workers), "XDG_DATA_HOME": data, **QUIET}
            if options.everybody and tree is ROOT:
                given |= {"VOICESVC_LOAD": "1000", "VOICESVC_FIRST_AUDIO_S": "600"}
            service = Service(given, root=tree)
            running.callback(service.close)
            speakers[name] = Speaker(service.port, ours)
        for name in options.servers:
            try:
                peer = SERVERS[name]()
            except BenchmarkFailed as e:
                missing[name] = str(e)
                say(f"without {name}: {e}")
            else:
                running.callback(peer.close)
                speakers[name] = Speaker(peer.port, peer.body)
        for speaker in speakers.values():
            for seed, text in enumerate(LINES.values()):
                speaker.hear(text, seed)
        yield speakers, missing


def main() -> None:
    """Measure and print."""
    parser = common.arguments(__doc__, rounds=5)
    parser.add_argument("--against", default="HEAD~1", help="revision to compare with, or ''")
    parser.add_argument("--servers", nargs="*", choices=SERVERS, default=(), help="of others")
    parser.add_argument(
        "--numbers", type=int, nargs="+", default=NUMBERS, help="of streams at the same moment"
    )
    parser.add_argument("--line-s", type=float, help="length of every line; unset: mixed")
    parser.add_argument("--everybody", action="store_true", help="refuse nobody in the bursts")
    parser.add_argument("--workers", type=int, default=2, help="compute threads of each voicesvc")
    parser.add_argument("--overload-s", type=float, default=20.0, help="0: without it")
    options = parser.parse_args()
    lines = texts(options.line_s)
    found: dict[str, dict[int, Burst]] = defaultdict(lambda: defaultdict(Burst))
    with started(options) as (speakers, missing):
        for number in options.numbers:
            jobs: dict[str, Callable[[int], None]] = {
                name: partial(burst, speaker, found[name][number], lines, number)
                for name, speaker in speakers.items()
            }
            interleaved(jobs, options.rounds)
        capacity = float(np.median(found["voicesvc"][options.numbers[-1]].rates))
        flooded = (
            overload(speakers["voicesvc"], capacity, 3.0, options.overload_s)
            if options.overload_s
            else None
        )
    figures = {name: {str(n): b.figures() for n, b in by_n.items()} for name, by_n in found.items()}
    for name, rows in figures.items():
        for n, row in rows.items():
            say(f"{name:20} {n:>3} streams  {row}")
    say(f"three times too many: {flooded}")
    ratios = {
        name: {str(n): found["voicesvc"][n].over(burst) for n, burst in by_n.items()}
        for name, by_n in found.items()
        if name != "voicesvc"
    }
    say(f"over others in the same round: {ratios}")
    facts = {"rounds": options.rounds, "workers": options.workers, "not_measured": missing}
    facts |= {"bursts": figures}
    report("concurrency", facts | {"voicesvc_over": ratios, "overload": flooded}, {})


if __name__ == "__main__":
    main()
