"""A VITS checkpoint of coqui-tts's trainer as a pack: of one speaker, or one of several.

A checkpoint is a pickle: `checkpoint` reads it, so that nothing in it ever runs.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from voicesvc.engines import coqui_speakers
from voicesvc.engines.checkpoint import read
from voicesvc.engines.piper import UNSTATED
from voicesvc.engines.reference import About, Reference
from voicesvc.engines.tensors import (
    DIRECTION,
    GAIN,
    SPEAKER,
    TRAINING_ONLY,
    check,
    expected,
    size_bytes,
)
from voicesvc.errors import PackRefused
from voicesvc.packs import Description, Licence, Tensors, Vits, refused

# Our own text normalisation takes the place of these; they differ from it in nothing that a model
# learns, except that some lower-case the letters.
CLEANERS = {
    None: False,
    "": False,
    "no_cleaners": False,
    "phoneme_cleaners": False,
    "multilingual_phoneme_cleaners": False,
    "basic_cleaners": True,
    "english_cleaners": True,
    "multilingual_cleaners": True,
}
# Where a config names no phonemizer, coqui took espeak but for these languages.
_PHONEMIZER_OF = {
    "be": "be_phonemizer",
    "bn": "bn_phonemizer",
    "ja-jp": "ja_jp_phonemizer",
    "ko-kr": "ko_kr_phonemizer",
    "zh-cn": "zh_cn_phonemizer",
}
_CHARACTERS = ("IPAPhonemes", "Graphemes", "VitsCharacters")
_CHARACTERS_MODULES = ("TTS.tts.utils.text.characters", "TTS.tts.models.vits")
_SHAPING = {name for name in Vits.model_fields if not name.startswith(("noise_", "length_"))}
# What makes another network or another input of it, and what it must be.
_UNSERVED = {
    "use_language_embedding": "several languages in one model are not served",
    "encoder_sample_rate": "a second sample rate inside the model is not served",
}
_OLDER = {"num_speakers", "num_languages"}  # in `model_args` of older versions
# Made and saved for durations that are not drawn, also where they are told of no speaker.
_UNASKED = ("duration_predictor.cond.weight", "duration_predictor.cond.bias")
_OF_SPEAKERS = {"speaker_embedding_channels", "d_vector_dim", "condition_dp_on_speaker"}


def from_coqui(
    source: Path,
    actor_id: str,
    *,
    name: str | None = None,
    language: str | None = None,
    licence: Licence | None = None,
) -> tuple[Description, Tensors]:
    """Convert the checkpoint of a model of one speaker, or of a table of one.

    Raises: as `of_speaker`.
    """
    reference = Reference()
    description, values, _ = of_speaker(source, About(actor_id, name, language, licence), reference)
    return description, values


def of_speaker(
    source: Path, about: About, reference: Reference
) -> tuple[Description, Tensors, dict[str, coqui_speakers.Embedding]]:
    """Convert a checkpoint: a .pth beside its `config.json`, or the folder of both.

    A language is needed only where the config names none, the reference's speaker where there are
    several; the embeddings of all of them come back too, by name. Without a licence the voice is
    marked as a demonstration.

    Raises:
        PackRefused: not such a checkpoint, a kind that is not served, or a tensor missing or
            unknown.
    """
    checkpoint = checkpoint_of(source)
    config_path = checkpoint.parent / "config.json"
    config = _config(config_path)
    try:
        network = _network(config)
        said = {
            "actor_id": about.actor_id,
            "name": about.name or about.actor_id,
            "language": _language(config, about.language),
            "sample_rate_hz": config["audio"]["sample_rate"],
            "demonstration": about.licence is None,
            "licence": (about.licence or UNSTATED).model_dump(),
            "text": _text(config),
            "vits": network,
        }
    except (ValueError, TypeError, KeyError) as e:
        raise PackRefused(f"{config_path}: {e}") from e
    several = coqui_speakers.is_several(config)
    if not several and (reference.speaker or reference.styles):
        raise PackRefused(f"{config_path}: the model has one speaker", where="speaker")
    values = fold(read(checkpoint), checkpoint)
    found: dict[str, coqui_speakers.Embedding] = {}
    if several:
        table = values.pop(coqui_speakers.TABLE, None)
        found = coqui_speakers.embeddings(checkpoint.parent, config, table)
        values[SPEAKER] = coqui_speakers.chosen(found, reference.speaker, "speaker")
        if not network["condition_dp_on_speaker"]:
            for name in _UNASKED:
                values.pop(name, None)
    described = {**said, "resident_bytes": size_bytes(values)}
    try:
        description = Description.model_validate_json(json.dumps(described))
    except ValidationError as e:
        raise refused(config_path, e, Description) from e
    check(expected(description.vits_network), values, checkpoint)
    return description, values, found


def checkpoint_of(source: Path) -> Path:
    """The checkpoint itself: `source`, or the best one in that folder. Raises PackRefused."""
    if not source.is_dir():
        return source
    for pattern in ("model.pth", "best_model.pth", "best_model_*.pth", "checkpoint_*.pth"):
        found = list(source.glob(pattern))
        if found:
            return max(found, key=lambda p: int(re.sub(r"\D", "", p.stem) or 0))
    raise PackRefused(
        f"{source}: holds no checkpoint",
        valid=["model.pth", "best_model.pth", "best_model_N.pth", "checkpoint_N.pth"],
    )


def model_of(source: Path) -> str:
    """The model that the config beside a checkpoint names. Raises PackRefused."""
    path = checkpoint_of(source).parent / "config.json"
    try:
        return str(json.loads(path.read_text("utf-8"))["model"])
    except OSError as e:
        raise PackRefused(f"{path}: {e.strerror}") from e
    except (ValueError, TypeError, KeyError) as e:
        raise PackRefused(f"{path}: is not a config of coqui-tts: {e}") from e


def speakers_of(source: Path) -> tuple[dict[str, coqui_speakers.Embedding], Tensors]:
    """Name -> embedding of the speakers of a checkpoint, as `of_speaker` finds it; its tensors.

    Raises:
        PackRefused: it is none, or of one speaker.
    """
    checkpoint = checkpoint_of(source)
    config = _config(checkpoint.parent / "config.json")
    if not coqui_speakers.is_several(config):
        raise PackRefused(f"{source}: the model has one speaker", where="speaker")
    values = fold(read(checkpoint), checkpoint)
    table = values.pop(coqui_speakers.TABLE, None)
    return coqui_speakers.embeddings(checkpoint.parent, config, table), values


def _config(path: Path) -> dict[str, Any]:
    """The config with coqui's defaults where it is silent."""
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.configs.vits_config import VitsArgs, VitsConfig

    try:
        said = json.loads(path.read_text("utf-8"))
        if said["model"] != "vits":
            raise PackRefused(f"{path}: model {said['model']!r} is not served", valid=["vits"])
        args, characters = said.get("model_args") or {}, said.get("characters")
        for where, given, known in (
            ("model_args", args, {f.name for f in fields(VitsArgs)} | _OLDER),
            ("characters", characters or {}, {f.name for f in fields(CharactersConfig)}),
        ):
            if unknown := sorted(given.keys() - known):
                raise PackRefused(
                    f"{path}: unknown key {where}.{unknown[0]}", where=where, valid=sorted(known)
                )
        config: dict[str, Any] = VitsConfig().to_dict()
        audio = {**config["audio"], **said.get("audio", {})}
        args = {**config["model_args"], **args}
        if characters is not None:
            characters = {**CharactersConfig().to_dict(), **characters}
        return {
            **config,
            **said,
            "audio": audio,
            "model_args": args,
            "characters": characters,
        }
    except OSError as e:
        raise PackRefused(f"{path}: {e.strerror}") from e
    except KeyError as e:
        raise PackRefused(f"{path}: has no {e}") from e
    except (ValueError, TypeError, AttributeError) as e:
        raise PackRefused(f"{path}: is not a config of coqui-tts: {e}") from e


