"""Operations on downlinks: write one in one's own transaction, look, confirm, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.devices.model import Device
from mooring.dialects.sendable import check_topic
from mooring.downlink import store
from mooring.downlink.live import store as live_store
from mooring.downlink.model import Downlink, NewDownlink, Written
from mooring.downlink.room import TenantRoom
from mooring.downlink.rules import Event, State
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached
from mooring.store.schema import downlinks

__all__ = ["Downlinks"]


@dataclass(frozen=True, slots=True)
class Downlinks:
    """Downlinks of one installation. No payload that a row holds is ever shown."""

    database: Database
    instance: Instance
    settings: Settings
    room: TenantRoom = field(default_factory=TenantRoom)

    def put(self, connection: Connection, new: NewDownlink) -> Written:
        """Writes a downlink in the caller's transaction; it goes out after the commit.

        Raises:
            Invalid: the topic cannot be published to, or the payload is too large.
            Conflict: ``limit_reached``: the device or the tenant has too many open ones.
        """
        check_topic(new.topic)
        most = self.settings.message_size_limit
        if len(new.payload) > most:
            raise Invalid(
                f"The payload has {len(new.payload)} bytes; the broker takes {most}.",
                hint="Send less, or raise message_size_limit.",
                code="payload_too_large",
            )
        key = None
        if new.dedupe is not None:
            key = f"{new.device_id or ''}:{new.dedupe}"
            found = store.with_key(connection, key)
            if found is not None:
                return Written(found, again=True)
        if new.until.live and new.device_id is None:
            raise Invalid("A live message goes to one device.", code="invalid")
        self._check_room(connection, new)
        at = now_ms()
        number = store.insert(
            connection,
            {
                "device_id": new.device_id,
                "tenant": new.tenant,
                "topic": new.topic,
                "payload": self.instance.seal(new.payload) if new.secret else new.payload,
                "sealed": new.secret,
                "qos": max(1, new.qos),
                "retain": new.retain,
                "until": new.until.value,
                "state": (State.QUEUED if new.until.live else State.WAITING).value,
                "created_at": at,
                "next_at": at if new.not_before is None else new.not_before,
                "expires_at": new.expires_at,
                "origin": new.origin,
                "dedupe": new.dedupe,
                "open_key": key,
                "reason": new.reason,
            },
        )
        return Written(number)

    def confirm(self, connection: Connection, number: int) -> bool:
        """The device has it, in the caller's transaction; whether it was still open."""
        return bool(store.change(connection, Event.CONFIRM, now_ms(), downlinks.c.id == number))

    def drop(self, connection: Connection, device_id: int, dedupe: str) -> None:
        """Cancels the open one with this ``dedupe``, if there is one, in the caller's
        transaction."""
        key = f"{device_id}:{dedupe}"
        store.change(connection, Event.CANCEL, now_ms(), downlinks.c.open_key == key)

    def wake(self, connection: Connection, devices: Sequence[int]) -> None:
        """Live messages of these devices are tried now, in the caller's transaction: there is
        room for one more."""
        live_store.wake_live(connection, devices, now_ms())

    def newest_of(
        self, connection: Connection, devices: Sequence[int], dedupe: Sequence[str]
    ) -> dict[str, Downlink]:
        """The newest one with each ``dedupe`` of these devices, open or over; a ``dedupe`` belongs
        to one device."""
        return store.newest_of(connection, devices, dedupe)

    def of_device(
        self, actor: Actor, device: Device, *, limit: int = 50, before: int | None = None
    ) -> list[Downlink]:
        """The device's downlinks, the newest first."""
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            return store.of_device(connection, device.id, limit=limit, before=before)

    def cancel(self, actor: Actor, device: Device, number: int, *, reason: str = "") -> Downlink:
        """Ends an open downlink. With ``attempts`` it may have reached the device already.

        Raises:
            NotFound: the device has none with this number.
            Conflict: ``downlink_over``: it is over already; ``cancel_the_command``.
        """
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            found = store.one(connection, number)
            if found is None or found[0] != device.id:
                raise NotFound(
                    f"{device.reference} has no downlink {number}.", code="downlink_not_found"
                )
            if found[2].origin == "command" and found[2].until.live and not found[2].over:
                raise Conflict(
                    f"The downlink {number} carries a command.",
                    hint="Cancel the command: `mooring command list` shows its number.",
                    code="cancel_the_command",
                )
            if not store.change(connection, Event.CANCEL, now_ms(), downlinks.c.id == number):
                raise Conflict(
                    f"The downlink {number} is over: {found[2].state}.", code="downlink_over"
                )
            audit_log.record(
                connection,
                actor,
                "downlink.cancel",
                f"{device.reference} {number}",
                tenant=device.tenant,
                reason=reason,
            )
            changed = store.one(connection, number)
        assert changed is not None
        return changed[2]

    def answered(self, numbers: Sequence[int]) -> bool:
        """Whether the broker has taken all of these at least once, or they are over."""
        with self.database.read() as connection:
            return not store.unanswered(connection, numbers)

    def withdraw(self, actor: Actor, numbers: Sequence[int], subject: str) -> bool:
        """Ends those that were never sent; ``False`` if any may have gone out already.

        Args:
            subject: what they were, for the audit.
        """
        at = now_ms()
        with self.database.write() as connection:
            ended = store.withdraw(connection, numbers, at)
            if ended:
                audit_log.record(
                    connection,
                    actor,
                    "downlink.withdraw",
                    f"{subject}: {ended} of {len(numbers)}"[:300],
                    tenant=actor.tenant,
                    reason="not sent in time",
                )
        return ended == len(numbers)

    def _check_room(self, connection: Connection, new: NewDownlink) -> None:
        per_device = self.settings.downlinks_max_per_device
        if new.device_id is not None:
            count = store.open_numbers(connection, per_device, device_id=new.device_id)
            if count >= per_device:
                raise limit_reached(
                    "open downlinks of one device", per_device, "downlinks_max_per_device"
                )
        per_tenant = self.settings.downlinks_max_per_tenant
        if not self.room.take(
            new.tenant,
            per_tenant,
            lambda: store.open_numbers(connection, per_tenant, tenant=new.tenant),
        ):
            raise limit_reached(
                "open downlinks of one tenant", per_tenant, "downlinks_max_per_tenant"
            )
