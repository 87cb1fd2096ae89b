"""Operations on commands: send, list, cancel."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.commands import store
from mooring.commands.changes import Waits, apply
from mooring.commands.model import AT_LEAST_ONCE, AT_MOST_ONCE, Command, Evidence, NewCommand
from mooring.commands.rules import OUTCOMES, Event, State
from mooring.commands.shape import check_packet, command_channel, shaped
from mooring.devices.attributes import store as attributes
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.dialects import capabilities
from mooring.downlink import store as downlink_store
from mooring.downlink.live import store as live_store
from mooring.downlink.model import NewDownlink
from mooring.downlink.protocol import Taken
from mooring.downlink.room import TenantRoom
from mooring.downlink.rules import Event as DownlinkEvent
from mooring.downlink.rules import State as DownlinkState
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached
from mooring.store.schema import downlinks

__all__ = ["ORIGIN", "CommandOwner", "Commands", "record"]

ORIGIN = "command"
EXPIRES_MAX_MS = 31_536_000_000  # 365 days
REPLY_MAX_MS = 604_800_000  # 7 days
SECOND_MS = 1_000

_ROOM = TenantRoom()


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands of one installation."""

    database: Database
    devices: Devices
    downlinks: Downlinks
    settings: Settings

    @property
    def waits(self) -> Waits:
        return Waits(self.settings.command_unconfirmed_seconds * SECOND_MS)

    # ------------------------------------------------------------------ sending

    def send(self, actor: Actor, reference: str, new: NewCommand) -> Command:
        """Writes a command; it is handed over when its device listens.

        A command with the same id that the device has already is returned as it is.

        Raises:
            NotFound: no such device or channel.
            Forbidden: the actor is only a viewer.
            Invalid: it cannot be written for that device; ``packet_too_large``.
            Conflict: ``limit_reached``; ``device_not_connected``, for a command that is to be
                handed over now; ``command_id_taken``.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        try:
            with self.database.write() as connection:
                return self.put(connection, actor, device, new)
        except IntegrityError:  # the same id at the same moment
            with self.database.read() as connection:
                found = store.find(connection, device.id, new.uid or "")
            if found is None:
                raise
            return _same(found, new)

    def put(self, connection: Connection, actor: Actor, device: Device, new: NewCommand) -> Command:
        """As ``send``, in the caller's transaction; the caller checks permissions."""
        if new.uid is not None:
            found = store.find(connection, device.id, new.uid)
            if found is not None:
                return _same(found, new)
        at = now_ms()
        uid = new.uid or f"c-{secrets.token_hex(8)}"
        expires_at = at + self._expires_ms(new)
        dialect = self.devices.catalogue.get(device.dialect)
        channel = command_channel(dialect, new.channel)
        message = shaped(channel, new, device.identity, uid=uid, at=at, expires_at=expires_at)
        check_packet(message, *self._largest_packet(connection, device, dialect.max_packet))
        about = store.about_device(connection, device.id)
        if new.now and not about.connected:
            raise Conflict(
                f"{device.reference} is not connected.",
                hint="Leave out --now: the command then waits for the device.",
                code="device_not_connected",
            )
        self._check_room(connection, device)
        can = capabilities(dialect)
        repeats = can.command_ids and store.recognises_repeats(about.metadata)
        reply_ms = new.reply_timeout_ms or self.settings.command_reply_seconds * SECOND_MS
        written = Command(
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
            evidence=(Evidence(at, str(State.QUEUED), "person", actor.name),),
        )
        carrier = self._hand_in(connection, written, message.payload)
        written = replace(written, downlink_id=carrier)
        written = replace(written, id=store.insert(connection, written))
        audit_log.record(
            connection,
            actor,
            "command.send",
            f"{device.reference} {new.name} ({uid})"[:300],
            tenant=device.tenant,
            reason=new.reason,
        )
        return written

    def _hand_in(self, connection: Connection, command: Command, payload: bytes) -> int:
        """Writes the message that carries the command; its number."""
        again = command.delivery == AT_LEAST_ONCE
        return self.downlinks.put(
            connection,
            NewDownlink(
                topic=command.topic,
                payload=payload,
                tenant=command.tenant,
                origin=ORIGIN,
                expires_at=command.expires_at,
                device_id=command.device_id,
                qos=command.qos,
                until=Until.LIVE_AGAIN if again else Until.LIVE,
                reason=command.reason,
            ),
        ).id

    # ------------------------------------------------------------------ looking

    def get(self, actor: Actor, number: int) -> Command:
        """One command.

        Raises:
            NotFound: no such command, or the actor does not see it.
        """
        with self.database.read() as connection:
            found = store.one(connection, number)
        if found is None or not actor.sees(found.tenant):
            raise NotFound(f"There is no command {number}.", code="command_not_found")
        actor.require(Role.VIEWER, found.tenant)
        return found

    def of_device(self, actor: Actor, reference: str, number: int) -> Command:
        """One command of a device. Raises as ``get``."""
        device = self.devices.get(actor, reference)
        found = self.get(actor, number)
        if found.device_id != device.id:
            raise NotFound(f"{device.reference} has no command {number}.", code="command_not_found")
        return found

    def listed(
        self,
        actor: Actor,
        *,
        device: str | None = None,
        states: Sequence[State] = (),
        limit: int = 50,
        before: int | None = None,
    ) -> list[Command]:
        """Commands of a device, or of all that the actor sees; the newest first.

        Raises:
            NotFound: no such device.
        """
        found = None if device is None else self.devices.get(actor, device)
        actor.require(Role.VIEWER, actor.tenant if found is None else found.tenant)
        with self.database.read() as connection:
            return store.listed(
                connection,
                actor,
                limit=limit,
                before=before,
                device_id=None if found is None else found.id,
                states=states,
            )

    def states(self, numbers: Sequence[int]) -> Mapping[int, Command]:
        """Several commands by their numbers; those that are gone are left out."""
        with self.database.read() as connection:
            found = (store.one(connection, number) for number in numbers)
            return {one.id: one for one in found if one is not None}

    # ------------------------------------------------------------------ cancelling

    def cancel(self, actor: Actor, number: int, *, reason: str = "") -> Command:
        """Ends a command that was not handed over yet.

        Raises:
            NotFound: no such command, or the actor does not see it.
            Conflict: ``already_sent``; ``command_over``.
        """
        found = self.get(actor, number)
        actor.require(Role.OPERATOR, found.tenant)
        at = now_ms()
        with self.database.write() as connection:
            found = store.one(connection, number, lock=True) or found
            if found.over:
                raise Conflict(f"The command {number} is over: {found.state}.", code="command_over")
            if found.state is not State.QUEUED or not self.withdraw(connection, found):
                raise Conflict(
                    f"The command {number} was already sent.",
                    hint="The device may carry it out. Send a command that undoes it.",
                    code="already_sent",
                )
            changed = apply(found, Event.CANCEL, at, self.waits, detail=actor.name)
            assert changed is not None
            record(connection, [(found, changed)])
            audit_log.record(
                connection,
                actor,
                "command.cancel",
                f"{found.device} {found.name} ({found.uid})"[:300],
                tenant=found.tenant,
                reason=reason,
            )
        return changed

    def withdraw(self, connection: Connection, command: Command) -> bool:
        """Ends the message that carries a queued command; ``False``: it is on its way."""
        known = store.downlink_state(connection, command.downlink_id)
        if known is not None and known[0] == DownlinkState.SENDING:
            return False
        downlink_store.change(
            connection,
            DownlinkEvent.CANCEL,
            now_ms(),
            downlinks.c.id == command.downlink_id,
        )
        return True

    # ------------------------------------------------------------------ inside

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

    def _largest_packet(
        self, connection: Connection, device: Device, of_dialect: int
    ) -> tuple[int, str]:
        own = attributes.max_packets(connection, [device.id]).get(device.id, 0)
        if own:
            return own, device.reference
        return of_dialect, f"firmware of the dialect {device.dialect}"

    def _check_room(self, connection: Connection, device: Device) -> None:
        most = self.settings.commands_max_per_device
        if store.open_number(connection, device.id, most) >= most:
            raise limit_reached("open commands of one device", most, "commands_max_per_device")
        most = self.settings.commands_max_per_tenant
        if not _ROOM.take(
            device.tenant,
            most,
            lambda: store.open_of_tenant(connection, device.tenant, most),
        ):
            raise limit_reached("open commands of one tenant", most, "commands_max_per_tenant")


