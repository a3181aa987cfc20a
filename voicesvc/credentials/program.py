"""A key that is elsewhere, in a KMS or an HSM: a program of the operator's signs with it.

It gets the name of the algorithm as its last argument and the bytes to sign on its standard input,
and writes the signature, nothing else, to its standard output: for `es256` and `es384` DER or
r and s one after the other, for `ed25519` and `ps256` the bytes as they are.
"""

import subprocess
from collections.abc import Callable, Sequence

from voicesvc.errors import SigningFailed

LIMIT_S = 20.0
_COMPLAINT_CHARS = 200


def signer(command: Sequence[str], algorithm: str) -> Callable[[bytes], bytes]:
    """What has the program sign; it is started once for each signature.

    What it gives raises:
        SigningFailed: the program cannot be started, fails, says nothing, or takes too long.
    """

    def sign(data: bytes) -> bytes:
        name = command[0]
        try:
            done = subprocess.run(
                [*command, algorithm], input=data, capture_output=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as e:
            raise SigningFailed(f"{name} has not signed within {LIMIT_S:g} s") from e
        except OSError as e:
            raise SigningFailed(f"{name} cannot be started: {e.strerror}") from e
        if done.returncode or not done.stdout:
            said = done.stderr.decode(errors="replace").strip()[-_COMPLAINT_CHARS:]
            raise SigningFailed(f"{name} did not sign, status {done.returncode}: {said}")
        return done.stdout

    return sign
