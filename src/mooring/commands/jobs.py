"""Commands to many devices, as a kind of job."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from msgspec import Meta, field
from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.commands import store
from mooring.commands.changes import apply
from mooring.commands.model import Command, NewCommand
from mooring.commands.moving import record
from mooring.commands.of_jobs import PREFIX, number_of, reference_of, target_state
from mooring.commands.rules import Event, State
from mooring.commands.service import Commands
from mooring.devices.model import Device
from mooring.errors import MooringError
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.jobs.model import Job, Started, Verdict
from mooring.jobs.rules import TargetState
from mooring.jobs.what import What, read

__all__ = ["KIND", "CommandJobs", "CommandWhat"]

KIND = "command"
ID_BYTES = 100  # of the id that is wanted, before what makes it another one

FAILED, CANCELLED = TargetState.FAILED, TargetState.CANCELLED

# The device does not fail if a command cannot be written for it.
_SKIPPED = frozenset({"channel_not_found", "dialect_not_found", "device_not_connected"})

Word = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]


class CommandWhat(What, frozen=True, forbid_unknown_fields=True):
    """A command; as ``mooring.commands.documents.CommandIn``."""

    name: Word
    parameters: dict[str, Any] = field(default_factory=dict)
    channel: Word | None = None
    now: bool = False
    expires_seconds: Annotated[float, Meta(ge=1, le=31_536_000)] | None = None
    reply_timeout_seconds: Annotated[float, Meta(ge=1, le=604_800)] | None = None
    id: Word | None = None  # on the wire, the same for each device

    def document(self) -> dict[str, Any]:
        """Without an ``id`` as jobs were stored before they could have one: a request that is
        repeated is compared with it."""
        found = super().document()
        if self.id is None:
            del found["id"]
        return found


@dataclass(frozen=True, slots=True)
class CommandJobs:
    """See ``mooring.jobs.kinds.JobKind``."""

    commands: Commands
    name: str = KIND
    scope: Scope = Scope.COMMANDS

    def check(self, actor: Actor, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return read(what, CommandWhat).document()

    def title(self, what: Mapping[str, Any]) -> str:
        return f"command {what['name']}"[:200]

    def shown(self, connection: Connection, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return dict(what)

    def chosen(
        self, connection: Connection, what: Mapping[str, Any], numbers: Sequence[int]
    ) -> Sequence[int]:
        return numbers

    def start(
        self, connection: Connection, job: Job, devices: Sequence[Device]
    ) -> Sequence[Started]:
        actor = Actor(job.actor, Role.OPERATOR, job.tenant, job.origin)
        able = [device for device in devices if device.enabled]
        new = self._new(job)
        orders = [
            (device, replace(new, uid=uid)) for device, uid in self._ids(connection, new, able)
        ]
        answers = self.commands.create_many(connection, actor, orders)
        found = {
            device.id: _refused(answer) if isinstance(answer, MooringError) else _started(answer)
            for device, answer in zip(able, answers, strict=True)
        }
        off = Started(TargetState.SKIPPED, cause="device_disabled", words="It is disabled.")
        return [found.get(device.id, off) for device in devices]

    def _new(self, job: Job) -> NewCommand:
        what = read(job.what, CommandWhat)
        usual = self.commands.settings.downlink_expiry_seconds
        expires_ms = _ms(what.expires_seconds)
        if expires_ms is None and not what.now:
            expires_ms = usual * 1000
        if expires_ms is not None:  # nothing of a job is handed over after its end
            expires_ms = max(1000, min(expires_ms, job.expires_at - now_ms()))
        return NewCommand(
            name=what.name,
            parameters=what.parameters,
            channel=what.channel,
            now=what.now,
            expires_ms=expires_ms,
            reply_timeout_ms=_ms(what.reply_timeout_seconds),
            uid=what.id,
            reason=job.reason or f"job {job.id}",
            job=job.id,
        )

    @staticmethod
    def _ids(
        connection: Connection, new: NewCommand, devices: Sequence[Device]
    ) -> list[tuple[Device, str]]:
        """Devices, each with the id of its command. Where a command with the wanted id has failed,
        the next one has an id of its own."""
        if new.uid is None:
            return [(device, f"{PREFIX}{secrets.token_hex(8)}") for device in devices]
        there = store.of_replies(connection, [(device.id, new.uid) for device in devices])
        failed = {one.device_id for one in there if target_state(one.state) in (FAILED, CANCELLED)}
        again = f"{new.uid[:ID_BYTES]}-{secrets.token_hex(4)}"
        return [(device, again if device.id in failed else new.uid) for device in devices]

    def withdraw(self, connection: Connection, references: Sequence[str]) -> None:
        at, changes = now_ms(), []
        for reference in references:
            command = store.one(connection, number_of(reference), lock=True)
            if command is None or command.state is not State.QUEUED:
                continue
            if self.commands.withdraw(connection, command):
                changed = apply(
                    command, Event.CANCEL, at, self.commands.waits, detail="The job was cancelled."
                )
                if changed is not None:
                    changes.append((command, changed))
        record(connection, changes)

    def verdicts(
        self, connection: Connection, asked: Sequence[tuple[str, int]]
    ) -> Mapping[str, Verdict]:
        numbers = [number_of(reference) for reference, _ in asked]
        found = {}
        for one in store.ends(connection, numbers):
            code = "" if one.state is State.DONE else str(one.state)
            found[reference_of(one.id)] = Verdict(target_state(one.state), code, one.detail)
        return found


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _started(command: Command) -> Started:
    end = target_state(command.state)  # a command with the same id may be there already
    return Started(end or TargetState.HANDED_OVER, reference_of(command.id))


def _refused(error: MooringError) -> Started:
    of_tenant = error.slug == "limit_reached" and "tenant" in str(error.context.get("limit", ""))
    if of_tenant:  # there will be room
        return Started(TargetState.WAITING)
    state = TargetState.SKIPPED if error.slug in _SKIPPED else TargetState.FAILED
    return Started(state, cause=error.slug, words=error.message)
