"""Revocation lists: which certificates of a CA are no longer good."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mooring.pki.authority import BACKDATE, CertificateAuthority
from mooring.pki.model import Reason, Revocation

__all__ = ["build_crl", "crl_pem", "is_by", "read_crls"]

_END = b"-----END X509 CRL-----"
_FLAGS = {reason: x509.ReasonFlags(reason.value) for reason in Reason}


def build_crl(
    ca: CertificateAuthority,
    revoked: Iterable[Revocation],
    *,
    now: datetime,
    next_update: datetime | None = None,
    number: int | None = None,
) -> x509.CertificateRevocationList:
    """A revocation list of one CA.

    Args:
        now: aware; the list is dated a little earlier, for a clock that steps back.
        next_update: default: the CA's own end. OpenSSL rejects **every** client once a list
            is past this date, and ours is a file that we replace whenever it changes: a
            shorter time would add nothing but a way to lock the fleet out.
        number: grows with every list; default: microseconds since 1970.
    """
    now = now.astimezone(UTC)
    end = next_update or ca.certificate.not_valid_after_utc
    lines = []
    for entry in {entry.serial: entry for entry in revoked}.values():
        line = (
            x509.RevokedCertificateBuilder()
            .serial_number(int(entry.serial, 16))
            .revocation_date(entry.at.astimezone(UTC))
        )
        if entry.reason is not Reason.UNSPECIFIED:  # RFC 5280, 5.3.1: leave "unspecified" out
            line = line.add_extension(x509.CRLReason(_FLAGS[entry.reason]), critical=False)
        lines.append(line.build())
    return (
        # Passed as a whole: adding them one by one copies the list each time.
        x509.CertificateRevocationListBuilder(revoked_certificates=lines)
        .issuer_name(ca.certificate.subject)
        .last_update(min(now, end) - BACKDATE)
        .next_update(end)
        .add_extension(ca.key_identifier, critical=False)
        .add_extension(
            x509.CRLNumber(int(now.timestamp() * 1_000_000) if number is None else number),
            critical=False,
        )
        .sign(ca.key, hashes.SHA256())
    )


def crl_pem(crls: Iterable[x509.CertificateRevocationList]) -> bytes:
    """Lists one after the other, as Mosquitto's ``crlfile`` takes them."""
    return b"".join(crl.public_bytes(serialization.Encoding.PEM) for crl in crls)


def read_crls(pem: bytes) -> list[x509.CertificateRevocationList]:
    """Every list in a PEM text; raises ``ValueError`` on a broken one."""
    parts = [part for part in pem.split(_END) if b"-----BEGIN X509 CRL-----" in part]
    return [x509.load_pem_x509_crl(part + _END + b"\n") for part in parts]


def is_by(crl: x509.CertificateRevocationList, ca: CertificateAuthority) -> bool:
    """Whether *ca* signed the list."""
    return crl.is_signature_valid(ca.key.public_key())
