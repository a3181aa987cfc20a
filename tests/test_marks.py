"""Marks in samples: nothing above 2.5 kHz, found again, and not found where there are none."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voicesvc.audio import Pcm
from voicesvc.engines.cells import CELL_FRAMES
from voicesvc.errors import EngineFailed
from voicesvc.marks import detector, perth
from voicesvc.marks.watermark import BAND_HZ, Watermark, hop, zone_ms

RATE_HZ, FRAME = 22_050, 256
RATES_HZ = (8000, 16_000, 22_050, 24_000, 44_100, 48_000)


def marked(pcm: Pcm, rate_hz: int = RATE_HZ, cuts: tuple[int, ...] = ()) -> Pcm:
    mark = Watermark(rate_hz, hop(rate_hz, FRAME))
    parts = [mark.feed(pcm[a:b]) for a, b in pairwise([0, *sorted(cuts), len(pcm)])]
    return np.concatenate([*parts, mark.flush()])


def murmur(n: int, rate_hz: int = RATE_HZ) -> Pcm:
    rng = np.random.default_rng(7)
    return (0.1 * rng.standard_normal(n)).astype(np.float32)


@pytest.fixture(scope="module")
def voice_marked(joe_pcm: Pcm) -> Pcm:
    return marked(joe_pcm)


@settings(max_examples=8)
@given(st.lists(st.integers(0, 30_000), max_size=8))
def test_however_it_is_cut_the_samples_are_the_same(cuts: list[int]) -> None:
    pcm = murmur(30_000)
    assert np.array_equal(marked(pcm, cuts=tuple(cuts)), marked(pcm))


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_as_many_threads_as_there_are_make_the_same_bits(threads: Callable[[int], None]) -> None:
    for frames in range(1, 80, 3):
        pcm, found = murmur(frames * FRAME + 100), []
        for n in (1, 2, 4):
            threads(n)
            found.append(marked(pcm))
        assert np.array_equal(found[0], found[1]), frames
        assert np.array_equal(found[0], found[2]), frames


def test_what_it_keeps_between_cells_is_no_view_of_more() -> None:
    mark = Watermark(22050, 256)
    mark.feed(np.zeros(22050 * 4, np.float32))
    kept = [*vars(mark).values(), *(layer._held for layer in mark._layers)]
    arrays = [x for x in kept if isinstance(x, np.ndarray)]
    tensors = [x for x in kept if isinstance(x, torch.Tensor)]
    assert len(arrays) >= 3
    assert len(tensors) >= 8
    assert all(x.base is None for x in arrays)
    assert all(x.untyped_storage().nbytes() <= x.nbytes + 64 for x in tensors)
    assert sum(x.nbytes for x in (*arrays, *tensors)) < 200_000


@pytest.mark.parametrize("n", [0, 1, 7, 319, 320, 1024, 5000, 22_049])
def test_as_many_samples_come_out_as_went_in(n: int) -> None:
    assert len(marked(murmur(n))) == n


@pytest.mark.parametrize("n", [3000, 12_345, 41_000])
def test_it_is_there_up_to_the_end(n: int) -> None:
    pcm = murmur(n)
    added = marked(pcm) - pcm
    assert added[-1000:].std() > 0.5 * added.std() > 0


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_it_is_found_at_every_rate(joe_pcm: Pcm, rate_hz: int) -> None:
    pcm = soxr.resample(joe_pcm, RATE_HZ, rate_hz)
    assert detector.find(pcm, rate_hz).verdict == "not marked"
    assert detector.find(marked(pcm, rate_hz), rate_hz).verdict == "marked"


def test_nothing_is_added_above_the_band(joe_pcm: Pcm, voice_marked: Pcm) -> None:
    frequency, added = scipy.signal.welch(voice_marked - joe_pcm, RATE_HZ, nperseg=4096)
    low, high = added[frequency < 2000].max(), added[frequency > BAND_HZ].max()
    assert low > 1e-9
    assert 10 * np.log10(high / low) < -70


def test_silence_stays_silent() -> None:
    assert not marked(np.zeros(40_000, np.float32)).any()


def test_the_first_cell_is_long_enough_for_the_first_sound_to_leave() -> None:
    mark = Watermark(RATE_HZ, FRAME)
    assert not len(mark.feed(murmur(round(0.2 * RATE_HZ))))
    first_s = len(mark.feed(murmur(CELL_FRAMES[0] * FRAME - round(0.2 * RATE_HZ)))) / RATE_HZ
    assert 0.065 < first_s < 0.075  # joe's lines begin with up to 0.062 s of silence


def test_one_change_reaches_no_further_than_it_says(joe_pcm: Pcm, voice_marked: Pcm) -> None:
    other, at = joe_pcm.copy(), len(joe_pcm) // 2
    other[at : at + 100] += 0.2
    touched = np.flatnonzero(marked(other) != voice_marked)
    reach = round(zone_ms(RATE_HZ, FRAME) / 1000 * RATE_HZ)
    assert at - reach <= touched[0]
    assert touched[-1] <= at + 100 + reach


@pytest.mark.parametrize("n", [1, 37])
def test_sound_that_moves_by_whole_frames_takes_its_mark_with_it(
    joe_pcm: Pcm, voice_marked: Pcm, n: int
) -> None:
    later = marked(np.concatenate([np.zeros(n * FRAME, np.float32), joe_pcm]))
    zone = round(zone_ms(RATE_HZ, FRAME) / 1000 * RATE_HZ)  # what comes before is other sound
    assert np.abs(later[n * FRAME :] - voice_marked)[zone:].max() < 1e-6


@pytest.mark.parametrize(
    ("rate_hz", "frame", "samples"),
    [
        (22_050, 256, 256),
        (24_000, 256, 256),
        (16_000, 256, 128),
        (48_000, 512, 512),
        (44_100, 256, 441),
        (24_000, 1, 240),
    ],
)
def test_frames_are_about_10_ms_apart_and_divide_the_engines(
    rate_hz: int, frame: int, samples: int
) -> None:
    assert hop(rate_hz, frame) == samples


def test_a_network_in_bf16_adds_what_one_in_fp32_does(
    joe_pcm: Pcm, voice_marked: Pcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perth, "multiplies_bf16", lambda: False)
    perth.network.cache_clear()
    try:
        assert {layer.dtype for layer in perth.network().adds} == {torch.float32}
        exact = marked(joe_pcm)
    finally:
        perth.network.cache_clear()
    error_db = 20 * np.log10((voice_marked - exact).std() / (exact - joe_pcm).std() + 1e-9)
    assert error_db < -50


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_what_is_added_is_what_the_network_says_at_its_own_rate(joe_pcm: Pcm, rate_hz: int) -> None:
    """Against torch's transforms at 32 kHz, in frames at the same times."""
    pcm = soxr.resample(joe_pcm[: 2 * RATE_HZ], RATE_HZ, perth.RATE_HZ)
    window = torch.hann_window(perth.N_FFT)
    shape = (perth.N_FFT, perth.HOP, perth.N_FFT, window)
    with torch.inference_mode():
        spectrum = torch.stft(
            torch.from_numpy(pcm), *shape, return_complex=True, pad_mode="constant"
        )
        x = perth.levels(spectrum[: perth.BINS].T)
        for layer in perth.network().adds:
            reach = layer.kernel // 2
            x = layer(torch.nn.functional.pad(x, (0, 0, reach, reach)).to(layer.dtype))
        gain = 10 ** (x.float() * (1.2 * perth.SPAN_DB / 20)) - 1
        added = torch.zeros_like(spectrum)
        added[: perth.BINS] = spectrum[: perth.BINS] * gain.T
        wanted = torch.istft(added, *shape, length=len(pcm)).numpy()
    own = soxr.resample(pcm, perth.RATE_HZ, rate_hz)
    mark = Watermark(rate_hz, round(rate_hz / 100))
    found = np.concatenate([mark.feed(own), mark.flush()]) - own
    inner = slice(rate_hz // 10, -rate_hz // 10)
    goal = soxr.resample(wanted, perth.RATE_HZ, rate_hz)[: len(found)]
    error_db = 20 * np.log10((found[: len(goal)] - goal)[inner].std() / goal[inner].std())
    assert error_db < (-40 if rate_hz % 100 == 0 else -20)  # of 220.5 samples half a one is lost


def test_a_rate_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="5000"):
        Watermark(4000, 40)


