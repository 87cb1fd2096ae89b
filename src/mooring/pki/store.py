"""The ledger of certificates in the database."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from mooring.changes import queue as change_queue
from mooring.errors import Conflict
from mooring.later import later
from mooring.pki.ledger import CertificateRecord, Sighting
from mooring.pki.model import Reason
from mooring.store.engine import Database, now_ms
from mooring.store.room import require_room
from mooring.store.schema import certificates, devices, sightings

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["SqlLedger"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqlLedger:
    """``CertificateLedger`` on the database; further questions are the certificate watch's.

    Args:
        database: where it is.
        to_broker: the broker asks which certificates are valid, so every change is a change
            for the broker, too, in the same transaction.

    Each call is a transaction of its own. A certificate belongs to the device that has its
    username when it is issued; a later device of the same name does not inherit it.
    """

    def __init__(self, database: Database, *, to_broker: bool = False) -> None:
        self._database = database
        self._to_broker = to_broker

    # ------------------------------------------------------------------ CertificateLedger

    def add(self, record: CertificateRecord) -> None:
        owner = sa.select(devices.c.id).where(devices.c.username == record.username)
        try:
            with self._database.write() as connection:
                connection.execute(
                    sa.insert(certificates).values(
                        serial=record.serial,
                        username=record.username,
                        device_id=owner.scalar_subquery(),
                        fingerprint=record.fingerprint,
                        authority=record.authority,
                        key_type=record.key_type,
                        not_before=_ms(record.not_before),
                        not_after=_ms(record.not_after),
                        issued_at=_ms(record.issued_at),
                        pem=record.pem,
                        own_key=record.own_key,
                        revoked_at=None if record.revoked_at is None else _ms(record.revoked_at),
                        reason=None if record.reason is None else str(record.reason),
                    )
                )
                self._changed(connection, record.username)
        except IntegrityError as exc:
            raise Conflict(
                f"A certificate with the number {record.serial} already exists.",
                hint="Try again. The next one gets another number.",
                code="serial_taken",
            ) from exc

    def require_room(self, username: str, most: int) -> None:
        """Raises ``Conflict`` (``limit_reached``) where a login has ``most`` certificates that
        have not expired."""
        with self._database.read() as connection:
            require_room(
                connection,
                certificates,
                most,
                certificates.c.username == username,
                certificates.c.not_after > now_ms(),
                what="certificates that have not expired",
                setting="certificates_max_per_device",
            )

    def get(self, serial: str) -> CertificateRecord | None:
        with self._database.read() as connection:
            found = _records(connection, certificates.c.serial == serial)
        return found[0] if found else None

    def revoke(self, serial: str, at: datetime, reason: Reason) -> None:
        with self._database.write() as connection:
            username = connection.execute(
                sa.update(certificates)
                .where(certificates.c.serial == serial, certificates.c.revoked_at.is_(None))
                .values(revoked_at=_ms(at), reason=str(reason))
                .returning(certificates.c.username)
            ).scalar()
            if username is not None:
                self._changed(connection, username)

    def _changed(self, connection: Connection, username: str) -> None:
        if self._to_broker:
            change_queue.enqueue(connection, "put", username)

    def same_authority(self, former: str, now: str) -> None:
        with self._database.write() as connection:
            for table in (certificates, sightings):
                connection.execute(
                    sa.update(table).where(table.c.authority == former).values(authority=now)
                )

    def seen(self, username: str, authority: str, at: datetime) -> None:
        values = {"username": username, "authority": authority, "at": _ms(at)}
        insert: Any = (sqlite if self._database.is_sqlite else postgresql).insert(sightings)
        with self._database.write() as connection:
            connection.execute(
                insert.values(values).on_conflict_do_update(
                    index_elements=[sightings.c.username], set_=values
                )
            )

    def sightings(self) -> Mapping[str, Sighting]:
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(sightings.c.username, sightings.c.authority, sightings.c.at)
            )
            return {
                username: Sighting(username, authority, _time(at))
                for username, authority, at in rows
            }

    # ------------------------------------------------------------------ what follows devices

    def held(self) -> builtins.list[CertificateRecord]:
        """Certificates that are not revoked, of devices that are disabled now."""
        disabled = sa.select(devices.c.id).where(devices.c.enabled.is_(False))
        with self._database.read() as connection:
            return _records(
                connection,
                certificates.c.revoked_at.is_(None),
                certificates.c.device_id.in_(disabled),
            )

    def orphans(self) -> builtins.list[CertificateRecord]:
        """Certificates that are not revoked, of devices that are no more."""
        with self._database.read() as connection:
            return _records(
                connection,
                certificates.c.revoked_at.is_(None),
                ~sa.exists().where(devices.c.id == certificates.c.device_id),
            )

    # ------------------------------------------------------------------ enforcing

    def unenforced(self) -> builtins.list[CertificateRecord]:
        """Revoked certificates whose bearers may still be connected."""
        with self._database.read() as connection:
            return _records(
                connection,
                certificates.c.revoked_at.is_not(None),
                certificates.c.enforced_at.is_(None),
            )

    def enforced(self, serials: Collection[str], at: datetime) -> None:
        """The broker rejects them now, and no session is left from before."""
        each = builtins.list(serials)
        with self._database.write() as connection:
            for start in range(0, len(each), 500):
                connection.execute(
                    sa.update(certificates)
                    .where(certificates.c.serial.in_(each[start : start + 500]))
                    .values(enforced_at=_ms(at))
                )

    def search(self, text: str, limit: int) -> tuple[builtins.list[CertificateRecord], int]:
        """The newest ones whose username or serial number contains a text, without what they
        hold (``pem`` is empty), and how many there are."""
        c = certificates.c
        found = sa.or_(
            c.username.icontains(text, autoescape=True), c.serial.icontains(text, autoescape=True)
        )
        columns = [column for column in c if column.name != "pem"]
        asked = sa.select(*columns, sa.literal("").label("pem")).order_by(c.id.desc()).limit(limit)
        count = sa.select(sa.func.count()).select_from(certificates)
        if text:
            asked, count = asked.where(found), count.where(found)
        with self._database.read() as connection:
            rows = [_record(row) for row in connection.execute(asked).mappings()]
            return rows, int(connection.execute(count).scalar_one())

    # Last: inside the class its name hides the built-in one.
    def list(
        self, *, username: str | None = None, revoked: bool | None = None
    ) -> builtins.list[CertificateRecord]:
        conditions = []
        if username is not None:
            conditions.append(certificates.c.username == username)
        if revoked is not None:
            at = certificates.c.revoked_at
            conditions.append(at.is_not(None) if revoked else at.is_(None))
        with self._database.read() as connection:
            return _records(connection, *conditions)


def _records(
    connection: Connection, *conditions: sa.ColumnElement[bool]
) -> list[CertificateRecord]:
    statement = sa.select(certificates).where(*conditions).order_by(certificates.c.id.desc())
    return [_record(row) for row in connection.execute(statement).mappings()]


def _record(row: RowMapping) -> CertificateRecord:
    return CertificateRecord(
        serial=row["serial"],
        username=row["username"],
        fingerprint=row["fingerprint"],
        authority=row["authority"],
        key_type=row["key_type"],
        not_before=_time(row["not_before"]),
        not_after=_time(row["not_after"]),
        issued_at=_time(row["issued_at"]),
        pem=row["pem"],
        own_key=bool(row["own_key"]),
        revoked_at=None if row["revoked_at"] is None else _time(row["revoked_at"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
    )


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
