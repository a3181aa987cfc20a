"""Many actors on one device: what does a voice cost that is not there, and does the budget hold?

What is measured, in this process and without HTTP, with packs of the demonstration voice under
other names (hard links: one file, read by each on its own):

1. Seconds until a voice is ready that lies on disk, in host memory, on the device, in turns; and
   what the first of its kind of network took. The files are in the page cache.
2. Loads and evictions of voices that are nothing but bytes: how many a second, and by how much
   resident memory grew over them once the first tenth is done.
3. A budget of some voices, many more actors, asked for by Zipf's law from several clients at once:
   the share that found their voice ready, time to first audio of all, of those and of the others,
   how many were told to come again, and the most bytes that were on the device at any change. Every
   actor was calibrated before, as one is that has ever been loaded.

Ends in one JSON line on stdout; it fails if the budget was ever exceeded.
"""

import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from common import LINES, arguments, interleaved, median, report, say
from memory import resident_mb

from voicesvc import calibration, packs
from voicesvc.config import Settings
from voicesvc.engines import convert
from voicesvc.engines.memory import with_budgets
from voicesvc.errors import NotReady
from voicesvc.line import Line
from voicesvc.packs import Pack
from voicesvc.studio import Studio
from voicesvc.voices import Voices

_VOICE_BYTES = 2**20  # of a voice that is nothing but bytes
_ZIPF = 1.0  # the exponent: the second is asked for half as often as the first


class _Bytes:
    """A voice without a model."""

    def __init__(self) -> None:
        self.host_bytes = self.resident_bytes = _VOICE_BYTES
        self.held = np.ones(_VOICE_BYTES, np.uint8)  # written to, so that it is resident

    def place(self) -> "_Bytes":
        return _Bytes()

    def close(self) -> None:
        del self.held


