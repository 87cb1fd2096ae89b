"""What is stored of the devices of a subscription: where a client begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from mooring.devices.service import Devices
from mooring.dialects.model import Channel
from mooring.dialects.times import iso
from mooring.errors import Invalid
from mooring.groups.selector import Selector, group_not_found
from mooring.identity.actor import Actor, Role
from mooring.presence.states import store as presence_store
from mooring.presence.states.machine import shown
from mooring.store.engine import Database
from mooring.stream.messages import Subscribe
from mooring.stream.model import KINDS, PRESENCE, Wanted
from mooring.stream.newest import METRICS_MAX, TEXT_MAX
from mooring.stream.said import values_of
from mooring.telemetry.model import DeviceLatest, Reading
from mooring.telemetry.service import Telemetry

__all__ = ["PAGE", "Snapshots"]

PAGE = 100  # devices in one message
MEMBERS_MAX = 10_000  # devices of one subscription's groups


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Reads with the rights of the login."""

    database: Database
    devices: Devices
    telemetry: Telemetry

    def wanted(self, actor: Actor, ask: Subscribe) -> Wanted:
        """What a client may have of what it asks for.

        Raises:
            NotFound, Conflict: a device or group does not exist, or several match.
            Invalid: the groups have too many devices.
        """
        actor.require(Role.VIEWER, actor.tenant)
        kinds = KINDS if ask.kinds is None else frozenset(ask.kinds)
        if ask.devices is None and ask.groups is None:
            return Wanted(actor.tenant, None, kinds)
        numbers = {self.devices.get(actor, one).id for one in ask.devices or ()}
        with self.database.read() as connection:
            for one in ask.groups or ():
                numbers.update(self._members(connection, actor, one))
        if len(numbers) > MEMBERS_MAX:
            raise Invalid(
                f"The groups have {len(numbers):,} devices; {MEMBERS_MAX:,} are allowed.",
                hint="Subscribe to every device, or to smaller groups.",
                code="too_many_devices",
            )
        return Wanted(actor.tenant, frozenset(numbers), kinds)

    def _members(self, connection: Connection, actor: Actor, named: str) -> Sequence[int]:
        """The numbers of a group's devices; ``named`` is ``tenant:name`` or a name."""
        tenant, _, name = named.rpartition(":")
        tenant = tenant or actor.tenant or ""
        if not tenant or not actor.sees(tenant):
            raise group_not_found(named)
        selector = Selector(tenant, group=name)
        selector.check(connection)
        return selector.page(connection, 0, MEMBERS_MAX + 1)

    def pages(self, actor: Actor, wanted: Wanted) -> Iterator[list[dict[str, Any]]]:
        """The newest values that are stored, some devices at a time."""
        numbers = None if wanted.devices is None else sorted(wanted.devices)
        after = 0
        while True:
            among = None if numbers is None else numbers[:PAGE]
            if among == []:
                return
            found = self.telemetry.latest_many(actor, limit=PAGE, after=after, among=among)
            if found:
                after = found[-1].id
                yield self._items(found, wanted)
            if numbers is not None:
                numbers, after = numbers[PAGE:], 0
            elif len(found) < PAGE:
                return

    def _items(self, found: list[DeviceLatest], wanted: Wanted) -> list[dict[str, Any]]:
        items = [
            _item(one, said, channel)
            for one in found
            for said in one.readings
            if said.kind in wanted.kinds
            and (channel := self._channel(one.dialect, said.channel)) is not None
        ]
        if PRESENCE in wanted.kinds:
            with self.database.read() as connection:
                records = presence_store.states_of(connection, [one.id for one in found])
            items += [
                {
                    "device": one.name,
                    "tenant": one.tenant,
                    "kind": PRESENCE,
                    "channel": "",
                    "at": iso(record.since),
                    "values": {"state": str(shown(record)), "reason": record.reason},
                }
                for one in found
                if (record := records.get(one.id)) is not None
            ]
        return items

    def _channel(self, dialect: str, channel: str) -> Channel | None:
        """``None``: the dialect has lost it since the message was stored."""
        known = next((one for one in self.devices.catalogue.all() if one.name == dialect), None)
        return None if known is None else known.channel(channel)


def _item(device: DeviceLatest, said: Reading, channel: Channel) -> dict[str, Any]:
    found = values_of(channel, said.payload)
    return {
        "device": device.name,
        "tenant": device.tenant,
        "kind": said.kind,
        "channel": said.channel,
        "at": iso(min(said.ts, said.received_at)),
        "values": {
            name[:TEXT_MAX]: value[:TEXT_MAX] if isinstance(value, str) else value
            for name, value in list(found.items())[:METRICS_MAX]
        },
    }
