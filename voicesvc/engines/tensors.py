"""Which tensors a VITS voice is made of, in coqui-tts's names. Knows nothing about where they lie.

Only what inference uses: weight norm folded into `weight`, float32.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from voicesvc.errors import PackRefused
from voicesvc.packs import Tensors, Vits

# Parts of coqui's Vits that only training uses.
TRAINING_ONLY = (
    "disc.",
    "posterior_encoder.",
    "speaker_encoder.",
    "duration_predictor.post_",
    "duration_predictor.flows.1.",
)
# The two halves of a weight norm: weight = DIRECTION * GAIN / |DIRECTION|.
DIRECTION, GAIN = ".parametrizations.weight.original1", ".parametrizations.weight.original0"

SPEAKER = "voice.speaker"  # [G], of a model of several speakers: whose voice it is


def network(vits: Vits) -> Any:
    """coqui-tts's modules of this shape under the names `Vits` has them by: a `nn.ModuleDict`.

    Only what inference uses. Weight norm is not folded yet; nothing is loaded.
    """
    from TTS.tts.layers.glow_tts.duration_predictor import DurationPredictor
    from TTS.tts.layers.vits.networks import ResidualCouplingBlocks, TextEncoder
    from TTS.tts.layers.vits.stochastic_duration_predictor import StochasticDurationPredictor
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    hidden, speaker = vits.hidden_channels, vits.speaker_channels
    timing = speaker if vits.condition_dp_on_speaker else 0
    encoder = TextEncoder(
        vits.num_chars,
        hidden,
        hidden,
        vits.hidden_channels_ffn_text_encoder,
        vits.num_heads_text_encoder,
        vits.num_layers_text_encoder,
        vits.kernel_size_text_encoder,
        0.0,
    )
    flow = ResidualCouplingBlocks(
        hidden,
        hidden,
        kernel_size=vits.kernel_size_flow,
        dilation_rate=vits.dilation_rate_flow,
        num_layers=vits.num_layers_flow,
        cond_channels=speaker,
    )
    if vits.use_sdp:
        durations = StochasticDurationPredictor(hidden, 192, 3, 0.0, 4, cond_channels=timing)
        durations.flows[1] = nn.Identity()  # its reverse pass skips this one
        del durations.post_pre, durations.post_convs, durations.post_proj, durations.post_flows
    else:
        durations = DurationPredictor(hidden, 256, 3, 0.0, cond_channels=timing)
    decoder = HifiganGenerator(
        hidden,
        1,
        vits.resblock_type_decoder,
        vits.resblock_dilation_sizes_decoder,
        vits.resblock_kernel_sizes_decoder,
        vits.upsample_kernel_sizes_decoder,
        vits.upsample_initial_channel_decoder,
        vits.upsample_rates_decoder,
        inference_padding=0,
        cond_channels=speaker,
        conv_pre_weight_norm=False,
        conv_post_weight_norm=False,
        conv_post_bias=False,
    )
    return nn.ModuleDict(
        {
            "text_encoder": encoder,
            "duration_predictor": durations,
            "flow": flow,
            "waveform_decoder": decoder,
        }
    )


@lru_cache(maxsize=16)
def expected(vits: Vits) -> Mapping[str, tuple[int, ...]]:
    """Name -> shape of every tensor this network is made of.

    Builds it for real: torch's meta device would do, but importing what it needs takes seconds.
    """
    state = network(vits).state_dict()
    found = {
        name.replace(DIRECTION, ".weight"): tuple(value.shape)
        for name, value in state.items()
        if not name.endswith(GAIN)
    }
    return found | speaker(vits)


def speaker(vits: Vits) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what says whose voice it is; none of a model of one speaker."""
    return {SPEAKER: (vits.speaker_channels,)} if vits.speaker_channels else {}


def check(wanted: Mapping[str, tuple[int, ...]], values: Mapping[str, Any], where: Path) -> None:
    """Check that `values` (arrays, or torch tensors on the CPU) are exactly those `wanted`.

    `wanted` has their shapes by name, as `expected` of a network says.

    Raises:
        PackRefused: a tensor is missing, unknown, of another shape, not float32, or holds a number
            that is not finite; it is named.
    """
    check_shapes(wanted, {name: tuple(value.shape) for name, value in values.items()}, where)
    for name in wanted:
        value = values[name]
        dtype = str(value.dtype).removeprefix("torch.")
        if dtype != "float32":
            raise _refused(where, name, f"is {dtype}, not float32")
        if not np.isfinite(np.asarray(value)).all():
            raise _refused(where, name, "holds a number that is not finite")


def check_shapes(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: Path
) -> None:
    """Check that these are exactly the tensors wanted, by name and shape. Raises PackRefused."""
    for problem, names in (
        ("is missing", wanted.keys() - found.keys()),
        ("is not part of this network", found.keys() - wanted.keys()),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise _refused(where, min(names), f"{problem}{more}")
    for name, shape in wanted.items():
        if found[name] != shape:
            raise _refused(where, name, f"has shape {found[name]}, not {shape}")


def _refused(where: Path, name: str, problem: str) -> PackRefused:
    return PackRefused(f"pack {where}: tensor {name} {problem}", where=name)


def size_bytes(values: Tensors) -> int:
    """Bytes of all tensors together."""
    return sum(v.nbytes for v in values.values())
