"""The demonstration voice as a checkpoint that coqui-tts's own programs load: FOLDER as argument.

Weights are split into length and direction again, as its training leaves them. Its tokenizer puts a
symbol of its own, the last, between all others, where this voice learned its padding: that row of
the embedding is copied. What only training needs is random.
"""

import sys
from pathlib import Path

import torch
from gpu_check import joe
from safetensors.torch import load_file
from torch.nn.utils import parametrize
from TTS.tts.configs.shared_configs import CharactersConfig
from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
from TTS.tts.models.vits import Vits

EMBEDDING = "text_encoder.emb.weight"


def main() -> None:
    """Write `model.pth` and `config.json`, unless they are there."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "model.pth").exists():
        return
    pack = joe()
    shape = pack.vits_network.model_dump(mode="json")
    noise, durations = shape.pop("noise_scale"), shape.pop("noise_scale_dp")
    symbols = [s or chr(0xE000 + n) for n, s in enumerate(pack.text.symbols)]
    symbols += [chr(0xE000 + n) for n in range(len(symbols), shape["num_chars"])]
    characters = CharactersConfig(
        characters_class="TTS.tts.models.vits.VitsCharacters",
        pad=symbols[0],
        punctuations="",
        characters="".join(symbols[1:-1]),
        is_sorted=False,
    )
    config = VitsConfig(
        model_args=VitsArgs(
            **shape,
            inference_noise_scale=noise,
            inference_noise_scale_dp=durations,
            init_discriminator=False,
        ),
        characters=characters,
        use_phonemes=True,
        phonemizer="gruut",
        phoneme_language="en-us",
        text_cleaner="english_cleaners",
        add_blank=True,
    )
    config.audio.sample_rate = pack.sample_rate_hz
    model = Vits(config)
    weights = load_file(pack.weights_path)
    weights[EMBEDDING][-1] = weights[EMBEDDING][0]
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name, tensor in weights.items():
            owner, _, kind = name.rpartition(".")
            if parametrize.is_parametrized(modules[owner], kind):
                setattr(modules[owner], kind, tensor)
            else:
                getattr(modules[owner], kind).copy_(tensor)
    torch.save({"model": model.state_dict(), "step": 0}, folder / "model.pth")
    config.save_json(folder / "config.json")


if __name__ == "__main__":
    main()
