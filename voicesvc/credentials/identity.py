"""Who signs: a certificate with those that stand for it, and its key. Checked before it is used.

Knows nothing of the library that signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from voicesvc.errors import BadSetting

CHAIN, KEY = "VOICESVC_C2PA_CHAIN", "VOICESVC_C2PA_KEY"
PROGRAM = "VOICESVC_C2PA_PROGRAM"
LOCAL_NAME = "voicesvc local certificate (not trusted)"
# One of these has to be among a leaf's purposes (C2PA 2.4, "Certificate Profile").
PURPOSES: Final = {
    ObjectIdentifier("1.3.6.1.4.1.62558.2.1"): "C2PA claim signing",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "email protection",
    ObjectIdentifier("1.3.6.1.5.5.7.3.36"): "document signing",
}
# As the library takes them: left alone it wants email protection.
PURPOSES_TEXT: Final = "".join(f"{purpose.dotted_string}\n" for purpose in PURPOSES)
_LEAST_RSA_BITS = 2048
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A chain, the leaf first and the root left out, and the leaf's key as PEM.

    `key_pem` is None where the key is elsewhere and a program signs.
    """

    algorithm: str  # es256, es384, ed25519 or ps256
    chain_pem: bytes
    key_pem: bytes | None
    sha256: str  # of the leaf, as hex
    ends: datetime
    name: str

    @property
    def local(self) -> bool:
        """Whether the service made it for itself, so that nobody else has a reason to trust it."""
        return self.name == LOCAL_NAME


def identity(chain_pem: bytes, key_pem: bytes | None, now: datetime) -> Identity:
    """Who signs, from PEM.

    Raises:
        BadSetting: it is no chain, may not sign credentials, is out of date, or has another key.
    """
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError as e:
        raise _refused("holds no certificates", "PEM: the leaf first, then who issued it") from e
    leaf = chain[0]
    _in_time(chain, now)
    _issued(chain)
    _may_sign(leaf)
    algorithm, public = _algorithm(leaf)
    if key_pem is not None:
        key_pem = _key(public, key_pem)
    names = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Identity(
        algorithm,
        b"".join(c.public_bytes(Encoding.PEM) for c in chain if c.subject != c.issuer),
        key_pem,
        leaf.fingerprint(hashes.SHA256()).hex(),
        min(c.not_valid_after_utc for c in chain),
        str(names[0].value) if names else "",
    )


def _refused(detail: str, valid: str, where: str = CHAIN) -> BadSetting:
    return BadSetting(f"{where} {detail}", where=where, valid=valid)


def _in_time(chain: Sequence[x509.Certificate], now: datetime) -> None:
    for certificate in chain:
        name = certificate.subject.rfc4514_string()
        if now >= certificate.not_valid_after_utc:
            at = certificate.not_valid_after_utc
            raise _refused(f"has run out: {name} at {at:%Y-%m-%d %H:%M} UTC", "one that has not")
        if now < certificate.not_valid_before_utc:
            at = certificate.not_valid_before_utc
            detail = f"is not valid yet: {name} from {at:%Y-%m-%d %H:%M} UTC on"
            raise _refused(detail, "one that is; or the clock is wrong")


def _issued(chain: Sequence[x509.Certificate]) -> None:
    if chain[0].subject == chain[0].issuer:
        raise _refused("is signed by itself", "a leaf that a root or an intermediate issued")
    for one, issuer in pairwise(chain):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as e:
            name = one.subject.rfc4514_string()
            detail = f"is out of order: the next one did not issue {name}"
            raise _refused(detail, "the leaf first, each followed by who issued it") from e


def _may_sign(leaf: x509.Certificate) -> None:
    """The leaf has the profile of the specification.

    Raises:
        BadSetting: it has not; the library's Reader would refuse every file.
    """
    valid = "a leaf for digital signatures, for one of " + ", ".join(PURPOSES.values())
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as e:
        raise _refused("does not say what its leaf is for", valid) from e
    if not any(purpose in PURPOSES for purpose in purposes):
        told = ", ".join(p.dotted_string for p in purposes)
        raise _refused(f"is for other purposes: {told}", valid)
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes:
        raise _refused("is for any purpose, which C2PA forbids", valid)
    if not usage.digital_signature or usage.key_cert_sign:
        raise _refused("may not sign, or may issue certificates", valid)


def _algorithm(leaf: x509.Certificate) -> tuple[str, PublicKey]:
    key = leaf.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1"):
        return f"es{key.curve.key_size}", key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
        return "ps256", key
    raise _refused("has another kind of key", "P-256, P-384, Ed25519, or RSA of 2048 bits or more")


def _key(public: PublicKey, key_pem: bytes) -> bytes:
    """The leaf's key alone, in the form that the library reads."""
    try:
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        valid = "PEM, PKCS #8, without a password"
        raise _refused("holds no private key that can be read", valid, KEY) from e
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise _refused("is not the key of the leaf", "the key that the leaf was made for", KEY)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