def churn(n_loads: int) -> dict[str, float]:
    """Loads and evictions of voices that are nothing but bytes."""
    actors = [f"a{i}" for i in range(40)]
    voices: Voices[_Bytes] = Voices(lambda *_: _Bytes(), 10 * _VOICE_BYTES, 10 * _VOICE_BYTES)
    for actor in actors:
        voices.declare(actor, _VOICE_BYTES)
    before_mb, begin = 0.0, 0.0
    for i in range(n_loads + n_loads // 10):
        if i == n_loads // 10:
            before_mb, begin = resident_mb(os.getpid()), time.perf_counter()
        voices.lease(actors[i % len(actors)]).release()
    took_s = time.perf_counter() - begin
    grown_mb = resident_mb(os.getpid()) - before_mb
    voices.close()
    return {
        "loads": n_loads,
        "loads_per_s": round(n_loads / took_s),
        "grown_mb": round(grown_mb, 1),
    }


def copies(joe: Pack, names: Sequence[str], models: Path) -> None:
    """Packs of the same weights for other actors."""
    assert joe.weights is not None
    for name in names:
        (models / name).mkdir(parents=True)
        os.link(joe.weights_path, models / name / packs.WEIGHTS)
        said = joe.model_dump(mode="json", exclude={"folder", "manifest_sha256"}, exclude_none=True)
        manifest = tomli_w.dumps({**said, "actor_id": name})
        (models / name / packs.MANIFEST).write_text(manifest, "utf-8")


def _studio(folder: Path, **given: Any) -> Studio:
    """One that reads copies made in `folder`, and writes there."""
    given |= {"models_dir": folder / "models", "data_dir": folder / "data"}
    settings = Settings.read(None, device="cpu", check_words="off", **given)
    import torch

    return Studio(with_budgets(settings, torch.device("cpu")))


def calibrated(folder: Path, names: Sequence[str]) -> int:
    """Measure one voice, and take that for all of them; its bytes on the device."""
    studio = _studio(folder)
    studio.cast.load(names[0], 600)
    state = studio.cast.voices.state(names[0])
    assert state is not None, "it was loaded"
    (kept,) = (studio.settings.cache_path / "calibrations").glob("*.json")
    for name in names[1:]:
        os.link(kept, kept.with_name(kept.name.replace(names[0], name, 1)))
    studio.close()
    return state.resident_bytes


def tiers(folder: Path, names: Sequence[str], each_bytes: int, rounds: int) -> dict[str, float]:
    """Seconds until a voice is ready, by where it lies."""
    name, other = names[:2]
    room_mb = each_bytes * 3 // 2 // 2**20  # for one
    with_host = _studio(folder, device_budget_mb=room_mb, host_budget_mb=3 * room_mb)
    without = _studio(folder, host_budget_mb=0)
    found: dict[str, list[float]] = {"disk": [], "host": [], "device": []}

    def timed(studio: Studio, where: str) -> None:
        begin = time.perf_counter()
        studio.cast.voices.lease(name, 60).release()
        found[where].append(time.perf_counter() - begin)

    def disk(_: int) -> None:
        without.cast.unload(name)
        timed(without, "disk")

    def host(_: int) -> None:
        with_host.cast.voices.lease(other, 60).release()  # which has it leave the device
        timed(with_host, "host")

    begin = time.perf_counter()
    without.cast.voices.lease(name, 600).release()
    first_s = time.perf_counter() - begin
    with_host.cast.voices.lease(name, 600).release()
    host(0)
    found["host"].clear()
    interleaved({"disk": disk, "host": host, "device": lambda _: timed(without, "device")}, rounds)
    with_host.close()
    without.close()
    return {"first_s": round(first_s, 3)} | {f"{n}_s": median(v, 6) for n, v in found.items()}


@dataclass
class Heard:
    """Seconds to the first audio of lines whose voice was there, or was not, and who was refused.

    Each client adds to it from its own thread.
    """

    hits_s: list[float] = field(default_factory=list)
    misses_s: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def hear(self, studio: Studio, actor: str, seed: int) -> None:
        """Have a short line spoken, to its end."""
        line = Line(actor=actor, text=LINES["short"], format="pcm_s16le", seed=seed)
        ready, begin = studio.is_ready(line), time.perf_counter()
        try:
            rendering = studio.open(line)
        except NotReady:
            self.refused.append(actor)
            return
        (self.hits_s if ready else self.misses_s).append(time.perf_counter() - begin)
        for _ in rendering.chunks():
            pass


def busy(
    folder: Path, names: Sequence[str], resident_mb_: int, requests: int, clients: int
) -> dict[str, Any]:
    """The actors asked for by Zipf's law, from several clients."""
    studio = _studio(folder, device_budget_mb=resident_mb_)
    voices = studio.cast.voices
    peak_bytes = 0

    def changed() -> None:
        nonlocal peak_bytes
        peak_bytes = max(peak_bytes, voices.held_bytes)

    voices.on_change(changed)
    studio.cast.warm()
    weights = [1 / rank**_ZIPF for rank in range(1, len(names) + 1)]
    asked = random.Random(1).choices(names, weights, k=requests)
    queue = iter(enumerate(asked))
    taking, heard = threading.Lock(), Heard()

    def client() -> None:
        while True:
            with taking:
                n, actor = next(queue, (0, ""))
            if not actor:
                return
            heard.hear(studio, actor, n)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - begin
    studio.close()
    budget_bytes = resident_mb_ * 2**20
    if peak_bytes > budget_bytes:
        raise SystemExit(f"{peak_bytes} bytes were on the device, the budget is {budget_bytes}")
    return {
        "actors": len(names),
        "clients": clients,
        "requests": requests,
        "hit_rate": round(len(heard.hits_s) / requests, 3),
        "refused": len(heard.refused),
        "budget_bytes": budget_bytes,
        "peak_bytes": peak_bytes,
        "requests_per_s": round(requests / took_s, 2),
        "ttfa_ms": _percentiles(heard.hits_s + heard.misses_s),
        "ttfa_hit_ms": _percentiles(heard.hits_s),
        "ttfa_miss_ms": _percentiles(heard.misses_s),
    }


def _percentiles(values_s: Sequence[float]) -> dict[str, float]:
    if len(values_s) < 2:
        return {}
    marks = statistics.quantiles(values_s, n=100, method="inclusive")
    return {f"p{p}": round(1000 * marks[p - 1]) for p in (50, 95, 99)}


def main() -> None:
    """Measure all three."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--actors", type=int, default=200, help="how many packs there are")
    parser.add_argument("--resident", type=int, default=10, help="how many of them have room")
    parser.add_argument("--requests", type=int, default=300, help="lines that are asked for")
    parser.add_argument("--clients", type=int, default=4, help="at once")
    parser.add_argument("--churn", type=int, default=10_000, help="loads of mere bytes")
    given = parser.parse_args()
    figures: dict[str, Any] = {"churn": churn(given.churn)}
    say(figures)
    found = packs.find(Settings.read().models_dir)["joe"]
    assert isinstance(found, Pack), found
    joe = convert.ensure(found, Settings.read().cache_path / "packs", say)
    with tempfile.TemporaryDirectory(dir=joe.folder.parent) as scratch:  # links need one disk
        folder = Path(scratch)
        names = [f"actor-{i:03d}" for i in range(given.actors)]
        copies(joe, names, folder / "models")
        each_bytes = calibrated(folder, names)
        figures["tiers"] = tiers(folder, names, each_bytes, given.rounds)
        say(figures["tiers"])
        room_mb = -(-given.resident * each_bytes // 2**20)
        figures["zipf"] = {"exponent": _ZIPF, "voice_bytes": each_bytes} | busy(
            folder, names, room_mb, given.requests, given.clients
        )
    report("voices", figures, {"calibration": str(calibration.VERSION)})


if __name__ == "__main__":
    main()
