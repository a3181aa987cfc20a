"""Latency per generated second of audio: voicesvc over HTTP against four peers on the same voice.

What is measured: seconds from sending the text to having its last sample, divided by the seconds of
audio that came, for a short, a medium and a long sentence. Text in, samples out: phonemes, network
and encoding are all in it. The audio's length differs a little between programs and seeds because
durations are drawn at random, so the ratio is taken per second of audio. Beside it, where the
system tells: processor seconds per second of audio, which a busy machine changes less.

Why so: one compute thread each, because a service runs many voices side by side and threads within
one line only hide that cost. All in one run, in turns (ABAB...), because a shared machine changes
its speed by the minute; medians, because its hiccups are one-sided. Peers: see `peers.py`.

Ends in one JSON line on stdout; the table goes to stderr.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import peers
from common import LINES, Heard, Speaker, cpu_s, interleaved, median, report, say
from servers import Service


@dataclass
class Runs:
    """One speaker's runs of one line."""

    heard: list[Heard] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def rtf(self) -> float:
        """Median seconds of waiting per second of audio."""
        return median(h.rtf for h in self.heard)

    @property
    def cpu_rtf(self) -> float:
        """Processor seconds per second of audio, over all runs."""
        return round(self.cpu_s / sum(h.audio_s for h in self.heard), 4)


def measure(speakers: dict[str, Speaker], rounds: int) -> dict[str, dict[str, Runs]]:
    """Everything heard, by speaker and line."""
    runs: dict[str, dict[str, Runs]] = defaultdict(lambda: defaultdict(Runs))

    def once(name: str, line: str, r: int) -> None:
        speaker, run = speakers[name], runs[name][line]
        before_s = cpu_s(speaker.child.process.pid)
        run.heard.append(speaker.speak(LINES[line], r + 1))
        run.cpu_s += cpu_s(speaker.child.process.pid) - before_s

    for line in LINES:
        jobs: dict[str, Callable[[int], None]] = {n: partial(once, n, line) for n in speakers}
        interleaved(jobs, rounds)
    return runs


def over_peers(figure: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """voicesvc's figure divided by each peer's; empty where the figure is not known."""
    return {
        name: {line: round(figure["voicesvc"][line] / f, 3) for line, f in by_line.items() if f}
        for name, by_line in figure.items()
        if name != "voicesvc"
    }


def by_round(runs: dict[str, dict[str, Runs]]) -> dict[str, list[float]]:
    """voicesvc's waiting over each peer's in the same round: what commits are judged by."""
    return {
        f"{line} line, over {peer}": [
            round(a.rtf / b.rtf, 4)
            for a, b in zip(runs["voicesvc"][line].heard, by_line[line].heard, strict=True)
        ]
        for peer, by_line in runs.items()
        if peer != "voicesvc"
        for line in LINES
    }


def main() -> None:
    """Measure and print."""
    options = peers.arguments(__doc__).parse_args()
    with peers.started(options) as (speakers, missing):
        runs = measure(speakers, options.rounds)
        service = speakers["voicesvc"]
        assert isinstance(service, Service)
    rtf = {name: {line: run.rtf for line, run in by.items()} for name, by in runs.items()}
    cpu = {name: {line: run.cpu_rtf for line, run in by.items()} for name, by in runs.items()}
    total_ms = {
        name: {line: median((h.total_s * 1e3 for h in run.heard), 1) for line, run in by.items()}
        for name, by in runs.items()
    }
    audio_s = {
        line: median((h.audio_s for h in run.heard), 2) for line, run in runs["voicesvc"].items()
    }
    for title, figure in (("wall s per audio s", rtf), ("processor s per audio s", cpu)):
        say(f"{title:28}" + "".join(f"{f'{line} ({s:.1f} s)':>18}" for line, s in audio_s.items()))
        for name in figure:
            say(f"{name:28}" + "".join(f"{figure[name][line]:>18.4f}" for line in LINES))
    figures = {
        "rounds": options.rounds,
        "threads": 1,
        "audio_s": audio_s,
        "rtf": rtf,
        "cpu_rtf": cpu,
        "total_ms": total_ms,
        "ratios": by_round(runs),
        **service.computes,
        "voicesvc_over_peer": over_peers(rtf),
        "voicesvc_over_peer_cpu": over_peers(cpu),
        "not_measured": missing,
    }
    report("rtf", figures, {name: s.version for name, s in speakers.items()})


if __name__ == "__main__":
    main()
