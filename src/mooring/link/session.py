"""What every MQTT client keeps of its session, whatever version of MQTT it speaks: packet ids,
requests that wait for an answer, and the keep alive.

No packet is read or written here: that is the business of a codec.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from typing import Generic, TypeVar

from mooring.errors import BrokerUnavailable

__all__ = ["MAX_PACKET_ID", "Answers", "KeepAlive", "PacketIds"]

MAX_PACKET_ID = 65535

Packet = TypeVar("Packet")


class PacketIds:
    """Gives packet ids in turn, 1 to 65535 [MQTT-2.3.1-1]."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, used: Container[int] = ()) -> int:
        """The next one that is not in use [MQTT-2.3.1-2].

        Raises:
            BrokerUnavailable: all are in use.
        """
        for _ in range(MAX_PACKET_ID):
            self._last = self._last % MAX_PACKET_ID + 1
            if self._last not in used:
                return self._last
        raise BrokerUnavailable(
            f"{MAX_PACKET_ID} messages are not acknowledged by the broker.", hint="Send fewer."
        )


class Answers(Generic[Packet]):
    """Requests under a number, and who waits for their answers."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Packet]] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._waiting

    async def ask(self, number: int, send: Callable[[], None], within: float | None) -> Packet:
        """Sends a request and waits for the answer.

        Args:
            within: seconds; ``None``: as long as the connection lasts.

        Raises:
            BrokerUnavailable: there was no answer in that time, or the connection ended.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Packet] = loop.create_future()
        self._waiting[number] = future
        # Some thousands of messages a second go through here: a timer of the loop costs a tenth
        # of an ``asyncio.timeout``.
        timer = None if within is None else loop.call_later(within, _unanswered, future, within)
        try:
            send()
            return await future
        finally:
            self._waiting.pop(number, None)
            if timer is not None:
                timer.cancel()

    def give(self, number: int, packet: Packet) -> None:
        """The answer to a request; without effect if nobody waits for it."""
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(packet)

    def fail(self, why: str) -> None:
        """The connection ended: no request is answered any more."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BrokerUnavailable(why))


def _unanswered(future: asyncio.Future[Packet], within: float) -> None:
    if not future.done():
        future.set_exception(BrokerUnavailable(f"The broker did not answer within {within:g} s."))


class KeepAlive:
    """Pings in turn, and gives a connection up on which nothing is heard.

    Args:
        seconds: between two pings.
        ping: sends one.
        give_up: ends the connection.
        unanswered_most: as many pings in a row may bring nothing.
    """

    def __init__(
        self,
        seconds: float,
        ping: Callable[[], None],
        give_up: Callable[[], None],
        *,
        unanswered_most: int = 1,
    ) -> None:
        self._seconds = seconds
        self._ping = ping
        self._give_up = give_up
        self._most = unanswered_most
        self._unanswered = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The first ping goes out immediately."""
        self._turn()

    def heard(self) -> None:
        """Something came from the broker."""
        self._unanswered = 0

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = None
        if self._unanswered >= self._most:
            self._give_up()
            return
        self._unanswered += 1
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._turn)
        self._ping()
