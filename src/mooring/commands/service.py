"""Operations on commands: send, list, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.commands import store
from mooring.commands.changes import Waits, apply
from mooring.commands.model import Command, NewCommand
from mooring.commands.moving import record
from mooring.commands.rules import Event, State
from mooring.commands.shape import cancellation
from mooring.commands.writing import Made, Order, Writing, same
from mooring.devices import store as device_store
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.downlink import store as downlink_store
from mooring.downlink.gate import WORK
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Event as DownlinkEvent
from mooring.downlink.rules import State as DownlinkState
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, MooringError, NotFound
from mooring.identity.actor import Actor, Role
from mooring.settings import Settings
from mooring.store.engine import Database, notes_of, now_ms
from mooring.store.schema import downlinks

__all__ = ["Commands"]

CANCEL_MS = 60_000  # how long a device is asked at least, while it is away


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands of one installation."""

    database: Database
    devices: Devices
    downlinks: Downlinks
    settings: Settings

    @property
    def waits(self) -> Waits:
        return Waits(self.settings.command_unconfirmed_seconds * 1_000)

    @property
    def _writing(self) -> Writing:
        return Writing(self.devices.catalogue, self.downlinks, self.settings)

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
            # The sender marks it in a commit of its own before anything goes out.
            with self.database.write(news=WORK, early=True) as connection:
                made = self.put(connection, actor, device, new)
                if made.downlink_id is not None:
                    hint = made.downlink_id, device.id, device.username, made.topic
                    notes_of(connection).hints.append(hint)
                return made
        except IntegrityError:  # the same id at the same moment
            with self.database.read() as connection:
                found = store.find(connection, device.id, new.uid or "")
            if found is None:
                raise
            return same(found, new)

    def put(self, connection: Connection, actor: Actor, device: Device, new: NewCommand) -> Command:
        """As ``send``, in the caller's transaction; the caller checks permissions."""
        if new.uid is not None:
            found = store.find(connection, device.id, new.uid)
            if found is not None:
                return same(found, new)
        (made,) = self.create_many(connection, actor, [(device, new)])
        if isinstance(made, MooringError):
            raise made
        audit_log.record(
            connection,
            actor,
            "command.send",
            f"{device.reference} {new.name} ({made.uid})"[:300],
            tenant=device.tenant,
            reason=new.reason,
        )
        return made

    def create_many(
        self, connection: Connection, actor: Actor, orders: Sequence[Order]
    ) -> list[Made]:
        """Writes commands in the caller's transaction, with the same few statements however many
        there are. The caller checks permissions and writes the audit.

        A command with an id that its device has already is returned as it is, so a batch that is
        written again makes no second one.

        Args:
            orders: devices and what each is sent; a device may occur several times. A thousand
                in one transaction is a good measure.

        Returns:
            In the order of ``orders``, the command, or the error that ``send`` raises. None is
            raised: an order that fails costs no other one anything.
        """
        return self._writing.put_many(connection, actor, orders)

    def problems(
        self, connection: Connection, actor: Actor, orders: Sequence[Order]
    ) -> list[MooringError]:
        """The errors with which ``create_many`` would answer, in the order of ``orders``, without
        those of limits; writes nothing."""
        return self._writing.problems(connection, actor, orders)

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
        """Ends a command that was not handed over yet. Of one that was, the device is asked to
        cancel it, where its dialect can: the command stays as it is until the device answers.

        Raises:
            NotFound: no such command, or the actor does not see it.
            Conflict: ``already_sent``: the dialect has no way to cancel it; ``command_over``;
                ``limit_reached``: too many messages of the device are open.
        """
        found = self.get(actor, number)
        actor.require(Role.OPERATOR, found.tenant)
        at = now_ms()
        with self.database.write(news=WORK) as connection:
            found = store.one(connection, number, lock=True) or found
            if found.over:
                raise Conflict(f"The command {number} is over: {found.state}.", code="command_over")
            waits = found.state is State.QUEUED and self.withdraw(connection, found)
            # One that was handed over and queued again may have arrived all the same.
            asked = (not waits or found.attempts > 0) and self._ask(connection, found, at)
            changed = (
                apply(found, Event.CANCEL, at, self.waits, detail=actor.name, cancellable=asked)
                if waits or found.state is not State.QUEUED
                else None
            )
            if changed is None:
                raise Conflict(
                    f"The command {number} was already sent.",
                    hint="The device may carry it out. Send a command that undoes it.",
                    code="already_sent",
                )
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

    def _ask(self, connection: Connection, command: Command, at: int) -> bool:
        """Asks the device to cancel a command; ``False``: its dialect has no way to."""
        device = device_store.by_number(connection, command.device_id)
        if device is None:
            return False
        dialect = self.devices.catalogue.get(device.dialect)
        message = cancellation(dialect, device.identity, uid=command.uid, at=at)
        if message is None:
            return False
        # Not a live message: it goes before the commands that wait, and is harmless later.
        self.downlinks.put(
            connection,
            NewDownlink(
                topic=message.topic,
                payload=message.payload,
                tenant=command.tenant,
                origin="cancel",
                expires_at=max(command.due_at or 0, at + CANCEL_MS),
                device_id=command.device_id,
                qos=message.channel.qos,
                dedupe=f"cancel:{command.id}",
            ),
        )
        return True

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
