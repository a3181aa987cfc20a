"""A sheet into samples: the engine's stream, shaped, marked, with silence and breaths put in.

Knows the order engine -> DSP -> mark -> limiter -> silence, and nothing of plans' documents,
takes or files.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import numpy as np

from voicesvc import dsp, gaps
from voicesvc.audio import Pcm
from voicesvc.engines import Engine
from voicesvc.errors import EngineFailed
from voicesvc.marks import Mark
from voicesvc.sheet import Cut, Sheet

FADE_S = 0.005  # into the silence that is put in, and out of it
SEARCH_S = 0.015  # each way from a border without a pause, for a quiet place to cut
_QUIET_S = 0.01  # the stretch whose energy says how quiet a place is
LONGEST_BREATH_S = 0.42
_BREATH_AFTER_S = 0.03  # what is left between a breath and the word after it

_EMPTY: Pcm = np.zeros(0, np.float32)


class Silence:
    """What pauses are filled with, in order: nothing at all, or the voice's own room; and breaths.

    Args:
        rate_hz: of the voice.
        breath: makes one, from how many samples it lasts and which number it has in the take.
        tone: the room's samples [start, stop); nothing where it is None.
    """

    def __init__(
        self,
        rate_hz: int,
        breath: Callable[[int, int], Pcm],
        tone: Callable[[int, int], Pcm] | None = None,
    ) -> None:
        self._rate_hz, self._breath, self._tone = rate_hz, breath, tone
        self._breaths = self._taken = 0
        self.owed = 0  # samples that pauses came out shorter than planned: the line's end has them

    def take(self, n: int, breath: bool = False) -> Pcm:
        """The next `n` samples; a breath ends shortly before their end."""
        begin, self._taken = self._taken, self._taken + n
        if self._tone is None or not n:
            out = np.zeros(n, np.float32)
        else:
            out = self._tone(begin, self._taken)
        if breath:
            after = round(_BREATH_AFTER_S * self._rate_hz)
            longest, room = round(LONGEST_BREATH_S * self._rate_hz), n - after
            inhaled = self._breath(min(longest, room), self._breaths)
            self._breaths += 1
            out[room - len(inhaled) : room] += inhaled
        return out


class Splicer:
    """Puts the silences of `cuts` into a stream; chunked equals whole.

    Within a pause the quietest place is looked for, so the stream waits for the pause's end, and
    where the pause is to be heard, for the sound after it. The sound fades out before what is put
    in and in after it.
    """

    def __init__(self, cuts: tuple[Cut, ...], n_samples: int, rate_hz: int, silence: Silence):
        self._rate_hz, self._silence = rate_hz, silence
        self._laid, self.made = cuts, list[Cut]()  # as they were planned, and as they came out
        self._cuts = [self._widened(c, n_samples, rate_hz) for c in cuts]
        self._held = _EMPTY  # fed, not yet given
        self._at = 0  # position of the first held sample
        self._fade = round(FADE_S * rate_hz)
        self._rising = 0  # samples of a fade-in that are still to come
        self._total = n_samples
        self._ahead = round(gaps.AHEAD_S * rate_hz)
        self._past: list[Pcm] = []  # all that was fed, while a cut is to come that is to be heard

    @staticmethod
    def _widened(cut: Cut, n_samples: int, rate_hz: int) -> Cut:
        if cut.begin < cut.end or cut.begin in (0, n_samples):
            return cut
        search = round(SEARCH_S * rate_hz)
        begin, end = max(cut.begin - search, 0), min(cut.end + search, n_samples)
        return replace(cut, begin=begin, end=end)

    def feed(self, pcm: Pcm) -> Pcm:
        """What became certain with `pcm`."""
        self._held = np.concatenate([self._held, pcm]) if len(self._held) else pcm
        if any(cut.heard is not None for cut in self._cuts):
            self._past.append(pcm)
        out: list[Pcm] = []
        while self._cuts:
            cut = self._cuts[0]
            ahead = self._fade if cut.heard is None else self._ahead
            if self._at + len(self._held) < min(cut.end + ahead, self._total):
                out.append(self._give(max(cut.begin - self._fade - self._at, 0)))
                return _joined(out)
            self._cuts.pop(0)
            out += self._spliced(cut)
        out.append(self._give(len(self._held)))
        return _joined(out)

    def flush(self) -> Pcm:
        """Nothing is held once the whole sentence was fed."""
        return self._give(len(self._held))

    def _spliced(self, cut: Cut) -> Iterator[Pcm]:
        place = self._quietest(cut)
        insert, begin, end = cut.insert, place, place
        if cut.heard is not None:
            insert, begin, end = self._shortened(cut, cut.heard, place)
        before = self._give(begin - self._at)
        n = min(self._fade, len(before), begin)
        if n:
            before = before.copy()
            before[-n:] *= _ramp(n)[::-1]
        yield before
        self._give(end - begin)
        yield self._silence.take(insert, cut.breath)
        self._rising = self._fade if place else 0
        planned = self._laid[len(self.made)]
        self.made.append(replace(planned, insert=insert, left_out=(begin, end)))

    def _shortened(self, cut: Cut, heard: int, place: int) -> tuple[int, int, int]:
        """What is put in so that so much silence is heard, and what of the pause is left out.

        Never more than was planned, so that nothing is longer than its plan.
        """
        until = min(cut.end + self._ahead, self._total)
        pcm = np.concatenate(self._past)[:until]
        n = min(self._fade, place, until - place)
        pcm[place - n : place] *= _ramp(n)[::-1]
        pcm[place : place + n] *= _ramp(n)
        before, behind = gaps.around(pcm, place, self._rate_hz)
        too_long = max(before + behind + cut.insert - heard, 0)
        # Of the sound's own silence what lies before the pause has left already.
        last = max(min(place + behind, until) - self._fade, cut.end)
        first = min(cut.begin + self._fade, place)
        out = min(max(too_long - cut.insert, 0), last - first)
        begin = min(max(place - out // 2, first), last - out)
        return cut.insert - min(too_long, cut.insert), begin, begin + out

    def _quietest(self, cut: Cut) -> int:
        if cut.begin == cut.end:
            return cut.begin
        part = self._held[cut.begin - self._at : cut.end - self._at].astype(np.float64)
        n = min(round(_QUIET_S * self._rate_hz), len(part))
        power = np.cumsum(np.concatenate([[0.0], part * part]))
        return cut.begin + int(np.argmin(power[n:] - power[:-n])) + n // 2

    def _give(self, n: int) -> Pcm:
        given, self._held = self._held[:n], self._held[n:] if n < len(self._held) else _EMPTY
        self._at += len(given)
        rising = min(self._rising, len(given))
        if rising:
            begin = self._fade - self._rising
            given = given.copy()
            given[:rising] *= _ramp(self._fade)[begin : begin + rising]
            self._rising -= rising
        return given


def _ramp(n: int) -> Pcm:
    """A raised cosine from 0 to 1, both ends left out."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / n)).astype(np.float32)


