"""One message to a whole group, on the group's own topic, where a dialect has one.

Nobody answers for it: the broker knows who is subscribed, not who has read it. So it is not
tracked; a job is, which sends to each member.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from mooring.commands.model import NewCommand
from mooring.commands.shape import command_channel
from mooring.devices.service import Devices
from mooring.dialects import Catalogue, Channel, Identity, Kind
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.publish.service import Group, note, withdrawn, write_group_command
from mooring.publish.store import foreign_dialects, group_members
from mooring.store.engine import Database

__all__ = ["GROUP_MAX", "Broadcast", "Broadcasts", "no_devices", "plan_group"]

GROUP_MAX = 100_000  # members of a group that are looked at
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What was written.

    Attributes:
        number: the id of the command, in every message.
        topics: of the group.
        left_out: members whose dialect has no topic for groups.
        reached: members whose topic it is.
    """

    number: str
    group: str
    topics: tuple[str, ...]
    left_out: int
    downlinks: tuple[int, ...]
    reached: int


@dataclass(frozen=True, slots=True)
class Broadcasts:
    """Messages to groups of one installation."""

    database: Database
    devices: Devices
    downlinks: Downlinks

    def write(
        self,
        actor: Actor,
        tenant: str | None,
        group: str,
        new: NewCommand,
        first: Callable[[], None] = lambda: None,
    ) -> Broadcast:
        """Writes one message for each of the group's topics; they are sent immediately.

        Args:
            tenant: whose devices it is for; ``None``: of every tenant that has such a group.
            first: called before anything is written; what it raises is raised.

        Raises:
            NotFound: the tenant has no such group, or it has no enabled devices.
            Conflict: no topic of the group belongs to this tenant's devices alone.
            Invalid: the command cannot be written in the dialect's shape.
        """
        actor.require(Role.OPERATOR, tenant)
        owner = replace(actor, tenant=tenant)
        number = new.uid or f"c-{secrets.token_hex(8)}"
        with self.database.read() as connection:
            members = group_members(connection, owner, group, limit=GROUP_MAX)
            foreign = foreign_dialects(connection, owner, group)
        if not members:
            raise no_devices(group)
        topics, single = plan_group(self.devices.catalogue, members, foreign, new, group)
        if not topics:
            raise Conflict(
                f"The devices of the group {group} listen to no topic of the group that is theirs "
                f"alone.",
                hint="Leave out --broadcast: the command is then sent to each device.",
                code="no_group_topic",
            )
        first()
        with self.database.write() as connection:
            written = [
                write_group_command(
                    self.downlinks,
                    connection,
                    channel,
                    new,
                    Group(identity, tenant or "", group),
                    number=number,
                )
                for channel, identity in topics.values()
            ]
            what = f"{group} {new.name} ({number}), on {len(topics)} topics"
            note(connection, actor, "command.broadcast", what, tenant=tenant, reason=new.reason)
        reached = len(members) - len(single)
        return Broadcast(number, group, tuple(topics), len(single), tuple(written), reached)

    def wait(self, actor: Actor, written: Broadcast, seconds: float) -> None:
        """Returns when the broker has taken it.

        Raises:
            BrokerUnavailable: it has not within ``seconds``; what was not sent is withdrawn.
        """
        deadline = time.monotonic() + seconds
        while not self.downlinks.answered(written.downlinks):
            if time.monotonic() > deadline:
                subject = f"{written.group} ({written.number})"
                done = self.downlinks.withdraw(actor, written.downlinks, subject)
                raise withdrawn(seconds, everything=done)
            time.sleep(LOOK_SECONDS)


def no_devices(group: str) -> NotFound:
    """The error for a group without enabled devices."""
    return NotFound(
        f"The group {group} has no devices.",
        hint="Add a device to it with `mooring group add`.",
        code="group_not_found",
    )


def plan_group(
    catalogue: Catalogue,
    members: Sequence[tuple[int, str, Identity]],
    foreign: Collection[str],
    new: NewCommand,
    group: str,
) -> tuple[dict[str, tuple[Channel, Identity]], list[int]]:
    """Topics of the group, each with its channel and one of the devices that hear it there; and
    the devices that are addressed one by one.

    Args:
        foreign: dialects of devices in the group that the actor does not see.
    """
    groups: dict[str, tuple[Channel, Identity]] = {}
    single: list[int] = []
    for device_id, name, identity in members:
        dialect = catalogue.get(name)
        together = dialect.of_kind(Kind.FLEET_COMMAND) if name not in foreign else ()
        if not together:
            channel = command_channel(dialect, new.channel)
            if channel.address(identity, name=new.name) is not None:
                single.append(device_id)
            continue
        topic = together[0].address(identity, group=group, name=new.name)
        if topic is not None:
            groups.setdefault(topic, (together[0], identity))
    return groups, single
