"""What the scheduler would do with 200 listeners and more on one H100, in simulated time.

Not a measurement of a GPU: nobody has run this there. The scheduler and the admission are the
service's own code; the device is a model, and this is all that is assumed of it:

- A chunk takes as long as its kernels need, one after another (the roofline of Williams et al.
  2009, doi:10.1145/1498765.1498785): each the longest of what it computes, what it moves, and what
  it takes to launch it. What is computed and moved is counted here, operator by operator, while
  the engine speaks a line on the CPU in fp32: multiplications in convolutions and products, and
  the bytes of every tensor read and written.
- NVIDIA's data sheet of the H100 SXM: 67 TFLOP/s in fp32, 3.35 TB/s. `SHARE` of either is reached,
  since the layers are small. Nothing is computed in bf16, and there is no CUDA graph.
- Python and torch take `LAUNCH_S` to launch an operator, and the launches of one chunk run beside
  no others: one worker, one stream of kernels.
- Cells of several streams at once: what 2, 4 and 8 rows compute, move and launch is counted in the
  same way, what is stacked for them and taken apart included; the dearest of the cells' lengths
  counts for all.
- Phonemes, pitch, the watermark and encoding are on the host and never late.

What is simulated: n listeners of lines of about 2 to 17 s, each asking for the next line a short
while after the last, for `--minutes`. By n: time to first audio (p50, p95, p99, without the
network), how many ran dry, how many were refused, and how busy the device was. The same once more
with a device that is `--slower` times as slow, for who does not believe the model, and both with
cells at once and without. With `--plot` a picture of it. Ends in one JSON line on stdout.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gpu_check
import numpy as np
import torch
from common import arguments, report, say
from simulated import Device, Stream
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from voicesvc.audio import Pcm
from voicesvc.engines import vits
from voicesvc.engines.cells import WHOLE_FRAMES
from voicesvc.engines.together import NUMBERS as NUMBERS_AT_ONCE
from voicesvc.packs import Pack
from voicesvc.phonemes import Word
from voicesvc.schedule import Limits

FLOPS = 67e12  # fp32, without tensor cores
BYTES_PER_S = 3.35e12
SHARE = 0.2
LAUNCH_S = 10e-6
NUMBERS = (50, 100, 200, 400)
PAUSE_S = 1.0  # between a listener's lines, on average


@dataclass(frozen=True, slots=True)
class Work:
    """What a chunk asks of a device, and the audio it gives."""

    flops: int
    moved_bytes: int
    kernels: int
    audio_s: float

    def seconds(self) -> float:
        """On the modelled device, one kernel after another."""
        computes_s = self.flops / (SHARE * FLOPS)
        moves_s = self.moved_bytes / (SHARE * BYTES_PER_S)
        return max(computes_s, moves_s, self.kernels * LAUNCH_S)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators that are no views, and the bytes of what they read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels = self.moved_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.kernels += 1
            tensors = (
                x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)
            )
            self.moved_bytes += sum(x.numel() * x.element_size() for x in tensors)
        return result


def counted(work: Callable[[], Tensor | Pcm | None], rate_hz: int) -> Work | None:
    """What it asks of a device to make samples; None if it makes none."""
    with FlopCounterMode(display=False) as flops, _Counter() as counter:
        made = work()
    if made is None:
        return None
    audio_s = len(made) / rate_hz
    return Work(flops.get_total_flops(), counter.moved_bytes, counter.kernels, audio_s)


def at_once(engine: vits.Vits) -> dict[int, float]:
    """What so many cells at once cost on the modelled device, in times of one."""
    check = engine.check()

    def seconds(rows: int, frames: int) -> float:
        streams = [check.begun(i, frames) for i in range(rows)]

        def made() -> Tensor:
            check.compute(streams, rows)
            return torch.cat([next(stream) for stream in streams])

        work = counted(made, engine.sample_rate_hz)
        assert work is not None
        return work.seconds()

    alone = {frames: seconds(1, frames) for frames in WHOLE_FRAMES}
    costs = {n: max(seconds(n, f) / s for f, s in alone.items()) for n in NUMBERS_AT_ONCE}
    return {1: 1.0} | costs


def chunks(engine: vits.Vits, pack: Pack) -> dict[str, list[Work]]:
    """The chunks of each line of the demonstration voice; the first one plans the sentence, too."""
    found: dict[str, list[Work]] = {}
    for name, words in gpu_check.words_of(pack).items():
        found[name] = []
        streams: list[Iterator[Pcm]] = []

        def chunk(words: Sequence[Word] = words, streams: list[Iterator[Pcm]] = streams) -> Any:
            if not streams:
                streams.append(engine.stream(engine.plan(words, seed=1)))
            return next(streams[0], None)

        while (work := counted(chunk, engine.sample_rate_hz)) is not None:
            found[name].append(work)
    return found


def listeners(
    lines: Sequence[tuple[tuple[float, float], ...]], n: int, lasts_s: float, device: Device
) -> list[Stream]:
    """Everything that `n` listeners ask for; who was refused asks again when told."""
    dice = random.Random(n)
    asked: list[Stream] = []

    def ask(key: str, at_s: float) -> None:
        if at_s > lasts_s:
            return
        stream = Stream(at_s, dice.choice(lines), key=key)
        asked.append(stream)
        device.comes(stream)
        heard_s = sum(audio_s for _, audio_s in stream.chunks)
        # Looked at when the line should be over: by then it is known whether it was let in.
        device.at(at_s + heard_s, lambda: again(key, stream))

    def again(key: str, stream: Stream) -> None:
        wait_s = stream.refused.retry_after_s if stream.refused else dice.expovariate(1 / PAUSE_S)
        ask(key, device.now_s + wait_s)

    for i in range(n):
        ask(f"listener {i}", dice.uniform(0.0, 5.0))
    return asked


def crowd(
    lines: Sequence[tuple[tuple[float, float], ...]],
    n: int,
    lasts_s: float,
    costs: Mapping[int, float] | None,
) -> dict[str, Any]:
    """What becomes of `n` listeners, where cells at once have such costs."""
    device = Device(1, Limits(), costs)
    device.schedule.costs.begin("joe", lines[1])  # as warming tells the service
    asked = listeners(lines, n, lasts_s, device)
    device.run(())
    first_ms = [1e3 * s.first_s for s in asked if s.first_s is not None]
    p50, p95, p99 = np.percentile(first_ms, (50, 95, 99)) if first_ms else (0.0, 0.0, 0.0)
    return {
        "lines": len(asked),
        "refused": sum(s.refused is not None for s in asked),
        "ran_dry": sum(bool(s.dry_s) for s in asked),
        "ttfa_p50_ms": round(float(p50), 2),
        "ttfa_p95_ms": round(float(p95), 2),
        "ttfa_p99_ms": round(float(p99), 2),
        "busy": round(device.busy_s / device.now_s, 3),
        "cells_at_once": round(float(np.mean(device.shared)), 2),
    }


def plot(found: dict[str, dict[int, dict[str, Any]]], path: Path) -> None:
    """First audio and how busy the device is, over the number of listeners."""
    from matplotlib.figure import Figure

    figure = Figure((9, 3.6))
    left, right = figure.subplots(1, 2)
    for name, rows in found.items():
        for of in ("p50", "p99"):
            label = f"{name}, {of}"
            left.plot(list(rows), [r[f"ttfa_{of}_ms"] for r in rows.values()], "o-", label=label)
        right.plot(
            list(rows), [100 * r["busy"] for r in rows.values()], "o-", label=f"{name}, busy"
        )
        refused = [100 * r["refused"] / r["lines"] for r in rows.values()]
        right.plot(list(rows), refused, "x--", label=f"{name}, refused")
    for axes, title in ((left, "ms to first audio"), (right, "per cent")):
        axes.set_xlabel("listeners")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    left.set_yscale("log")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Count, simulate and print."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of simulated time")
    parser.add_argument("--slower", type=float, default=5.0)
    parser.add_argument("--numbers", type=int, nargs="+", default=NUMBERS)
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    options = parser.parse_args()
    pack = gpu_check.joe()
    engine = vits.load(pack, "cpu", "fp32")
    engine.encoder.parts_lines = False  # as on a GPU
    engine.warm()
    work, costs = chunks(engine, pack), at_once(engine)
    engine.close()
    say(f"cells at once, in times of one: {costs}")
    found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for name, slower in (("as modelled", 1.0), (f"{options.slower:g} x slower", options.slower)):
        lines = [tuple((slower * w.seconds(), w.audio_s) for w in of) for of in work.values()]
        for n in options.numbers:
            for kind, shared in ((name, None), (f"{name}, at once", costs)):
                found[kind][n] = crowd(lines, n, 60 * options.minutes, shared)
                say(f"{kind:22} {n:4} listeners {found[kind][n]}")
    if options.plot:
        plot(found, options.plot)
    figures = {
        "assumed": {
            "device": "H100 SXM, data sheet",
            "flops": FLOPS,
            "bytes_per_s": BYTES_PER_S,
            "share": SHARE,
            "launch_s": LAUNCH_S,
        },
        "chunks": {
            name: [asdict(w) | {"ms": round(1e3 * w.seconds(), 3)} for w in of]
            for name, of in work.items()
        },
        "at_once": {n: round(cost, 3) for n, cost in costs.items()},
        "listeners": found,
    }
    report("simulation", figures, {"torch": torch.__version__})


if __name__ == "__main__":
    main()
