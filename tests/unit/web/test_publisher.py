"""How long a request waits for the serving process's connection to the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mooring.errors import BrokerUnavailable
from mooring.link.connection import NeverSent
from mooring.link.protocol import Endpoint
from mooring.web import publisher
from mooring.web.publisher import Publisher


class Link:
    """A link that the test connects and disconnects."""

    def __init__(self, on_state: Callable[[bool], None]) -> None:
        self.connected = False
        self.sent: list[bytes] = []
        self.faults: list[BrokerUnavailable] = []
        self.lost = asyncio.Event()
        self._on_state = on_state

    def turn(self, connected: bool) -> None:
        self.connected = connected
        self._on_state(connected)

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        if self.faults:
            fault = self.faults.pop()
            self.turn(False)
            self.lost.set()
            raise fault
        self.sent.append(payload)


def connected() -> tuple[Publisher, Link]:
    made = Publisher(Endpoint(host="127.0.0.1", port=1, client_id="", username="", password=""))
    link = Link(made._changed)
    made._link = link  # type: ignore[assignment]
    link.turn(True)
    return made, link


def test_a_message_that_was_not_sent_goes_out_on_the_next_connection() -> None:
    async def run() -> None:
        made, link = connected()
        link.faults = [NeverSent("It broke.")]
        sending = asyncio.create_task(made.send("t", [b"1"], 1, False))
        await link.lost.wait()
        assert not sending.done()
        link.turn(True)
        await sending
        assert link.sent == [b"1"]

    asyncio.run(run())


def test_a_message_that_may_have_arrived_is_not_sent_again() -> None:
    async def run() -> None:
        made, link = connected()
        link.faults = [BrokerUnavailable("There was no answer.")]
        with pytest.raises(BrokerUnavailable, match="no answer"):
            await made.send("t", [b"1"], 1, False)
        link.turn(True)
        await asyncio.sleep(0)
        assert link.sent == []

    asyncio.run(run())


def test_a_broker_that_is_gone_for_longer_holds_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(publisher, "RECONNECT_SECONDS", 1000.0)
        made, link = connected()
        link.turn(False)
        assert made._lost_at is not None
        made._lost_at -= 2000
        with pytest.raises(BrokerUnavailable, match="not sent"):
            await made.send("t", [b"1"], 1, False)

    asyncio.run(run())


def test_a_first_connection_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(publisher, "RECONNECT_SECONDS", 1000.0)
        made = Publisher(Endpoint(host="127.0.0.1", port=1, client_id="", username="", password=""))
        with pytest.raises(BrokerUnavailable, match="not sent"):
            await made.send("t", [b"1"], 1, False)

    asyncio.run(run())
