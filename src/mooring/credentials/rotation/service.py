"""Operations on rotations: begin one, begin many, list. Each call is one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.credentials.rotation import store
from mooring.credentials.rotation.model import Rotation, Started
from mooring.credentials.rotation.rules import Phase
from mooring.devices import password_store as passwords
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.dialects import Kind
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Rotations"]


@dataclass(frozen=True, slots=True)
class Rotations:
    """Rotations of one installation."""

    database: Database
    devices: Devices
    instance: Instance
    settings: Settings

    def start(
        self, actor: Actor, device: Device, *, reason: str = "", keep_old: bool = True
    ) -> Started:
        """Stores a new password for the worker to bring to the device.

        Nothing changes at the broker before the device has been notified. Asking again while one
        is under way gives that one.

        Args:
            keep_old: whether the old password may be used to recover, for ``recover_days``
                after the new one has proved itself; not when it may be known to others.

        Raises:
            Conflict: the device is disabled, has no password, its dialect has no commands, or
                the broker's log cannot be read here.
            NotFound: it has been removed meanwhile.
        """
        actor.require(Role.OPERATOR, device.tenant)
        try:
            with self.database.write() as connection:
                return self.put(connection, actor, device, reason=reason, keep_old=keep_old)
        except IntegrityError as exc:  # on PostgreSQL two may begin at the same moment
            with self.database.read() as connection:
                under_way = store.active(connection, device.id)
            if under_way is None:
                raise Conflict(
                    f"{device.reference} was changed at the same time.",
                    hint="Try again.",
                ) from exc
            return Started(under_way, again=True)

    def put(
        self,
        connection: Connection,
        actor: Actor,
        device: Device,
        *,
        reason: str = "",
        keep_old: bool = True,
    ) -> Started:
        """As ``start``, in the caller's transaction; the caller checks permissions."""
        self.check(device)
        secret, at = verifiers.new_password(), now_ms()
        current = passwords.credential(connection, device.id)
        if current is None:
            raise NotFound(f"The device {device.reference} no longer exists.")
        if current.verifier is None:
            raise Conflict(
                f"{device.reference} has no password; it logs in with a certificate.",
                hint="Renew its certificate with `mooring cert renew`.",
                code="certificate_only",
            )
        if current.expires_at is not None:
            raise Conflict(
                f"{device.reference} gets new passwords by itself, for tokens of its key.",
                hint="Remove its key to end that: `mooring device key remove`.",
                code="device_uses_keys",
            )
        under_way = store.active(connection, device.id)
        if under_way is not None:
            return Started(under_way, again=True)
        rotation = Rotation(
            id=secrets.token_hex(8),
            device_id=device.id,
            phase=Phase.PREPARED,
            actor=actor.name,
            origin=actor.origin,
            reason=reason,
            created_at=at,
            keep_old=keep_old,
            sealed_secret=self.instance.seal(secret),
            old_verifier=current.verifier,
            new_verifier=verifiers.make(secret),
            old_created_at=current.created_at,
            sends=0,
            first_sent_at=None,
            last_sent_at=None,
            sent_event=None,
            flips=0,
            in_force_at=None,
            finished_at=None,
            outcome="",
        )
        store.insert(connection, rotation)
        if self.settings.authority == "plugin":  # it accepts both from now on
            change_queue.enqueue(connection, "put", device.username)
        audit_log.record(
            connection,
            actor,
            "rotation.start",
            device.reference,
            tenant=device.tenant,
            reason=reason,
        )
        return Started(rotation)

    def take_back(
        self, connection: Connection, device: Device, rotation: Rotation, *, reason: str
    ) -> bool:
        """Ends a rotation that the device was never notified of, in the caller's transaction;
        whether it did."""
        if rotation.phase is not Phase.PREPARED or rotation.sends:
            return False
        if not store.finish(connection, rotation, Phase.CANCELLED, reason, now_ms()):
            return False
        if self.settings.authority == "plugin":  # it accepts the old one alone
            change_queue.enqueue(connection, "put", device.username)
        audit_log.record(
            connection,
            SYSTEM,
            "rotation.cancelled",
            device.reference,
            tenant=device.tenant,
            reason=reason,
        )
        return True

    def candidates(
        self,
        actor: Actor,
        *,
        tenant: str | None = None,
        dialect: str | None = None,
        older_than_ms: int = 0,
        limit: int = 500,
        after: int = 0,
    ) -> list[int]:
        """Numbers of enabled devices with a password at least so old, and none under way."""
        actor.require(Role.OPERATOR, tenant or actor.tenant)
        with self.database.read() as connection:
            return store.due_for_age(
                connection,
                older_than=now_ms() - older_than_ms + (0 if older_than_ms else 1),
                tenant=tenant or actor.tenant,
                dialect=dialect,
                limit=limit,
                after=after,
            )

    def newest(self, device: Device) -> Rotation | None:
        """The device's last rotation, under way or over."""
        with self.database.read() as connection:
            return store.newest(connection, device.id)

    def by_ids(self, ids: Sequence[str]) -> list[Rotation]:
        """As they are now, in this order; those of removed devices are left out."""
        with self.database.read() as connection:
            found = store.by_ids(connection, ids)
        return [found[one] for one in ids if one in found]

    def page(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        before: tuple[int, str] | None = None,
        only_active: bool = False,
    ) -> list[tuple[str, str, Rotation]]:
        """(tenant, device, rotation), the newest first."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return store.page(
                connection, actor, limit=limit, before=before, only_active=only_active
            )

    def check(self, device: Device) -> None:
        """Raises ``Conflict`` where the device cannot be given a password over the broker."""
        if not device.enabled:
            raise Conflict(
                f"{device.reference} is disabled.",
                hint="Enable it first with `mooring device enable`.",
                code="device_disabled",
            )
        if not self.devices.catalogue.get(device.dialect).of_kind(Kind.COMMAND):
            raise Conflict(
                f"The dialect {device.dialect} has no commands, so nothing can be sent to it.",
                hint="Give the device a new claim code instead.",
                code="no_commands",
            )
        if self.settings.broker != "managed":
            raise Conflict(
                "A rotation needs a broker that `mooring up` runs.",
                hint="Its log shows which password a device has used. Use a claim code instead.",
                code="rotation_needs_log",
            )
