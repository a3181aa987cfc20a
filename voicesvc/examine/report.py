"""One recording examined, in the process that does it."""

import base64
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voicesvc import credentials
from voicesvc.errors import VoiceError
from voicesvc.fingerprint import SPEEDS, queries
from voicesvc.marks import detector
from voicesvc.recording import RATE_HZ, Bounds, decode

SEARCHED_S = 60.0  # from the beginning: what is looked up at other speeds, too


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to say of the file at `path`, or the problem with it."""
    try:
        return _answer(Path(asked["path"]), float(asked["most_s"]), asked["trust"])
    except VoiceError as e:
        return {"problem": e.slug, "detail": e.detail, "where": e.where, "valid": e.valid}


def _answer(path: Path, most_s: float, trust: str | None) -> dict[str, Any]:
    decoded = decode(path, Bounds(most_s=most_s))
    anchors = None if trust is None else Path(trust)
    first = queries(decoded.pcm, RATE_HZ, SPEEDS[:1])
    others = queries(decoded.pcm[: round(SEARCHED_S * RATE_HZ)], RATE_HZ, SPEEDS[1:])
    report = {
        "kind": decoded.kind,
        "sample_rate_hz": decoded.sample_rate_hz,
        "channels": decoded.channels,
        "duration_s": decoded.duration_s,
        "watermark": asdict(detector.find(decoded.pcm, RATE_HZ)),
        "credentials": asdict(credentials.read(path, anchors=anchors)),
    }
    words = [[q.speed, base64.b64encode(q.words.tobytes()).decode()] for q in (*first, *others)]
    return {"report": report, "queries": words}
