"""An XTTS v2 checkpoint of coqui-tts as a pack, with the voice's latents worked out once.

Takes the folder of the model as it was published (`model.pth`, `config.json`, `vocab.json`) and
that of a fine-tuning (`best_model.pth`). `checkpoint` reads what is pickled.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from pydantic import ValidationError

from voicesvc.dsp import track
from voicesvc.engines import xtts_network as network
from voicesvc.engines.checkpoint import read
from voicesvc.engines.coqui import checkpoint_of, fold
from voicesvc.engines.piper import UNSTATED
from voicesvc.engines.reference import About, Reference
from voicesvc.engines.tensors import check
from voicesvc.errors import PackRefused
from voicesvc.manifest import XTTS_LANGUAGES
from voicesvc.packs import Description, Tensors, Text, Xtts, refused

VOCABULARY = "vocab.json"
SPEAKERS = "speakers_xtts.pth"
CLIPS = (".wav", ".flac", ".ogg", ".mp3")
_LEAST_S = 0.33  # of a reference: below it the model hears nothing
_VOICED_FRAMES = 40  # of 5 ms: below it a median pitch says little
_SHAPING = (
    "gpt_layers",
    "gpt_n_model_channels",
    "gpt_n_heads",
    "gpt_max_audio_tokens",
    "gpt_max_text_tokens",
    "gpt_max_prompt_tokens",
    "gpt_num_audio_tokens",
    "gpt_start_audio_token",
    "gpt_stop_audio_token",
    "gpt_code_stride_len",
    "input_sample_rate",
    "output_sample_rate",
    "output_hop_length",
    "d_vector_dim",
    "cond_d_vector_in_each_upsampling_layer",
)
_SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty", "length_penalty")


@dataclass(frozen=True, slots=True)
class _Voice:
    """Latents, what they come from, and the median pitch of that."""

    conditioning: Any  # [32, C]
    speaker: Any  # [D]
    references_sha256: tuple[str, ...] = ()
    f0_hz: float | None = None


def from_coqui_xtts(
    source: Path, about: About, reference: Reference | None = None
) -> tuple[Description, Tensors, dict[str, bytes]]:
    """Convert a checkpoint; the last of what comes back are the pack's other files.

    The licence says of what the weights are made: of a model whose own licence binds them.

    Raises:
        PackRefused: not such a checkpoint, a kind that is not served, a tensor or key missing or
            unknown, or no reference.
    """
    checkpoint = checkpoint_of(source)
    folder = checkpoint.parent
    config_path = folder / "config.json"
    config = _config(config_path)
    words = _bytes(folder / VOCABULARY)
    try:
        vocabulary = _vocabulary(words)
        shape = Xtts.model_validate_json(json.dumps(_shape(config, vocabulary, words)))
        language = _language(config, about.language)
    except ValidationError as e:
        raise refused(config_path, e, Xtts) from e
    except (ValueError, TypeError, KeyError) as e:
        raise PackRefused(f"{config_path}: {e}") from e
    state = network.plain_names(read(checkpoint, without=network.NOT_SERVED))
    values = fold(state, checkpoint)
    wanted = network.expected(shape)
    own = {k: v for k, v in wanted.items() if k not in (network.CONDITIONING, network.SPEAKER)}
    check(own, values, checkpoint)
    voice = _voice(folder, reference or Reference(), Listener(shape, values, config))
    values[network.CONDITIONING] = np.ascontiguousarray(voice.conditioning, np.float32)
    values[network.SPEAKER] = np.ascontiguousarray(voice.speaker, np.float32)
    check(wanted, values, checkpoint)
    given = about.licence or UNSTATED
    found = {"references_sha256": voice.references_sha256, "f0_hz": voice.f0_hz}
    try:
        description = Description(
            actor_id=about.actor_id,
            name=about.name or about.actor_id,
            engine="xtts",
            language=language,
            sample_rate_hz=shape.output_sample_rate,
            demonstration=about.licence is None,
            resident_bytes=sum(values[n].nbytes for n in network.speaking(values)),
            licence=given.model_copy(update={"base": "CPML"}),
            text=_text(vocabulary),
            xtts=shape.model_copy(update=found),
        )
    except ValidationError as e:
        raise refused(config_path, e, Description) from e
    return description, values, {VOCABULARY: words}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise PackRefused(f"{path}: {e.strerror}", where=path.name) from e


def _config(path: Path) -> dict[str, Any]:
    """The config with coqui's defaults where it is silent; every key is one that coqui has."""
    from TTS.tts.layers.xtts.trainer.gpt_trainer import GPTArgs, GPTTrainerConfig

    try:
        said = json.loads(_bytes(path))
        if said["model"] != "xtts":
            raise PackRefused(f"{path}: model {said['model']!r} is not served", valid=["xtts"])
        args = said.get("model_args") or {}
        for where, given, known in (
            ("", said, {f.name for f in fields(GPTTrainerConfig)}),
            ("model_args.", args, {f.name for f in fields(GPTArgs)}),
        ):
            if unknown := sorted(given.keys() - known):
                raise PackRefused(
                    f"{path}: unknown key {where}{unknown[0]}",
                    where=f"{where}{unknown[0]}",
                    valid=sorted(known),
                )
        defaults: dict[str, Any] = GPTTrainerConfig().to_dict()
        return {**defaults, **said, "model_args": {**defaults["model_args"], **args}}
    except KeyError as e:
        raise PackRefused(f"{path}: has no {e}") from e
    except (ValueError, TypeError, AttributeError) as e:
        raise PackRefused(f"{path}: is not a config of coqui-tts: {e}") from e


