"""How long it is silent around a border, as a meter hears it."""

import numpy as np
import pytest

from voicesvc import gaps
from voicesvc.audio import Pcm

RATE_HZ = 22050


def sound(*stretches: tuple[int, float]) -> Pcm:
    """Noise: so many milliseconds at so many dB, one after another."""
    parts = [
        10 ** (level_db / 20)
        * np.random.default_rng(i).uniform(-1, 1, round(ms * RATE_HZ / 1000)).astype(np.float32)
        for i, (ms, level_db) in enumerate(stretches)
    ]
    return np.concatenate(parts).astype(np.float32)


def around_ms(pcm: Pcm, at_ms: float) -> list[float]:
    found = gaps.around(pcm, round(at_ms * RATE_HZ / 1000), RATE_HZ)
    return [1000 * n / RATE_HZ for n in found]


def test_silence_on_each_side_is_found() -> None:
    pcm = sound((300, 0.0), (80, -30.0), (60, -70.0), (30, -70.0), (200, -10.0))
    before, behind = around_ms(pcm, 440)
    assert before == pytest.approx(60, abs=4)
    assert behind == pytest.approx(30, abs=5)


@pytest.mark.parametrize("level_db", [-50.0, -45.0])
def test_what_is_40_db_below_the_loudest_is_silent(level_db: float) -> None:
    pcm = sound((300, 0.0), (100, -30.0), (100, level_db), (200, -20.0))
    assert around_ms(pcm, 450)[0] == pytest.approx(50, abs=4)


def test_level_counts_against_the_loudest_alone() -> None:
    """A line that is spoken 20 dB softer has the same pauses."""
    pcm = sound((300, 0.0), (80, -30.0), (90, -60.0), (200, -10.0))
    assert around_ms(pcm * np.float32(0.1), 425) == around_ms(pcm, 425)


def test_sound_reaches_into_what_is_put_in_where_a_word_is_torn() -> None:
    before, behind = around_ms(sound((300, 0.0), (300, 0.0)), 300)
    assert -5 < before < 0
    assert -5 < behind < 0


def test_nothing_at_all_is_all_silent() -> None:
    assert gaps.around(np.zeros(4410, np.float32), 1000, RATE_HZ) == (1000, 3410)
