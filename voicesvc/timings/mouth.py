"""Poses in time: how the sounds of a take run into one another on a face.

Sounds blend by dominance (Cohen and Massaro 1993, "Modeling coarticulation in synthetic visual
speech", Models and Techniques in Computer Animation): each pulls a track towards its own target
with a strength that falls exponentially before and after it, and a track is the mean of the
targets by strength. Three things are added, because a mean alone never closes the lips:

- a held sound takes the lips over for at least HELD_S around its middle, within HELD_RAMP_S;
- silence of SILENCE_S takes the whole face over: neutral in it, opening OPENING_S before the next
  sound, closing CLOSING_S after the last;
- no track moves faster than PER_S.

Knows nothing of words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voicesvc.timings.sounds import CLOSED, POSES, TRACKS, Pose

Floats = NDArray[np.float64]

PER_S = 12.0  # full strokes a second: 0.2 from one frame to the next at 60 fps
HELD_S = 1 / 24  # so that a frame of a film falls into it
HELD_RAMP_S = 0.05
SILENCE_S = 0.2  # a shorter gap belongs to the speech around it
OPENING_S = 0.12
CLOSING_S = 0.1
STRESSED = 1.1  # factor of a stressed sound's jaw
STEP_S = 0.004
TOLERANCE = 0.003  # of keyframes against the curve
DIGITS = 4

_JAW_S = 0.05  # in which a sound's hold of the jaw falls to 1/e
_TONGUE_S = 0.03
_REACH = 7  # time constants: beyond it less than a thousandth
_REST = 1e-3  # the strength of the neutral face, where no sound pulls
_SHARP = 1e-3  # how much of a sound that is on its way is seen while another is held
_FREE = frozenset({"mouthPucker", "mouthSmile", "mouthStretch"})  # while lips touch


@dataclass(frozen=True, slots=True)
class Sound:
    """A pose from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    pose: Pose
    stressed: bool

    def target(self, track: str) -> float:
        """The weight of a track that it wants, 0 to 1."""
        weight = self.pose.weights.get(track, 0.0)
        return min(weight * STRESSED, 1.0) if self.stressed and track == "jawOpen" else weight


Keyframes = tuple[tuple[float, float], ...]  # (time in s, weight), straight lines between


Stretch = tuple[float, float]  # start and end in s


def keyframes(
    sounds: Sequence[Sound], silences: Sequence[Stretch], end_s: float
) -> dict[str, Keyframes]:
    """The weights of every track in time, from 0 to `end_s`; 0 at both ends. `sounds` in order."""
    times = np.append(np.arange(0.0, end_s, STEP_S), end_s)
    blended = _Blend(times)
    for sound in sounds:
        blended.pull(sound)
    for i, sound in enumerate(sounds):
        if sound.pose.held:
            blended.take(*_core(sounds, i), HELD_RAMP_S, HELD_RAMP_S, sound)
    for silence in silences:
        _be_silent(blended, *silence, end_s)
    curves = blended.weights()
    return {track: _simplified(times, curves[track]) for track in TRACKS}


def frames(keys: Keyframes, times: Floats) -> Floats:
    """The weights at `times` (in s) [n]."""
    at, weights = zip(*keys, strict=True)
    found: Floats = np.interp(times, at, weights).round(DIGITS)
    return found


def _core(sounds: Sequence[Sound], i: int) -> tuple[float, float]:
    """Where a held sound is whole: most of it, or HELD_S, but not into another held sound."""
    sound = sounds[i]
    middle = (sound.start_s + sound.end_s) / 2
    half = max(0.8 * (sound.end_s - sound.start_s), HELD_S + 2 * STEP_S) / 2
    begin, end = middle - half, middle + half
    if i and sounds[i - 1].pose.held:
        begin = max(begin, sound.start_s)
    if i + 1 < len(sounds) and sounds[i + 1].pose.held:
        end = min(end, sound.end_s)
    return begin, end


def _be_silent(blended: "_Blend", start_s: float, stop_s: float, end_s: float) -> None:
    room = stop_s - start_s
    inside = start_s > 0 and stop_s < end_s
    closing = min(CLOSING_S, room / 3 if inside else room) if start_s > 0 else 0.0
    opening = min(OPENING_S, room / 3 if inside else room) if stop_s < end_s else 0.0
    blended.take(start_s + closing, stop_s - opening, closing, opening, None)


