"""What became of the commands of rotations, and what devices answered: read for all at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.credentials.rotation.command import answer_in
from mooring.credentials.rotation.model import Rotation
from mooring.credentials.rotation.rules import Answer, Phase
from mooring.credentials.rotation.store import Standing
from mooring.dialects import Catalogue, Channel, Kind
from mooring.downlink.model import Delivery
from mooring.downlink.service import Downlinks
from mooring.store.schema import channels, devices, latest, messages, rotations

__all__ = ["Evidence", "command_key", "gather"]

CLOCK_SLACK_MS = 600_000  # how wrong a device's clock may be for its reply to be seen at once
AT_ONCE = 500  # rotations in one statement

Replies = Mapping[tuple[str, str], tuple[int, Channel]]
"""(dialect, channel) → its place among the dialect's reply channels, and the channel."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the database holds about rotations under way, by their ids.

    Attributes:
        deliveries: of the newest command; without one where it was not written or is forgotten.
        answers: what devices replied since their command.
    """

    deliveries: Mapping[str, Delivery] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)

    def delivery(self, rotation: Rotation) -> Delivery:
        """What has become of the newest command."""
        return self.deliveries.get(rotation.id, Delivery.DONE)


def command_key(rotation: Rotation, at: int) -> str:
    """Names the downlink of the command that was written at this time."""
    return f"rotation:{rotation.id}:{at}"


def gather(
    connection: Connection,
    standing: Sequence[Standing],
    *,
    catalogue: Catalogue,
    downlinks: Downlinks,
) -> Evidence:
    """Reads the evidence for these rotations: the same statements, however many they are."""
    deliveries: dict[str, Delivery] = {}
    answers: dict[str, Answer] = {}
    for start in range(0, len(standing), AT_ONCE):
        some = standing[start : start + AT_ONCE]
        deliveries |= _deliveries(connection, [one.rotation for one in some], downlinks)
        told = [one for one in some if one.rotation.sends]
        answers |= _answers(connection, told, _replies(catalogue, {one.dialect for one in told}))
    return Evidence(deliveries, answers)


def _deliveries(
    connection: Connection, some: Sequence[Rotation], downlinks: Downlinks
) -> dict[str, Delivery]:
    keys = {
        command_key(one, one.last_sent_at): one
        for one in some
        if one.phase is Phase.SENT and one.last_sent_at is not None
    }
    if not keys:
        return {}
    found = downlinks.newest_of(connection, [one.device_id for one in keys.values()], list(keys))
    return {keys[key].id: downlink.delivery for key, downlink in found.items()}


def _replies(catalogue: Catalogue, names: Collection[str]) -> Replies:
    return {
        (dialect.name, channel.name): (place, channel)
        for dialect in catalogue.all()
        if dialect.name in names
        for place, channel in enumerate(
            dialect.of_kind(Kind.ROTATION_REPLY) or dialect.of_kind(Kind.REPLY)
        )
    }


def _answers(
    connection: Connection, some: Sequence[Standing], replies: Replies
) -> dict[str, Answer]:
    """What devices replied since the command; the first of their reply channels counts."""
    if not some or not replies:
        return {}
    since = min(one.rotation.first_sent_at or 0 for one in some) - CLOCK_SLACK_MS
    asked = (
        sa.select(rotations.c.id, channels.c.dialect, channels.c.name)
        .select_from(rotations)
        .join(devices, devices.c.id == rotations.c.device_id)
        .join(channels, channels.c.dialect == devices.c.dialect)
        .where(
            rotations.c.id.in_([one.rotation.id for one in some]),
            sa.tuple_(channels.c.dialect, channels.c.name).in_(list(replies)),
        )
    )
    # By the device's own time, which the index has, and the newest of all, for a device whose
    # clock is wrong.
    said = sa.union_all(
        asked.add_columns(messages.c.payload)
        .join(
            messages,
            sa.and_(messages.c.device_id == devices.c.id, messages.c.channel_id == channels.c.id),
        )
        .where(
            messages.c.ts >= since,  # PostgreSQL leaves out older partitions
            messages.c.ts >= sa.func.coalesce(rotations.c.first_sent_at, 0) - CLOCK_SLACK_MS,
        ),
        asked.add_columns(latest.c.payload).join(
            latest,
            sa.and_(latest.c.device_id == devices.c.id, latest.c.channel_id == channels.c.id),
        ),
    )
    found: dict[str, tuple[int, Answer]] = {}
    for number, dialect, name, payload in connection.execute(said):
        place, channel = replies[dialect, name]
        if number in found and found[number][0] <= place:
            continue
        try:
            body = json.loads(payload)
        except ValueError:  # ingest has stored text that is not JSON: no answer of this kind
            continue
        answer = answer_in(channel, body, number) if isinstance(body, dict) else None
        if answer is not None:
            found[number] = place, answer
    return {number: answer for number, (_, answer) in found.items()}
