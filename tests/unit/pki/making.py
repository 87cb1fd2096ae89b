"""Certificates for tests, made with fixed clocks and counted serials."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mooring.pki.authority import CertificateAuthority, make_ca
from mooring.pki.issue import issue_server
from mooring.pki.keys import PrivateKey, key_pem, make_key
from mooring.pki.model import KeyType

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
_serials = itertools.count(1000)


def serial() -> int:
    return next(_serials)


def a_ca(
    name: str = "Test CA",
    now: datetime = NOW,
    days: int = 3650,
    key_type: KeyType = KeyType.EC_P256,
) -> CertificateAuthority:
    return make_ca(name, now=now, serial=serial(), days=days, key_type=key_type)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def write_server(
    directory: Path,
    ca: CertificateAuthority,
    *,
    hosts: tuple[str, ...] = ("mqtt.example.org", "192.0.2.7"),
    now: datetime = NOW,
    days: int = 90,
    key: PrivateKey | None = None,
) -> tuple[Path, Path, Path]:
    """Writes a server's certificate, its key and the CA; returns the paths in that order."""
    key = key or make_key(KeyType.EC_P256)
    certificate = issue_server(ca, hosts, key.public_key(), now=now, serial=serial(), days=days)
    cert_path, key_path, ca_path = (directory / n for n in ("own.crt", "own.key", "own-ca.crt"))
    cert_path.write_bytes(pem(certificate))
    key_path.write_bytes(key_pem(key))
    key_path.chmod(0o600)
    ca_path.write_bytes(ca.certificate_pem)
    return cert_path, key_path, ca_path


def a_csr(subject: str = "whatever", key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)
