"""How a new value changes the attributes of a device. Pure.

| new value | the stored value is a person's | of an import or a claim code | the device's own |
|---|---|---|---|
| of a person | replaced | replaced | replaced |
| of an import or a claim code | stays | replaced | replaced |
| of the device (registration, report) | stays | stays | replaced |

Of two values of sources in the same column the later one counts. A person removes any value, and a
device over hawkBit's DDI its own ones; then any source can set it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.devices.attributes.model import NAMED, RANKS, Held, Source, Value

__all__ = ["ROOM", "Merged", "Room", "merge"]


@dataclass(frozen=True, slots=True)
class Room:
    """How many free attributes a device may have.

    Attributes:
        most: from all sources.
        reported: of those, the ones that the device reports itself.
    """

    most: int = 32
    reported: int = 16


ROOM = Room()


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome.

    Attributes:
        held: what is stored now.
        changed: names that were added or replaced.
        removed: names that were removed.
        kept: names whose stored value counts more than the new one.
        beyond: names for which no room is left; they are not stored.
    """

    held: Mapping[str, Held]
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    beyond: tuple[str, ...] = field(default=())


def merge(
    old: Mapping[str, Held],
    new: Mapping[str, Value | None],
    source: Source,
    at: int,
    *,
    actor: str = "",
    room: Room,
) -> Merged:
    """Takes over checked values.

    Args:
        new: ``None`` removes a value, where the source is a person.
        at: epoch milliseconds.
    """
    held = dict(old)
    changed: list[str] = []
    removed: list[str] = []
    kept: list[str] = []
    beyond: list[str] = []
    # Removed ones first: they make room for the others.
    for name, value in sorted(new.items(), key=lambda item: item[1] is not None):
        before = held.get(name)
        if value is None:
            if source is Source.PERSON and before is not None:
                del held[name]
                removed.append(name)
            elif before is not None:
                kept.append(name)
            continue
        if before is not None and not _counts(before, source, at):
            kept.append(name)
            continue
        if before is not None and before.value == value and _same(before.source, source):
            continue
        if name not in NAMED and not _fits(held, name, source, room):
            beyond.append(name)
            continue
        held[name] = Held(value, source, at, actor)
        changed.append(name)
    return Merged(held, tuple(changed), tuple(removed), tuple(kept), tuple(beyond))


def _counts(before: Held, source: Source, at: int) -> bool:
    ranks = RANKS[source], RANKS[before.source]
    return ranks[0] > ranks[1] or (ranks[0] == ranks[1] and at >= before.at)


def _same(before: Source, now: Source) -> bool:
    """Whether repeating a value changes nothing; a person who confirms one makes it theirs."""
    return RANKS[before] == RANKS[now]


def _fits(held: Mapping[str, Held], name: str, source: Source, room: Room) -> bool:
    free = {n: h for n, h in held.items() if n not in NAMED and n != name}
    if len(free) >= room.most:
        return False
    if RANKS[source] > RANKS[Source.DEVICE]:
        return True
    own = sum(1 for h in free.values() if RANKS[h.source] == RANKS[Source.DEVICE])
    return own < room.reported
