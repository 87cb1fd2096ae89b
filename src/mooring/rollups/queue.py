"""What is in no roll-up yet, and where the roller is. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.rollups.rows import fetch, numbers
from mooring.store.partitions import BEFORE, WEEK_MS, name_of, week_of
from mooring.store.schema import channels, rollup_queue, rollup_state

__all__ = [
    "NOTHING_DONE",
    "Done",
    "Span",
    "State",
    "Superseded",
    "advance",
    "backlog",
    "begin",
    "claim",
    "claimed",
    "count",
    "finish",
    "message_rows",
    "pending",
    "prepare_index",
    "rolled_channels",
    "state",
]

Done = tuple[int, int, int]  # device, channel, minute
NOTHING_DONE: Done = (0, 0, -1)


class Superseded(Exception):
    """Another roller has worked meanwhile: what was read is not true any more."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the roller is: its revision, and the last key of the round that is in."""

    revision: int
    done: Done


@dataclass(frozen=True, slots=True)
class Span:
    """Rows that one or more batches added, with the bounds of their device times."""

    first_id: int
    last_id: int
    first_ts: int
    last_ts: int

    @property
    def ids(self) -> int:
        return self.last_id - self.first_id + 1


# ---------------------------------------------------------------------- where the roller is


def state(connection: Connection) -> State | None:
    row = connection.execute(
        sa.select(
            rollup_state.c.revision,
            rollup_state.c.done_device,
            rollup_state.c.done_channel,
            rollup_state.c.done_minute,
        )
    ).first()
    return None if row is None else State(row[0], (row[1], row[2], row[3]))


def begin(connection: Connection) -> None:
    """Makes the one row of state, where none exists."""
    if state(connection) is None:
        device, channel, minute = NOTHING_DONE
        connection.execute(
            sa.insert(rollup_state).values(
                id=1, revision=0, done_device=device, done_channel=channel, done_minute=minute
            )
        )


def advance(connection: Connection, known: State, done: Done) -> State:
    """Moves on, as the first thing of a transaction.

    Raises:
        Superseded: somebody else has.
    """
    moved = connection.execute(
        sa.update(rollup_state)
        .where(rollup_state.c.revision == known.revision)
        .values(
            revision=known.revision + 1,
            done_device=done[0],
            done_channel=done[1],
            done_minute=done[2],
        )
    )
    if moved.rowcount != 1:
        raise Superseded
    return State(known.revision + 1, done)


# ---------------------------------------------------------------------- what is not in yet


def backlog(connection: Connection) -> tuple[int, int]:
    """Messages that wait, about, and how many of them a round has taken on."""
    size = rollup_queue.c.last_id - rollup_queue.c.first_id + 1
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(size), 0),
            sa.func.coalesce(sa.func.sum(sa.case((rollup_queue.c.claimed, size), else_=0)), 0),
        )
    ).one()
    return int(row[0]), int(row[1])


def claimed(connection: Connection) -> list[Span]:
    """What the round that was begun has taken on."""
    return _spans(connection, rollup_queue.c.claimed)


def claim(connection: Connection, most: int) -> list[Span]:
    """Takes on what waits, about ``most`` rows, the oldest first. A larger span is cut."""
    first = rollup_queue.c.first_id
    chosen: list[Span] = []
    total = 0
    for row in connection.execute(
        sa.select(*_SPAN).where(~rollup_queue.c.claimed).order_by(first).limit(_ENTRIES_MAX)
    ):
        span = Span(*row)
        if chosen and total + span.ids > most:
            break
        chosen.append(span)
        total += span.ids
        if total >= most:
            break
    if not chosen:
        return []
    if total > most:  # one entry alone is larger
        (whole,) = chosen
        chosen = [Span(whole.first_id, whole.first_id + most - 1, whole.first_ts, whole.last_ts)]
        connection.execute(
            sa.update(rollup_queue)
            .where(first == whole.first_id)
            .values(first_id=whole.first_id + most)
        )
        connection.execute(
            sa.insert(rollup_queue).values(
                first_id=chosen[0].first_id,
                last_id=chosen[0].last_id,
                first_ts=whole.first_ts,
                last_ts=whole.last_ts,
                claimed=True,
            )
        )
        return chosen
    # By value, not by a bound: an entry with smaller numbers may have been committed since.
    connection.execute(
        sa.update(rollup_queue).where(first == sa.bindparam("chosen")).values(claimed=True),
        [{"chosen": span.first_id} for span in chosen],
    )
    return claimed(connection)