def test_where_the_mark_is_is_said(joe_pcm: Pcm) -> None:
    before, behind = np.tile(joe_pcm, 2)[: 5 * RATE_HZ], np.tile(joe_pcm, 2)[: 4 * RATE_HZ]
    found = detector.find(np.concatenate([before, marked(behind), before]), RATE_HZ)
    assert found.verdict == "marked"
    assert found.marked[0][0] >= 3.0
    assert found.marked[-1][1] <= 11.0


def test_it_is_found_after_a_change_of_speed(joe_pcm: Pcm, voice_marked: Pcm) -> None:
    faster = soxr.resample(voice_marked, RATE_HZ, RATE_HZ * 24 / 25)
    found = detector.find(faster, RATE_HZ)
    # at speeds beside the right one it is found as surely
    assert (found.verdict, found.speed) == ("marked", pytest.approx(25 / 24, abs=0.021))
    assert detector.find(soxr.resample(joe_pcm, 25, 24), RATE_HZ).verdict == "not marked"


def test_what_cannot_be_told_is_inconclusive(joe_pcm: Pcm) -> None:
    assert detector.find(np.zeros(50_000, np.float32), RATE_HZ).verdict == "inconclusive"
    assert detector.find(np.zeros(10, np.float32), RATE_HZ).verdict == "inconclusive"
    high = scipy.signal.sosfilt(
        scipy.signal.butter(12, 3000, "high", fs=RATE_HZ, output="sos"), joe_pcm
    )
    assert detector.find(high.astype(np.float32), RATE_HZ).verdict == "inconclusive"


def test_another_network_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "net.pth.tar"
    other.write_bytes(b"cos\nsystem\n(S'echo hello'\ntR.")
    with pytest.raises(EngineFailed, match=r"net\.pth\.tar is not the watermark's network"):
        perth._read(other)
