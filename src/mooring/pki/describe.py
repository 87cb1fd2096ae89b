"""Reading a certificate into plain values."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring.pki.keys import key_name
from mooring.pki.model import CertificateInfo, Purpose

__all__ = ["describe", "serial_text", "subject_name"]


def describe(certificate: x509.Certificate) -> CertificateInfo:
    """A certificate in plain values."""
    return CertificateInfo(
        serial=serial_text(certificate.serial_number),
        subject=subject_name(certificate.subject),
        sans=_sans(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        issuer=subject_name(certificate.issuer),
        key_type=key_name(certificate.public_key()),
        purpose=_purpose(certificate),
    )


def serial_text(serial: int) -> str:
    """A serial number as Mooring writes it: lower-case hex without leading zeros."""
    return format(serial, "x")


def subject_name(name: x509.Name) -> str:
    """The common name in a subject or issuer; empty when none exists."""
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else ""


def _sans(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)
    )


def _purpose(certificate: x509.Certificate) -> Purpose:
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return Purpose.CA
    except x509.ExtensionNotFound:
        pass  # a leaf need not carry the extension
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return Purpose.OTHER
    if ExtendedKeyUsageOID.SERVER_AUTH in usage:
        return Purpose.SERVER
    return Purpose.DEVICE if ExtendedKeyUsageOID.CLIENT_AUTH in usage else Purpose.OTHER
