"""What does the watermark survive, what does it cost, and does it cry wolf?

What is measured, on `--lines` lines of the demonstration voice that nothing was tuned on:

- **found**: in how many of them the detector finds the mark, as they are and after what happens to
  audio: MP3 at 64 kbit/s, Opus at 24 kbit/s, 8 kHz, noise 20 dB below, 2 s cut out, music 6 dB
  below, a telephone, played faster by 25/24, and several of these together. ffmpeg does it.
- **cost**: the mean change of DistillMOS and DNSMOS, and compute per second of audio (RTF) of the
  mark alone, in cells as the engine makes them.
- **false alarms**: how many of the same lines without a mark are called marked, and of the
  recordings of people in `--human` (WAV, at least 2 s; Debian's package asterisk-core-sounds-en-wav
  has 568 prompts). Each is scanned at all speeds.

Ends in one JSON line on stdout.
"""

import argparse
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import measures
import numpy as np
import soundfile
import soxr
from common import LINES_DIR, Pcm, arguments, report, say

from voicesvc.config import Settings
from voicesvc.engines.cells import CELL_FRAMES
from voicesvc.line import Line
from voicesvc.marks import detector
from voicesvc.marks.watermark import STRENGTH, Watermark, hop
from voicesvc.studio import Studio

RATE_HZ = 22_050
FRAME = 256  # samples, of the voice's engine
SHORTEST_S = 2.2
CELLS = tuple(FRAME * n for n in CELL_FRAMES)  # samples: the engine's first, then the last
Attack = Callable[[Pcm], Pcm]


def coded(*options: str, file: str) -> Attack:
    """Through a codec and back."""
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    raw = ["-f", "f32le", "-ar", str(RATE_HZ)]

    def attack(pcm: Pcm) -> Pcm:
        there = [*ffmpeg, *raw, "-i", "-", *options, "-f", file, "-"]
        sent = subprocess.run(there, input=pcm.tobytes(), capture_output=True, check=True).stdout
        back = [*ffmpeg, "-f", file, "-i", "-", *raw, "-ac", "1", "-"]
        heard = subprocess.run(back, input=sent, capture_output=True, check=True).stdout
        return np.frombuffer(heard, np.float32)

    return attack


def rms(pcm: Pcm) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(pcm))))


def music(n: int) -> Pcm:
    """Chords with a drum, two a second, [n], at an RMS of 1."""
    t, rng = np.arange(n) / RATE_HZ, np.random.default_rng(3)
    made = np.zeros(n)
    for beat in range(int(2 * n / RATE_HZ) + 1):
        on = (t >= beat / 2) & (t < beat / 2 + 0.5)
        since = t[on] - beat / 2
        root_hz = 110 * 2 ** (int(rng.integers(0, 12)) / 12)
        for hz in root_hz * np.array([1, 1.26, 1.5, 2]):
            for k in range(1, 7):
                made[on] += np.exp(-3 * since) * np.sin(2 * np.pi * hz * k * t[on]) / k
        made[on] += 2 * np.exp(-30 * since) * rng.standard_normal(len(since))
    whole: Pcm = made.astype(np.float32)
    return whole / rms(whole)


def noisy(pcm: Pcm) -> Pcm:
    """White noise 20 dB below."""
    noise = np.random.default_rng(1).standard_normal(len(pcm))
    return pcm + (0.1 * rms(pcm) * noise).astype(np.float32)


def under_music(pcm: Pcm) -> Pcm:
    """Music 6 dB below."""
    return pcm + 0.5 * rms(pcm) * music(len(pcm))


def cut(pcm: Pcm) -> Pcm:
    """2 s of the middle."""
    middle = len(pcm) // 2
    return pcm[middle - RATE_HZ : middle + RATE_HZ].copy()


def played(speed: float) -> Attack:
    """Faster by this, pitch and all."""
    return lambda pcm: soxr.resample(pcm, RATE_HZ * speed, RATE_HZ)


MP3 = coded("-c:a", "libmp3lame", "-b:a", "64k", file="mp3")
TELEPHONE = "highpass=f=300,lowpass=f=3400"
ATTACKS: Mapping[str, Attack] = {
    "as it is": lambda pcm: pcm,
    "MP3, 64 kbit/s": MP3,
    "Opus, 24 kbit/s": coded("-ar", "48000", "-c:a", "libopus", "-b:a", "24k", file="ogg"),
    "8 kHz": lambda pcm: soxr.resample(soxr.resample(pcm, RATE_HZ, 8000), 8000, RATE_HZ),
    "noise at -20 dB": noisy,
    "2 s of it": cut,
    "under music at -6 dB": under_music,
    "telephone": coded("-af", TELEPHONE, "-ar", "8000", "-c:a", "pcm_mulaw", file="wav"),
    "25/24 of the speed": played(25 / 24),
    "0.97 of the speed": played(0.97),
    "music, 2 s of it, MP3": lambda pcm: MP3(cut(under_music(pcm))),
}


