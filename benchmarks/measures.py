"""How speech is judged here: an independent recogniser, two opinion models, spectra, clicks.

It knows nothing about who spoke. Every function takes float32 samples [n] and their rate in Hz.
"""

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence

import librosa
import numpy as np
from common import BenchmarkFailed, Pcm

from voicesvc.qc import judges

# The recogniser writes American; whisper's normaliser takes such pairs.
SPELLINGS = {"harbour": "harbor", "honour": "honor", "practises": "practices", "grey": "gray"}


class Recogniser(judges.Recogniser):
    """The service's own recogniser; errors by whisper's normaliser, over many lines."""

    def __init__(self) -> None:
        from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

        super().__init__()
        self.normalise: Callable[[str], str] = EnglishTextNormalizer(SPELLINGS)  # type: ignore[no-untyped-call]

    def word_error_rate(self, texts: Sequence[str], heard: Sequence[str]) -> float:
        """Errors per word over all lines, both sides normalised (numbers, spelling, case)."""
        import jiwer

        reference = [self.normalise(t) for t in texts]
        return float(jiwer.wer(reference, [self.normalise(h) for h in heard]))


def dnsmos(pcm: Pcm, rate_hz: int) -> float:
    """DNSMOS overall opinion score, 1 to 5."""
    from speechmos import dnsmos as model

    scores = model.run(judges.at_16k(pcm, rate_hz, judges.LEVEL_DB), judges.RATE_HZ)
    return float(scores["ovrl_mos"])


@functools.cache
def _opinion() -> judges.Opinion:
    with contextlib.redirect_stdout(sys.stderr):  # it prints; ours is one JSON line
        return judges.Opinion()


def distillmos(pcm: Pcm, rate_hz: int) -> float:
    """DistillMOS opinion score, 1 to 5."""
    return _opinion().score(pcm, rate_hz)


def log_mel(pcm: Pcm, rate_hz: int) -> Pcm:
    """80 mel bands up to 8 kHz in dB: [80, n_frames], a frame every 256 samples."""
    mel = librosa.feature.melspectrogram(
        y=pcm, sr=rate_hz, n_fft=1024, hop_length=256, n_mels=80, fmax=8000
    )
    return np.asarray(librosa.power_to_db(mel, amin=1e-7), np.float32)


def log_mel_db(a: Pcm, b: Pcm, rate_hz: int) -> float:
    """Root mean square difference of log-mel spectra in dB, over the shorter one's length."""
    x, y = log_mel(a, rate_hz), log_mel(b, rate_hz)
    n = min(x.shape[1], y.shape[1])
    return float(np.sqrt(np.mean((x[:, :n] - y[:, :n]) ** 2)))


def timbre_db(a: Sequence[Pcm], b: Sequence[Pcm], rate_hz: int) -> float:
    """RMS difference in dB of two speakers' average spectra, over 80 mel bands, level removed."""

    def average(lines: Sequence[Pcm]) -> Pcm:
        power = [np.mean(10 ** (log_mel(x, rate_hz) / 10), axis=1) for x in lines]
        band_db = 10 * np.log10(np.mean(power, axis=0))
        return np.asarray(band_db - band_db.mean(), np.float32)

    return float(np.sqrt(np.mean((average(a) - average(b)) ** 2)))


def snr_db(reference: Pcm, pcm: Pcm) -> float:
    """Signal to error in dB, sample by sample; raises BenchmarkFailed when lengths differ."""
    if reference.shape != pcm.shape:
        raise BenchmarkFailed(f"lengths differ: {reference.shape} and {pcm.shape}")
    error = float(np.sum((reference.astype(np.float64) - pcm) ** 2))
    signal = float(np.sum(reference.astype(np.float64) ** 2))
    return 10 * float(np.log10(signal / max(error, 1e-20)))


def borders(pcm: Pcm, at: Sequence[int], rate_hz: int) -> dict[str, float]:
    """Steps from one sample to the next at the borders `at` against those everywhere else.

    `click` is the largest border step over the largest step within 5 ms of it: a click stands out
    of its surroundings, so it is well above 1; sound that goes on gives at most about 1.
    """
    step = np.abs(np.diff(pcm))
    near = round(0.005 * rate_hz)
    click = 0.0
    inner = [b for b in at if near < b < len(pcm) - near]
    for b in inner:
        around = np.concatenate([step[b - 1 - near : b - 1], step[b : b + near]])
        click = max(click, float(step[b - 1] / max(float(around.max()), 1e-4)))
    elsewhere = np.delete(step, [b - 1 for b in inner])
    return {
        "borders": len(inner),
        "largest_at_border": max((float(step[b - 1]) for b in inner), default=0.0),
        "largest_elsewhere": float(elsewhere.max()),
        "click": click,
    }
