"""Items to export, for tests: small takes with every fact set."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.bwf import Loudness
from voicesvc.export import ExportItem, Options

NATIVE_HZ = 22_050
NOW = datetime(2026, 11, 26, 9, 0, 0, 5_000, tzinfo=UTC)
OPTIONS = Options(now=NOW)


def noise(n: int, seed: int = 0) -> Pcm:
    """White noise that is clipped now and then, [n]."""
    pcm: Pcm = np.random.default_rng(seed).normal(0, 0.3, n).astype(np.float32)
    return pcm


def item(samples: Pcm | None = None, /, **facts: Any) -> ExportItem:
    """A take of noise with every fact, but for those that are given."""
    made = noise(2205) if samples is None else samples

    def stored() -> Iterator[Pcm]:
        for i in range(0, len(made), 1000):
            yield made[i : i + 1000]

    usual: dict[str, Any] = {
        "production": "Harbour Lights",
        "production_id": "pr_0123456789abcdef0123",
        "slug": "harbour-lights",
        "fps": "23.976",
        "line_id": "ln_0123456789abcdef0123",
        "number": 17,
        "text": "We hold the harbour until morning — Straße.",
        "scene": "12A",
        "cue": "c03",
        "character": "Señora Øst",
        "timecode_in": "10:00:00:00",
        "timecode_out": "10:00:02:05",
        "line_notes": "over the shoulder",
        "take_id": "tk_0123456789abcdef0123",
        "take": 2,
        "actor": "joe",
        "seed": 7,
        "created_at": datetime(2026, 11, 25, 12, 30, 5, 123_000, tzinfo=UTC),
        "created_by": "Ann",
        "model_sha256": "8d3f" * 16,
        "plan_sha256": "77aa" * 16,
        "code": "0.1.0",
        "circled": True,
        "rating": 4,
        "note": "“good”, slower",
        "tags": ("calm", "close"),
        "loudness": Loudness(-23.45, 3.2, -1.23, -18.5, -20.0),
        "sample_rate_hz": NATIVE_HZ,
        "samples": len(made),
        "pcm_sha256": hashlib.sha256(made.astype("<f4").tobytes()).hexdigest(),
        "pcm": stored,
    }
    return ExportItem(**usual | facts)
