"""Answers to registrations of unknown devices, on their way."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.dialects.model import Dialect
from mooring.discovery.model import State
from mooring.discovery.rules import answer
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import MooringError
from mooring.store.tally import add_to_counter

__all__ = ["ANSWER_MS", "UNANSWERED", "Asked", "put"]

ANSWER_MS = 60_000
"""How long an answer is of use: the device asks again."""

UNANSWERED = "discovery_unanswered"
"""Counter: registrations of unknown devices without an answer, because there were too many."""


class Asked(NamedTuple):
    """An unknown device that asked to be registered."""

    dialect: Dialect
    tenant: str
    name: str


def put(
    connection: Connection, downlinks: Downlinks, asked: Asked, state: State, at: int
) -> int | None:
    """Writes the answer in the caller's transaction; the number of its downlink, ``None`` where
    the dialect has no channel for it or the tenant has too many open downlinks."""
    found = answer(asked.dialect, asked.tenant, asked.name, state, at)
    if found is None:
        return None
    new = NewDownlink(
        found.topic,
        found.payload,
        asked.tenant,
        "discovery",
        at + ANSWER_MS,
        qos=found.qos,
        until=Until.ONCE,
    )
    try:
        return downlinks.put(connection, new).id
    except MooringError:  # nothing was written, and the decision does not depend on the answer
        add_to_counter(connection, UNANSWERED, 1)
        return None
