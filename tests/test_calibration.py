"""What is measured of a voice once, and when it is measured anew."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import parselmouth
import pytest

from voicesvc import calibration, packs, phonemes
from voicesvc.audio import Pcm
from voicesvc.calibration import SENTENCES, Calibration
from voicesvc.engines.tone import Tone
from voicesvc.packs import Pack
from voicesvc.phonemes import Word
from voicesvc.plan import Plan
from voicesvc.studio import Studio

RATE_HZ = 22050
MODELS = Path(__file__).parent.parent / "models"


def letters(text: str) -> tuple[Word, ...]:
    """Each letter a symbol, each space and comma a pause."""
    words = text.rstrip(".?").split()
    return tuple(Word(w, 0, len(w), tuple(w.strip(",").lower()), (" ",)) for w in words)


class Hum(Tone):
    """A harmonic voice of 125 Hz, in every third sentence 250 Hz, over noise; silent pauses."""

    f0_hz = None

    def stream(self, plan: Plan, chunks: tuple[int, ...] = ()) -> Iterator[Pcm]:
        t = np.arange(plan.samples) / RATE_HZ
        f0_hz = 250.0 if plan.seed % 3 == 0 else 125.0
        voice = sum(np.sin(2 * np.pi * k * f0_hz * t) / k for k in range(1, 12))
        loud = np.repeat([u.kind == "phone" for u in plan.units()], plan.hop * 6)
        noise = 1e-4 * np.random.default_rng(plan.seed).standard_normal(len(t))
        yield (0.1 * voice * loud + noise).astype(np.float32)


@pytest.fixture
def pack() -> Pack:
    found = packs.find(MODELS)["joe"]
    assert isinstance(found, Pack)
    return found


@pytest.fixture
def hum() -> Hum:
    return Hum(frozenset("abcdefghijklmnopqrstuvwxyz "), "0" * 64, RATE_HZ)


def test_a_voice_is_measured_as_it_is(hum: Hum) -> None:
    found = calibration.measure(hum, letters)
    low = sum((1 + i) % 3 != 0 for i in range(len(SENTENCES)))  # sentences of 125 Hz
    share = 1 - low / len(SENTENCES)
    assert found.f0_median_hz == pytest.approx(125 * 2**share, rel=0.01)
    assert found.articulation_hz == pytest.approx(RATE_HZ / (6 * 256), rel=0.01)
    assert found.floor_db == pytest.approx(-80.0, abs=1.5)
    assert found.floor is not None
    assert len(found.floor.bands_db) == 8
    power = 0.5 * sum((0.1 / k) ** 2 for k in range(1, 12))
    assert found.level_db == pytest.approx(10 * np.log10(power), abs=0.2)
    assert calibration.measure(hum, letters) == found


def test_a_voice_without_a_pitch_is_given_one(hum: Hum) -> None:
    class Mute(Hum):
        def stream(self, plan: Plan, chunks: tuple[int, ...] = ()) -> Iterator[Pcm]:
            yield np.zeros(plan.samples, np.float32)

    found = calibration.measure(Mute(hum.symbols, hum.model_sha256, RATE_HZ), letters)
    assert (found.f0_median_hz, found.f0_range_st) == (calibration.UNVOICED_HZ, 0.0)
    assert found.floor is None


def test_it_is_measured_once_for_each_model_and_noise(hum: Hum, pack: Pack, tmp_path: Path) -> None:
    def ensure(pack: Pack) -> Calibration:
        return calibration.ensure(hum, pack, letters, tmp_path / "calibration")

    first = ensure(pack)
    assert hum.planned == len(SENTENCES)
    assert ensure(pack) == first
    assert hum.planned == len(SENTENCES)
    ensure(pack.model_copy(update={"vits": pack.vits.model_copy(update={"noise_scale": 0.3})}))
    assert hum.planned == 2 * len(SENTENCES)
    kept = sorted((tmp_path / "calibration").iterdir())
    assert len(kept) == 2


@pytest.mark.parametrize("damage", ["", "{}", '{"version": 0}', "\0"])
def test_a_damaged_file_is_measured_anew(hum: Hum, pack: Pack, tmp_path: Path, damage: str) -> None:
    first = calibration.ensure(hum, pack, letters, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(damage)
    assert calibration.ensure(hum, pack, letters, tmp_path) == first
    assert Calibration.model_validate_json(path.read_text()) == first


def test_an_engine_that_knows_its_pitch_is_not_listened_to(pack: Pack, tmp_path: Path) -> None:
    tone = Tone(frozenset("a "), "0" * 64)
    assert calibration.ensure(tone, pack, letters, tmp_path).f0_median_hz == tone.f0_hz
    assert tone.planned == 0
    assert not list(tmp_path.iterdir())


def test_praat_hears_the_demonstration_voice_where_it_was_calibrated(
    joe_studio: Studio, pack: Pack
) -> None:
    phonemizer = phonemes.phonemizer(pack.text.phonemizer, pack.language)
    lease = joe_studio.cast.voices.lease("joe")
    engine = lease.engine
    found = calibration.measure(engine, lambda text: phonemizer.words(text, 0))
    medians_st = []
    for text in ("The boat was gone before we reached the shore.", "He never came home."):
        line = engine.plan(phonemizer.words(text, 0), 9)
        pcm = np.concatenate(list(engine.stream(line))).astype(float)
        pitch = parselmouth.Sound(pcm, RATE_HZ).to_pitch_ac(pitch_floor=55, pitch_ceiling=180)
        f0_hz = pitch.selected_array["frequency"]
        medians_st.append(12 * np.log2(np.median(f0_hz[f0_hz > 0]) / found.f0_median_hz))
    lease.release()
    phonemizer.close()
    assert abs(np.mean(medians_st)) < 2.0  # a line's median differs by 1 st from the voice's
