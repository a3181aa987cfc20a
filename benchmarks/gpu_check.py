"""Does the CUDA path work, end to end, and how fast is it? One command on a machine with a GPU.

What is checked, through the product's own engine and then through its HTTP server, both on the
device that `auto` picks:

- the decoder in fp32, bf16 and fp16 on one plan: signal to error against fp32;
- audio computed in cells against the same line computed in one piece: largest difference, fp32;
- the same plan twice, and again while other streams run: bit-identical or not;
- the device against the CPU on the same text and seed: durations that differ, signal to error;
- first audio, seconds per second of audio, for one stream and for eight at once; device memory;
- equal cells of several streams at once: how much less each costs (the gain), in which numbers of
  rows they have the same bits, and what `VOICESVC_BATCH=auto` takes for it.

Without a GPU the JSON line says so and the exit status is 0. `--device cpu` runs the same checks on
the CPU, to see that this program works. The exit status is 1 when a check that must hold does not.
Ends in one JSON line on stdout.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

import numpy as np
import torch
from common import LINES, BenchmarkFailed, Pcm, arguments, median, report, say
from measures import snr_db
from servers import Service

from voicesvc import packs, phonemes, script
from voicesvc.config import Settings
from voicesvc.engines import convert, vits
from voicesvc.engines.device import pick_device
from voicesvc.engines.together import NUMBERS
from voicesvc.plan import Plan

PRECISIONS = ("fp32", "bf16", "fp16")
WHOLE = (10**9,)  # one cell that holds any line
STREAMS = 8
# cuDNN may pick another algorithm for another length; TF32 rounds to 10 bits.
MOST_DIFFERENCE = {"fp32": 1e-4, "tf32": 5e-3}
LEAST_SNR_DB = {"bf16": 25.0, "fp16": 35.0}


def joe() -> packs.Pack:
    """The demonstration voice, imported and verified."""
    settings = Settings.read()
    pack = packs.find(settings.models_dir)["joe"]
    if not isinstance(pack, packs.Pack):
        raise pack
    return convert.ensure(pack, settings.cache_path / "packs", progress=say)


def words_of(pack: packs.Pack) -> dict[str, Sequence[phonemes.Word]]:
    """Each line's words."""
    phonemizer = phonemes.phonemizer(pack.text.phonemizer, pack.language)
    try:
        spans = {name: next(iter(script.sentences(text))) for name, text in LINES.items()}
        return {name: phonemizer.words(span.text, span.start) for name, span in spans.items()}
    finally:
        phonemizer.close()


def render(engine: vits.Vits, line: Plan, cells: tuple[int, ...] | None = None) -> Pcm:
    """A whole line."""
    parts = engine.stream(line) if cells is None else engine.stream(line, cells)
    return np.concatenate(list(parts))


