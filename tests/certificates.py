"""Certificate chains for tests of signatures, made on the spot: a root, and those who sign under it."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
USES = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Signer:
    """Files in PEM: the chain from the signer up, its private key, and the root alone."""

    chain: Path
    key: Path
    root: Path


def make_signer(folder: Path, name: str, *, days: tuple[int, int] = (-1, 30)) -> Signer:
    """A signer of this name under a root of its own; `days` from now on from when and until when it may sign."""
    folder.mkdir(parents=True, exist_ok=True)
    root_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certify(f"{name}'s root", root_key, None, root_key, (-60, 60))
    signer = _certify(name, signer_key, root, root_key, days)
    chain, key, top = (folder / f"{name}-{part}.pem" for part in ("chain", "key", "root"))
    pems = [one.public_bytes(serialization.Encoding.PEM) for one in (signer, root)]
    chain.write_bytes(b"".join(pems))
    top.write_bytes(pems[1])
    plain = serialization.NoEncryption()
    key.write_bytes(signer_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return Signer(chain, key, top)


def _certify(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: tuple[int, int],
) -> x509.Certificate:
    """What C2PA asks for: version 3 with key identifiers, use for signing alone, and a purpose that it knows."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests")]
    subject, now = x509.Name(names), datetime.datetime.now(datetime.UTC)
    uses = dict.fromkeys(USES, False) | {"digital_signature": issuer is not None}
    uses |= {"key_cert_sign": issuer is None, "crl_sign": issuer is None}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**uses), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer is not None:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
