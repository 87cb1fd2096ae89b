"""A command to every device of a group, as a job of each tenant that has such a group.

Each device gets a command of its own, which is tracked, at the pace of the job. What cannot be
written for one of the devices is rejected before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.commands.model import NewCommand
from mooring.commands.service import Commands
from mooring.commands.shape import command_channel
from mooring.devices import store as device_store
from mooring.devices.model import Device
from mooring.errors import Conflict, Invalid
from mooring.groups import store as group_store
from mooring.groups.selector import Selector
from mooring.identity.actor import Actor, Role
from mooring.jobs.model import NewJob
from mooring.jobs.rules import Plan
from mooring.jobs.service import Jobs
from mooring.publish.broadcast import no_devices
from mooring.publish.service import note
from mooring.store.engine import Database

__all__ = ["FLEET_MAX", "FleetCommand", "FleetCommands"]

FLEET_MAX = 1000  # devices one command may reach
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class FleetCommand:
    """What was started.

    Attributes:
        number: the id of the command in every message.
        devices: how many the group has.
        topics: of each device that the command is sent to.
        jobs: one for each tenant.
    """

    number: str
    group: str
    devices: int
    topics: tuple[str, ...]
    jobs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FleetCommands:
    """Commands to the devices of groups."""

    database: Database
    commands: Commands
    jobs: Jobs

    def start(
        self,
        actor: Actor,
        group: str,
        new: NewCommand,
        plan: Plan,
        *,
        number: str,
        first: Callable[[], None],
        once: bool,
    ) -> FleetCommand:
        """Starts the command for every enabled device of the group.

        Args:
            number: the id of the command on the wire.
            first: called before anything is written; what it raises is raised.
            once: the same request with the same ``number`` starts no second job.

        Raises:
            NotFound: no tenant that the actor sees has devices in such a group.
            Invalid: ``group_too_large``, or the command cannot be written for a device.
            Conflict: ``limit_reached``; ``command_id_taken``.
        """
        actor.require(Role.OPERATOR, actor.tenant)
        with self.database.read() as connection:
            found = self._members(connection, actor, group)
            reached = [one for some in found.values() for one in self._reached(some, new)]
            problems = self.commands.problems(
                connection, actor, [(device, new) for device, _ in reached]
            )
        if problems:
            raise problems[0]
        if not any(found.values()):
            raise no_devices(group)
        first()
        count = sum(map(len, found.values()))
        what = {
            "name": new.name,
            "parameters": dict(new.parameters),
            "channel": new.channel,
            "id": number,
        }
        jobs = []
        with self.database.write() as connection:
            for tenant, members in found.items():
                if members:
                    job = NewJob(
                        "command",
                        what,
                        Selector(tenant, group=group),
                        plan,
                        reason=new.reason,
                        key=f"fleet command {group} {number}" if once else None,
                    )
                    jobs.append(self._put(connection, actor, job))
            subject = f"{group} {new.name} ({number}), {count} devices"
            note(
                connection,
                actor,
                "command.fleet",
                subject,
                tenant=actor.tenant,
                reason=new.reason,
            )
        return FleetCommand(number, group, count, tuple(t for _, t in reached), tuple(jobs))

    def _put(self, connection: Connection, actor: Actor, job: NewJob) -> int:
        try:
            return self.jobs.put(connection, actor, job).id
        except Conflict as exc:
            if exc.slug != "job_key_taken":
                raise
            raise Conflict(
                f"The id {job.what['id'][:100]!a} belongs to another command.",
                hint="Use a new id for each command.",
                code="command_id_taken",
            ) from exc

    def _members(self, connection: Connection, actor: Actor, group: str) -> dict[str, list[Device]]:
        """Tenant → the enabled devices of its group."""
        tenants = group_store.tenants_with(connection, group, actor.tenant, FLEET_MAX)
        found: dict[str, list[Device]] = {}
        left = FLEET_MAX
        for tenant in tenants:
            chosen, after = Selector(tenant, group=group), 0
            members = found.setdefault(tenant, [])
            while numbers := chosen.page(connection, after, AT_ONCE):
                some = device_store.by_numbers(connection, numbers)
                members += [one for one in some if one.enabled]
                after = numbers[-1]
                if len(members) > left:
                    raise Invalid(
                        f"The group {group} has more than {FLEET_MAX} devices.",
                        hint="Send to smaller groups, or start a job: `POST /api/v1/jobs`.",
                        code="group_too_large",
                    )
            left -= len(members)
        return found

    def _reached(self, devices: list[Device], new: NewCommand) -> list[tuple[Device, str]]:
        """Those that can be sent the command, and the topic of each."""
        catalogue = self.commands.devices.catalogue
        found = []
        for one in devices:
            channel = command_channel(catalogue.get(one.dialect), new.channel)
            topic = channel.address(one.identity, name=new.name)
            if topic is not None:
                found.append((one, topic))
        return found