def _joined(parts: list[Pcm]) -> Pcm:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def sentence(
    engine: Engine,
    sheet: Sheet,
    silence: Silence,
    mark: Mark,
    began: Callable[[Iterator[Pcm]], None] = lambda _: None,
) -> Generator[Pcm, None, list[Cut]]:
    """The sheet's samples, chunk by chunk as the engine makes them; its cuts as they came out.

    Marked before silence is put in, so that no length of a pause moves the mark within the sound.
    `began` is told of the engine's stream.

    Raises:
        BadPlan: the plan is for other weights.
        EngineFailed: the engine made another number of samples than the plan says.
    """
    line = sheet.plan
    rate_hz = line.sample_rate_hz
    splicer = Splicer(sheet.cuts, line.samples, rate_hz, silence)
    made = 0
    # A grid that divides the frame: sound that moves by whole frames is shaped as it was.
    shaper = dsp.Shaper(sheet.controls, rate_hz, line.seed, max(line.hop // 2, 1))
    limiter = None if sheet.controls.identity else dsp.Limiter(rate_hz)

    def limited(pcm: Pcm) -> Pcm:
        return pcm if limiter is None else limiter.feed(pcm)

    stream = engine.stream(line)
    began(stream)
    for pcm in stream:
        made += len(pcm)
        ready = [splicer.feed(limited(mark.feed(shaper.feed(pcm))))]
        del pcm  # nothing of it is held here while a slow listener takes what is given
        yield ready.pop()
    n_samples = (line if line.said is None else line.said()).samples
    if made != n_samples:
        raise EngineFailed(f"the engine made {made} samples, the plan says {n_samples}")
    yield splicer.feed(limited(mark.feed(shaper.flush())))
    yield splicer.feed(limited(mark.flush()))
    if limiter is not None:
        yield splicer.feed(limiter.flush())
    yield splicer.flush()
    return splicer.made
