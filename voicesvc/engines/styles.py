"""A voice in an emotion, in a pack beside the voice's own.

For XTTS recordings made in it as latents, worked out once by coqui's encoders, whose weights the
pack has; what is there already for the same recordings is not worked out again. For a VITS of
several speakers the embedding of the speaker that the emotion was fine-tuned as.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from voicesvc import packs
from voicesvc.directions import EMOTION_NAMES, EmotionName
from voicesvc.engines import coqui_speakers, tensors
from voicesvc.engines import xtts_network as network
from voicesvc.engines.coqui import speakers_of
from voicesvc.engines.coqui_speakers import Embedding
from voicesvc.engines.coqui_xtts import CLIPS, Listener
from voicesvc.engines.read import weights
from voicesvc.errors import PackRefused
from voicesvc.manifest import StyleFile
from voicesvc.packs import Pack

# As coqui published XTTS v2; a pack does not keep what its checkpoint's config said.
_LISTENING = {
    "max_ref_len": 30,
    "sound_norm_refs": False,
    "gpt_cond_len": 30,
    "gpt_cond_chunk_len": 4,
}


def add_style(pack: Pack, name: str, sources: Sequence[Path], speaker: str | None = None) -> Pack:
    """Add a style to the pack, or put another in the place of the one there.

    `sources` are recordings for XTTS; for a VITS of several speakers the checkpoint that the pack
    comes from, or a file of d-vectors, of which the `speaker` is taken.

    Raises:
        PackRefused: no emotion has this name, the pack is for one speaker, what is given is not of
            its kind, a recording is no audio or too short, or the folder cannot be written.
    """
    emotion = _emotion(name)
    if pack.vits is not None:
        made, files = embedded(_speakers(pack, sources), {name: speaker})
        if pack.styles.get(emotion) == made[emotion]:
            return pack
        return packs.amend(pack, {"styles": {**pack.styles, **made}}, files)
    if speaker is not None:
        raise PackRefused(f"pack {pack.folder}: a style of XTTS is recordings", where="speaker")
    contents = _contents(sources)
    hashes = tuple(hashlib.sha256(c).hexdigest() for c in contents.values())
    before = pack.styles.get(emotion)
    if before is not None and before.references_sha256 == hashes:
        return pack
    packs.verify(pack)
    wanted = network.expected(pack.xtts_network)
    values = {n: v.numpy() for n, v in weights(pack, wanted, wanted).values.items()}
    listener = Listener(pack.xtts_network, values, _LISTENING)
    heard = listener.hear(list(contents.values()), list(contents))
    style, file, latents = _style(
        name, {network.CONDITIONING: heard.conditioning, network.SPEAKER: heard.speaker}, hashes
    )
    beside = {f"styles/{name}/{clip}": content for clip, content in contents.items()}
    return packs.amend(pack, {"styles": {**pack.styles, emotion: style}}, {**beside, file: latents})


def embedded(
    found: Mapping[str, Embedding], styles: Mapping[str, str | None]
) -> tuple[dict[EmotionName, StyleFile], dict[str, bytes]]:
    """Styles by emotion, each the embedding of a speaker of this name, and their files.

    Raises:
        PackRefused: no emotion or no speaker has such a name.
    """
    made: dict[EmotionName, StyleFile] = {}
    files: dict[str, bytes] = {}
    for name, speaker in styles.items():
        emotion = _emotion(name)
        embedding = coqui_speakers.chosen(found, speaker, "speaker")
        made[emotion], file, content = _style(name, {tensors.SPEAKER: embedding}, ())
        files[file] = content
    return made, files


def _emotion(name: str) -> EmotionName:
    if name not in EMOTION_NAMES or name == "neutral":
        valid = [n for n in EMOTION_NAMES if n != "neutral"]
        raise PackRefused(f"{name!r} is no emotion", where="name", valid=valid)
    return EMOTION_NAMES[EMOTION_NAMES.index(name)]


def _style(
    name: str, found: Mapping[str, Any], hashes: tuple[str, ...]
) -> tuple[StyleFile, str, bytes]:
    """A style's entry, and its file with these tensors."""
    content = save({name: np.ascontiguousarray(value, np.float32) for name, value in found.items()})
    digest = hashlib.sha256(content).hexdigest()
    file = f"styles/{name}/{digest[:16]}.safetensors"
    return StyleFile(file=file, sha256=digest, references_sha256=hashes), file, content


def _contents(clips: Sequence[Path]) -> dict[str, bytes]:
    try:
        return {c.name: c.read_bytes() for c in clips}
    except OSError as e:
        raise PackRefused(f"{e.filename}: {e.strerror}", where="wav") from e


def _speakers(pack: Pack, sources: Sequence[Path]) -> dict[str, Embedding]:
    """The speakers of what is given, which are of the pack's model."""
    shape = pack.vits_network
    if not shape.speaker_channels:
        raise PackRefused(
            f"pack {pack.folder}: styles are for xtts and for VITS models of several speakers;"
            " this model has one",
            where="engine",
        )
    valid = "the checkpoint that the pack was imported from"
    if shape.d_vector_dim:
        valid = "a file of d-vectors, as coqui's speakers.json"
    if len(sources) != 1 or sources[0].suffix.lower() in CLIPS:
        raise PackRefused(
            f"pack {pack.folder}: what would make an embedding of recordings, the encoder of"
            " speakers, is not in a VITS model",
            where="source",
            valid=valid,
        )
    if shape.d_vector_dim:
        found = coqui_speakers.of_file(sources[0])
    else:
        found = _of_checkpoint(pack, sources[0])
    other = next((v for v in found.values() if len(v) != shape.speaker_channels), None)
    if other is not None:
        raise PackRefused(
            f"{sources[0]}: an embedding of {len(other)} numbers",
            where="source",
            valid=str(shape.speaker_channels),
        )
    return found


def _of_checkpoint(pack: Pack, source: Path) -> dict[str, Embedding]:
    """Rows of its table; they mean something to the network that they were trained with alone."""
    found, values = speakers_of(source)
    for name, own in packs.tensors(pack).items():
        if name != tensors.SPEAKER and not np.array_equal(own, values.get(name, ())):
            raise PackRefused(f"{source}: is not the model of {pack.actor_id}", where=name)
    return found
