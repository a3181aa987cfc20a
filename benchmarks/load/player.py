"""A listener who plays a stream while it comes: its first sound, and each time it ran dry.

Standard library only: it runs in Locust's own image, too.
"""

import math
from array import array
from dataclasses import dataclass, field

AUDIBLE = 33  # of 16-bit samples: -60 dBFS; neither headers nor leading silence are a first sound
GAP_S = 0.005  # shorter is the clock's and the socket's noise


@dataclass
class Player:
    """Fed with 16-bit samples as they come; times in seconds from when the line was asked for."""

    rate_hz: int
    first_s: float | None = None  # when the first audible sample came
    total_s: float = 0.0  # when the last bytes came
    gaps_s: list[float] = field(default_factory=list)  # each time it had nothing to play
    _rest: bytes = b""
    _samples: int = 0
    _played_from_s: float = 0.0  # when the first sample would have begun, all gaps taken out

    @property
    def audio_s(self) -> float:
        """Seconds of audio that came."""
        return self._samples / self.rate_hz

    @property
    def latency_s(self) -> float:
        """Seconds of waiting per second of audio."""
        return self.total_s / self.audio_s if self._samples else math.inf

    def feed(self, piece: bytes, at_s: float) -> None:
        """Bytes that came `at_s` after the line was asked for."""
        data = self._rest + piece
        whole_bytes = len(data) - len(data) % 2
        self._rest, samples = data[whole_bytes:], array("h", data[:whole_bytes])
        if self.first_s is not None:
            dry_s = self._played_from_s + self.audio_s
            if at_s - dry_s > GAP_S:
                self.gaps_s.append(at_s - dry_s)
                self._played_from_s += at_s - dry_s
        elif any(abs(s) > AUDIBLE for s in samples):
            self.first_s, self._played_from_s = at_s, at_s - self.audio_s
        self._samples += len(samples)
        self.total_s = at_s
