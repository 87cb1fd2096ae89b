"""Clearing what a removed login left on the broker: its sessions and its retained messages."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mqtt5

from mooring.broker.connection import Connection, Endpoint

__all__ = ["clear"]

log = logging.getLogger(__name__)

FILTERS_AT_ONCE = 100


async def clear(endpoint: Endpoint, client_ids: Sequence[str], filters: Sequence[str]) -> None:
    """Ends the sessions under these client ids and deletes what is retained on these topics.

    The sessions go first: the Last Will of one may be retained.

    Raises:
        BrokerUnavailable: the broker does not answer or rejects the platform's account.
    """
    for name in client_ids:
        # A client id has one session, and a clean start discards it [MQTT5-3.1.2-4].
        connection = await Connection.open(endpoint, client_id=name)
        await connection.close()
    for start in range(0, len(filters), FILTERS_AT_ONCE):
        async with await Connection.open(endpoint) as connection:
            topics = await connection.retained(filters[start : start + FILTERS_AT_ONCE])
            for topic in topics:
                await connection.publish(topic, b"", retain=True)
            for _ in topics:
                while not isinstance(await connection.read(), mqtt5.PubAckPacket):
                    pass  # a device's own message may come in between
            if topics:
                log.info("%d retained messages of a removed device were deleted", len(topics))
