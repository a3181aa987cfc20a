"""A certificate of the service's own, made at its first start: it works, and nobody trusts it."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voicesvc.credentials.identity import LOCAL_NAME, Identity, identity
from voicesvc.errors import BadSetting

FILE: Final = "c2pa-local.pem"  # the key, the leaf and the root
ROOT_NAME = "voicesvc local root (not trusted)"
_DAYS = 3650
_RENEWED_DAYS = 30  # before it runs out
_BACK = timedelta(hours=1)  # a clock that is behind ours finds it valid


def local(folder: Path, now: datetime) -> Identity:
    """The service's own identity in a folder; made where there is none, or it is running out.

    Raises:
        BadSetting: what is there is none.
        OSError: it cannot be read or written.
    """
    path = folder / FILE
    if path.exists():
        found = _read(path, now)
        if found is not None:
            return found
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{FILE}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(made(now))
        file.flush()
        os.fsync(fd)
    part.replace(path)
    found = _read(path, now)
    assert found is not None, "made a moment ago"
    return found


def _read(path: Path, now: datetime) -> Identity | None:
    """What the file holds, None if that is running out.

    Raises:
        BadSetting: it is no identity.
    """
    content = path.read_bytes()
    try:
        ends = x509.load_pem_x509_certificate(content).not_valid_after_utc
    except ValueError as e:
        valid = "a file that the service made; without it, it makes another"
        raise BadSetting(f"{path} holds no certificate", where=str(path), valid=valid) from e
    if ends - now < timedelta(days=_RENEWED_DAYS):
        return None
    return identity(content, content, now)


def made(now: datetime) -> bytes:
    """A key, its certificate and the root that issued it, as PEM.

    The root's key is thrown away: it issues nothing else.
    """
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, leaf = _name(ROOT_NAME), _name(LOCAL_NAME)
    authority = (
        _certificate(root, root, root_key.public_key(), now)
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(_usage(issues=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), False)
        .sign(root_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    certificate = (
        _certificate(leaf, root, key.public_key(), now)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(issues=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(issuer, False)
        .sign(root_key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + b"".join(c.public_bytes(Encoding.PEM) for c in (certificate, authority))


def _name(common: str) -> x509.Name:
    attributes = ((NameOID.ORGANIZATION_NAME, "voicesvc"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(now + timedelta(days=_DAYS))
    )


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )
