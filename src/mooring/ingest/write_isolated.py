"""Writing a plan that holds values which the database rejects.

The usual way writes a whole batch in a few statements. Only when a value is rejected there, or a
projection fails, the transaction is rolled back and the batch is written again by
``write_isolated``: each step in savepoints, all within the one transaction that also holds the
ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy.engine import Connection

from mooring.dialects.payload import MAX_SEQUENCE
from mooring.ingest.isolate import each_alone, why
from mooring.ingest.plan import DeadLetter, Plan, UnknownDevice
from mooring.ingest.projections import Projections
from mooring.ingest.rows import MessageRow, is_newer
from mooring.ingest.sink import Committed

__all__ = ["Steps", "newest_of", "write_isolated"]

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Steps(Protocol):
    """How one engine writes the parts of a plan, inside a transaction that is open."""

    @property
    def connection(self) -> Connection:
        """For projections: within the same transaction."""
        ...

    def savepoint(self) -> AbstractContextManager[object]:
        """Rolls back to its beginning when its body raises."""
        ...

    def messages(self, plan: Plan, places: Sequence[int]) -> tuple[int, Collection[int]]:
        """Adds those messages that do not exist yet and queues them for roll-ups; how many, and
        which of ``plan.watched``."""
        ...

    def latest(self, rows: Sequence[MessageRow]) -> None: ...

    def dead(self, letters: Sequence[DeadLetter]) -> None: ...

    def unknown(self, devices: Sequence[UnknownDevice]) -> None: ...


def write_isolated(plan: Plan, steps: Steps, projections: Projections, at: int) -> Committed:
    """Writes a plan in the open transaction. Its caller adds the ledger and the counters and
    commits.

    Args:
        at: the time, epoch milliseconds, for dead letters of what has none of its own.
    """
    refused: list[DeadLetter] = []

    def alone(
        items: Sequence[Item],
        write: Callable[[Sequence[Item]], Answer],
        letter: Callable[[Item, Exception], DeadLetter | None],
    ) -> list[Answer]:
        def note(item: Item, exc: Exception) -> None:
            kept = letter(item, exc)
            if kept is not None:
                refused.append(kept)

        return each_alone(items, write, note, savepoint=steps.savepoint)

    written = alone(
        range(len(plan.messages)),
        lambda places: (places, *steps.messages(plan, places)),
        lambda place, exc: _message(plan, place, exc),
    )
    rows = [plan.messages[place] for places, _, _ in written for place in places]
    stored = sum(number for _, number, _ in written)
    added = {place for _, _, some in written for place in some}
    alone(newest_of(rows), steps.latest, lambda row, exc: _value(plan, row[0], at, exc))
    effects, letters = projections.apply_isolated(
        steps.connection, plan, added, steps.savepoint, at
    )
    refused += letters
    alone(list(plan.unknown.values()), steps.unknown, _unlisted)

    # Last, since each step may have added some. What cannot even be kept as a dead letter is
    # kept without its payload.
    again: list[DeadLetter] = []

    def without_payload(letter: DeadLetter, exc: Exception) -> None:
        log.error("a dead letter cannot be stored unchanged: %s", exc)
        again.append(_plain(letter))

    alone([*plan.dead, *refused], steps.dead, without_payload)
    if again:  # what is rejected even now is not a value's fault: the broker keeps the batch
        steps.dead(again)
    return Committed(stored, len(rows) - stored, tuple(effects), tuple(refused))


def newest_of(rows: Sequence[MessageRow]) -> list[MessageRow]:
    """The newest row of each device and channel, in the order of these."""
    newest: dict[tuple[int, int], MessageRow] = {}
    for row in rows:
        before = newest.get((row[0], row[1]))
        if before is None or is_newer(row, before):
            newest[row[0], row[1]] = row
    return [newest[key] for key in sorted(newest)]


def _message(plan: Plan, place: int, exc: Exception) -> DeadLetter:
    row = plan.messages[place]
    route = plan.routes[place]
    payload = row[7].encode("utf-8", "surrogatepass")
    return DeadLetter(
        row[3],
        "not_storable",
        why("The database rejects it", exc),
        route.topic,
        route.device.tenant,
        row[0],
        len(payload),
        payload[: plan.keep_bytes],
    )


def _value(plan: Plan, device: int, at: int, exc: Exception) -> DeadLetter:
    """The message itself is stored."""
    route = next((one for one in plan.routes if one.device_id == device), None)
    return DeadLetter(
        at,
        "not_storable",
        why("The message is stored; the database rejects it as the newest value", exc),
        route.topic if route else "",
        route.device.tenant if route else None,
        device,
        0,
        b"",
    )


def _unlisted(device: UnknownDevice, exc: Exception) -> None:
    log.error("an unknown device cannot be listed: %s", exc)  # its messages are dead letters


def _plain(letter: DeadLetter) -> DeadLetter:
    """What any database takes."""
    device = letter.device_id
    return DeadLetter(
        min(max(letter.received_at, 0), MAX_SEQUENCE),
        letter.reason[:32],
        "The payload of this dead letter could not be stored.",
        letter.topic.encode("ascii", "replace").decode().replace("\0", "?")[:1000],
        letter.tenant,
        device if device is not None and 0 < device <= MAX_SEQUENCE else None,
        letter.size,
        b"",
    )
