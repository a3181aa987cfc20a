"""Voices for tests: the embedded one, coqui's own network around a pack, and tiny checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import parametrize
from trainer.io import save_model
from TTS.tts.configs.shared_configs import CharactersConfig
from TTS.tts.configs.vits_config import VitsConfig
from TTS.tts.models.vits import Vits as CoquiVits
from TTS.tts.models.vits import VitsArgs

from voicesvc import packs
from voicesvc.packs import Licence, Pack, Text

JOE = Path(__file__).parent.parent / "models" / "joe"
GRANTED = Licence(weights="granted", data="granted")
LINE = "hˈɛloʊ wˈɜːld, ðɪs ɪz dʒˈoʊ spˈiːkɪŋ."
TINY = {
    "hidden_channels": 8,
    "hidden_channels_ffn_text_encoder": 16,
    "num_layers_text_encoder": 2,
    "num_layers_posterior_encoder": 2,
    "num_layers_flow": 2,
    "upsample_rates_decoder": [8, 4],
    "upsample_kernel_sizes_decoder": [16, 8],
    "upsample_initial_channel_decoder": 16,
    "inference_noise_scale": 0.5,
    "init_discriminator": False,  # 46 million weights
}
BLOCKS: dict[str, dict[str, Any]] = {
    "1": {
        "resblock_type_decoder": "1",
        "resblock_kernel_sizes_decoder": [3, 5],
        "resblock_dilation_sizes_decoder": [[1, 3, 5], [1, 3, 5]],
    },
    "2": {
        "resblock_type_decoder": "2",
        "resblock_kernel_sizes_decoder": [3, 5],
        "resblock_dilation_sizes_decoder": [[1, 2], [2, 6]],
    },
}


def ids_of(text: Text, symbols: str) -> list[int]:
    """The id sequence as `packs.Text` promises it."""
    known = text.ids()
    ids = [known[s] for s in symbols]
    if text.add_blank:
        assert text.blank is not None
        spread = [known[text.blank]] * (2 * len(ids) + 1)
        spread[1::2] = ids
        ids = spread
    if text.use_bos_eos:
        assert text.bos is not None
        assert text.eos is not None
        ids = [known[text.bos], *ids, known[text.eos]]
    return ids


def coqui_of(pack: Pack) -> CoquiVits:
    """coqui's own Vits with the pack's tensors: strictly, and nothing of it left unloaded."""
    args = pack.vits.model_dump(exclude={"noise_scale", "noise_scale_dp"})
    config = VitsConfig(
        model_args=VitsArgs(**args, init_discriminator=False),
        characters=CharactersConfig(
            characters_class="TTS.tts.utils.text.characters.Graphemes",
            characters="".join(chr(0xE000 + i) for i in range(pack.vits.num_chars)),
            punctuations="",
            pad="",
            eos="",
            bos="",
            blank="",
            is_unique=False,
        ),
    )
    config.audio.hop_length = pack.vits.hop
    model = CoquiVits(config).eval()
    del model.posterior_encoder
    if pack.vits.use_sdp:
        durations = model.duration_predictor
        durations.flows[1] = torch.nn.Identity()
        del durations.post_pre, durations.post_convs, durations.post_proj, durations.post_flows
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    state = {name: torch.from_numpy(value) for name, value in packs.tensors(pack).items()}
    model.load_state_dict(state, strict=True)
    return model


def speak(model: CoquiVits, ids: list[int]) -> np.ndarray:
    """coqui's own inference without noise: samples [n]."""
    model.inference_noise_scale = model.inference_noise_scale_dp = 0.0
    return model.inference(torch.tensor([ids]))["model_outputs"].squeeze().numpy()


def tiny(folder: Path, file: str = "model.pth", **changed: Any) -> CoquiVits:
    """A VITS of random weights, saved as coqui's trainer saves it."""
    torch.manual_seed(0)
    args = {**TINY, **BLOCKS["2"], **changed.pop("model_args", {})}
    config = VitsConfig(model_args=VitsArgs(**args), phoneme_language="en-us", **changed)
    config.audio.hop_length = int(np.prod(args["upsample_rates_decoder"]))
    model = CoquiVits(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.1)
    optimizer = torch.optim.AdamW(model.parameters())
    folder.mkdir(exist_ok=True, parents=True)
    model.config.save_json(folder / "config.json")
    save_model(
        model.config, model, folder / file, current_step=2, epoch=1, optimizer=[optimizer],
        model_loss={"train_loss": 1.0, "eval_loss": None},
    )  # fmt: skip
    return model


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the saved config in place."""
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    change(config)
    path.write_text(json.dumps(config), "utf-8")


def edit_state(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the saved tensors in place."""
    saved = torch.load(folder / "model.pth", weights_only=True)
    change(saved["model"])
    torch.save(saved, folder / "model.pth")
