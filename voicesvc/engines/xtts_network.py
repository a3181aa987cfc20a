"""Which tensors an XTTS v2 voice is made of, in coqui-tts's names, and coqui's modules of them.

Weight norm folded into `weight`, float32; beside them the voice's own latents.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from torch import Tensor
from torch.nn.utils import parametrize

from voicesvc.packs import Xtts

PERCEIVER_LATENTS = 32  # coqui's perceiver gives so many, whatever it is given
CONDITIONING, SPEAKER = "voice.conditioning", "voice.speaker"
_COUNTERS = "num_batches_tracked"
_DECODER = "hifigan_decoder.waveform_decoder."
# What speaking needs; the rest makes latents of a recording.
_SPEAKING = (
    "gpt.gpt.",
    "gpt.text_embedding.",
    "gpt.mel_embedding.",
    "gpt.mel_pos_embedding.",
    "gpt.text_pos_embedding.",
    "gpt.final_norm.",
    "gpt.mel_head.",
    _DECODER,
    "voice.",
)
# A trainer's checkpoint has these beside the model, or the model's own a second time.
NOT_SERVED = (
    "dvae.",
    "torch_mel_spectrogram_style_encoder.",
    "torch_mel_spectrogram_dvae.",
)
_TWICE = ("gpt.gpt_inference.", "gpt.gpt.wte.")


def coqui(xtts: Xtts) -> Any:
    """coqui-tts's `Xtts` of this shape, the GPT without memory for its weights, norm folded."""
    import torch
    from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig
    from TTS.tts.layers.xtts.gpt import GPT
    from TTS.tts.models.xtts import Xtts as CoquiXtts

    said = xtts.model_dump()
    names = XttsArgs.__dataclass_fields__.keys() & said.keys() - {"gpt_number_text_tokens"}
    args = {name: said[name] for name in names}
    config = XttsConfig(
        model_args=XttsArgs(
            **args,
            decoder_input_dim=xtts.gpt_n_model_channels,
            gpt_use_perceiver_resampler=True,
        ),
        audio=XttsAudioConfig(
            sample_rate=xtts.input_sample_rate, output_sample_rate=xtts.output_sample_rate
        ),
    )
    model = CoquiXtts(config)
    with torch.device("meta"):
        model.gpt = GPT(
            layers=xtts.gpt_layers,
            model_dim=xtts.gpt_n_model_channels,
            heads=xtts.gpt_n_heads,
            start_text_token=xtts.gpt_start_text_token,
            stop_text_token=xtts.gpt_stop_text_token,
            max_text_tokens=xtts.gpt_max_text_tokens,
            max_mel_tokens=xtts.gpt_max_audio_tokens,
            max_prompt_tokens=xtts.gpt_max_prompt_tokens,
            number_text_tokens=xtts.gpt_number_text_tokens,
            num_audio_tokens=xtts.gpt_num_audio_tokens,
            start_audio_token=xtts.gpt_start_audio_token,
            stop_audio_token=xtts.gpt_stop_audio_token,
            code_stride_len=xtts.gpt_code_stride_len,
            use_perceiver_resampler=True,
        )
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    for part in (model.gpt, model.hifigan_decoder):  # not `model.eval`: that makes a second GPT
        part.eval().requires_grad_(False)
    return model


def expected(xtts: Xtts) -> Mapping[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a pack."""
    return _expected(xtts.model_copy(update={"references_sha256": (), "f0_hz": None}))


@lru_cache(maxsize=16)
def _expected(xtts: Xtts) -> dict[str, tuple[int, ...]]:
    state = coqui(xtts).state_dict()
    found = {k: tuple(v.shape) for k, v in state.items() if not k.endswith(_COUNTERS)}
    return found | latents(xtts)


def latents(xtts: Xtts) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what says whose voice it is."""
    return {
        CONDITIONING: (PERCEIVER_LATENTS, xtts.gpt_n_model_channels),
        SPEAKER: (xtts.d_vector_dim,),
    }


def speaking(names: Iterable[str]) -> list[str]:
    """Those of them that speaking needs."""
    return [name for name in names if name.startswith(_SPEAKING)]


def decoding(names: Iterable[str]) -> list[str]:
    """Those of them that the decoder is made of."""
    return [name for name in names if name.startswith(_DECODER)]


def plain_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's tensors under the names that `Xtts` has them by.

    What the model has a second time, or counts for its training only, is left out.
    """
    named = {name.removeprefix("xtts."): value for name, value in state.items()}
    return {
        name: value
        for name, value in named.items()
        if not name.startswith((*NOT_SERVED, *_TWICE)) and not name.endswith(_COUNTERS)
    }


def generator(model: Any, values: Mapping[str, Tensor]) -> Any:
    """coqui's HiFi-GAN generator, its weights loaded strictly; `values` may hold others too."""
    decoder = model.hifigan_decoder.waveform_decoder
    own = {n.removeprefix(_DECODER): v for n, v in values.items() if n.startswith(_DECODER)}
    decoder.load_state_dict(own, strict=True, assign=True)
    return decoder
