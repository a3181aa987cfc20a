"""XTTS v2 checkpoints for tests: coqui's own network, random weights, a vocabulary of letters."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from trainer.io import save_model
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig
from TTS.tts.models.xtts import Xtts as CoquiXtts

LETTERS = "abcdefghijklmnopqrstuvwxyz',.?!"
TINY = {
    "gpt_layers": 2,
    "gpt_n_model_channels": 64,
    "gpt_n_heads": 2,
    "decoder_input_dim": 64,
    "gpt_num_audio_tokens": 34,
    "gpt_start_audio_token": 32,
    "gpt_stop_audio_token": 33,
    "gpt_use_perceiver_resampler": True,
}
FULL = {
    "gpt_num_audio_tokens": 1026,
    "gpt_start_audio_token": 1024,
    "gpt_stop_audio_token": 1025,
    "gpt_use_perceiver_resampler": True,
}


def vocabulary(path: Path, tokens: int = 0, more: Sequence[str] = ()) -> None:
    """A BPE vocabulary of letters, of "th" and `more`; of `tokens` in all, the rest unused."""
    named = ["[STOP]", "[UNK]", "[SPACE]", "[en]", "[START]", *LETTERS, "th", *more]
    named += [f"[unused{i}]" for i in range(len(named), tokens)]
    ids = {token: i for i, token in enumerate(named)}
    bpe = Tokenizer(models.BPE(vocab=ids, merges=[("t", "h")], unk_token="[UNK]"))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe.add_special_tokens([t for t in named if t.startswith("[")])
    bpe.save(str(path))


def clip(path: Path, seconds: float = 1.5, pitch_hz: float = 220.0) -> None:
    """A recording: a hum with overtones."""
    t = np.arange(round(seconds * 22050)) / 22050
    hum = sum(np.sin(2 * np.pi * pitch_hz * n * t) / n for n in range(1, 8))
    soundfile.write(path, (0.2 * hum).astype(np.float32), 22050)


def checkpoint(
    folder: Path,
    shape: dict[str, Any] = TINY,
    file: str = "model.pth",
    tokens: int = 0,
    more: Sequence[str] = (),
) -> CoquiXtts:
    """A folder as coqui publishes it, with a reference clip; and coqui's model of the same."""
    folder.mkdir(exist_ok=True, parents=True)
    vocabulary(folder / "vocab.json", tokens, more)
    clip(folder / "reference.wav")
    torch.manual_seed(0)
    config = XttsConfig(
        model_args=XttsArgs(**shape),
        audio=XttsAudioConfig(),
        temperature=0.75,
        repetition_penalty=2.0,
        gpt_cond_len=3,
        gpt_cond_chunk_len=3,
    )
    config.save_json(folder / "config.json")
    config.model_args.tokenizer_file = str(folder / "vocab.json")
    model = CoquiXtts(config)
    model.tokenizer = type(model.tokenizer)(folder / "vocab.json")
    model.init_models()
    with torch.no_grad():
        for name, parameter in model.hifigan_decoder.waveform_decoder.named_parameters():
            if name.endswith("original0"):
                parameter.fill_(1.5)
            elif name.startswith("conv"):
                parameter.normal_(0.0, 0.05)
    save_model(config, model, folder / file, current_step=2, epoch=1, optimizer=None)
    model.gpt.init_gpt_for_inference()
    model.gpt.eval()
    model.hifigan_decoder.eval()
    return model


def edit_config(folder: Path, **changed: Any) -> None:
    """Change the saved config in place; keys of `model_args` by their own names."""
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    for name, value in changed.items():
        (config["model_args"] if name in config["model_args"] else config)[name] = value
    path.write_text(json.dumps(config), "utf-8")