@dataclass
class _Blend:
    """Sums over all sounds, at every time of a grid [n]."""

    times: Floats
    pulls: dict[str, Floats] = field(init=False)
    strengths: dict[str, Floats] = field(init=False)
    targets: dict[str, Floats] = field(init=False)  # of what is held, times `holds`
    holds: dict[str, Floats] = field(init=False)
    held: dict[str, Floats] = field(init=False)  # how far a track is taken over, 0 to 1
    closed: Floats = field(init=False)  # how far the lips are closed, 0 to 1

    def __post_init__(self) -> None:
        def zeros() -> dict[str, Floats]:
            return {track: np.zeros_like(self.times) for track in TRACKS}

        self.pulls, self.strengths = zeros(), zeros()
        self.targets, self.holds, self.held = zeros(), zeros(), zeros()
        self.closed = np.zeros_like(self.times)

    def pull(self, sound: Sound) -> None:
        """Let a sound pull at every track, most in its middle half."""
        pose, quarter = sound.pose, (sound.end_s - sound.start_s) / 4
        begin, end = sound.start_s + quarter, sound.end_s - quarter
        reach = _REACH * max(pose.ahead_s, pose.behind_s, _JAW_S)
        here = self._between(begin - reach, end + reach)
        ahead = np.maximum(begin - self.times[here], 0.0)
        behind = np.maximum(self.times[here] - end, 0.0)
        jaw = pose.jaw * np.exp(-(ahead + behind) / _JAW_S)
        tongue = np.exp(-(ahead + behind) / _TONGUE_S)
        lips = pose.lips * np.exp(-ahead / pose.ahead_s - behind / pose.behind_s)
        for track in TRACKS:
            strength = {"jawOpen": jaw, "tongueOut": tongue}.get(track, lips)
            self.pulls[track][here] += strength * sound.target(track)
            self.strengths[track][here] += strength

    def take(
        self, begin: float, end: float, before_s: float, after_s: float, sound: Sound | None
    ) -> None:
        """Let a sound, or silence, have the face from `begin` to `end` alone.

        It comes within `before_s` and goes within `after_s`, along half a period of a cosine.
        """
        here = self._between(begin - before_s, end + after_s)
        times = self.times[here]
        away = np.zeros_like(times)
        if before_s:
            away += np.maximum(begin - times, 0.0) / before_s
        if after_s:
            away += np.maximum(times - end, 0.0) / after_s
        held = 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1.0))
        weight = held / (1 - held + _SHARP)
        for track in TRACKS:
            if sound is None or track not in _FREE:
                self.targets[track][here] += weight * (sound.target(track) if sound else 0.0)
                self.holds[track][here] += weight
                self.held[track][here] = np.maximum(self.held[track][here], held)
        if sound is not None and sound.pose is POSES[CLOSED]:
            self.closed[here] = np.maximum(self.closed[here], held)

    def weights(self) -> dict[str, Floats]:
        """Every track [n], neutral at both ends, within 0 to 1 and PER_S."""
        found = {}
        for track in TRACKS:
            free = self.pulls[track] / (self.strengths[track] + _REST)
            held = self.targets[track] / np.maximum(self.holds[track], _SHARP)
            share = self.held[track]
            found[track] = self._slowed((1 - share) * free + share * held)
        # ARKit's mouthClose undoes the opening of the lips that jawOpen brings with it.
        found["mouthClose"] = self._slowed(self.closed * found["jawOpen"])
        return found

    def _slowed(self, weights: Floats) -> Floats:
        """The greatest curve below `weights` that changes by PER_S at most and ends at 0."""
        weights = weights.copy()
        weights[[0, -1]] = 0.0
        slope = PER_S * self.times
        rising = np.minimum.accumulate(weights - slope) + slope
        falling = np.minimum.accumulate((weights + slope)[::-1])[::-1] - slope
        return np.clip(np.minimum(rising, falling), 0.0, 1.0)

    def _between(self, begin: float, end: float) -> slice:
        return slice(
            int(np.searchsorted(self.times, begin)),
            int(np.searchsorted(self.times, end, side="right")),
        )


def _simplified(times: Floats, weights: Floats) -> Keyframes:
    """Few corners that stay within TOLERANCE of the curve (Ramer 1972), and 0 where it is 0."""
    weights = np.round(weights, DIGITS)
    still = weights == 0
    moved = np.flatnonzero(still[1:] != still[:-1])
    ends = sorted({0, len(times) - 1, *(moved + ~still[moved]).tolist()})
    kept = set(ends)
    open_spans = list(pairwise(ends))
    while open_spans:
        a, b = open_spans.pop()
        if b - a < 2:
            continue
        inside = slice(a + 1, b)
        straight = np.interp(times[inside], times[[a, b]], weights[[a, b]])
        off = np.abs(weights[inside] - straight)
        worst = int(off.argmax())
        if off[worst] > TOLERANCE:
            kept.add(a + 1 + worst)
            open_spans += [(a, a + 1 + worst), (a + 1 + worst, b)]
    return tuple(
        (round(float(times[i]), 6), round(float(weights[i]), DIGITS)) for i in sorted(kept)
    )


def times_of(end_s: float, fps: float) -> Floats:
    """When the frames of [0, end_s] are, in s; the last is at the end or just after it [n]."""
    return np.arange(math.ceil(end_s * fps) + 1) / fps
