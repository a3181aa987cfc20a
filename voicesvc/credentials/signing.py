"""Signs files: their credentials put into them, or beside them.

Signing is last: the signature is over every byte of the finished file but its own. So a stream that
is heard while it is made cannot have one.
"""

import io
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from voicesvc.credentials.claim import Facts, manifest
from voicesvc.credentials.identity import PURPOSES_TEXT, Identity
from voicesvc.errors import SigningFailed

EMBEDDED: Final = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg"}
_BESIDE = "application/octet-stream"  # the library looks for no structure in it
# What is signed is read again before it is handed out; whether we are trusted is for who reads it.
_SETTINGS = {
    "verify": {"verify_trust": False, "verify_after_sign": True},
    "trust": {"trust_config": PURPOSES_TEXT},
}


class Signing:
    """Any method may be called from any thread.

    Args:
        identity: who signs.
        sign: what makes a signature with the identity's key, where that is elsewhere.
    """

    def __init__(self, identity: Identity, sign: Callable[[bytes], bytes] | None = None) -> None:
        self.identity, self._sign = identity, sign

    def embed(self, source: BinaryIO, target: BinaryIO, media_type: str, facts: Facts) -> None:
        """Write the file `source` to `target` with its credentials in it.

        `media_type` is one of `EMBEDDED`. The samples and what else is in the file stay as they
        are: a WAV gets a chunk `C2PA` at its end, FLAC and MP3 an ID3 tag before them.

        Raises:
            SigningFailed: the key's program does not answer, or the file cannot be read.
        """
        self._signed(source, target, media_type, facts)

    def beside(self, source: BinaryIO, facts: Facts, stamped_by: str | None = None) -> bytes:
        """The credentials of a file that cannot hold them: a `.c2pa`, to be kept beside it.

        `stamped_by` is the address of a time-stamp authority.

        Raises:
            SigningFailed: the key's program or the authority does not answer.
        """
        return self._signed(source, None, _BESIDE, facts, stamped_by)

    def _signed(
        self,
        source: BinaryIO,
        target: BinaryIO | None,
        media_type: str,
        facts: Facts,
        stamped_by: str | None = None,
    ) -> bytes:
        import c2pa

        context = c2pa.Context.from_dict(_SETTINGS)
        source.seek(0)
        failed: list[SigningFailed] = []
        try:
            with self._signer(stamped_by, failed) as signer:
                builder = c2pa.Builder(manifest(facts, media_type), context)
                if target is None:
                    builder.set_no_embed()
                signed: bytes = builder.sign(signer, media_type, source, target)
        except c2pa.C2paError as e:
            if failed:  # the library says only that there is no signature
                raise failed[0] from e
            raise SigningFailed(f"the file could not be signed: {e}") from e
        return signed

    def check(self, facts: Facts) -> None:
        """That what is signed can be verified, by signing something.

        Raises:
            SigningFailed: it cannot: the key is another one, or its program does not answer.
        """
        self.beside(io.BytesIO(b"voicesvc"), facts)

    def _signer(self, stamped_by: str | None, failed: list[SigningFailed]) -> Any:
        import c2pa

        one, sign = self.identity, self._sign
        if sign is None:
            assert one.key_pem is not None, "an identity without its key has a program"
            algorithm = one.algorithm.encode()
            info = c2pa.C2paSignerInfo(algorithm, one.chain_pem, one.key_pem, stamped_by)
            return c2pa.Signer.from_info(info)

        def noted(data: bytes) -> bytes:
            try:
                return sign(data)
            except SigningFailed as e:
                failed.append(e)
                raise

        kind = c2pa.C2paSigningAlg[one.algorithm.upper()]
        return c2pa.Signer.from_callback(noted, kind, one.chain_pem.decode("ascii"), stamped_by)
