"""The certificate authority: a self-signed certificate and the key that signs with it.

Pure: the clock and the serial number are arguments. Nothing here reads or writes files.
(The *authority* that makes the broker accept accounts is ``mooring.broker.protocol``.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mooring.errors import Gone, Invalid, Unavailable
from mooring.pki.describe import describe, subject_name
from mooring.pki.keys import PrivateKey, key_pem, make_key, same
from mooring.pki.model import CertificateInfo, KeyType, Purpose

__all__ = [
    "BACKDATE",
    "CA_DAYS",
    "CertificateAuthority",
    "common_name",
    "cross_sign",
    "load_ca",
    "make_ca",
    "redated",
    "validity",
]

#: A device whose clock is a little behind must still find a fresh certificate valid.
BACKDATE = timedelta(hours=1)
CA_DAYS = 3650
# ub-common-name, RFC 5280 A.1; counted in bytes, as libraries that read it do.
_MAX_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A CA's certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    def __repr__(self) -> str:
        return f"CertificateAuthority({self.info.subject!r}, {self.fingerprint[:16]})"

    @property
    def info(self) -> CertificateInfo:
        return describe(self.certificate)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, lower-case hex: the CA's name everywhere in Mooring."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def secret_pem(self) -> bytes:
        """Key and certificate in one text, so that both change in one rename."""
        return key_pem(self.key) + self.certificate_pem

    @property
    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        ski = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski.value)

    def signed(self, certificate: x509.Certificate) -> bool:
        """Whether this CA issued *certificate* (name and signature)."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def make_ca(
    name: str,
    *,
    now: datetime,
    serial: int,
    key_type: KeyType = KeyType.EC_P256,
    days: int = CA_DAYS,
) -> CertificateAuthority:
    """A new self-signed CA.

    Args:
        name: its common name, 1 to 64 characters; make it differ from an older CA's, because
            clients look issuers up by name.
        now: aware.
        serial: positive, at most 159 bits, never used before.

    Raises:
        Invalid: the name or the number of days cannot be used.
    """
    return _self_signed(common_name(name), make_key(key_type), now=now, serial=serial, days=days)


def redated(ca: CertificateAuthority, *, now: datetime, serial: int) -> CertificateAuthority:
    """The same CA with other dates: name and key stay, so that what it has signed is still its
    own, and a device that holds the former certificate still finds the signer it knows."""
    return _self_signed(ca.certificate.subject, ca.key, now=now, serial=serial, days=CA_DAYS)


def _self_signed(
    subject: x509.Name, key: PrivateKey, *, now: datetime, serial: int, days: int
) -> CertificateAuthority:
    not_before, not_after = validity(now, days, None)
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        # One step of intermediates, for the cross certificate of a rollover and nothing else.
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(ski, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return CertificateAuthority(certificate, key)


def cross_sign(
    old: CertificateAuthority, new: CertificateAuthority, *, now: datetime, serial: int
) -> x509.Certificate:
    """The new CA's key under the old CA's signature.

    A server sends it along with its own certificate during a rollover, so that a device which
    knows only the old CA still finds a way from the new server certificate to what it trusts.
    """
    until = min(old.certificate.not_valid_after_utc, new.certificate.not_valid_after_utc)
    ski = x509.SubjectKeyIdentifier.from_public_key(new.key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(new.certificate.subject)
        .issuer_name(old.certificate.subject)
        .public_key(new.key.public_key())
        .serial_number(serial)
        .not_valid_before(max(now - BACKDATE, old.certificate.not_valid_before_utc))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(ski, critical=False)
        .add_extension(old.key_identifier, critical=False)
        .sign(old.key, hashes.SHA256())
    )


def load_ca(pem: bytes) -> CertificateAuthority:
    """Read what ``CertificateAuthority.secret_pem`` wrote.

    Raises:
        Invalid: no key, no certificate, not a CA, or the two do not belong together.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError) as exc:
        raise _bad_ca(
            "It does not contain an unencrypted key followed by its certificate."
        ) from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise _bad_ca("Its key is neither EC nor RSA.")
    if not same(key.public_key(), certificate.public_key()):
        raise _bad_ca("Its key does not belong to its certificate.")
    if describe(certificate).purpose is not Purpose.CA:
        raise _bad_ca("Its certificate is not one of a CA.")
    return CertificateAuthority(certificate, key)


def _bad_ca(reason: str) -> Invalid:
    return Invalid(
        f"The CA's key file cannot be used. {reason}",
        hint="Restore ca.key from a backup; with a new CA every device needs the new CA "
        "certificate.",
        code="unusable_ca",
    )


def common_name(name: str) -> x509.Name:
    """A subject that is one common name.

    Raises:
        Invalid: empty, longer than 64 bytes in UTF-8, or with control characters.
    """
    if not name or not name.isprintable() or len(name.encode()) > _MAX_COMMON_NAME:
        raise Invalid(
            f"{name[:80]!r} cannot be a certificate's common name.",
            hint=f"Use printable characters, 1 to {_MAX_COMMON_NAME} bytes of them.",
            code="invalid_common_name",
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def validity(
    now: datetime, days: int, within: x509.Certificate | None
) -> tuple[datetime, datetime]:
    """From a little before *now* for *days*, never outside the issuer's own time.

    Raises:
        Invalid: fewer than one day.
        Gone: the issuer has expired.
        Unavailable: it is before the issuer was made, so this machine's clock is wrong.
    """
    if days < 1:
        raise Invalid(
            f"A certificate cannot be valid for {days} days.",
            hint="Give at least one day.",
            code="invalid_days",
        )
    now = now.astimezone(UTC).replace(microsecond=0)
    begin, end = now - BACKDATE, now + timedelta(days=days)
    if within is not None:
        if within.not_valid_after_utc <= now:
            raise Gone(
                f"The CA {subject_name(within.subject)!r} expired on "
                f"{within.not_valid_after_utc:%Y-%m-%d}.",
                hint="Start a rollover to a new CA: mooring cert rollover start.",
                code="ca_expired",
            )
        if now < within.not_valid_before_utc:
            raise Unavailable(
                f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, which is before its own CA "
                f"was created.",
                hint="Set the clock. Certificates issued now would be invalid.",
                code="clock_behind",
            )
        begin = max(begin, within.not_valid_before_utc)
        end = min(end, within.not_valid_after_utc)
    return begin, end


_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
