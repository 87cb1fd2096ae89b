"""A ledger in memory, for tests of what is built on ``CertificateLedger``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from mooring.errors import Conflict
from mooring.pki.ledger import CertificateRecord, Sighting
from mooring.pki.model import Reason


class MemoryLedger:
    def __init__(self) -> None:
        self.records: dict[str, CertificateRecord] = {}
        self.seen_on: dict[str, Sighting] = {}

    def add(self, record: CertificateRecord) -> None:
        if record.serial in self.records:
            raise Conflict("That serial is taken.")
        self.records[record.serial] = record

    def get(self, serial: str) -> CertificateRecord | None:
        return self.records.get(serial)

    def list(
        self, *, username: str | None = None, revoked: bool | None = None
    ) -> list[CertificateRecord]:
        return [
            record
            for record in reversed(self.records.values())
            if username in {None, record.username}
            and revoked in {None, record.revoked_at is not None}
        ]

    def revoke(self, serial: str, at: datetime, reason: Reason) -> None:
        record = self.records.get(serial)
        if record is not None and record.revoked_at is None:
            self.records[serial] = replace(record, revoked_at=at, reason=reason)

    def same_authority(self, former: str, now: str) -> None:
        for serial, record in self.records.items():
            if record.authority == former:
                self.records[serial] = replace(record, authority=now)
        for name, one in self.seen_on.items():
            if one.authority == former:
                self.seen_on[name] = replace(one, authority=now)

    def seen(self, username: str, authority: str, at: datetime) -> None:
        self.seen_on[username] = Sighting(username, authority, at)

    def sightings(self) -> Mapping[str, Sighting]:
        return self.seen_on
