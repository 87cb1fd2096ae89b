"""Asking the process that runs the broker to do what only it can do.

A row in ``broker_requests`` is written by a command, taken by ``mooring up``, and answered in
the same row. Rows are few; finished ones go after a day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from mooring.store.engine import now_ms
from mooring.store.schema import broker_requests

__all__ = [
    "Request",
    "RequestAction",
    "RequestState",
    "ask",
    "drop_open",
    "finish",
    "look",
    "take",
    "withdraw",
]

KEEP_MS = 24 * 3600 * 1000


class RequestAction(StrEnum):
    COMPARE = "compare"  # what differs; changes nothing
    SYNC = "sync"  # and fixes it
    RELOAD = "reload"  # the broker reads its files again
    MIGRATE = "migrate"  # to the other authority


class RequestState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``result`` is what was answered so far."""

    id: int
    action: RequestAction
    argument: Mapping[str, Any]
    actor: str
    state: RequestState
    result: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        return self.state in (RequestState.DONE, RequestState.FAILED)


def ask(
    connection: Connection, action: RequestAction, argument: Mapping[str, Any], actor: str
) -> int:
    """Adds a request in the caller's transaction; returns its number."""
    old = now_ms() - KEEP_MS
    connection.execute(sa.delete(broker_requests).where(broker_requests.c.created_at < old))
    result = connection.execute(
        sa.insert(broker_requests)
        .values(
            action=action,
            argument=json.dumps(dict(argument)),
            actor=actor,
            created_at=now_ms(),
        )
        .returning(broker_requests.c.id)
    )
    return int(result.scalar_one())


def look(connection: Connection, number: int) -> Request | None:
    row = connection.execute(
        sa.select(broker_requests).where(broker_requests.c.id == number)
    ).first()
    return None if row is None else _request(row)


def take(connection: Connection) -> Request | None:
    """The oldest request that waits, now marked as running."""
    row = connection.execute(
        sa.select(broker_requests)
        .where(broker_requests.c.state == RequestState.WAITING)
        .order_by(broker_requests.c.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    connection.execute(
        sa.update(broker_requests)
        .where(broker_requests.c.id == row.id)
        .values(state=RequestState.RUNNING)
    )
    return _request(row)


def finish(
    connection: Connection, number: int, state: RequestState, result: Mapping[str, Any]
) -> None:
    """Answers. An answer holds no secret."""
    connection.execute(
        sa.update(broker_requests)
        .where(broker_requests.c.id == number)
        .values(state=state, result=json.dumps(dict(result), ensure_ascii=False))
    )


def withdraw(connection: Connection, number: int) -> bool:
    """Takes a request back; whether that was in time."""
    gone = connection.execute(
        sa.delete(broker_requests).where(
            broker_requests.c.id == number, broker_requests.c.state == RequestState.WAITING
        )
    )
    return gone.rowcount > 0


def drop_open(connection: Connection, why: str) -> None:
    """Requests that an earlier process left undone fail and can be repeated."""
    connection.execute(
        sa.update(broker_requests)
        .where(broker_requests.c.state.in_([RequestState.WAITING, RequestState.RUNNING]))
        .values(state=RequestState.FAILED, result=json.dumps({"message": why}))
    )


def _request(row: Row[tuple[object, ...]]) -> Request:
    return Request(
        row.id,
        RequestAction(row.action),
        json.loads(row.argument),
        row.actor,
        RequestState(row.state),
        json.loads(row.result),
    )
