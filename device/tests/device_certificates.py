"""Certificates for the tests, made with ``cryptography``: good ones, and every bad kind."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def write(self, folder: Path, name: str, *chain: Pair) -> tuple[str, str]:
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_text(self.pem + "".join(one.pem for one in chain))
        key.write_text(self.key_pem)
        return str(certificate), str(key)


def make(
    name: str,
    issuer: Pair | None = None,
    *,
    ca: bool = False,
    host: str = "127.0.0.1",
    begins: dt.datetime = NOW - DAY,
    ends: dt.datetime = NOW + 30 * DAY,
    client: bool = False,
) -> Pair:
    """A certificate, signed by ``issuer`` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternative: x509.GeneralName = x509.DNSName(host)
    if host.replace(".", "").isdigit():
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer.certificate.subject if issuer else _name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
    signed = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Pair(signed, key)
