"""Does the shaper do what it is asked, and what does the voice lose by it?

The demonstration voice speaks held-out lines (`lines/heldout.txt`), each is shaped with one control
at one setting, and what came of it is measured by tools that are not ours:

- pitch and range: Praat's f0 (parselmouth) after against before, in cents; the range is the
  distance of its 10th and 90th percentile, in semitones.
- energy: RMS in dB. For pitch that is what the shaping itself changed.
- harmonicity: Praat's, in dB; breath noise lowers it.
- DNSMOS and DistillMOS: the mean change. Both models know little of whispers.
- rtf: processor seconds per second of audio, the shaper alone, on one thread.

Ends in one JSON line on stdout; the table goes to stderr.
"""

import time
from collections.abc import Callable, Sequence
from importlib import metadata

import measures
import numpy as np
import parselmouth
from common import LINES_DIR, Pcm, arguments, report, say
from numpy.typing import NDArray
from parselmouth.praat import call
from servers import Service

from voicesvc.dsp import Controls, Curve, Shaper

RATE_HZ = 22050
Floats = NDArray[np.float64]
flat = Curve.constant

SETTINGS: dict[str, Controls] = {
    **{f"pitch_st {st:+}": Controls(pitch_st=flat(st)) for st in (-4, -2, 2, 4, 8)},
    **{f"range {x}": Controls(range=flat(x)) for x in (0.5, 0.75, 1.4, 2.0)},
    **{f"energy_db {db:+}": Controls(energy_db=flat(db)) for db in (-9, 4)},
    **{f"tilt_db {db:+}": Controls(tilt_db=flat(db)) for db in (-6, 6)},
    **{f"breathiness {x}": Controls(breathiness=flat(x)) for x in (0.25, 0.5, 1.0)},
    "whisper 1": Controls(whisper=flat(1)),
    "jitter_st 0.2": Controls(jitter_st=0.2),
}


def f0_hz(pcm: Pcm, floor_hz: float, ceiling_hz: float) -> tuple[Floats, Floats]:
    """Praat's times in s and f0 in Hz, 0 where unvoiced."""
    sound = parselmouth.Sound(pcm.astype(np.float64), RATE_HZ)
    pitch = sound.to_pitch_ac(time_step=0.005, pitch_floor=floor_hz, pitch_ceiling=ceiling_hz)
    return pitch.xs(), pitch.selected_array["frequency"]


def harmonicity_db(pcm: Pcm) -> float:
    """The median over voiced frames."""
    sound = parselmouth.Sound(pcm.astype(np.float64), RATE_HZ)
    values = call(sound, "To Harmonicity (cc)", 0.01, 60, 0.1, 1.0).values
    return float(np.median(values[values > -100]))


def range_st(f0: Floats) -> float:
    """10th to 90th percentile of the voiced frames."""
    low, high = np.percentile(np.log2(f0[f0 > 0]), [10, 90])
    return float(12 * (high - low))


def shaped(pcm: Pcm, controls: Controls) -> tuple[Pcm, float]:
    """The line, and processor seconds per second of it."""
    started_s = time.process_time()
    shaper = Shaper(controls, RATE_HZ, seed=1)
    out = np.concatenate([shaper.feed(pcm), shaper.flush()])
    return out, (time.process_time() - started_s) / (len(pcm) / RATE_HZ)


def rms_db(pcm: Pcm) -> float:
    """Of the whole line."""
    return float(10 * np.log10(np.mean(pcm.astype(np.float64) ** 2)))


def compare(before: Pcm, controls: Controls, scores: Sequence[float]) -> dict[str, float]:
    """One line under one setting; `scores` are those of the line as it was."""
    times, old = f0_hz(before, 55, 600)
    pivot_hz = float(np.exp(np.median(np.log(old[old > 0]))))
    controls = Controls(**{n: getattr(controls, n) for n in Controls.__slots__[:-1]},
                        pivot_hz=pivot_hz)  # fmt: skip
    after, rtf = shaped(before, controls)
    found = {"rtf": rtf, "rms_db": rms_db(after) - rms_db(before)}
    new_times, new = f0_hz(after, 45, 900)
    new = new[np.clip(np.searchsorted(new_times, times - 0.0025), 0, len(new) - 1)]
    both = (old > 0) & (new > 0)
    if controls.whisper.is_constant(0.0):
        asked_st = controls.pitch_st(times * RATE_HZ)
        spread = controls.range(times * RATE_HZ) - 1
        asked_st = asked_st + spread * 12 * np.log2(np.maximum(old, 1) / pivot_hz)
        cents = 1200 * np.log2(new[both] / old[both]) - 100 * asked_st[both]
        found["error_cents"] = float(np.median(np.abs(cents)))
        found["range"] = range_st(new[both]) / range_st(old[both])
    found["harmonicity_db"] = harmonicity_db(after) - harmonicity_db(before)
    judges: tuple[Callable[[Pcm, int], float], ...] = (measures.dnsmos, measures.distillmos)
    for judge, score in zip(judges, scores, strict=True):
        found[judge.__name__] = judge(after, RATE_HZ) - score
    return found


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, lines=20).parse_args()
    texts = (LINES_DIR / "heldout.txt").read_text().splitlines()[: options.lines]
    service = Service({})
    try:
        lines = [service.speak(text, seed).pcm for seed, text in enumerate(texts, 1)]
    finally:
        service.close()
    scores = [[measures.dnsmos(pcm, RATE_HZ), measures.distillmos(pcm, RATE_HZ)] for pcm in lines]
    figures: dict[str, dict[str, float]] = {}
    for name, controls in SETTINGS.items():
        rows = [compare(pcm, controls, s) for pcm, s in zip(lines, scores, strict=True)]
        middle = {"error_cents": np.median, "range": np.median}
        figures[name] = {
            key: round(float(middle.get(key, np.mean)([row[key] for row in rows])), 4)
            for key in rows[0]
        }
        say(f"{name:18}", *(f"{key} {value:.3f}" for key, value in figures[name].items()))
    tools = ("praat-parselmouth", "speechmos", "distillmos", "voicesvc")
    versions = {tool: metadata.version(tool) for tool in tools}
    report("shaping", {"lines": len(lines), "settings": figures}, versions)


if __name__ == "__main__":
    main()