def finish(connection: Connection) -> None:
    """The round is in."""
    connection.execute(sa.delete(rollup_queue).where(rollup_queue.c.claimed))


def pending(connection: Connection) -> tuple[list[Span], list[Span], Done]:
    """For readers: the spans nobody has begun, those of the round, and how far that is."""
    known = state(connection)
    return (
        _spans(connection, ~rollup_queue.c.claimed),
        claimed(connection),
        NOTHING_DONE if known is None else known.done,
    )


_SPAN = (
    rollup_queue.c.first_id,
    rollup_queue.c.last_id,
    rollup_queue.c.first_ts,
    rollup_queue.c.last_ts,
)
_ENTRIES_MAX = 20_000


def _spans(connection: Connection, where: sa.ColumnElement[bool]) -> list[Span]:
    """Neighbours are joined."""
    found: list[Span] = []
    for row in connection.execute(sa.select(*_SPAN).where(where).order_by(rollup_queue.c.first_id)):
        span = Span(*row)
        if found and found[-1].last_id + 1 == span.first_id:
            last = found[-1]
            found[-1] = Span(
                last.first_id,
                span.last_id,
                min(last.first_ts, span.first_ts),
                max(last.last_ts, span.last_ts),
            )
        else:
            found.append(span)
    return found


# ---------------------------------------------------------------------- messages


def rolled_channels(connection: Connection, kinds: Iterable[str]) -> dict[int, tuple[str, str]]:
    """Number → (dialect, channel) of the channels that are rolled up."""
    rows = connection.execute(
        sa.select(channels.c.id, channels.c.dialect, channels.c.name).where(
            channels.c.kind.in_([str(kind) for kind in kinds])
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def message_rows(
    connection: Connection, span: Span, channel_ids: Iterable[int]
) -> list[tuple[int, int, int, str]]:
    """(device, channel, time, payload) in the order of arrival."""
    statement = (
        "SELECT device_id, channel_id, ts, payload FROM messages"  # noqa: S608 - numbers
        f" WHERE id BETWEEN {span.first_id} AND {span.last_id}"
        f" AND channel_id IN ({numbers(channel_ids)})"
    )
    if connection.dialect.name == "postgresql":
        # Names the weeks to look at. While a week is too new to have statistics, the planner
        # would rather read all of it than believe the index.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        statement += f" AND ts BETWEEN {span.first_ts} AND {span.last_ts}"
    return fetch(connection, statement + " ORDER BY id")


def prepare_index(connection: Connection, span: Span) -> None:
    """PostgreSQL: brings the BRIN index over ``id`` up to date for the weeks of a span; what it
    does not cover yet is read through from end to end. A new week also gets the statistics
    that make the planner believe in that index; later autovacuum looks after them."""
    if connection.dialect.name != "postgresql":
        return
    weeks = range(week_of(span.first_ts), span.last_ts + 1, WEEK_MS)
    if len(weeks) > _WEEKS_MAX:  # a bulk load, or a clock far off: autovacuum does it too
        return
    names = {"names": [BEFORE, *(name_of(week) for week in weeks)]}
    connection.execute(_SUMMARIZE, names)
    for name in connection.execute(_UNKNOWN, names).scalars().all():
        connection.exec_driver_sql(f"ANALYZE {name} (id)")


_SUMMARIZE = sa.text(
    "SELECT brin_summarize_new_values(i.indexrelid) FROM pg_index i"
    " JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
    " JOIN pg_class c ON c.oid = i.indrelid"
    " WHERE h.inhparent = 'ix_messages_id'::regclass AND c.relname = ANY(:names)"
)
_UNKNOWN = sa.text(
    "SELECT c.relname FROM pg_class c WHERE c.relname = ANY(:names) AND c.relkind = 'r'"
    " AND NOT EXISTS (SELECT 1 FROM pg_stats s WHERE s.tablename = c.relname"
    " AND s.attname = 'id')"
)
_WEEKS_MAX = 60


def count(connection: Connection, name: str, value: int) -> None:
    """Adds to one of the platform's counters."""
    if value:
        connection.execute(_COUNT, {"name": name, "value": value})


_COUNT = sa.text(
    "INSERT INTO counters (name, value) VALUES (:name, :value)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value"
)
