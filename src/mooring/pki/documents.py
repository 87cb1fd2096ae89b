"""What the command line and HTTP answer of certificates. Times are text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mooring.dialects.times import iso
from mooring.pki.ledger import CertificateRecord

__all__ = ["certificate", "moment"]


def certificate(found: CertificateRecord) -> dict[str, Any]:
    """A certificate that was issued to a device."""
    return {
        "serial": found.serial,
        "username": found.username,
        "fingerprint": found.fingerprint,
        "authority": found.authority,
        "key_type": found.key_type,
        "own_key": found.own_key,
        "not_before": moment(found.not_before),
        "not_after": moment(found.not_after),
        "issued_at": moment(found.issued_at),
        "revoked_at": None if found.revoked_at is None else moment(found.revoked_at),
        "reason": found.reason,
    }


def moment(time: datetime) -> str:
    """A time as every answer has it; the dates in certificates are ``datetime``."""
    return iso(round(time.timestamp() * 1000))
