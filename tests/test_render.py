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


@settings(max_examples=60)
@given(st.lists(st.integers(0, N), max_size=12))
def test_chunked_equals_whole(ends: list[int]) -> None:
    whole = spliced(speech(), CUTS)
    assert len(whole) == N + 300 + 50 + 700 + 90
    np.testing.assert_array_equal(spliced(speech(), CUTS, ends), whole)
    np.testing.assert_array_equal(spliced(speech(), CUTS, range(0, N, 7)), whole)


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
