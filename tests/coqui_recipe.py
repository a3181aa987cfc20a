"""A fine-tuning as a user runs it: coqui-tts's own recipe for LJSpeech, tiny and two steps long.

    python coqui_recipe.py DATASET OUTPUT RESBLOCK...

DATASET holds `metadata.csv` and `wavs/`. A program of its own, because coqui's trainer sets up
logging, threads and start methods for the whole process, and ends it where training fails.
"""

import sys
from pathlib import Path

import soundfile
import torch
import torchaudio
from trainer import Trainer, TrainerArgs
from TTS.tts.configs.shared_configs import BaseDatasetConfig
from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
from TTS.tts.datasets import load_tts_samples
from TTS.tts.models.vits import Vits
from voice_files import BLOCKS, TINY

SHAPE = {
    "upsample_rates_decoder": [8, 8, 4],
    "upsample_kernel_sizes_decoder": [16, 16, 8],
    "upsample_initial_channel_decoder": 32,
    "spec_segment_size": 8,
    "init_discriminator": True,
    "periods_multi_period_discriminator": [],  # 41 million weights fewer; it is not served
}


def read_wav(path: str) -> tuple[torch.Tensor, int]:
    """Samples [1, n] and their rate in Hz, as `torchaudio.load` gives them."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    return torch.from_numpy(samples)[None], rate_hz


def train(dataset: Path, output: Path, block: str) -> None:
    """Two steps of each optimizer; the trainer writes its files to a new folder in `output`."""
    torch.manual_seed(1)
    torchaudio.load = read_wav  # its own needs FFmpeg's libraries on the system, for a WAV too
    dataset_config = BaseDatasetConfig(
        formatter="ljspeech", meta_file_train="metadata.csv", path=str(dataset)
    )
    config = VitsConfig(
        model_args=VitsArgs(**TINY | BLOCKS[block] | SHAPE),
        run_name=f"vits{block}",
        batch_size=4,
        num_loader_workers=0,
        run_eval=False,
        test_delay_epochs=9,  # speaks no test sentences
        epochs=1,
        text_cleaner="english_cleaners",
        use_phonemes=False,
        output_path=str(output),
        datasets=[dataset_config],
    )
    samples, _ = load_tts_samples(config, eval_split=False)
    trainer = Trainer(
        TrainerArgs(),
        config,
        output,
        model=Vits(config),
        train_samples=samples,
        parse_command_line_args=False,
    )
    trainer.fit()


if __name__ == "__main__":
    for kind in sys.argv[3:]:
        train(Path(sys.argv[1]), Path(sys.argv[2]), kind)
