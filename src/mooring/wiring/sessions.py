"""Ending the sessions of somebody whose certificate is rejected from now on.

A live session survives a revocation list. Dynamic Security can end it by its username. With a
password file nothing can: the broker does not look at certificate logins when it reloads. But a
client id belongs to one session at a time [MQTT-3.1.4-2], so anyone who connects with it ends the
session that had it; which client ids a username has is in the broker's log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection as SqlConnection

from mooring.broker.connection import Connection, Endpoint
from mooring.broker.log import LogKind
from mooring.store.schema import broker_events

__all__ = ["client_ids", "take_over"]

log = logging.getLogger(__name__)

CLIENT_IDS_MAX = 1000
"""Client ids of one username that are looked at, the newest first."""

_ENDS = (str(LogKind.DISCONNECTED), str(LogKind.TAKEN_OVER))


def client_ids(connection: SqlConnection, username: str) -> list[str]:
    """Client ids that are connected with this username, by what the log has reported last."""
    last = (
        sa.select(broker_events.c.client_id, sa.func.max(broker_events.c.id).label("id"))
        .where(
            broker_events.c.username == username,
            broker_events.c.client_id.is_not(None),
            broker_events.c.event.in_((str(LogKind.CONNECTED), *_ENDS)),
        )
        .group_by(broker_events.c.client_id)
        .order_by(sa.desc("id"))
        .limit(CLIENT_IDS_MAX)
        .subquery()
    )
    statement = (
        sa.select(broker_events.c.client_id)
        .join(last, last.c.id == broker_events.c.id)
        .where(broker_events.c.event == str(LogKind.CONNECTED))
        .order_by(broker_events.c.id)
    )
    return [str(name) for name in connection.execute(statement).scalars()]


async def take_over(endpoint: Endpoint, names: Iterable[str]) -> None:
    """Connects once with each client id and leaves; what the session had queued is gone.

    Raises:
        BrokerUnavailable: the broker does not answer or rejects the platform's account.
    """
    for name in names:
        connection = await Connection.open(endpoint, client_id=name)
        await connection.close()
        log.info("the session of the client %r was ended: its certificate is rejected", name)