@dataclass(frozen=True, slots=True)
class CommandOwner:
    """What the sender asks of commands; see ``mooring.downlink.protocol``."""

    settings: Settings

    def room(self, connection: Connection, devices: Sequence[int]) -> dict[int, int]:
        most = self.settings.commands_without_outcome_max
        taken = store.without_outcome(connection, devices)
        return {number: most - taken.get(number, 0) for number in devices}

    def ended(self, connection: Connection, sessions: Mapping[int, str], at: int) -> set[int]:
        known = [number for number, session in sessions.items() if session]
        changes = []
        for command in store.of_earlier_sessions(connection, known):
            if command.session != sessions[command.device_id]:
                changed = apply(
                    command,
                    Event.SESSION_ENDED,
                    at,
                    Waits(),
                    detail="The device has connected again.",
                )
                if changed is not None:
                    changes.append((command, changed))
        record(connection, changes)
        return {before.device_id for before, _ in changes}

    def taken(self, connection: Connection, taken: Sequence[Taken], at: int) -> None:
        waits = Waits(self.settings.command_unconfirmed_seconds * SECOND_MS)
        by_downlink = {one.id: one for one in taken}
        changes = []
        for command in store.carried_by(connection, list(by_downlink)):
            one = by_downlink[command.downlink_id or 0]
            changed = apply(
                command,
                Event.TAKEN,
                at,
                waits,
                detail=one.evidence,
                sent_at=one.sent_at,
                session=one.session,
            )
            if changed is not None:
                changes.append((command, changed))
        record(connection, changes)


def record(connection: Connection, changes: Sequence[tuple[Command, Command]]) -> None:
    """Writes commands as they are now, and makes room for those that wait behind them: in the
    caller's transaction.

    Args:
        changes: before and after; a command at most once.
    """
    if not changes:
        return
    store.write(connection, [after for _, after in changes])
    entered: Counter[State] = Counter()
    over = []
    for before, after in changes:
        if after.state is not before.state:
            entered[after.state] += 1
        if after.over and not before.over:
            over.append(after)
    store.count(connection, entered)
    at = now_ms()
    again = [
        after.downlink_id
        for before, after in changes
        if after.state is State.QUEUED and before.state is State.SENT and after.downlink_id
    ]
    if again:
        live_store.requeue(connection, again, at)
    if not over:
        return
    # What has an outcome is not sent any more, also where the device answered before it was sent.
    for event, ended in (
        (DownlinkEvent.CONFIRM, [one for one in over if one.state in OUTCOMES]),
        (DownlinkEvent.CANCEL, [one for one in over if one.state not in OUTCOMES]),
    ):
        numbers = [one.downlink_id for one in ended if one.downlink_id is not None]
        for start in range(0, len(numbers), 500):
            some = downlinks.c.id.in_(numbers[start : start + 500])
            downlink_store.change(connection, event, at, some)
    live_store.wake_live(connection, [one.device_id for one in over], at)


def _same(found: Command, new: NewCommand) -> Command:
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