def _network(config: Mapping[str, Any]) -> dict[str, Any]:
    args = config["model_args"]
    for key, why in _UNSERVED.items():
        if args[key] or config.get(key):
            raise ValueError(f"{key}: {why}")
    several = coqui_speakers.is_several(config)
    for key in _OLDER - ({"num_speakers"} if several else set()):
        if args.get(key, 0) not in (0, 1, None):
            raise ValueError(f"model_args.{key} is {args[key]}: only one is served")
    if args["max_inference_len"] is not None:
        raise ValueError("model_args.max_inference_len would cut lines short")
    network = {key: args[key] for key in _SHAPING - _OF_SPEAKERS}
    network |= coqui_speakers.shape(config)
    network["resblock_type_decoder"] = str(args["resblock_type_decoder"])
    hop = int(np.prod(args["upsample_rates_decoder"]))
    if config["audio"]["hop_length"] != hop:
        raise ValueError(f"audio.hop_length {config['audio']['hop_length']} is not {hop}")
    return {
        **network,
        "num_chars": len(_symbols(config)),
        "noise_scale": args["inference_noise_scale"],
        "noise_scale_dp": args["inference_noise_scale_dp"],
        "length_scale": args["length_scale"],
    }


def _language(config: Mapping[str, Any], language: str | None) -> str:
    said = {d.get("language") for d in config["datasets"] or ()} - {None, ""}
    known = language or config["phoneme_language"] or (said.pop() if len(said) == 1 else None)
    if known is None:
        raise ValueError("phoneme_language: the config names no language; give one")
    return str(known).lower().replace("_", "-")


