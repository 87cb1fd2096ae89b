"""Writing what can be written: a value that the database rejects costs that value alone.

The usual way writes a whole batch in a few statements. Only when the database rejects a value
there, the transaction is rolled back and written again through ``each_alone``: halves of a step
in savepoints, until the rejected item stands alone. That is at most two statements for each item
and one more for each halving, all within the one transaction that also holds the ledger.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from mooring.ingest.plan import DeadLetter, MessageRow, Plan, State, Stranger, is_newer
from mooring.ingest.sequences import NUMBER_MAX, Numbers
from mooring.ingest.sink import Committed
from mooring.store.faults import Judgement, judge, of_driver

__all__ = ["Steps", "each_alone", "newest_of", "refuses", "write_isolated"]

log = logging.getLogger(__name__)

# Turning a value into what a driver sends failed.
_NOT_SENT = (ArithmeticError, TypeError, ValueError, struct.error)

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Steps(Protocol):
    """How one engine writes the parts of a plan, inside a transaction that is open."""

    def savepoint(self) -> AbstractContextManager[object]:
        """Rolls back to its beginning when its body raises."""
        ...

    def messages(self, rows: Sequence[MessageRow]) -> int:
        """Adds those that are not there yet and queues them for roll-ups; how many."""
        ...

    def latest(self, rows: Sequence[MessageRow]) -> None: ...

    def states(self, states: Sequence[tuple[int, State]]) -> None: ...

    def numbers(self, plan: Plan, devices: Collection[int]) -> dict[int, Numbers]:
        """Merges the sequence numbers of these devices; what is committed of each now."""
        ...

    def dead(self, letters: Sequence[DeadLetter]) -> None: ...

    def strangers(self, strangers: Sequence[Stranger]) -> None: ...


def write_isolated(plan: Plan, steps: Steps, at: int) -> Committed:
    """Writes a plan that holds values which the database rejects, in the open transaction.

    Whoever calls adds the ledger and the counters and commits.

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

    def some_messages(places: Sequence[int]) -> tuple[Sequence[int], int]:
        return places, steps.messages([plan.messages[place] for place in places])

    written = alone(
        range(len(plan.messages)), some_messages, lambda place, exc: _message(plan, place, exc)
    )
    rows = [plan.messages[place] for places, _ in written for place in places]
    stored = sum(number for _, number in written)
    alone(newest_of(rows), steps.latest, lambda row, exc: _rest(plan, row[0], at, "value", exc))

    plainly: list[tuple[int, State]] = []

    def state(item: tuple[int, State], exc: Exception) -> DeadLetter:
        plainly.append((item[0], State(item[1].last_seen_at, heard=item[1].heard)))
        return _rest(plan, item[0], at, "state", exc)

    alone(sorted(plan.states.items()), steps.states, state)
    alone(plainly, steps.states, lambda item, exc: _rest(plan, item[0], at, "state", exc))

    counting = sorted(plan.sequences.keys() | plan.lost.keys())
    told = alone(
        counting,
        lambda devices: steps.numbers(plan, devices),
        lambda device, exc: _rest(plan, device, at, "sequence number", exc),
    )
    alone(list(plan.strangers.values()), steps.strangers, _unlisted)

    # Last, since each step may have added some. What cannot even be kept as a dead letter is
    # kept without its payload.
    letters, again = [*plan.dead, *refused], list[DeadLetter]()

    def without_payload(letter: DeadLetter, exc: Exception) -> None:
        log.error("a dead letter cannot be kept as it is: %s", exc)
        again.append(_plain(letter))

    alone(letters, steps.dead, without_payload)
    if again:  # what is rejected even now is no value's fault: the broker keeps the batch
        steps.dead(again)
    return Committed(
        stored,
        len(rows) - stored,
        {device: one for some in told for device, one in some.items()},
        tuple(refused),
    )


def refuses(fault: BaseException) -> bool:
    """Whether a value is at fault, so that trying again would not help."""
    if not of_driver(fault) and not isinstance(fault, _NOT_SENT):
        return False
    return judge(fault).judgement not in {Judgement.RETRY, Judgement.FATAL}


def each_alone(
    items: Sequence[Item],
    write: Callable[[Sequence[Item]], Answer],
    refused: Callable[[Item, Exception], None],
    *,
    savepoint: Callable[[], AbstractContextManager[object]],
) -> list[Answer]:
    """Writes these items in their order, without those that are rejected.

    Args:
        write: writes some of them.
        refused: called for each item that cannot be written even alone.
        savepoint: rolls back to its beginning when its body raises.

    Raises everything that is not about a value (see ``refuses``).

    Returns:
        What ``write`` returned for each part that was written.
    """
    answers = []
    pending = [items] if items else []
    while pending:
        some = pending.pop()
        try:
            with savepoint():
                answer = write(some)
        except Exception as exc:
            if not refuses(exc):
                raise
            if len(some) == 1:
                refused(some[0], exc)
            else:
                half = len(some) // 2
                pending += [some[half:], some[:half]]
        else:
            answers.append(answer)
    return answers


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
        _why("The database rejects it", exc),
        route.topic,
        route.tenant,
        row[0],
        len(payload),
        payload[: plan.keep_bytes],
    )


def _rest(plan: Plan, device: int, at: int, what: str, exc: Exception) -> DeadLetter:
    """For what a device's messages would have changed; they themselves are stored."""
    route = next((one for one in plan.routes if one.device_id == device), None)
    return DeadLetter(
        at,
        "not_storable",
        _why(f"The message is stored; the database rejects the {what} that follows from it", exc),
        route.topic if route else "",
        route.tenant if route else None,
        device,
        0,
        b"",
    )


def _unlisted(stranger: Stranger, exc: Exception) -> None:
    log.error("an unknown device cannot be listed: %s", exc)  # its messages are dead letters


def _plain(letter: DeadLetter) -> DeadLetter:
    """What any database takes."""
    device = letter.device_id
    return DeadLetter(
        min(max(letter.received_at, 0), NUMBER_MAX),
        letter.reason[:32],
        "The payload of this dead letter could not be kept.",
        letter.topic.encode("ascii", "replace").decode().replace("\0", "?")[:1000],
        letter.tenant,
        device if device is not None and 0 < device <= NUMBER_MAX else None,
        letter.size,
        b"",
    )


def _why(what: str, exc: Exception) -> str:
    said = " ".join(str(exc).split())
    return f"{what}: {type(exc).__name__}: {said}"[:1000]
