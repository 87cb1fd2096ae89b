"""The values of the private CA: what is known of one certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

__all__ = ["CertificateInfo", "KeyType", "PkiPaths", "Purpose", "Reason", "Revocation"]


class KeyType(StrEnum):
    """Keys we make ourselves. A CSR may bring others (see ``mooring.pki.issue``)."""

    EC_P256 = "ec-p256"
    RSA_2048 = "rsa-2048"


class Purpose(StrEnum):
    """What a certificate is for, read from its basic constraints and extended key usage."""

    CA = "ca"
    SERVER = "server"
    DEVICE = "device"
    OTHER = "other"


class Reason(StrEnum):
    """Why a certificate was revoked (RFC 5280, 5.3.1), named as ``openssl ca`` names them."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"  # only while the device is disabled; never in the ledger


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """One certificate, in plain values.

    Attributes:
        serial: lower-case hex without leading zeros (up to 160 bits: too wide for SQL integers).
        subject: the subject's common name; a device's MQTT username; empty when it has none.
        sans: subject alternative names, DNS names and IP addresses as text.
        not_before, not_after: aware, UTC.
        fingerprint: SHA-256 over the DER form, lower-case hex.
        issuer: the issuer's common name.
        key_type: ``ec-p256``, ``rsa-2048``, ``ed25519`` …
    """

    serial: str
    subject: str
    sans: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    issuer: str
    key_type: str
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Revocation:
    """One line of a revocation list."""

    serial: str
    at: datetime
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class PkiPaths:
    """The files a broker and its clients are given.

    Attributes:
        ca: the CA that signs now; for people and devices.
        trust: every CA trusted now (two during a rollover); Mosquitto's ``cafile``.
        server_cert, server_key: Mosquitto's ``certfile`` and ``keyfile``.
        crl: one revocation list per trusted CA, concatenated; Mosquitto's ``crlfile``.
    """

    ca: Path
    trust: Path
    server_cert: Path
    server_key: Path
    crl: Path
