"""The connection on which batches are written to PostgreSQL: how long it waits, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

__all__ = ["IDLE_WAIT", "LOCK_WAIT", "STATEMENT_WAIT", "connect"]

CONNECT_SECONDS = 5
# Waiting for another ingest's row lock, for a lost transaction, for a partition: then again.
LOCK_WAIT = "10s"
STATEMENT_WAIT = "120s"
# A transaction whose client is gone must not hold its locks indefinitely. The first is for a client
# that is silent between two trips, the others for one that vanished within one.
IDLE_WAIT = "30s"
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 10, 5, 3  # seconds, seconds, times
USER_TIMEOUT_MS = 30_000

_SESSION = (
    "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false),"
    " set_config('idle_in_transaction_session_timeout', %s, false),"
    " set_config('tcp_keepalives_idle', %s, false),"
    " set_config('tcp_keepalives_interval', %s, false),"
    " set_config('tcp_keepalives_count', %s, false),"
    " set_config('tcp_user_timeout', %s, false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    # An acknowledged message is on disk, whatever the server's default says.
    " CASE WHEN current_setting('synchronous_commit') = 'off'"
    "  THEN set_config('synchronous_commit', 'on', false) END"
)


def connect(arguments: Mapping[str, Any]) -> psycopg.Connection:
    """A connection outside of any transaction.

    Raises:
        psycopg.Error: as its class says.
    """
    connection = psycopg.connect(
        autocommit=True,  # BEGIN and COMMIT are sent where they can share a trip
        **{
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "mooring ingest",
            "keepalives_idle": KEEPALIVE_IDLE,
            "keepalives_interval": KEEPALIVE_INTERVAL,
            "keepalives_count": KEEPALIVE_COUNT,
            "tcp_user_timeout": USER_TIMEOUT_MS,
            **arguments,
        },
    )
    try:
        connection.prepare_threshold = 1
        alive = (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT, USER_TIMEOUT_MS)
        waits = (LOCK_WAIT, STATEMENT_WAIT, IDLE_WAIT, *map(str, alive))
        connection.execute(_SESSION, waits)
    except BaseException:
        connection.close()
        raise
    return connection
