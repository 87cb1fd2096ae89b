"""Asks devices for readings that have been missing for a while.

A device that numbers its readings and was not reached by a receipt keeps them; it is asked once
the gap has stood for ``gap_seconds``, and again after a multiple of that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.dialects.model import Kind
from mooring.errors import MooringError
from mooring.sequences import store
from mooring.sequences.numbers import gaps
from mooring.store.engine import Database
from mooring.supervisor.rows import RowFaults

__all__ = ["GAP_RANGES", "GapRequests"]

log = logging.getLogger(__name__)

GAP_AGAIN = 5  # a device is asked again after this many times the wait
GAP_DEVICES = 200  # asked at once
GAP_RANGES = 100  # named in one request; the lowest first

Messages = Sequence[tuple[str, bytes]]


class GapRequests:
    """One process at a time asks: what was asked is noted in the transaction that finds it.

    Args:
        seconds: how long a gap exists before the device is asked.
        down_topic: where a device listens for a kind, by its number.
        publish: sends messages at QoS 0; called in the event loop.
    """

    def __init__(
        self,
        database: Database,
        seconds: float,
        down_topic: Callable[[Kind, int], str | None],
        publish: Callable[[Messages], None],
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._down_topic = down_topic
        self._publish = publish
        self.faults = RowFaults("the gaps of device")

    async def run(self) -> None:
        """Asks until it is cancelled."""
        while True:
            await asyncio.sleep(self._seconds / 4)
            try:
                messages = await asyncio.to_thread(self.overdue, now_ms())
            except MooringError as exc:
                log.warning("gaps were not requested: %s", exc)
            else:
                if messages:
                    self._publish(messages)

    def overdue(self, at: int) -> Messages:
        """Notes the devices that are to be asked at ``at`` (epoch milliseconds), and what to
        send them.

        Raises:
            DatabaseUnavailable: nothing was noted.
        """
        with self._database.read() as connection:
            if not self._overdue(connection, at):
                return []  # without a transaction that writes, which would wake other processes
        with self._database.write() as connection:
            found = self._overdue(connection, at)
            store.asked(connection, [one.device_id for one in found], at)
        messages = []
        for one in found:
            with self.faults.isolated(one.device_id):
                topic = self._down_topic(Kind.REREQUEST, one.device_id)
                if topic is not None:
                    missing = gaps(one.numbers)[:GAP_RANGES]
                    messages.append((topic, msgspec.json.encode({"missing": missing})))
        return messages

    def _overdue(self, connection: Connection, at: int) -> Sequence[store.DeviceNumbers]:
        wait = int(self._seconds * 1000)
        return store.overdue(
            connection,
            missing_since=at - wait,
            asked_before=at - GAP_AGAIN * wait,
            limit=GAP_DEVICES,
        )
