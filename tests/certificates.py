"""Certificates for signing, as an authority would issue them, made on the spot."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Issued:
    chain: bytes  # the leaf, then the intermediate
    root: bytes
    key: bytes


def new_key(kind: str) -> Any:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ps256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(
        {"es384": ec.SECP384R1, "p521": ec.SECP521R1}.get(kind, ec.SECP256R1)()
    )


def name(common: str) -> x509.Name:
    given = ((NameOID.COUNTRY_NAME, "IE"), (NameOID.ORGANIZATION_NAME, "Harbour Sound"))
    named = (*given, (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in named])


def issued(
    kind: str = "es256",
    purpose: ObjectIdentifier = CLAIM_SIGNING,
    begins: datetime = NOW - timedelta(hours=1),
    lasts: timedelta = timedelta(days=30),
) -> Issued:
    """A root, an intermediate and a leaf."""
    root_key, middle_key = new_key("es256"), new_key("es256")
    leaf_key = new_key(kind)

    def one(of: Any, common: str, by: Any, issuer: str, depth: int | None) -> Any:
        is_leaf = depth is None
        usage = [is_leaf, *[False] * 4, not is_leaf, not is_leaf, False, False]
        from_key = x509.SubjectKeyIdentifier.from_public_key
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(name(issuer))
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + lasts)
            .add_extension(x509.BasicConstraints(not is_leaf, depth), True)
            .add_extension(x509.KeyUsage(*usage), True)
            .add_extension(from_key(of.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False
            )
        )
        if is_leaf:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), True)
        return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)

    root = one(root_key, "Harbour root", root_key, "Harbour root", 1)
    middle = one(middle_key, "Harbour issuing", root_key, "Harbour root", 0)
    leaf = one(leaf_key, "Harbour Sound", middle_key, "Harbour issuing", None)
    pem = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(leaf + middle, root, pem)


SSL_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
