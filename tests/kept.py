"""Takes put into an archive as they are, and sound that fingerprints tell apart, with no voice."""

from typing import Any

import grants
import numpy as np

from voicesvc.archive import Archive, Made, Origin
from voicesvc.audio import Pcm
from voicesvc.store import StoredTake
from voicesvc.store.takes import NewTake

RATE_HZ = 22_050


def chatter(seed: int, length_s: float = 3.0) -> Pcm:
    """Noise whose spectrum is another each 80 ms, as that of speech is."""
    rng, n = np.random.default_rng(seed), round(0.08 * RATE_HZ)
    parts = []
    for _ in range(round(length_s / 0.08)):
        bins, knots = np.arange(n // 2 + 1), np.arange(0, n, 4)
        gains = np.interp(bins, knots, rng.exponential(1, len(knots)))
        parts.append(np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gains**2, n))
    whole = np.concatenate(parts)
    pcm: Pcm = (0.2 * whole / np.abs(whole).max()).astype(np.float32)
    return pcm


def keep(archive: Archive, take_id: str, pcm: Pcm, **given: Any) -> StoredTake:
    """A take that is complete and has these samples."""
    values: dict[str, Any] = {
        "id": take_id,
        "made_by": "speech",
        "state": "open",
        "actor": "joe",
        "text": "Hold the line.",
        "seed": 1,
        "model_sha256": "0" * 64,
        "facts": {"asked": {}},
        "permit": grants.demo_permit(),
    }
    recording = archive.open(NewTake(**values | given), Origin())
    recording.feed(pcm)
    return recording.complete(Made(1, RATE_HZ, 0.1, {}, {"plan": b"{}"}))
