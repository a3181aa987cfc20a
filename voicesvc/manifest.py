"""What a pack's manifest may say. Knows nothing of files, weights or what is done with it."""

from collections.abc import Collection
from math import prod
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from voicesvc.directions import EmotionName

_DILATIONS = {"1": 3, "2": 2}  # used by each kind of residual block


def _plain_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError("must be a path inside the folder, without '..'")
    return path


# What XTTS v2 was trained on; regions of them are said as they are: "en-us".
XTTS_LANGUAGES = (
    "ar",
    "cs",
    "de",
    "en",
    "es",
    "fr",
    "hi",
    "hu",
    "it",
    "ja",
    "ko",
    "nl",
    "pl",
    "pt",
    "ru",
    "tr",
    "zh-cn",
)
SLUG = r"^[a-z0-9][a-z0-9_-]{0,63}$"
LANGUAGE = r"^[a-z]{2,3}(-[a-z0-9]+)*$"  # "en-us"
Slug = Annotated[str, Field(pattern=SLUG)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
InsidePath = Annotated[str, AfterValidator(_plain_path)]
Said = Annotated[str, Field(min_length=1, max_length=2000)]
Size = Annotated[int, Field(ge=1, le=16384)]
Index = Annotated[int, Field(ge=0, le=65535)]
Odd = Annotated[int, Field(ge=1, le=127)]
Scale = Annotated[float, Field(ge=0.0, le=4.0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Frozen; unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Licence(Strict):
    """What the weights and the recordings behind them may be used for."""

    weights: Said
    data: Said
    note: str = ""
    base: Literal["", "CPML"] = ""  # of the weights that these were fine-tuned from, where it binds
    base_granted: str = ""  # what else was granted for them, by whom

    def withheld(self, acknowledged: Collection[str]) -> str | None:
        """Why the weights may not be loaded; None where they may."""
        if not self.base or self.base_granted or self.base in acknowledged:
            return None
        return f"its weights are under {self.base}: {BASES[self.base]}"


# What the licences of base models allow.
BASES = {"CPML": "Coqui Public Model License 1.0.0, non-commercial use of model and output only"}


class Text(Strict):
    """How words become ids: an id is the index of its symbol.

    The sequence is bos, then the ids with `blank` before, between and after them, then eos.
    """

    phonemizer: Literal["espeak", "gruut", "graphemes"]
    symbols: Annotated[tuple[str, ...], Field(min_length=1)]  # "" where an id has no symbol
    pad: Said | None = None
    bos: Said | None = None
    eos: Said | None = None
    blank: Said | None = None
    add_blank: bool
    use_bos_eos: bool
    lowercase: bool = False  # the model was trained on lower-case letters only

    @model_validator(mode="after")
    def _fits(self) -> "Text":
        used = [s for s in self.symbols if s]
        if len(set(used)) != len(used):
            twice = sorted({s for s in used if used.count(s) > 1})
            raise ValueError(f"symbols has {twice} more than once")
        for name in ("pad", "bos", "eos", "blank"):
            symbol = getattr(self, name)
            if symbol is not None and symbol not in used:
                raise ValueError(f"{name} {symbol!r} is not in symbols")
        if self.add_blank and self.blank is None:
            raise ValueError("add_blank needs a blank symbol")
        if self.use_bos_eos and (self.bos is None or self.eos is None):
            raise ValueError("use_bos_eos needs bos and eos")
        if self.lowercase and self.phonemizer != "graphemes":
            raise ValueError("lowercase is for graphemes only")
        return self

    def ids(self) -> dict[str, int]:
        """Symbol -> id."""
        return {s: i for i, s in enumerate(self.symbols) if s}


class Vits(Strict):
    """The shape of the network, in the names of coqui-tts's `VitsArgs`, and its noise scales."""

    num_chars: Annotated[int, Field(ge=1, le=65536)]
    hidden_channels: Size
    hidden_channels_ffn_text_encoder: Size
    num_heads_text_encoder: Annotated[int, Field(ge=1, le=64)]
    num_layers_text_encoder: Annotated[int, Field(ge=1, le=64)]
    kernel_size_text_encoder: Odd
    kernel_size_flow: Odd
    dilation_rate_flow: Annotated[int, Field(ge=1, le=8)]
    num_layers_flow: Annotated[int, Field(ge=1, le=64)]
    resblock_type_decoder: Literal["1", "2"]
    resblock_kernel_sizes_decoder: Annotated[tuple[Odd, ...], Field(min_length=1, max_length=8)]
    resblock_dilation_sizes_decoder: tuple[tuple[Annotated[int, Field(ge=1, le=64)], ...], ...]
    upsample_rates_decoder: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=8)
    ]
    upsample_initial_channel_decoder: Size
    upsample_kernel_sizes_decoder: tuple[Annotated[int, Field(ge=1, le=128)], ...]
    use_sdp: bool
    # Of a model of several speakers: how large what says whose voice it is, of either kind.
    speaker_embedding_channels: Annotated[int, Field(ge=0, le=16384)] = 0
    d_vector_dim: Annotated[int, Field(ge=0, le=16384)] = 0
    condition_dp_on_speaker: bool = True  # whether durations hear it
    noise_scale: Scale = 0.667
    noise_scale_dp: Scale = 0.8
    length_scale: Annotated[float, Field(gt=0.0, le=4.0, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _fits(self) -> "Vits":
        if self.hidden_channels % 2 or self.hidden_channels % self.num_heads_text_encoder:
            raise ValueError(
                "hidden_channels must be even and a multiple of num_heads_text_encoder"
            )
        odd = (
            self.kernel_size_text_encoder,
            self.kernel_size_flow,
            *self.resblock_kernel_sizes_decoder,
        )
        if not all(k % 2 for k in odd):
            raise ValueError("kernel sizes of the encoder, flow and residual blocks must be odd")
        rates, kernels = self.upsample_rates_decoder, self.upsample_kernel_sizes_decoder
        if len(kernels) != len(rates) or any(
            k < u or (k - u) % 2 for u, k in zip(rates, kernels, strict=True)
        ):
            raise ValueError("each upsample kernel must exceed its rate by an even number")
        if self.speaker_embedding_channels and self.d_vector_dim:
            raise ValueError("speaker_embedding_channels and d_vector_dim: one of them is 0")
        if self.upsample_initial_channel_decoder % 2 ** len(rates):
            raise ValueError("upsample_initial_channel_decoder must halve at every upsampling")
        dilations, needed = (
            self.resblock_dilation_sizes_decoder,
            _DILATIONS[self.resblock_type_decoder],
        )
        if len(dilations) != len(self.resblock_kernel_sizes_decoder) or any(
            len(d) < needed for d in dilations
        ):
            raise ValueError(
                f"resblock_dilation_sizes_decoder needs {needed} dilations for each kernel size"
            )
        return self

    @property
    def speaker_channels(self) -> int:
        """Size of what says whose voice it is; 0 where the model has one speaker."""
        return self.speaker_embedding_channels or self.d_vector_dim

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return prod(self.upsample_rates_decoder)


class Weights(Strict):
    """A file beside the manifest: the tensors, or what belongs to them."""

    file: InsidePath
    sha256: Sha256


class Xtts(Strict):
    """The shape of the network, in the names of coqui-tts's `XttsArgs`, and how it is sampled.

    Version 2 only: the perceiver, and tokens of the vocabulary beside the manifest.
    """

    gpt_layers: Annotated[int, Field(ge=1, le=64)]
    gpt_n_model_channels: Size
    gpt_n_heads: Annotated[int, Field(ge=1, le=64)]
    gpt_max_audio_tokens: Annotated[int, Field(ge=4, le=8192)]
    gpt_max_text_tokens: Annotated[int, Field(ge=4, le=8192)]
    gpt_max_prompt_tokens: Annotated[int, Field(ge=32, le=8192)]
    gpt_number_text_tokens: Annotated[int, Field(ge=3, le=65536)]
    gpt_start_text_token: Index
    gpt_stop_text_token: Index
    gpt_num_audio_tokens: Annotated[int, Field(ge=3, le=65536)]
    gpt_start_audio_token: Index
    gpt_stop_audio_token: Index
    gpt_code_stride_len: Annotated[int, Field(ge=1, le=8192)]
    input_sample_rate: Annotated[int, Field(ge=8000, le=96000)]
    output_sample_rate: Annotated[int, Field(ge=8000, le=96000)]
    output_hop_length: Annotated[int, Field(ge=1, le=8192)]
    d_vector_dim: Size
    cond_d_vector_in_each_upsampling_layer: bool
    temperature: Annotated[float, Field(gt=0.0, le=2.0, allow_inf_nan=False)] = 0.75
    top_k: Annotated[int, Field(ge=0, le=65536)] = 50  # 0: all
    top_p: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 0.85
    repetition_penalty: Annotated[float, Field(ge=1.0, le=100.0, allow_inf_nan=False)] = 10.0
    length_penalty: Annotated[float, Field(ge=1.0, le=1.0)] = 1.0  # of beams; there are none
    # [layer, head] of those that attend to the letters being said; none: ends are not guarded
    end_guard_heads: tuple[tuple[Index, Index], ...] = ()
    vocabulary: Weights
    references_sha256: tuple[Sha256, ...] = ()  # of the clips that the latents come from
    f0_hz: Annotated[float, Field(gt=0.0, le=2000.0, allow_inf_nan=False)] | None = None  # theirs

    @model_validator(mode="after")
    def _fits(self) -> "Xtts":
        if self.gpt_n_model_channels % 32 or self.gpt_n_model_channels % self.gpt_n_heads:
            raise ValueError("gpt_n_model_channels must be a multiple of 32 and of gpt_n_heads")
        for kind, size in (
            ("text", self.gpt_number_text_tokens),
            ("audio", self.gpt_num_audio_tokens),
        ):
            for end in ("start", "stop"):
                token = getattr(self, f"gpt_{end}_{kind}_token")
                if token >= size:
                    raise ValueError(f"gpt_{end}_{kind}_token {token} is not one of {size}")
        if any(i >= self.gpt_layers or h >= self.gpt_n_heads for i, h in self.end_guard_heads):
            raise ValueError("end_guard_heads has a layer or a head that is not there")
        if self.gpt_code_stride_len % self.output_hop_length:
            raise ValueError("gpt_code_stride_len must be a multiple of output_hop_length")
        return self

    @property
    def hop(self) -> int:
        """Samples per frame of the decoder."""
        return self.output_hop_length


class Source(Strict):
    """Where the tensors are imported from, and what the import must give."""

    kind: Literal["piper"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    file: InsidePath
    sha256: Sha256
    weights_sha256: Sha256


class Base(Strict):
    """The pack whose weights these add to; what is equal in both is in memory once."""

    pack: Slug  # a folder beside this one
    sha256: Sha256  # of its weights
    resident_bytes: Annotated[int, Field(ge=1)]  # of it on the device


class StyleFile(Strict):
    """How the voice sounds in an emotion: its latents of recordings made in it, or embedding."""

    file: InsidePath
    sha256: Sha256
    references_sha256: tuple[Sha256, ...] = ()


class EmotionOverride(Strict):
    """What this voice does for an emotion where that differs from the table of `delivery`."""

    rate: Annotated[float, Field(ge=0.5, le=2.0)] | None = None  # factor
    pause_scale: Annotated[float, Field(ge=0.1, le=4.0)] | None = None  # factor
    pitch_st: Annotated[float, Field(ge=-6.0, le=6.0)] | None = None
    range: Annotated[float, Field(ge=0.25, le=2.5)] | None = None  # factor
    energy_db: Annotated[float, Field(ge=-12.0, le=6.0)] | None = None
    tilt_db: Annotated[float, Field(ge=-6.0, le=6.0)] | None = None
    breathiness: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    whisper: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    jitter_st: Annotated[float, Field(ge=0.0, le=1.0)] | None = None


class Change(Strict):
    """What an emotion at intensity 1 costs: means over lines, against the same lines neutral."""

    dnsmos_change: Annotated[float, Field(ge=-4.0, le=4.0)]
    distillmos_change: Annotated[float, Field(ge=-4.0, le=4.0)]
    wer_change: Annotated[float, Field(ge=-1.0, le=1.0)]  # share of words: 0.02 is 2 points


class Measured(Strict):
    """What `benchmarks/control.py` measured of this voice."""

    emotion: dict[EmotionName, Change] = {}


class Description(Strict):
    """All that a pack says about its actor and its network, but for where the weights are."""

    version: Literal[1] = 1
    actor_id: Slug
    name: Said
    engine: Literal["vits", "xtts"] = "vits"
    language: Annotated[str, Field(pattern=LANGUAGE)]
    sample_rate_hz: Annotated[int, Field(ge=8000, le=96000)]
    demonstration: bool
    resident_bytes: Annotated[int, Field(ge=1)]  # on the device, after load
    licence: Licence
    base: Base | None = None
    text: Text
    vits: Vits | None = None
    xtts: Xtts | None = None
    emotion: dict[EmotionName, EmotionOverride] = {}
    measured: Measured = Measured()
    styles: dict[EmotionName, StyleFile] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> "Description":
        for engine, table in (("vits", self.vits), ("xtts", self.xtts)):
            if (table is None) == (engine == self.engine):
                raise ValueError(f"needs [{self.engine}], and no other engine's table")
        if self.vits is not None and len(self.text.symbols) > self.vits.num_chars:
            raise ValueError(
                f"text.symbols has {len(self.text.symbols)} symbols,"
                f" vits.num_chars is {self.vits.num_chars}"
            )
        several = self.vits is None or self.vits.speaker_channels
        if self.styles and (not several or "neutral" in self.styles):
            raise ValueError(
                "styles are for xtts and for VITS models of several speakers, and what is neutral"
                " is the voice itself"
            )
        if self.xtts is not None and self.xtts.output_sample_rate != self.sample_rate_hz:
            raise ValueError("sample_rate_hz is not xtts.output_sample_rate")
        return self

    @property
    def languages(self) -> tuple[str, ...]:
        """What its model was trained to speak; that of the pack itself comes first."""
        if self.xtts is None:
            return (self.language,)
        root = self.language.partition("-")[0]
        others = (name for name in XTTS_LANGUAGES if name.partition("-")[0] != root)
        return (self.language, *others)

    @property
    def network(self) -> Vits | Xtts:
        """The shape of its network."""
        found = self.vits or self.xtts
        assert found is not None
        return found

    @property
    def vits_network(self) -> Vits:
        """The same of a VITS voice, which it must be."""
        assert self.vits is not None
        return self.vits

    @property
    def xtts_network(self) -> Xtts:
        """The same of an XTTS voice, which it must be."""
        assert self.xtts is not None
        return self.xtts


def tag_of(language: str) -> str:
    """The token that tells XTTS the language of its text."""
    root = language.partition("-")[0]
    return "[zh-cn]" if root == "zh" else f"[{root}]"
