"""Which take it is: found after what happens to audio, told from other takes of the same words."""

import subprocess
from collections.abc import Callable

import imageio_ffmpeg
import numpy as np
import pytest
import soxr
from conftest import LINE

from voicesvc import fingerprint
from voicesvc.audio import Pcm
from voicesvc.fingerprint import Index, Match
from voicesvc.line import Line
from voicesvc.studio import Studio

RATE_HZ = 22_050


def spoken(studio: Studio, text: str, seed: int) -> Pcm:
    rendering = studio.open(Line(actor="joe", text=text, seed=seed, format="pcm_f32le"))
    return np.frombuffer(b"".join(rendering.chunks()), np.float32)


@pytest.fixture(scope="module")
def takes(joe_studio: Studio, joe_pcm: Pcm) -> dict[str, Pcm]:
    """One text twice, and another one."""
    other = "Nobody had asked her where she had been."
    return {
        "one": joe_pcm,
        "two": spoken(joe_studio, LINE, 2),
        "other": spoken(joe_studio, other, 3),
    }


@pytest.fixture(scope="module")
def index(takes: dict[str, Pcm]) -> Index:
    return indexed(takes)


def indexed(takes: dict[str, Pcm]) -> Index:
    made = Index()
    made.add((name, fingerprint.words(pcm, RATE_HZ)) for name, pcm in takes.items())
    return made


def look_up(index: Index, pcm: Pcm, rate_hz: int = RATE_HZ) -> list[Match]:
    return index.find(fingerprint.queries(pcm, rate_hz))


def coded(pcm: Pcm, *options: str, file: str) -> Pcm:
    ffmpeg, raw = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"], ["-f", "f32le", "-ar", "22050"]
    there = [*ffmpeg, *raw, "-i", "-", *options, "-f", file, "-"]
    sent = subprocess.run(there, input=pcm.tobytes(), capture_output=True, check=True).stdout
    back = [*ffmpeg, "-f", file, "-i", "-", *raw, "-ac", "1", "-"]
    heard = subprocess.run(back, input=sent, capture_output=True, check=True).stdout
    return np.frombuffer(heard, np.float32)


def under_a_tune(pcm: Pcm) -> Pcm:
    """Notes of four partials, 6 dB below."""
    t = np.arange(len(pcm)) / RATE_HZ
    root_hz = 110 * 2 ** (np.random.default_rng(3).integers(0, 12, 99)[(2 * t).astype(int)] / 12)
    tune = sum(np.sin(2 * np.pi * k * root_hz * t) / k for k in range(1, 5))
    louder = 0.5 * np.sqrt(np.mean(pcm**2) / np.mean(np.square(tune)))
    return (pcm + louder * tune).astype(np.float32)


@pytest.mark.parametrize(
    "attack",
    [
        lambda pcm: coded(pcm, "-b:a", "64k", file="mp3"),
        lambda pcm: coded(pcm, "-ar", "48000", "-c:a", "libopus", "-b:a", "24k", file="ogg"),
        lambda pcm: soxr.resample(soxr.resample(pcm, RATE_HZ, 8000), 8000, RATE_HZ),
        under_a_tune,
        lambda pcm: 0.1 * pcm[4000 : 4000 + 2 * RATE_HZ],
        lambda pcm: soxr.resample(pcm, 25, 24),
        lambda pcm: soxr.resample(pcm, 0.95, 1.0),
    ],
    ids=["MP3", "Opus", "8 kHz", "music", "2 s, quieter", "25/24", "slower"],
)
def test_it_is_that_take(index: Index, takes: dict[str, Pcm], attack: Callable[[Pcm], Pcm]) -> None:
    for name in ("one", "two"):
        found = look_up(index, attack(takes[name]))
        assert [m.take for m in found] == [name]


def test_another_take_of_the_same_words_is_another(takes: dict[str, Pcm]) -> None:
    """So the one that is not in the register is not taken for the one that is."""
    for name, other in (("one", "two"), ("two", "one")):
        assert look_up(indexed({name: takes[name]}), takes[other]) == []


def test_where_it_is_is_said(index: Index, takes: dict[str, Pcm]) -> None:
    part = takes["one"][RATE_HZ // 2 :]
    silence = np.zeros(3 * RATE_HZ, np.float32)
    recording = np.concatenate([silence, takes["other"], silence, part])
    first, second = sorted(look_up(index, recording), key=lambda m: m.begin_s)
    assert (first.take, second.take) == ("other", "one")
    begin_s = 6 + len(takes["other"]) / RATE_HZ
    assert first.begin_s == pytest.approx(3, abs=0.3)
    assert second.begin_s == pytest.approx(begin_s, abs=0.3)
    assert second.take_begin_s == pytest.approx(0.5, abs=0.3)
    assert second.end_s == pytest.approx(begin_s + len(part) / RATE_HZ, abs=0.3)
    assert second.bit_error_rate < 0.15
    assert second.speed == 1.0


def test_the_speed_is_said(index: Index, takes: dict[str, Pcm]) -> None:
    (found,) = look_up(index, soxr.resample(takes["one"], 1.03, 1.0))
    assert found.speed == 1.03
    assert found.end_s - found.begin_s == pytest.approx(2.4 / 1.03, abs=0.5)


def test_what_nobody_made_is_not_found(index: Index) -> None:
    murmur = np.random.default_rng(1).standard_normal(4 * RATE_HZ).astype(np.float32)
    for pcm in (murmur, np.zeros(RATE_HZ, np.float32), murmur[:10], murmur[:0]):
        assert look_up(index, pcm) == []
    assert look_up(Index(), murmur) == []


def test_however_a_take_comes_its_fingerprint_is_the_same(takes: dict[str, Pcm]) -> None:
    pcm = takes["one"]
    fed = fingerprint.Fingerprinter(RATE_HZ)
    for at in range(0, len(pcm), 777):
        fed.feed(pcm[at : at + 777])
    whole = fingerprint.words(pcm, RATE_HZ)
    assert np.array_equal(fed.flush(), whole)
    assert len(whole) == pytest.approx(len(pcm) / RATE_HZ * fingerprint.WORDS_PER_S, abs=3)
    assert not fingerprint.words(np.zeros(RATE_HZ, np.float32), RATE_HZ).any()


def test_takes_that_come_later_are_found_too(takes: dict[str, Pcm]) -> None:
    """One by one, among many: parts of the index are put together when there are too many."""
    rng, made = np.random.default_rng(2), Index()
    for i in range(40):
        made.add([(f"noise {i}", rng.integers(0, 2**32, 200, np.uint32))])
        if i == 7:
            made.add([("one", fingerprint.words(takes["one"], RATE_HZ))])
    assert len(made) == 41
    assert [m.take for m in look_up(made, takes["one"])] == ["one"]
