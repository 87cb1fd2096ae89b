"""What people do with the certificates of devices: with roles, tenants and the audit.

``PkiService`` knows certificates and nothing of devices or people; this puts the two together.
A change is in force when the certificate watch of ``mooring up`` has told the broker.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Collection
from dataclasses import dataclass

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.clock import utc_now
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import DatabaseUnavailable, MooringError, NotFound
from mooring.identity.actor import Actor, Role
from mooring.pki.bundle import DeviceBundle
from mooring.pki.issue import DEVICE_DAYS
from mooring.pki.ledger import CertificateRecord
from mooring.pki.model import KeyType, Reason
from mooring.pki.operator import COPY, check, operator_files
from mooring.pki.report import Report, complaints, reminders
from mooring.pki.rollover import RolloverStatus
from mooring.pki.service import PkiService, Revoked, Settled
from mooring.pki.store import SqlLedger
from mooring.settings import Settings
from mooring.store.engine import Database

__all__ = ["DeviceCertificates", "Health"]

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Health:
    """The state of every certificate, in sentences for people.

    Attributes:
        report: the figures; ``None`` when there is no CA yet, or it cannot be read.
        problems: what is wrong now.
        reminders: what will be, in 30 days or fewer.
    """

    report: Report | None
    problems: tuple[str, ...]
    reminders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceCertificates:
    """Device certificates of one installation."""

    database: Database
    devices: Devices
    pki: PkiService
    ledger: SqlLedger
    most: int = 20  # of one device that have not expired

    def issue(
        self,
        actor: Actor,
        reference: str,
        *,
        csr: bytes | None = None,
        days: int = DEVICE_DAYS,
        key_type: KeyType | None = None,
    ) -> tuple[Device, DeviceBundle]:
        """A certificate for a device, for the key of a request or for a new one.

        Raises:
            NotFound, Conflict: no such device, or several; or there is no CA yet.
            Invalid: the request, its key, the username or the days cannot be used.
            Forbidden: the actor is not an operator of the device's tenant.
        """
        device = self._operated(actor, reference)
        self.ledger.require_room(device.username, self.most)
        bundle = self.pki.device(device.username, csr=csr, days=days, key_type=key_type)
        self._record(actor, "certificate.issue", device, bundle.info.serial)
        return device, bundle

    def renew(
        self,
        actor: Actor,
        reference: str,
        *,
        csr: bytes | None = None,
        days: int = DEVICE_DAYS,
    ) -> tuple[Device, DeviceBundle]:
        """A new certificate for the key the device has; raises as ``issue``."""
        device = self._operated(actor, reference)
        self.ledger.require_room(device.username, self.most)
        bundle = self.pki.renew(device.username, csr=csr, days=days)
        self._record(actor, "certificate.renew", device, bundle.info.serial)
        return device, bundle

    def search(
        self, actor: Actor, text: str, limit: int
    ) -> tuple[builtins.list[CertificateRecord], int]:
        """The newest certificates of devices whose username or serial number contains a text,
        without their PEM, and how many there are.

        Raises:
            Forbidden: the actor may not see every tenant.
        """
        actor.require(Role.VIEWER, None)
        return self.ledger.search(text, limit)

    def list(self, actor: Actor, reference: str | None = None) -> list[CertificateRecord]:
        """One device's certificates, or all there are; the newest first.

        Raises:
            Forbidden: all of them are asked for by somebody who may not see every tenant.
        """
        if reference is None:
            actor.require(Role.VIEWER, None)
            return self.pki.list()
        device = self.devices.get(actor, reference)
        actor.require(Role.VIEWER, device.tenant)
        return self.pki.list(device.username)

    def revoke(
        self,
        actor: Actor,
        reference: str | None = None,
        *,
        serial: str | None = None,
        reason: Reason = Reason.UNSPECIFIED,
    ) -> Revoked:
        """Revoke one certificate by its serial, or all of a device; of a device that has been
        removed by its serial, or by its username.

        With both, the certificate must be the device's.

        Raises:
            Invalid: neither is given, or the serial is not hexadecimal.
            NotFound: no such device or certificate.
        """
        device = None
        if reference is not None:
            try:
                device = self._operated(actor, reference)
            except NotFound:
                if serial is not None or not self.pki.list(reference):
                    raise
                actor.require(Role.OPERATOR, None)
        else:
            actor.require(Role.OPERATOR, None)
        name = device.username if device is not None else reference
        if serial is not None and name is not None:
            self._check_owner(serial, name)
        done = self.pki.revoke(
            serial=serial, username=None if serial is not None else name, reason=reason
        )
        for record in done.certificates:
            subject = device.reference if device is not None else record.username
            tenant = device.tenant if device is not None else None
            self._audit(actor, "certificate.revoke", subject, tenant, f"{record.serial} {reason}")
        return done

    # ------------------------------------------------------------------ the CA

    def rollover_start(self, actor: Actor, key_type: KeyType | None = None) -> Settled:
        """See ``PkiService.rollover_start``; for administrators."""
        actor.require(Role.ADMIN)
        done = self.pki.rollover_start(key_type)
        self._audit(actor, "ca.rollover_start", done.server.issuer, None, "")
        return done

    def rollover(self, actor: Actor) -> RolloverStatus | None:
        """How far the enabled devices have come; ``None`` when no rollover is under way."""
        actor.require(Role.VIEWER)
        return self.pki.rollover(self.devices.enabled_usernames())

    def rollover_finish(self, actor: Actor, *, force: bool = False) -> Settled:
        """See ``PkiService.rollover_finish``; for administrators."""
        actor.require(Role.ADMIN)
        done = self.pki.rollover_finish(self.devices.enabled_usernames(), force=force)
        self._audit(actor, "ca.rollover_finish", done.server.issuer, None, "force" if force else "")
        return done

    # ------------------------------------------------------------------ in force

    def pending(self, device: Device) -> builtins.list[int]:
        """Changes of the device's login that the broker may not have applied yet: until it has,
        it rejects a certificate that was just issued. Empty with an authority that accepts every
        certificate of the CA."""
        with self.database.read() as connection:
            return change_queue.waiting_for(connection, device.username)

    def in_force(self, records: Collection[CertificateRecord]) -> bool:
        """Whether the broker rejects these certificates and no session is left."""
        serials = {record.serial for record in records}
        usernames = {record.username for record in records}
        return not serials & {record.serial for record in self.ledger.unenforced()} and (
            not usernames & self._being_kicked()
        )

    def wait_in_force(self, records: Collection[CertificateRecord], timeout: float) -> bool:
        """Whether ``in_force`` comes true within ``timeout`` seconds; with 0 it looks once."""
        deadline = time.monotonic() + timeout
        while not self.in_force(records):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_SECONDS, left))
        return True

    def health(self, settings: Settings) -> Health:
        """What ends when, and which files the broker could not use.

        Raises:
            DatabaseUnavailable: the ledger cannot be read.
        """
        try:
            operators = operator_files(settings)
            copy = self.pki.paths.ca.parent / COPY
            found = self.pki.report(None if operators is None or not copy.exists() else copy)
            wrong = self.pki.check() if operators is None else check(operators, utc_now())
        except DatabaseUnavailable:
            raise
        except MooringError as exc:
            # Before the first start there is nothing to be healthy or ill.
            return Health(None, () if exc.slug == "no_ca" else (f"{exc} {exc.hint}",), ())
        # What has expired says so already, in one sentence and with what to do.
        said = [p for p in wrong if p.fatal and not (operators is None and p.code == "expired")]
        kept = " The broker keeps its current certificate." if operators is not None else ""
        return Health(
            found,
            (*complaints(found), *(f"{p.message}{kept} {p.hint}" for p in said)),
            tuple(reminders(found)),
        )

    # ------------------------------------------------------------------ inside

    def _being_kicked(self) -> set[str]:
        with self.database.read() as connection:
            return change_queue.waiting_usernames(connection, action="kick")

    def _operated(self, actor: Actor, reference: str) -> Device:
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        return device

    def _check_owner(self, serial: str, username: str) -> None:
        if self.pki.find(serial).username != username:
            raise NotFound(
                f"There is no certificate number {serial} of {username}.",
                hint="`mooring cert list` shows all certificates.",
                code="certificate_not_found",
            )

    def _record(self, actor: Actor, action: str, device: Device, serial: str) -> None:
        self._audit(actor, action, device.reference, device.tenant, serial)

    def _audit(
        self, actor: Actor, action: str, subject: str, tenant: str | None, reason: str
    ) -> None:
        with self.database.write() as connection:
            audit_log.record(connection, actor, action, subject, tenant=tenant, reason=reason)
