"""The sender, step by step: a link that only remembers, and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from mqtt5 import PubAckReasonCode
from sqlalchemy import event

from mooring.app import App
from mooring.devices.model import Device
from mooring.downlink import worker
from mooring.downlink.rules import LOSSES_MAX, Until
from mooring.downlink.worker import Sender
from mooring.errors import BrokerUnavailable
from mooring.identity.actor import SYSTEM
from mooring.link.connection import NeverSent
from mooring.store.engine import now_ms
from mooring.store.schema import broker_events, device_state, downlinks
from tests.conftest import ConnectClient, StartMosquitto

Put = Callable[..., int]
Add = Callable[..., Device]

OK = PubAckReasonCode.SUCCESS
NOBODY = PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
REFUSED = PubAckReasonCode.NOT_AUTHORIZED


class Link:
    """A connection that answers what a test says."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, bytes, int]] = []
        self.answer: Callable[[bytes], PubAckReasonCode] = lambda _payload: OK

    async def deliver(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires: int, within: float
    ) -> PubAckReasonCode:
        code = self.answer(payload)
        self.sent.append((topic, payload, expires))
        return code

    async def close(self) -> None:
        self.connected = False

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload, _ in self.sent]


def sender_of(platform: App, link: Link | None = None, **options: Any) -> Sender:
    sender = Sender(
        platform.database, platform.instance, platform.endpoint("mooring-test-sender"), **options
    )
    if link is not None:
        sender._link = link  # type: ignore[assignment]
    return sender


def step(sender: Sender, times: int = 1) -> None:
    async def steps() -> None:
        for _ in range(times):
            await sender.step()

    asyncio.run(steps())


def states(platform: App) -> list[str]:
    with platform.database.read() as connection:
        return list(
            connection.execute(sa.select(downlinks.c.state).order_by(downlinks.c.id)).scalars()
        )


def due_now(platform: App) -> None:
    with platform.database.write() as connection:
        connection.execute(sa.update(downlinks).values(next_at=1))


def connects(platform: App, device: Device) -> None:
    """What the platform records when a device connects."""
    with platform.database.write() as connection:
        at = now_ms()
        connection.execute(
            sa.insert(broker_events).values(at=at, event="connected", username=device.username)
        )
        connection.execute(sa.delete(device_state).where(device_state.c.device_id == device.id))
        connection.execute(
            sa.insert(device_state).values(device_id=device.id, connected=True, connected_at=at)
        )


def test_sent_once_with_its_expiry(platform: App, device: Add, put: Put) -> None:
    lamp, link = device("lamp"), Link()
    put(lamp, b"one")
    put(lamp, b"two \xff", secret=True)
    put(lamp, b"later", not_before=now_ms() + 60_000)
    sender = sender_of(platform, link)
    step(sender, 3)
    assert link.payloads == [b"one", b"two \xff"]
    assert {topic for topic, _, _ in link.sent} == {"iotflow/devices/lamp/commands/control"}
    assert all(3590 <= expires <= 3600 for _, _, expires in link.sent)
    assert states(platform) == ["sent", "sent", "waiting"]


def test_what_is_past_its_time_is_not_sent(platform: App, device: Add, put: Put) -> None:
    link = Link()
    put(device("lamp"), seconds=-1)
    step(sender_of(platform, link))
    assert (states(platform), link.sent) == (["expired"], [])


def test_one_sender_at_a_time(platform: App, device: Add, put: Put) -> None:
    first, second = Link(), Link()
    one, two = sender_of(platform, first), sender_of(platform, second)
    step(one)
    put(device("lamp"))
    step(two)
    assert (two.holding, second.sent) == (False, [])
    asyncio.run(one.close())
    step(two)
    assert len(second.sent) == 1