def _vocabulary(content: bytes) -> dict[str, int]:
    """Token -> id, of a BPE vocabulary of the tokenizers library."""
    try:
        said = json.loads(content)
        if said["model"]["type"] != "BPE" or not isinstance(said["model"]["merges"], list):
            raise ValueError("is no BPE vocabulary")
        found = {str(t): int(i) for t, i in said["model"]["vocab"].items()}
        found |= {str(t["content"]): int(t["id"]) for t in said["added_tokens"]}
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise PackRefused(f"{VOCABULARY}: is not a vocabulary: {e}", where=VOCABULARY) from e
    for token in ("[START]", "[STOP]", "[SPACE]"):
        if token not in found:
            raise PackRefused(f"{VOCABULARY}: has no token {token}", where=VOCABULARY)
    return found


def _shape(
    config: Mapping[str, Any], vocabulary: Mapping[str, int], words: bytes
) -> dict[str, Any]:
    args = config["model_args"]
    if not args["gpt_use_perceiver_resampler"]:
        raise ValueError("model_args.gpt_use_perceiver_resampler is false: version 1 is not served")
    if args["decoder_input_dim"] != args["gpt_n_model_channels"]:
        raise ValueError("model_args.decoder_input_dim is not gpt_n_model_channels")
    for ends, token in (("start", "[START]"), ("stop", "[STOP]")):
        said = args[f"gpt_{ends}_text_token"]
        if said is not None and said != vocabulary[token]:
            raise ValueError(f"gpt_{ends}_text_token {said} is not {token} of the vocabulary")
    return {
        **{name: args[name] for name in _SHAPING},
        **{name: config[name] for name in _SAMPLING},
        "gpt_number_text_tokens": max(vocabulary.values()) + 1,
        "gpt_start_text_token": vocabulary["[START]"],
        "gpt_stop_text_token": vocabulary["[STOP]"],
        "vocabulary": {"file": VOCABULARY, "sha256": hashlib.sha256(words).hexdigest()},
    }


def _language(config: Mapping[str, Any], language: str | None) -> str:
    said = {d.get("language") for d in config["datasets"] or ()} - {None, ""}
    known = language or (said.pop() if len(said) == 1 else None)
    if known is None:
        raise ValueError("datasets: the config names no one language; give one")
    known = str(known).lower().replace("_", "-")
    if known.partition("-")[0] not in {name.partition("-")[0] for name in XTTS_LANGUAGES}:
        raise ValueError(f"language {known!r} is not served; valid: {list(XTTS_LANGUAGES)}")
    return known


