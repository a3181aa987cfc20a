"""Silence put into a stream: where it is quietest, without a click, however it is chunked."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicesvc.audio import Pcm
from voicesvc.render import FADE_S, LONGEST_BREATH_S, Silence, Splicer
from voicesvc.sheet import Cut

RATE_HZ = 16000
N = 8000


def speech(n: int = N) -> Pcm:
    """Loud noise with a quiet place at 5000 to 5400."""
    noise = np.random.default_rng(1).standard_normal(n).astype(np.float32) * np.float32(0.2)
    noise[5000:5400] *= 0.001
    return noise


def silent() -> Silence:
    return Silence(RATE_HZ, lambda n, _: np.full(n, 0.5, np.float32))


def spliced(pcm: Pcm, cuts: Sequence[Cut], ends: Sequence[int] = ()) -> Pcm:
    splicer = Splicer(tuple(cuts), len(pcm), RATE_HZ, silent())
    parts = np.split(pcm, sorted(min(e, len(pcm)) for e in ends))
    return np.concatenate([*(splicer.feed(p) for p in parts), splicer.flush()])


CUTS = (
    Cut(0, 0, 300, False),
    Cut(1000, 1000, 50, False),
    Cut(4600, 5600, 700, True),
    Cut(N, N, 90, False),
)
HEARD = (Cut(2000, 2000, 900, False, heard=800), Cut(4600, 5600, 0, False, heard=200))


@settings(max_examples=60)
@given(st.lists(st.integers(0, N), max_size=12))
def test_chunked_equals_whole(ends: list[int]) -> None:
    whole = spliced(speech(), CUTS)
    assert len(whole) == N + 300 + 50 + 700 + 90
    np.testing.assert_array_equal(spliced(speech(), CUTS, ends), whole)
    np.testing.assert_array_equal(spliced(speech(), CUTS, range(0, N, 7)), whole)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, N), max_size=12))
def test_pauses_that_are_heard_are_as_long_however_the_stream_is_cut(ends: list[int]) -> None:
    whole = spliced(speech(), HEARD)
    np.testing.assert_array_equal(spliced(speech(), HEARD, ends), whole)
    np.testing.assert_array_equal(spliced(speech(), HEARD, range(0, N, 7)), whole)


def heard_ms(pcm: Pcm) -> list[float]:
    """The silences that are longer than 8 ms: 1 ms at a time, 40 dB below the loudest."""
    power = np.mean(np.square(pcm[: len(pcm) // 16 * 16]).reshape(-1, 16), axis=1)
    quiet = np.concatenate([[False], power < power.max() * 1e-4, [False]])
    begins, ends = np.flatnonzero(np.diff(quiet.astype(int))).reshape(-1, 2).T
    return [float(n) for n in ends - begins if n > 8]


FADED_MS = 10  # of the fades on both sides together, and of a meter's window


@pytest.mark.parametrize("asked_ms", [0, 60, 200])
def test_a_pause_that_is_heard_counts_the_silence_that_was_there(asked_ms: int) -> None:
    asked = asked_ms * RATE_HZ // 1000
    splicer = Splicer((Cut(4600, 5600, asked, False, asked),), N, RATE_HZ, silent())
    out = np.concatenate([splicer.feed(speech()), splicer.flush()])
    assert heard_ms(speech()) == [24.0]
    assert asked_ms <= sum(heard_ms(out)) <= asked_ms + FADED_MS
    (cut,) = splicer.made
    assert len(out) == N + cut.longer
    begin, end = cut.left_out
    np.testing.assert_array_equal(out[: begin - 80], speech()[: begin - 80])
    np.testing.assert_array_equal(out[begin + cut.insert + 80 :], speech()[end + 80 :])


def test_a_pause_that_is_heard_never_gets_longer_than_it_was_planned() -> None:
    loud = np.ones(N, np.float32)
    splicer = Splicer((Cut(3000, 3000, 100, False, 400),), N, RATE_HZ, silent())
    assert len(splicer.feed(loud)) + len(splicer.flush()) == N + 100


def test_only_the_silence_at_the_border_is_taken_out() -> None:
    """A closure behind the pause goes with it; what sounds stays."""
    pcm = speech()
    pcm[5400:7000] *= 0.001  # silent for 125 ms, of which 75 belong to the next word
    splicer = Splicer((Cut(5000, 5800, 0, False, 320),), N, RATE_HZ, silent())
    out = np.concatenate([splicer.feed(pcm), splicer.flush()])
    (silent_ms,) = heard_ms(out)
    assert 20 <= silent_ms <= 20 + FADED_MS < 75
    assert splicer.made[0].left_out[1] > 5800
    np.testing.assert_array_equal(out[-900:], pcm[-900:])
    np.testing.assert_array_equal(out[:4900], pcm[:4900])


def test_nothing_to_put_in_leaves_the_stream_as_it_is() -> None:
    np.testing.assert_array_equal(spliced(speech(), ()), speech())


def test_the_quietest_place_is_found_and_only_the_fades_touch_the_sound() -> None:
    out = spliced(speech(), [Cut(4600, 5600, 1000, False)])
    (zeros,) = np.nonzero(out == 0)
    begin, end = int(zeros[0]), int(zeros[-1]) + 1
    assert end - begin >= 1000
    assert 5000 <= begin <= 5400
    fade = round(FADE_S * RATE_HZ)
    np.testing.assert_array_equal(out[: begin - fade], speech()[: begin - fade])
    np.testing.assert_array_equal(out[end + fade :], speech()[end - 1000 + fade :])


def test_without_a_pause_the_sound_fades_out_and_in() -> None:
    out = spliced(np.ones(N, np.float32), [Cut(3000, 3000, 800, False)])
    assert np.abs(np.diff(out)).max() < 0.05
    assert len(out) == N + 800
    assert (out == 0).sum() >= 800


def test_silence_before_and_after_does_not_fade_the_sound() -> None:
    out = spliced(np.ones(N, np.float32), [Cut(0, 0, 100, False), Cut(N, N, 60, False)])
    assert out[100] == 1.0
    assert not out[:100].any()
    assert not out[-60:].any()
    assert out[-61] < 0.01  # the end of a sound is faded into what follows


def test_a_breath_ends_shortly_before_the_next_word() -> None:
    taken = silent().take(RATE_HZ, breath=True)
    (heard,) = np.nonzero(taken)
    assert len(heard) == round(LONGEST_BREATH_S * RATE_HZ)
    assert heard[-1] + 1 == RATE_HZ - round(0.03 * RATE_HZ)
    short = silent().take(3000, breath=True)
    assert np.nonzero(short)[0][-1] + 1 == 3000 - round(0.03 * RATE_HZ)


def test_room_tone_fills_every_silence() -> None:
    made: list[tuple[int, int]] = []

    def tone(start: int, stop: int) -> Pcm:
        made.append((start, stop))
        return np.full(stop - start, 0.01, np.float32)

    silence = Silence(RATE_HZ, lambda n, _: np.zeros(n, np.float32), tone)
    splicer = Splicer((Cut(100, 200, 400, False),), 1000, RATE_HZ, silence)
    out = np.concatenate([splicer.feed(np.zeros(1000, np.float32)), splicer.flush()])
    assert made == [(0, 400)]
    assert (out == np.float32(0.01)).sum() == 400
    assert silence.take(7) == pytest.approx(0.01)
    assert made[1] == (400, 407)
