"""Whether a pack is as somebody who is trusted signed it.

What is signed is the sha256 of every file in its folder (JWS, Ed25519, as grants are). Knows
nothing of what the files are.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import OKPKey
from pydantic import ValidationError

from voicesvc import packs
from voicesvc.errors import BadGrant, BadSetting, InvalidRequest, PackRefused
from voicesvc.manifest import Sha256, Slug, Strict
from voicesvc.packs import Pack
from voicesvc.rights import canonical, keys, signed

SIGNATURES = "pack.jws"  # beside the manifest
_KIND = "pack"


class Contents(Strict):
    """What is signed: an actor's files by their paths, `pack.toml` among them."""

    version: int = 1
    actor_id: Slug
    files: dict[str, Sha256]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A pack's signed contents, and the kids of the trusted keys that signed them."""

    contents: Contents
    kids: frozenset[str]


def trusted(path: Path) -> dict[str, OKPKey]:
    """The keys of `VOICESVC_PACK_KEYS` by kid: a file with a JWK, or a folder of `*.json`.

    Raises:
        BadSetting: there is none, or one of them is no Ed25519 key.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    try:
        found = [keys.read(f.read_bytes()) for f in files]
    except (OSError, BadGrant) as e:
        raise BadSetting(
            f"{path}: {e}", where="VOICESVC_PACK_KEYS", valid="JWKs of RFC 8037"
        ) from e
    if not found:
        raise BadSetting(f"{path} holds no key", where="VOICESVC_PACK_KEYS", valid="*.json")
    return {keys.kid(key): key for key in found}


def signer(path: Path) -> OKPKey:
    """The private key in a file.

    Raises:
        BadGrant: there is none in it.
        InvalidRequest: it cannot be read.
    """
    try:
        key = keys.read(path.read_bytes())
    except OSError as e:
        raise InvalidRequest(f"{path}: {e.strerror}", where="key") from e
    if not key.is_private:
        raise BadGrant(f"{path} has no private key", where="key")
    return key


def sign(pack: Pack, signers: Iterable[OKPKey]) -> frozenset[str]:
    """Sign the pack's files as they are; kids of all whose signatures are of these files.

    Signatures of other contents, as they were before a change, are dropped.

    Raises:
        PackRefused: the files are not what the manifest says, or the folder cannot be written.
    """
    if pack.weights is not None:
        packs.verify(pack)
    for style in pack.styles.values():
        packs.check_sha256(pack.folder, pack.folder / style.file, style.sha256)
    found = Contents(actor_id=pack.actor_id, files=_hashes(pack.folder))
    payload, path = canonical.dumps(found.model_dump()), pack.folder / SIGNATURES
    try:
        before = path.read_text("ascii") if path.exists() else None
        if before is not None and signed.payload_of(before) != payload:
            before = None
        envelope = signed.sign(payload, _KIND, tuple(signers), before)
        scratch = path.with_suffix(".new")
        scratch.write_text(envelope, "ascii")
        scratch.replace(path)
    except (OSError, UnicodeDecodeError, BadGrant) as e:
        raise PackRefused(f"pack {pack.folder}: {SIGNATURES}: {e}", where=SIGNATURES) from e
    return signed.kids_of(envelope)


def opened(pack: Pack, trust: Mapping[str, OKPKey]) -> Sealed:
    """What was signed, if a trusted key signed it and it is of this manifest.

    Raises:
        PackRefused: it is not.
    """
    try:
        found = signed.opened((pack.folder / SIGNATURES).read_text("ascii"), _KIND, trust)
        contents = Contents.model_validate(canonical.loads(found.payload))
    except FileNotFoundError as e:
        raise _refused(pack, "it is not signed", trust) from e
    except (OSError, UnicodeDecodeError, BadGrant, ValidationError) as e:
        raise _refused(pack, str(e), trust) from e
    if not found.kids:
        raise _refused(pack, "it is not signed by a key that is trusted here", trust)
    said = contents.actor_id, contents.files.get(packs.MANIFEST)
    if said != (pack.actor_id, pack.manifest_sha256):
        raise _refused(pack, f"{packs.MANIFEST} is not the one that was signed", trust)
    return Sealed(contents, found.kids)


def verify(pack: Pack, trust: Mapping[str, OKPKey]) -> Sealed:
    """The same, and every file in the folder is the one that was signed, and none is beside them.

    Raises:
        PackRefused: one is another, is missing, or was not signed.
    """
    sealed = opened(pack, trust)
    there = _hashes(pack.folder)
    for name in sorted({*there, *sealed.contents.files}):
        if there.get(name) != sealed.contents.files.get(name):
            wrong = "is not the one that was signed" if name in there else "is missing"
            if name not in sealed.contents.files:
                wrong = "was not signed"
            raise PackRefused(f"pack {pack.folder}: {name} {wrong}", where=name)
    return sealed


def _refused(pack: Pack, why: str, trust: Mapping[str, OKPKey]) -> PackRefused:
    return PackRefused(f"pack {pack.folder}: {why}", where=SIGNATURES, valid=sorted(trust))


def _hashes(folder: Path) -> dict[str, str]:
    """Of each file in the folder, by its path in it, but for hidden ones and the signatures."""
    found: dict[str, str] = {}
    try:
        for at, folders, names in os.walk(folder):
            folders[:] = sorted(f for f in folders if not f.startswith((".", "__")))
            for name in sorted(n for n in names if not n.startswith(".")):
                path = Path(at) / name
                inside = path.relative_to(folder).as_posix()
                if inside not in (SIGNATURES, Path(SIGNATURES).with_suffix(".new").name):
                    found[inside] = packs.sha256(path)
    except OSError as e:
        raise PackRefused(f"pack {folder}: {e.filename}: {e.strerror}") from e
    return found