def test_a_device_that_was_away_gets_it_when_it_connects(
    platform: App, device: Add, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SETTLE_MS", 0)
    lamp, link = device("lamp"), Link()
    put(lamp, b"taken")
    put(lamp, b"once", until=Until.ONCE)
    link.answer = lambda _payload: NOBODY
    sender = sender_of(platform, link)
    step(sender, 2)
    assert states(platform) == ["held", "unheard"]
    assert len(link.sent) == 2, "it is not sent again while nobody is there"
    connects(platform, lamp)
    step(sender)
    assert states(platform)[0] == "waiting", "it is there and has not subscribed yet"
    link.answer = lambda _payload: OK
    due_now(platform)
    step(sender)
    assert states(platform) == ["sent", "unheard"]
    assert link.payloads == [b"taken", b"once", b"taken", b"taken"]


def test_what_connected_while_no_sender_ran(
    platform: App, device: Add, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SETTLE_MS", 0)
    lamp, link = device("lamp"), Link()
    put(lamp)
    link.answer = lambda _payload: NOBODY
    sender = sender_of(platform, link)
    step(sender)
    asyncio.run(sender.close())
    connects(platform, lamp)
    again = Link()
    step(sender_of(platform, again))
    assert (len(again.sent), states(platform)) == (1, ["sent"])


def test_without_a_confirmation_it_is_sent_again_when_the_device_connects(
    platform: App, device: Add, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SETTLE_MS", 0)
    lamp, link = device("lamp"), Link()
    number = put(lamp, until=Until.CONFIRMED)
    sender = sender_of(platform, link)
    step(sender, 2)
    assert (states(platform), len(link.sent)) == (["unconfirmed"], 1)
    connects(platform, lamp)
    step(sender, 2)
    assert (states(platform), len(link.sent)) == (["unconfirmed"], 2)
    with platform.database.write() as connection:
        assert platform.downlinks.confirm(connection, number)
    connects(platform, lamp)
    step(sender, 2)
    assert (states(platform), len(link.sent)) == (["confirmed"], 2)


def test_a_message_that_ends_the_connection_costs_no_other_its_turn(
    platform: App, device: Add, put: Put
) -> None:
    lamp, pump, link = device("lamp"), device("pump", tenant="b"), Link()
    put(lamp, b"poison")
    for number in range(3):
        put(pump, b"%d" % number)
    broken = False

    def answer(payload: bytes) -> PubAckReasonCode:
        nonlocal broken
        broken = broken or payload == b"poison"
        if broken:
            raise BrokerUnavailable("The connection to the broker broke.")
        return OK

    link.answer = answer
    sender = sender_of(platform, link)
    for _ in range(2 * LOSSES_MAX + 2):
        broken = False
        step(sender)
    assert states(platform) == ["failed", "sent", "sent", "sent"]
    for number in range(3):
        assert b"%d" % number in link.payloads


def test_one_that_cannot_be_sent_costs_only_itself(platform: App, device: Add, put: Put) -> None:
    lamp, link = device("lamp"), Link()
    number = put(lamp, b"x", secret=True)
    with platform.database.write() as connection:
        connection.execute(
            sa.update(downlinks).where(downlinks.c.id == number).values(payload=b"no token")
        )
    put(lamp, b"good")
    put(lamp, b"refused")
    link.answer = lambda payload: REFUSED if payload == b"refused" else OK
    step(sender_of(platform, link))
    assert states(platform) == ["failed", "sent", "waiting"]
    shown = platform.downlinks.of_device(SYSTEM, lamp)
    assert [one.error for one in shown] == [
        "The broker rejected it: not authorized.",
        "",
        "A sealed secret was made with another instance key.",
    ]


def test_what_never_left_is_no_loss(platform: App, device: Add, put: Put) -> None:
    link = Link()
    put(device("lamp"))

    def gone(_payload: bytes) -> PubAckReasonCode:
        raise NeverSent("gone")

    link.answer = gone
    sender = sender_of(platform, link)
    step(sender, LOSSES_MAX + 2)
    assert states(platform) == ["waiting"]
    link.answer = lambda _payload: OK
    step(sender)
    assert states(platform) == ["sent"]


# ---------------------------------------------------------------------- killed anywhere


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def dying(platform: App, at: int) -> Iterator[None]:
    """Statement number ``at`` is the last thing the process does; its transaction is lost."""
    seen = 0

    def before(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise Killed

    event.listen(platform.database.engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(platform.database.engine, "before_cursor_execute", before)


def test_killed_at_any_statement_nothing_is_lost(platform: App, device: Add, put: Put) -> None:
    lamp = device("lamp")
    statement, died = 0, True
    while died:
        statement += 1
        payloads = [b"%d-%d" % (statement, n) for n in range(2)]
        for payload in payloads:
            put(lamp, payload)
        link = Link()
        sender = sender_of(platform, link, lease_ms=-1)
        try:
            with dying(platform, statement):
                step(sender)
            died = False
        except Killed:
            pass
        again = Link()
        step(sender_of(platform, again, lease_ms=-1))
        assert set(states(platform)) == {"sent"}, statement
        sent = link.payloads + again.payloads
        for payload in payloads:
            assert 1 <= sent.count(payload) <= 2, (statement, sent)
        if not link.sent:
            assert sorted(sent) == payloads, "nothing had gone out, so nothing comes twice"
    assert statement > 8, "the step is longer than that"


# ---------------------------------------------------------------------- a real broker


def test_a_broker_that_is_away_delays_without_loss(
    platform: App,
    put: Put,
    device: Add,
    start_mosquitto: StartMosquitto,
    *,
    mqtt_client: ConnectClient,
) -> None:
    broker = start_mosquitto("max_packet_size 20000")
    lamp = device("lamp")
    sender = sender_of(platform)
    nowhere = replace(sender._endpoint, host="127.0.0.1", port=1)

    async def work() -> None:
        sender._endpoint = nowhere
        put(lamp, b"first")
        await sender.step()
        assert (states(platform), sender.link) == (["waiting"], None)
        assert "127.0.0.1:1" in sender.error
        sender._endpoint = replace(nowhere, port=broker.port)
        listener = await asyncio.to_thread(mqtt_client, broker.port)
        await asyncio.to_thread(listener.subscribe, "iotflow/devices/lamp/commands/control", qos=1)
        put(lamp, b"x" * 30_000)  # the broker ends the connection for it
        put(lamp, b"second")
        async with asyncio.timeout(30):
            while states(platform) != ["sent", "failed", "sent"]:
                await sender.step()
                await asyncio.sleep(0.05)
        arrived = {m.payload for m in listener.collect(2)}
        while len(arrived) < 2:  # one may have come twice
            arrived |= {m.payload for m in listener.collect()}
        assert arrived == {b"first", b"second"}
        await sender.close()

    asyncio.run(work())