def _text(vocabulary: Mapping[str, int]) -> Text:
    """The letters of a plan: what the vocabulary has, and what is spelt out before it is asked."""
    from TTS.tts.layers.xtts.tokenizer import _symbols_multilingual

    patterns = {p.pattern for found in _symbols_multilingual.values() for p, _ in found}
    single = {t for t in vocabulary if len(t) == 1 and t == t.lower() and not t.isspace()}
    signs = {p.removeprefix("\\") for p in patterns}
    return Text(
        phonemizer="graphemes",
        symbols=(" ", *sorted(single | signs | set("0123456789"))),
        add_blank=False,
        use_bos_eos=False,
        lowercase=True,
    )


class Listener:
    """coqui's own encoders, with a checkpoint's weights: recordings into latents."""

    def __init__(self, shape: Xtts, values: Tensors, config: Mapping[str, Any]) -> None:
        self.shape, self.values, self.config = shape, values, config
        self.rate_hz = shape.input_sample_rate

    def hear(self, clips: Sequence[bytes], names: Sequence[str]) -> _Voice:
        """As `Xtts.get_conditioning_latents` does.

        Raises:
            PackRefused: a clip is no audio, or is too short.
        """
        import torch

        model = network.coqui(self.shape)
        state = {name: torch.from_numpy(v) for name, v in self.values.items()}
        model.load_state_dict(state, strict=False, assign=True)
        longest = self.rate_hz * self.config["max_ref_len"]
        heard = [self._audio(c, n)[:longest] for c, n in zip(clips, names, strict=True)]
        if self.config["sound_norm_refs"]:
            heard = [0.75 * h / np.abs(h).max() for h in heard]
        parts = [torch.from_numpy(h)[None] for h in heard]
        speakers = [model.get_speaker_embedding(p, self.rate_hz) for p in parts]
        conditioning = model.get_gpt_cond_latents(
            torch.cat(parts, 1),
            self.rate_hz,
            length=self.config["gpt_cond_len"],
            chunk_length=self.config["gpt_cond_chunk_len"],
        )
        f0_hz = np.concatenate([track(h, self.rate_hz) for h in heard])
        voiced_hz = f0_hz[f0_hz > 0]
        known = len(voiced_hz) >= _VOICED_FRAMES
        return _Voice(
            conditioning[0].numpy(),
            torch.stack(speakers).mean(0)[0, :, 0].numpy(),
            tuple(hashlib.sha256(c).hexdigest() for c in clips),
            round(float(np.median(voiced_hz)), 3) if known else None,
        )

    def _audio(self, content: bytes, name: str) -> Any:
        """Mono at the model's rate, [n]."""
        import torch
        import torchaudio

        try:
            samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        except soundfile.SoundFileError as e:
            raise PackRefused(f"{name}: is no audio: {e}", where=name) from e
        mono = torch.from_numpy(samples.mean(1))
        mono = torchaudio.functional.resample(mono, rate_hz, self.rate_hz).clip(-1, 1)
        if len(mono) < _LEAST_S * self.rate_hz or not mono.any():
            raise PackRefused(f"{name}: holds less than {_LEAST_S} s of sound", where=name)
        return mono.numpy()


def _voice(folder: Path, reference: Reference, listener: Listener) -> _Voice:
    if reference.speaker is not None:
        return _stored(folder / SPEAKERS, reference.speaker)
    clips = reference.clips or tuple(
        sorted(p for p in folder.iterdir() if p.suffix.lower() in CLIPS)
    )
    if not clips:
        raise PackRefused(
            f"{folder}: holds no recording of the voice",
            where="reference",
            valid=f"recordings, or the name of a speaker in {SPEAKERS}",
        )
    return listener.hear([_bytes(c) for c in clips], [str(c) for c in clips])


def _stored(path: Path, speaker: str) -> _Voice:
    """A speaker whose latents were worked out already."""
    found = read(path, within=None)
    names = sorted({name.rpartition("/")[0] for name in found})
    if speaker not in names:
        raise PackRefused(f"{path}: has no speaker {speaker!r}", where="speaker", valid=names)
    try:
        conditioning = found[f"{speaker}/gpt_cond_latent"]
        embedding = found[f"{speaker}/speaker_embedding"]
    except KeyError as e:
        raise PackRefused(f"{path}: {speaker!r} has no {e}", where="speaker") from e
    return _Voice(conditioning.squeeze(0).float().numpy(), embedding.flatten().float().numpy())