def _vocabulary(config: Mapping[str, Any]) -> Any:
    """Coqui's own object for the characters, so that ids are what its tokenizer makes them."""
    from TTS.tts.models.vits import VitsCharacters
    from TTS.tts.utils.text.characters import Graphemes, IPAPhonemes

    c = config["characters"]
    path = (c or {}).get("characters_class")
    module, _, kind = (path or "").rpartition(".")
    if path and (kind not in _CHARACTERS or module not in _CHARACTERS_MODULES):
        raise ValueError(f"characters_class {path!r} is not one of {list(_CHARACTERS)}")
    kind = kind or ("IPAPhonemes" if config["use_phonemes"] else "Graphemes")
    if c is None:
        return {"IPAPhonemes": IPAPhonemes, "Graphemes": Graphemes}[kind]()
    if c["vocab_dict"]:
        raise ValueError("characters.vocab_dict is not served")
    if kind == "VitsCharacters":
        return VitsCharacters(
            graphemes=c["characters"],
            ipa_characters=c["phonemes"],
            punctuations=c["punctuations"],
            pad=c["pad"],
        )
    if c["is_unique"] and not c["is_sorted"]:
        raise ValueError("characters: is_unique without is_sorted gives ids that change by the run")
    letters = c["characters"]
    if kind == "IPAPhonemes" and c["phonemes"] is not None:
        letters = c["phonemes"]
    return {"IPAPhonemes": IPAPhonemes, "Graphemes": Graphemes}[kind](
        letters,
        c["punctuations"],
        *(c[special] for special in ("pad", "eos", "bos", "blank")),
        is_unique=c["is_unique"],
        is_sorted=c["is_sorted"],
    )


def _symbols(config: Mapping[str, Any]) -> list[str]:
    """Index = id. Of a symbol that is there twice, coqui uses the last."""
    vocabulary = _vocabulary(config)
    return [
        symbol if vocabulary.char_to_id(symbol) == index else ""
        for index, symbol in enumerate(vocabulary.vocab)
    ]


def _text(config: Mapping[str, Any]) -> dict[str, Any]:
    cleaner = config["text_cleaner"]
    if cleaner not in CLEANERS:
        raise ValueError(
            f"text_cleaner {cleaner!r} is not served; valid: {[c for c in CLEANERS if c]}"
        )
    phonemizer = "graphemes"
    if config["use_phonemes"]:
        usual = _PHONEMIZER_OF.get(config["phoneme_language"], "espeak")
        phonemizer = config["phonemizer"] or usual
    if phonemizer not in ("espeak", "gruut", "graphemes"):
        raise ValueError(f"phonemizer {phonemizer!r} is not served; valid: ['espeak', 'gruut']")
    vocabulary = _vocabulary(config)
    specials = {k: getattr(vocabulary, k) or None for k in ("pad", "bos", "eos", "blank")}
    return {
        "phonemizer": phonemizer,
        "symbols": _symbols(config),
        **specials,
        "add_blank": config["add_blank"],
        "use_bos_eos": config["enable_eos_bos_chars"],
        "lowercase": phonemizer == "graphemes" and CLEANERS[cleaner],
    }


def fold(state: Mapping[str, Any], path: Path) -> Tensors:
    """Torch tensors -> float32 arrays, without what only training uses, weight norm folded.

    Raises:
        PackRefused: half of a weight norm is missing.
    """
    out: Tensors = {}
    for name, value in state.items():
        if name.startswith(TRAINING_ONLY):
            continue
        base = name
        for direction, gain in (
            (DIRECTION, GAIN),
            (".weight_v", ".weight_g"),
        ):
            if name.endswith(gain):
                base = ""
            elif name.endswith(direction):
                base = name.removesuffix(direction)
                if f"{base}{gain}" not in state:
                    raise PackRefused(f"{path}: tensor {base}{gain} is missing", where=base + gain)
                v, g = value.float(), state[f"{base}{gain}"].float()
                value = v * (g / v.norm(dim=tuple(range(1, v.dim())), keepdim=True))
                base += ".weight"
        if base:
            out[base] = value.float().contiguous().numpy()
    return out