def timed(
    engine: vits.Vits, words: Sequence[phonemes.Word], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds to the first chunk, and seconds per second of audio, planning included."""
    first_s, rtf = [], []
    for seed in range(rounds):
        begin_s = time.perf_counter()
        parts: list[Pcm] = []
        for pcm in engine.stream(engine.plan(words, seed)):
            if not parts:
                first_s.append(time.perf_counter() - begin_s)
            parts.append(pcm)
        samples = sum(map(len, parts))
        rtf.append((time.perf_counter() - begin_s) * engine.sample_rate_hz / samples)
    return first_s, rtf


def together(engine: vits.Vits, line: Plan, alone: Pcm) -> dict[str, Any]:
    """Eight streams of one plan at once: how fast, and the same samples as alone or not."""
    with ThreadPoolExecutor(STREAMS) as pool:
        begin_s = time.perf_counter()
        heard = list(pool.map(lambda _: render(engine, line), range(STREAMS)))
        took_s = time.perf_counter() - begin_s
    audio_s = sum(map(len, heard)) / engine.sample_rate_hz
    return {
        "streams": STREAMS,
        "rtf": round(took_s / audio_s, 5),
        "same_samples": all(np.array_equal(pcm, alone) for pcm in heard),
    }


def at_once(engine: vits.Vits) -> dict[str, Any]:
    """Cells of several streams computed at once."""
    check = engine.check()
    return {
        "gain": {n: round(n / check.cost(n, math.inf), 2) for n in NUMBERS},
        "alike_in_rows": check.alike(max(NUMBERS)),
        "auto": engine.measure("auto").reason,
    }


def check_engine(pack: packs.Pack, device: str, rounds: int) -> dict[str, Any]:
    """Everything that needs no server."""
    on_cuda = pick_device(device).type == "cuda"
    words = words_of(pack)
    engines = {p: vits.load(pack, device, p) for p in PRECISIONS if on_cuda or p != "fp16"}
    for engine in engines.values():
        engine.warm()
    line = engines["fp32"].plan(words["long"], seed=1)
    reference = render(engines["fp32"], line)
    cpu = vits.load(pack, "cpu", "fp32")
    cpu_line = cpu.plan(words["long"], seed=1)
    flips = sum(a.frames != b.frames for a, b in zip(line.units(), cpu_line.units(), strict=True))
    whole = render(engines["fp32"], line, WHOLE)
    figures: dict[str, Any] = {
        "tf32": on_cuda and torch.backends.cudnn.allow_tf32,
        "cells_against_whole": float(np.abs(whole - reference).max()),
        "twice_the_same": bool(np.array_equal(reference, render(engines["fp32"], line))),
        "against_cpu": {
            "durations_that_differ": flips,
            "snr_db": round(snr_db(render(cpu, line), reference), 1),
        },
        "precision": {},
    }
    for name, engine in engines.items():
        alone = render(engine, line)
        by_line = {length: timed(engine, words[length], rounds) for length in LINES}
        figures["precision"][name] = {
            "snr_db": round(snr_db(reference, alone), 1) if name != "fp32" else None,
            "first_ms": {k: median((s * 1e3 for s in v[0]), 1) for k, v in by_line.items()},
            "rtf": {k: median(v[1], 5) for k, v in by_line.items()},
            "resident_mb": round(engine.resident_bytes / 2**20, 1),
            "together": together(engine, line, alone),
            "cells_at_once": at_once(engine),
        }
    if on_cuda:
        figures["most_device_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return figures


def check_service(device: str, rounds: int) -> dict[str, Any]:
    """Over HTTP, in the precision that `auto` picks."""
    service = Service({"VOICESVC_DEVICE": device})
    try:
        heard = {
            name: [service.speak(text, seed + 1) for seed in range(rounds)]
            for name, text in LINES.items()
        }
        again = service.speak(LINES["medium"], 1)
    finally:
        service.close()
    return {
        "first_ms": {k: median((h.first_audible_s * 1e3 for h in v), 1) for k, v in heard.items()},
        "rtf": {k: median((h.rtf for h in v), 5) for k, v in heard.items()},
        "twice_the_same": bool(np.array_equal(again.pcm, heard["medium"][0].pcm)),
    }


def failures(engine: dict[str, Any], service: dict[str, Any]) -> list[str]:
    """What does not hold."""
    most = MOST_DIFFERENCE["tf32" if engine["tf32"] else "fp32"]
    checks: dict[str, Callable[[], bool]] = {
        "cells differ from the whole": lambda: engine["cells_against_whole"] > most,
        "the same plan gave other samples": lambda: not engine["twice_the_same"],
        "over HTTP the same seed gave other samples": lambda: not service["twice_the_same"],
        "other streams changed the samples": lambda: any(
            not p["together"]["same_samples"] for p in engine["precision"].values()
        ),
        "a reduced precision is too far from fp32": lambda: any(
            p["snr_db"] < LEAST_SNR_DB[name]
            for name, p in engine["precision"].items()
            if p["snr_db"] is not None
        ),
    }
    return [name for name, failed in checks.items() if failed()]


def main() -> int:
    """Check and print; 1 when a check fails."""
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:N or cpu")
    options = parser.parse_args()
    versions = {"torch": torch.__version__, "voicesvc": metadata.version("voicesvc")}
    if options.device != "cpu" and not torch.cuda.is_available():
        say("no CUDA device here: nothing was checked")
        report("gpu_check", {"device": None, "reason": "no CUDA device"}, versions)
        return 0
    device = pick_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    engine = check_engine(joe(), options.device, options.rounds)
    try:
        service = check_service(options.device, options.rounds)
    except BenchmarkFailed as e:
        service = {"failed": str(e), "twice_the_same": False}
    failed = failures(engine, service)
    for what in failed:
        say(f"FAILED: {what}")
    figures = {"device": name, "engine": engine, "service": service, "failed": failed}
    report("gpu_check", figures, versions)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
