"""An XTTS voice in an emotion: recordings made in it as latents, in a pack beside the voice's own.

Worked out once by coqui's encoders, whose weights the pack has. What is there already for the same
recordings is not worked out again.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from voicesvc import packs
from voicesvc.directions import EMOTION_NAMES, EmotionName
from voicesvc.engines import xtts_network as network
from voicesvc.engines.coqui_xtts import Listener
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


def add_style(pack: Pack, name: str, clips: Sequence[Path]) -> Pack:
    """Add recordings to the pack as one of its styles, or put them in the place of those there.

    Raises:
        PackRefused: no emotion has this name, the pack is for another engine, a recording is no
            audio or too short, or the folder cannot be written.
    """
    if name not in EMOTION_NAMES or name == "neutral":
        valid = [n for n in EMOTION_NAMES if n != "neutral"]
        raise PackRefused(f"{name!r} is no emotion", where="name", valid=valid)
    if pack.xtts is None:
        raise PackRefused(f"pack {pack.folder}: styles are for xtts", where="engine")
    try:
        contents = {c.name: c.read_bytes() for c in clips}
    except OSError as e:
        raise PackRefused(f"{e.filename}: {e.strerror}", where="wav") from e
    emotion: EmotionName = EMOTION_NAMES[EMOTION_NAMES.index(name)]
    hashes = tuple(hashlib.sha256(c).hexdigest() for c in contents.values())
    before = pack.styles.get(emotion)
    if before is not None and before.references_sha256 == hashes:
        return pack
    packs.verify(pack)
    wanted = network.expected(pack.xtts)
    values = {n: v.numpy() for n, v in weights(pack, wanted, wanted).values.items()}
    heard = Listener(pack.xtts, values, _LISTENING).hear(list(contents.values()), list(contents))
    found = {network.CONDITIONING: heard.conditioning, network.SPEAKER: heard.speaker}
    latents = save({name: np.ascontiguousarray(value, np.float32) for name, value in found.items()})
    digest = hashlib.sha256(latents).hexdigest()
    file = f"styles/{name}/{digest[:16]}.safetensors"
    style = StyleFile(file=file, sha256=digest, references_sha256=hashes)
    beside = {f"styles/{name}/{clip}": content for clip, content in contents.items()}
    return packs.amend(pack, {"styles": {**pack.styles, emotion: style}}, {**beside, file: latents})
