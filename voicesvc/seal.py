"""A take's file as it leaves: signed as what it is.

Whether somebody may have the file says the door. Knows nothing of HTTP.
"""

import shlex
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from joserfc.jwk import OKPKey

from voicesvc import again, encode, provenance
from voicesvc.archive import Archive
from voicesvc.config import Settings
from voicesvc.credentials import EMBEDDED, Facts, Signing, collected, finished, opaque, parts
from voicesvc.credentials.identity import CHAIN, KEY, PROGRAM, Identity, identity
from voicesvc.credentials.local import local
from voicesvc.credentials.program import signer
from voicesvc.encode import Output
from voicesvc.errors import BadSetting, SigningFailed
from voicesvc.rights import keys, merkle
from voicesvc.rights.ledger import parts as peaks
from voicesvc.store import StoredTake, ledger

_MOST_BYTES = encode.UNKNOWN - 2**20  # what RIFF counts, with room for the credentials


class Seal:
    """Any method may be called from any thread.

    Args:
        signing: who signs.
        archive: where the takes are.
    """

    def __init__(self, signing: Signing, archive: Archive) -> None:
        self.signing, self._archive = signing, archive
        self._secret = secret(archive.key)

    def facts(self, take: StoredTake) -> Facts:
        """What is said of a take's file."""
        grant, root = take.facts.get("grant"), None
        if take.permit is not None:
            row = self._archive.database.read(lambda c: ledger.get(c, take.permit or 0))
            root = merkle.root_of(peaks(row.peaks)).hex()
        return Facts(
            take=take.id,
            grant=None if grant is None else opaque(self._secret, grant, take.id),
            model_sha256=take.model_sha256,
            version=_version(),
            watermark=take.facts.get("watermark") is not None,
            entry=take.permit,
            root=root,
        )

    def embed(self, take: StoredTake, media_type: str) -> Callable[[BinaryIO, BinaryIO], None]:
        """Writes a finished file of a take to another, with its credentials in it."""
        return lambda plain, signed: self.signing.embed(plain, signed, media_type, self.facts(take))

    def file(
        self,
        chunks: Iterable[bytes],
        take: StoredTake,
        output: Output,
        sized: Callable[[int], object],
    ) -> Generator[bytes]:
        """A file that holds its credentials; all of it is made before its first bytes are there.

        `sized` is told how many bytes it has, before the first.

        Raises:
            SigningFailed: it could not be signed.
        """
        file, n_bytes = finished(chunks, self.embed(take, EMBEDDED[output.format.name]))
        sized(n_bytes)
        yield from parts(file)

    def beside(
        self, chunks: Iterable[bytes], take: StoredTake, stamped_by: str | None = None
    ) -> bytes:
        """The `.c2pa` of a file that holds none; `stamped_by` a time-stamp authority's address.

        Raises:
            SigningFailed: it could not be signed, or the authority does not answer.
        """
        with collected(chunks) as file:
            return self.signing.beside(file, self.facts(take), stamped_by)

    def kept(self, take: StoredTake, stamped_by: str | None = None) -> bytes:
        """The `.c2pa` of the samples as they are kept: 32-bit float, little-endian.

        Raises:
            BlobDamaged, NotMade, StoreFailed: the samples are not there, or others.
            SigningFailed: see `beside`.
        """
        chunks = (pcm.astype("<f4").tobytes() for pcm in self._archive.pcm(take))
        return self.beside(chunks, take, stamped_by)


def holds(output: Output, n_samples: int) -> bool:
    """Whether a file of so many samples can have its credentials in it."""
    if output.format.name != "wav":
        return output.format.name in EMBEDDED
    return (again.plain_bytes(output, n_samples) or 0) < _MOST_BYTES


def secret(key: OKPKey) -> bytes:
    """What the service's grants are hashed with in files."""
    return keys.derived(key, "c2pa")


def of(settings: Settings, archive: Archive) -> Seal | None:
    """What the settings say; None where files leave without credentials.

    Raises:
        BadSetting: see `signing`.
    """
    now = datetime.fromtimestamp(archive.now_ms() / 1000, UTC)
    found = signing(settings, archive.folder or settings.data_path, now)
    return None if found is None else Seal(found, archive)


def signing(settings: Settings, folder: Path, now: datetime) -> Signing | None:
    """Who signs by the settings, or by what is made in `folder`; None where nobody does.

    Raises:
        BadSetting: the certificate or its key is missing, or nobody could verify what it signs.
    """
    if settings.c2pa == "off":
        return None
    chain, key, program = settings.c2pa_chain, settings.c2pa_key, settings.c2pa_program
    if chain is None and key is None and program is None:
        return Signing(local(folder, now))
    if chain is None or (key is None) == (program is None):
        valid = f"{CHAIN} with {KEY} or {PROGRAM}, or none of them"
        raise BadSetting("a certificate goes with its key", where=CHAIN, valid=valid)
    try:
        own = identity(chain.read_bytes(), None if key is None else key.read_bytes(), now)
    except OSError as e:
        detail = f"cannot read {e.filename}: {e.strerror}"
        raise BadSetting(detail, where=CHAIN, valid="a file that the service may read") from e
    return Signing(own) if program is None else _by_program(own, program)


def unkept(model_sha256: str, take: str = "none", *, watermark: bool = False) -> Facts:
    """What is said of a file that no ledger has."""
    return Facts(
        take=take,
        grant=None,
        model_sha256=model_sha256,
        version=_version(),
        watermark=watermark,
    )


def _by_program(own: Identity, command: str) -> Signing:
    """What signs by a program, which has signed something.

    Raises:
        BadSetting: it has not, or with another key.
    """
    made = Signing(own, signer(shlex.split(command), own.algorithm))
    try:
        made.check(unkept(""))
    except SigningFailed as e:
        valid = "a command that signs with the key of the certificate"
        raise BadSetting(f"{PROGRAM}: {e}", where=PROGRAM, valid=valid) from e
    return made


def _version() -> str:
    return str(provenance.code()["voicesvc"])
