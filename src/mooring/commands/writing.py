"""Writes commands, one or many, with the same few statements however many there are."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from mooring.commands import store
from mooring.commands.about import About, about_devices, recognises_repeats
from mooring.commands.model import (
    AT_LEAST_ONCE,
    AT_MOST_ONCE,
    OF_JOB,
    Command,
    Evidence,
    NewCommand,
)
from mooring.commands.rules import State
from mooring.commands.shape import check_packet, command_channel, shaped
from mooring.devices.model import Device
from mooring.dialects import Capabilities, Catalogue, Channel, Dialect, capabilities
from mooring.downlink.model import NewDownlink
from mooring.downlink.room import TenantRoom
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, Invalid, MooringError, NotFound
from mooring.identity.actor import Actor
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.room import limit_reached

__all__ = ["ORIGIN", "Made", "Order", "Writing", "same"]

ORIGIN = "command"
EXPIRES_MAX_MS = 31_536_000_000  # 365 days
REPLY_MAX_MS = 604_800_000  # 7 days
SECOND_MS = 1_000

_ROOM = TenantRoom()

Order = tuple[Device, NewCommand]
Made = Command | MooringError


@dataclass(frozen=True, slots=True)
class _Draft:
    """A command before its message has a number; ``command.id`` and ``downlink_id`` are not
    known yet."""

    command: Command
    carrier: NewDownlink


@dataclass(slots=True)
class _Shapes:
    """How dialects write commands, found out once for a batch."""

    catalogue: Catalogue
    _found: dict[tuple[str, str | None], tuple[Dialect, Channel, Capabilities]] = field(
        default_factory=dict
    )

    def of(self, name: str, channel: str | None) -> tuple[Dialect, Channel, Capabilities]:
        """The dialect, its channel for commands of that name, and what it can do.

        Raises:
            NotFound: no such dialect or channel.
        """
        found = self._found.get((name, channel))
        if found is None:
            dialect = self.catalogue.get(name)
            found = dialect, command_channel(dialect, channel), capabilities(dialect)
            self._found[name, channel] = found
        return found


@dataclass(frozen=True, slots=True)
class Writing:
    """What writing a command needs."""

    catalogue: Catalogue
    downlinks: Downlinks
    settings: Settings

    def put_many(self, connection: Connection, actor: Actor, orders: Sequence[Order]) -> list[Made]:
        """See ``Commands.create_many``."""
        found: dict[int, Made] = {}
        firsts: dict[tuple[int, str], int] = {}  # device and id → where it is given first
        wanted: dict[int, Order] = {}
        named = [(device.id, new.uid) for device, new in orders if new.uid is not None]
        known = {
            (one.device_id, one.uid): one
            for one in (store.of_replies(connection, named) if named else ())
        }
        for place, (device, new) in enumerate(orders):
            if new.uid is not None:
                key = device.id, new.uid
                if key in known:
                    found[place] = _same_or_error(known[key], new)
                    continue
                if firsts.setdefault(key, place) != place:
                    continue
            wanted[place] = device, new
        about = about_devices(connection, {device.id for device, _ in wanted.values()})
        drafts: dict[int, _Draft] = {}
        shapes = _Shapes(self.catalogue)
        for place, (device, new) in wanted.items():
            try:
                drafts[place] = self._draft(actor, device, new, about.get(device.id), shapes)
            except MooringError as exc:
                found[place] = exc
        full = self._without_room(connection, drafts, about)
        found.update(full)
        drafts = {place: draft for place, draft in drafts.items() if place not in full}
        carriers = self.downlinks.put_many(connection, [one.carrier for one in drafts.values()])
        commands: dict[int, Command] = {}
        for (place, draft), carrier in zip(drafts.items(), carriers, strict=True):
            if isinstance(carrier, MooringError):
                found[place] = carrier
            else:
                commands[place] = replace(draft.command, downlink_id=carrier.id)
        numbers = store.insert(connection, list(commands.values()))
        for (place, command), number in zip(commands.items(), numbers, strict=True):
            found[place] = replace(command, id=number)
        for place, (device, new) in enumerate(orders):
            if place not in found:  # given a second time
                first = found[firsts[device.id, new.uid or ""]]
                found[place] = _same_or_error(first, new) if isinstance(first, Command) else first
        return [found[place] for place in range(len(orders))]

    def problems(
        self, connection: Connection, actor: Actor, orders: Sequence[Order]
    ) -> list[MooringError]:
        """See ``Commands.problems``."""
        about = about_devices(connection, {device.id for device, _ in orders})
        found: list[MooringError] = []
        shapes = _Shapes(self.catalogue)
        for device, new in orders:
            try:
                self._draft(actor, device, new, about.get(device.id), shapes)
            except MooringError as exc:
                found.append(exc)
        return found

    def _draft(
        self, actor: Actor, device: Device, new: NewCommand, about: About | None, shapes: _Shapes
    ) -> _Draft:
        if about is None:
            raise NotFound(f"There is no device {device.reference}.", code="device_not_found")
        at = now_ms()
        uid = new.uid or f"c-{secrets.token_hex(8)}"
        expires_at = at + self._expires_ms(new)
        dialect, channel, can = shapes.of(device.dialect, new.channel)
        message = shaped(channel, new, device.identity, uid=uid, at=at, expires_at=expires_at)
        if about.max_packet:
            check_packet(message, about.max_packet, device.reference)
        else:
            whose = f"firmware of the dialect {device.dialect}"
            check_packet(message, dialect.max_packet, whose)
        if new.now and not about.connected:
            raise Conflict(
                f"{device.reference} is not connected.",
                hint="Leave out --now: the command then waits for the device.",
                code="device_not_connected",
            )
        repeats = can.command_ids and recognises_repeats(about.metadata)
        reply_ms = new.reply_timeout_ms or self.settings.command_reply_seconds * SECOND_MS
        command = Command(
            id=0,
            uid=uid,
            device_id=device.id,
            tenant=device.tenant,
            device=device.name,
            channel=channel.name,
            name=new.name,
            parameters=_plain(new.parameters),
            actor=actor.name,
            reason=new.reason,
            topic=message.topic,
            qos=max(1, channel.qos),
            delivery=AT_LEAST_ONCE if repeats else AT_MOST_ONCE,
            replies=can.replies,
            done_when=str(dict(channel.done_when).get(new.name, "")),
            state=State.QUEUED,
            attempts=0,
            late=False,
            created_at=at,
            expires_at=expires_at,
            reply_timeout_ms=_checked_reply(reply_ms),
            sent_at=None,
            delivered_at=None,
            finished_at=None,
            due_at=expires_at,
            downlink_id=None,
            session=None,
            result=None,
            evidence=(_origin(actor, new, at),),
        )
        carrier = NewDownlink(
            topic=command.topic,
            payload=message.payload,
            tenant=command.tenant,
            origin=ORIGIN,
            expires_at=expires_at,
            device_id=command.device_id,
            qos=command.qos,
            until=Until.LIVE_AGAIN if repeats else Until.LIVE,
            reason=command.reason,
        )
        return _Draft(command, carrier)

    def _expires_ms(self, new: NewCommand) -> int:
        if new.expires_ms is not None:
            if not SECOND_MS <= new.expires_ms <= EXPIRES_MAX_MS:
                raise Invalid(
                    f"A command cannot expire after {new.expires_ms / 1000:g} s.",
                    hint="Use 1 second to 365 days.",
                    code="invalid_duration",
                )
            return new.expires_ms
        if new.now:
            return self.settings.command_now_seconds * SECOND_MS
        return self.settings.downlink_expiry_seconds * SECOND_MS

    def _without_room(
        self,
        connection: Connection,
        drafts: Mapping[int, _Draft],
        about: Mapping[int, About],
    ) -> dict[int, MooringError]:
        """Those for which the device or the tenant has no room, by their places."""
        full: dict[int, MooringError] = {}
        most = self.settings.commands_max_per_device
        open_ = {number: one.open for number, one in about.items()}
        of_tenant: dict[str, list[int]] = {}
        for place, draft in drafts.items():
            number = draft.command.device_id
            if open_[number] >= most:
                full[place] = limit_reached(
                    "open commands of one device", most, "commands_max_per_device"
                )
                continue
            open_[number] += 1
            of_tenant.setdefault(draft.command.tenant, []).append(place)
        most = self.settings.commands_max_per_tenant
        for tenant, places in of_tenant.items():

            def count(tenant: str = tenant) -> int:
                return store.open_of_tenant(connection, tenant, most)

            room = _ROOM.take(tenant, most, count, len(places))
            for place in places[room:]:
                full[place] = limit_reached(
                    "open commands of one tenant", most, "commands_max_per_tenant"
                )
        return full


def same(found: Command, new: NewCommand) -> Command:
    """A command that was sent already.

    Raises:
        Conflict: ``command_id_taken``: it is another one.
    """
    if found.name != new.name or dict(found.parameters) != _plain(new.parameters):
        raise Conflict(
            f"The id {found.uid[:100]!a} belongs to another command of {found.device}.",
            hint="Use a new id for each command.",
            code="command_id_taken",
        )
    return found


def _origin(actor: Actor, new: NewCommand, at: int) -> Evidence:
    if new.job is None:
        return Evidence(at, str(State.QUEUED), "person", actor.name)
    return Evidence(at, str(State.QUEUED), OF_JOB, f"job {new.job} of {actor.name}")


def _same_or_error(found: Command, new: NewCommand) -> Made:
    try:
        return same(found, new)
    except Conflict as exc:
        return exc


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(parameters)))
    return plain


def _checked_reply(milliseconds: int) -> int:
    if not SECOND_MS <= milliseconds <= REPLY_MAX_MS:
        raise Invalid(
            f"A device cannot have {milliseconds / 1000:g} s to answer.",
            hint="Use 1 second to 7 days.",
            code="invalid_duration",
        )
    return milliseconds
