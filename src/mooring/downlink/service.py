"""Operations on downlinks: write one in one's own transaction, look, confirm, cancel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.devices.model import Device
from mooring.dialects.sendable import check_topic
from mooring.downlink import store
from mooring.downlink.live import store as live_store
from mooring.downlink.model import Downlink, NewDownlink, Written
from mooring.downlink.room import TenantRoom
from mooring.downlink.rules import Event, State
from mooring.errors import Conflict, Invalid, MooringError, NotFound
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
        (found,) = self.put_many(connection, [new])
        if isinstance(found, MooringError):
            raise found
        return found

    def put_many(
        self, connection: Connection, news: Sequence[NewDownlink]
    ) -> list[Written | MooringError]:
        """As ``put`` for many, with the same few statements however many there are.

        Returns:
            In the order of ``news``, what was written, or why one was not. None is raised.
        """
        found: dict[int, Written | MooringError] = {}
        written = store.with_keys(connection, [key for one in news if (key := _key(one))])
        wanted: dict[int, NewDownlink] = {}
        firsts: dict[str, int] = {}  # key → where it is given first
        for place, new in enumerate(news):
            key = _key(new)
            try:
                self._check(new)
            except MooringError as exc:
                found[place] = exc
                continue
            if key is not None and key in written:
                found[place] = Written(written[key], again=True)
            elif key is None or firsts.setdefault(key, place) == place:
                wanted[place] = new
        full = self._without_room(connection, wanted)
        found.update(full)
        rest = {place: new for place, new in wanted.items() if place not in full}
        numbers = store.insert(connection, [self._values(new) for new in rest.values()])
        found.update((place, Written(number)) for place, number in zip(rest, numbers, strict=True))
        for place, new in enumerate(news):
            if place not in found:  # given a second time
                first = found[firsts[_key(new) or ""]]
                found[place] = replace(first, again=True) if isinstance(first, Written) else first
        return [found[place] for place in range(len(news))]

    def _check(self, new: NewDownlink) -> None:
        check_topic(new.topic)
        most = self.settings.message_size_limit
        if len(new.payload) > most:
            raise Invalid(
                f"The payload has {len(new.payload)} bytes; the broker takes {most}.",
                hint="Send less, or raise message_size_limit.",
                code="payload_too_large",
            )
        if new.until.live and new.device_id is None:
            raise Invalid("A live message goes to one device.", code="invalid")

    def _values(self, new: NewDownlink) -> dict[str, Any]:
        at = now_ms()
        return {
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
            "open_key": _key(new),
            "reason": new.reason,
        }

    def confirm(self, connection: Connection, number: int) -> bool:
        """The device has it, in the caller's transaction; whether it was still open."""
        return bool(store.change(connection, Event.CONFIRM, now_ms(), downlinks.c.id == number))

    def drop(self, connection: Connection, device_id: int, dedupe: str) -> None:
        """Cancels the open one with this ``dedupe``, if there is one, in the caller's
        transaction."""
        key = f"{device_id}:{dedupe}"
        store.change(connection, Event.CANCEL, now_ms(), downlinks.c.open_key == key)

    def forget(self, connection: Connection, numbers: Sequence[int]) -> list[int]:
        """Deletes those of these that are over, in the caller's transaction; the others. For
        messages that nobody looks at afterwards."""
        return store.forget(connection, numbers)

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
            Conflict: ``downlink_over``: it is over already; ``cancel_the_command``,
                ``cancel_the_update``.
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
            if found[2].origin == "firmware" and found[2].until.live and not found[2].over:
                raise Conflict(
                    f"The downlink {number} carries an offer of firmware.",
                    hint="Cancel the update: `mooring firmware updates` shows its number.",
                    code="cancel_the_update",
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

    def _without_room(
        self, connection: Connection, wanted: Mapping[int, NewDownlink]
    ) -> dict[int, MooringError]:
        """Those for which the device or the tenant has no room, by their places."""
        full: dict[int, MooringError] = {}
        most = self.settings.downlinks_max_per_device
        devices = {one.device_id for one in wanted.values() if one.device_id is not None}
        open_ = store.open_of_devices(connection, devices)
        of_tenant: dict[str, list[int]] = defaultdict(list)
        for place, new in wanted.items():
            if new.device_id is not None:
                if open_[new.device_id] >= most:
                    full[place] = limit_reached(
                        "open downlinks of one device", most, "downlinks_max_per_device"
                    )
                    continue
                open_[new.device_id] += 1
            of_tenant[new.tenant].append(place)
        most = self.settings.downlinks_max_per_tenant
        for tenant, places in of_tenant.items():

            def count(tenant: str = tenant) -> int:
                return store.open_of_tenant(connection, tenant, most)

            room = self.room.take(tenant, most, count, len(places))
            for place in places[room:]:
                full[place] = limit_reached(
                    "open downlinks of one tenant", most, "downlinks_max_per_tenant"
                )
        return full


def _key(new: NewDownlink) -> str | None:
    return None if new.dedupe is None else f"{new.device_id or ''}:{new.dedupe}"
