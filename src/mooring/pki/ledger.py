"""What the PKI asks of the database: which certificates were issued, revoked and seen.

The ledger is the truth about certificates; the revocation list on disk follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mooring.pki.model import Reason, Revocation

__all__ = ["CertificateLedger", "CertificateRecord", "Sighting"]


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """One certificate issued to a device.

    Attributes:
        serial: lower-case hex; no two records share one.
        username: the device's MQTT username, and the certificate's common name.
        authority: the fingerprint of the CA that signed it.
        pem: the certificate itself, for renewal with the same key; it holds no secret.
        own_key: the key was made on the device (or elsewhere), not by us.
        revoked_at: set once and never unset.
    """

    serial: str
    username: str
    fingerprint: str
    authority: str
    key_type: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    pem: str
    own_key: bool = False
    revoked_at: datetime | None = None
    reason: Reason | None = None

    def revocation(self) -> Revocation | None:
        """This record as a line of a revocation list."""
        if self.revoked_at is None:
            return None
        return Revocation(self.serial, self.revoked_at, self.reason or Reason.UNSPECIFIED)

    def is_live(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and now <= self.not_after


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest CA a device has been seen to rely on, and when."""

    username: str
    authority: str
    at: datetime


class CertificateLedger(Protocol):
    """Raises ``DatabaseUnavailable``; otherwise only what the methods name."""

    def add(self, record: CertificateRecord) -> None:
        """Keep a new record; raises ``Conflict`` for a serial that is there already."""
        ...

    def get(self, serial: str) -> CertificateRecord | None:
        """One record."""
        ...

    def list(
        self, *, username: str | None = None, revoked: bool | None = None
    ) -> list[CertificateRecord]:
        """Records, newest first; *revoked*: only those that are, or are not."""
        ...

    def revoke(self, serial: str, at: datetime, reason: Reason) -> None:
        """Mark as revoked; a second time changes nothing. Unknown serials are not an error."""
        ...

    def same_authority(self, former: str, now: str) -> None:
        """The CA with the fingerprint ``former`` has another certificate: what names the one
        names the other from now on. A second time changes nothing."""
        ...

    def seen(self, username: str, authority: str, at: datetime) -> None:
        """The device relies on this CA now: it said so, or it came with its certificate."""
        ...

    def sightings(self) -> Mapping[str, Sighting]:
        """Username → its latest sighting."""
        ...
