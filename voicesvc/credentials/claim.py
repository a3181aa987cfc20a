"""What a file's credentials say: that a machine spoke, under which grant, and not to train on it.

Nothing of what is spoken is in it, nor whose grant it was.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

LICENCE = "org.voicesvc.licence"
# IPTC's word for what a trained model made; the C2PA specification names it for generative AI.
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_MINING = (  # CAWG Training and Data Mining Assertion 1.1
    "cawg.ai_generative_training",
    "cawg.ai_inference",
    "cawg.ai_training",
    "cawg.data_mining",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is said of one file.

    `grant` is opaque (see `opaque`); None: there was none yet when the take was made. `entry` is
    the number of the ledger's entry that let it be made, `root` the tree's over all entries up to
    that one, as hex; None where nothing is kept.
    """

    take: str
    grant: str | None
    model_sha256: str
    version: str  # of the software
    watermark: bool
    entry: int | None = None
    root: str | None = None


def opaque(secret: bytes, grant: str, take: str) -> str:
    """A grant's id as only who has the secret can tell it, another one in every take, as hex.

    HMAC-SHA256, cut to 128 bits.
    """
    said = f"voicesvc grant\0{grant}\0{take}".encode()
    return hmac.new(secret, said, hashlib.sha256).hexdigest()[:32]


def manifest(facts: Facts, media_type: str) -> dict[str, Any]:
    """The manifest's definition, as the library takes it."""
    agent = {"name": "voicesvc", "version": facts.version}
    made: dict[str, Any] = {
        "action": "c2pa.created",
        "softwareAgent": agent,
        "digitalSourceType": SYNTHETIC,
        "description": "speech of a licensed synthetic voice",
    }
    marked = {"action": "c2pa.watermarked.unbound", "softwareAgent": agent}
    licence: dict[str, Any] = {"take": facts.take, "model_sha256": facts.model_sha256}
    if facts.grant is not None:
        licence["grant"] = facts.grant
    if facts.entry is not None:
        licence["ledger"] = {"entry": facts.entry, "size": facts.entry + 1, "root": facts.root}
    actions = {
        "actions": [made, marked] if facts.watermark else [made],
        "allActionsIncluded": True,
    }
    mining = {"entries": {name: {"use": "notAllowed"} for name in _MINING}}
    return {
        "claim_generator_info": [agent],
        "title": f"take {facts.take}",
        "format": media_type,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": actions},
            {"label": "cawg.training-mining", "data": mining},
            {"label": LICENCE, "data": licence},
        ],
    }