def spoken(n: int) -> list[Pcm]:
    """Lines of the demonstration voice without a mark."""
    texts = (LINES_DIR / "heldout.txt").read_text("utf-8").split("\n")
    studio = Studio(Settings.read({}, actors=("joe",), device="cpu", watermark="off"))
    said: list[Pcm] = []
    for seed, text in enumerate(filter(None, texts)):
        rendering = studio.open(Line(actor="joe", text=text, seed=seed, format="pcm_f32le"))
        pcm = np.frombuffer(b"".join(rendering.chunks()), np.float32)
        if len(pcm) >= SHORTEST_S * RATE_HZ:
            said.append(pcm)
        if len(said) == n:
            break
    studio.close()
    return said


def marked(pcm: Pcm, strength: float) -> Pcm:
    """With the mark, in cells."""
    mark, parts, at = Watermark(RATE_HZ, hop(RATE_HZ, FRAME), strength), [], 0
    cells = iter(CELLS)
    while at < len(pcm):
        n = next(cells, CELLS[-1])
        parts.append(mark.feed(pcm[at : at + n]))
        at += n
    return np.concatenate([*parts, mark.flush()])


def found(lines: Sequence[Pcm]) -> dict[str, dict[str, float]]:
    """For each attack, the share that is found, and the lowest and the mean score."""
    shares = {}
    for name, attack in ATTACKS.items():
        all_of_it = [detector.find(attack(pcm), RATE_HZ) for pcm in lines]
        scores = [f.score or 0.0 for f in all_of_it]
        shares[name] = {
            "share": round(sum(f.verdict == "marked" for f in all_of_it) / len(lines), 3),
            "lowest": round(min(scores), 3),
            "mean": round(float(np.mean(scores)), 3),
        }
        say(f"  {name:24} {shares[name]['share']:6.0%}  lowest {shares[name]['lowest']:.2f}")
    return shares


def alarms(lines: Sequence[Pcm], folder: Path | None, most: int) -> dict[str, Any]:
    """How much that is not marked is called so."""
    own = [detector.find(pcm, RATE_HZ).verdict for pcm in lines]
    told: dict[str, Any] = {"own_lines": len(own), "own_alarms": own.count("marked")}
    people: list[detector.Finding] = []
    for path in sorted(folder.rglob("*.wav")) if folder is not None else ():
        pcm, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        if len(pcm) >= 2 * rate_hz and len(people) < most:
            people.append(detector.find(pcm.mean(axis=1), rate_hz))
    return told | {
        "people_clips": len(people),
        "people_alarms": sum(f.verdict == "marked" for f in people),
        "people_inconclusive": sum(f.verdict == "inconclusive" for f in people),
        "people_highest_score": max((f.score or 0.0 for f in people), default=None),
    }


def cost(plain: Sequence[Pcm], with_mark: Sequence[Pcm], strength: float) -> dict[str, float]:
    """What is heard of it, and what it takes."""
    begin = time.process_time()
    for pcm in plain:
        marked(pcm, strength)
    spent_s = time.process_time() - begin
    pairs = list(zip(plain, with_mark, strict=True))
    return {
        "rtf": round(spent_s / (sum(map(len, plain)) / RATE_HZ), 4),
        **{
            name: round(float(np.mean([of(b, RATE_HZ) - of(a, RATE_HZ) for a, b in pairs])), 3)
            for name, of in (("distillmos", measures.distillmos), ("dnsmos", measures.dnsmos))
        },
    }


def main() -> None:
    """Measure and print."""
    parser: argparse.ArgumentParser = arguments(__doc__, lines=20)
    parser.add_argument("--human", type=Path, help="folder with recordings of people")
    parser.add_argument("--clips", type=int, default=200, help="how many of them")
    parser.add_argument("--strength", type=float, default=STRENGTH, help="of the mark")
    options = parser.parse_args()
    plain = spoken(options.lines)
    with_mark = [marked(pcm, options.strength) for pcm in plain]
    figures = {
        "lines": len(plain),
        "strength": options.strength,
        "cost": cost(plain, with_mark, options.strength),
        "found": found(with_mark),
        "alarms": alarms(plain, options.human, options.clips),
    }
    report("marks", figures, {"resemble-perth": metadata.version("resemble-perth")})


if __name__ == "__main__":
    main()
