"""Batches of the sender that overlap: each message once, each device's in order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import pytest
import sqlalchemy as sa
from mqtt5 import PubAckReasonCode
from sqlalchemy import event

from mooring.commands.model import Command, NewCommand
from mooring.devices.model import Device
from mooring.downlink.gate import nudge_of
from mooring.downlink.live import worker
from mooring.downlink.protocol import Asked, Listening
from mooring.errors import DatabaseUnavailable
from mooring.identity.actor import SYSTEM
from mooring.store.schema import downlinks
from tests.integration.commands.conftest import OK, Link, OpenGate, Stand
from tests.support.waiting import wait_until

WAIT_SECONDS = 30.0  # a test that waits so long has failed


def commanded(stand: Stand, devices: Sequence[Device], each: int) -> list[Command]:
    orders = [(one, NewCommand(f"c{turn}")) for turn in range(each) for one in devices]
    with stand.app.database.write() as connection:
        made = stand.commands.create_many(connection, SYSTEM, orders)
    return [one for one in made if isinstance(one, Command)]


def send_all(stand: Stand) -> None:
    assert stand.sender._live is not None
    asyncio.run(stand.sender._live.send_all(lambda: True))


def sent_to(link: Link) -> dict[str, list[str]]:
    found = defaultdict(list)
    for topic, *_ in link.sent:
        device, _command, name = topic.split("/")[-3:]
        found[device].append(name)
    return dict(found)


class SlowLink(Link):
    """Its first answers come when another batch is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.another = asyncio.Event()

    async def deliver(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires: int, within: float
    ) -> PubAckReasonCode:
        self.sent.append((topic, payload, expires, retain))
        async with asyncio.timeout(WAIT_SECONDS):
            await self.another.wait()
        return OK


class NotedGate(OpenGate):
    """Open, and tells of the second question."""

    def __init__(self, link: SlowLink) -> None:
        super().__init__()
        self.link = link
        self.asked: list[list[int]] = []

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        self.asked.append([one.device_id for one in asked])
        if len(self.asked) > 1:
            self.link.another.set()
        return await super().listening(asked)


def test_the_next_batch_is_marked_while_one_is_under_way(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 4)
    every = [stand.device(f"lamp{n}") for n in range(10)]
    stand.link = link = SlowLink()
    stand.gate = gate = NotedGate(link)
    gate.usernames = {one.username for one in every}
    stand.sender = stand.new_sender()
    made = commanded(stand, every, 1)
    send_all(stand)
    assert not set(gate.asked[0]) & set(gate.asked[1]), "other devices than those under way"
    assert sent_to(link) == {one.name: ["c0"] for one in every}
    assert {stand.state(one) for one in made} == {"sent"}


def test_messages_of_a_device_are_never_in_two_batches_under_way(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 4)
    monkeypatch.setattr(worker, "LIVE_EACH", 2)
    every = [stand.device(f"lamp{n}") for n in range(3)]
    stand.gate.usernames = {one.username for one in every}
    made = commanded(stand, every, 7)
    for _ in range(3):  # devices that were left out have their turn with the next look
        send_all(stand)
    assert sent_to(stand.link) == {one.name: [f"c{n}" for n in range(7)] for one in every}
    assert {(one.state, one.attempts) for one in map(stand.now, made)} == {("sent", 1)}


def test_a_hint_saves_a_question_and_decides_nothing(stand: Stand) -> None:
    """What a nudge names is asked about while the database is. One that names another device, or
    a message that is not due, changes nothing."""
    lamp, lock = stand.device(), stand.device("lock")
    stand.gate = gate = NotedGate(SlowLink())
    gate.usernames = {lamp.username}
    stand.sender = stand.new_sender()
    to_lamp, to_lock = stand.send(lamp, "c0"), stand.send(lock, "c0")
    number = to_lock.downlink_id
    good = (to_lamp.downlink_id, lamp.id, lamp.username, to_lamp.topic)
    of_another = (number, lock.id, lamp.username, to_lock.topic)
    gone = (99, lamp.id, lamp.username, to_lamp.topic)
    ears = stand.sender._ears
    for payload in (nudge_of([good, of_another, gone]), b"no hints", b""):  # type: ignore[list-item]
        ears.nudged(payload)
    assert ears.take_poke()
    stand.step()
    assert sorted(map(sorted, gate.asked)) == [[lamp.id, lamp.id, lock.id], [lock.id]]
    assert (stand.state(to_lamp), stand.state(to_lock)) == ("sent", "queued")
    assert sent_to(stand.link) == {"lamp": ["c0"]}


def test_what_is_under_way_is_recorded_when_the_next_look_fails(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 2)
    every = [stand.device(f"lamp{n}") for n in range(4)]
    stand.gate.usernames = {one.username for one in every}
    made = commanded(stand, every, 1)
    live = stand.sender._live
    assert live is not None
    claim, calls = live._claim, []

    def failing(*given: object) -> object:
        calls.append(given)
        if len(calls) > 1:
            raise DatabaseUnavailable("It is away.", hint="Try again.")
        return claim(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(live, "_claim", failing)
    with pytest.raises(DatabaseUnavailable):
        send_all(stand)
    assert [stand.state(one) for one in made] == ["sent", "sent", "queued", "queued"]


def test_devices_that_do_not_listen_are_parked_with_one_statement(stand: Stand) -> None:
    every = [stand.device(f"lamp{n}") for n in range(40)]
    counted: dict[int, int] = {}
    for number in (2, 38):
        commanded(stand, [every.pop() for _ in range(number)], 1)
        seen: list[str] = []

        def noted(*given: object, seen: list[str] = seen) -> None:
            seen.append(str(given[2]))

        event.listen(stand.app.database.engine, "before_cursor_execute", noted)
        stand.step()
        event.remove(stand.app.database.engine, "before_cursor_execute", noted)
        counted[number] = len(seen)
        with stand.app.database.read() as connection:
            due = downlinks.c.next_at > downlinks.c.created_at
            parked = sa.select(sa.func.count()).where(downlinks.c.state == "queued", due)
            assert connection.execute(parked).scalar_one() == (2 if number == 2 else 40)
    assert counted[38] <= counted[2]


def test_a_run_begins_as_after_a_crash_of_the_database(stand: Stand) -> None:
    """Which may have forgotten what the broker answered to what this process had sent."""
    lamp = stand.device()
    stand.listens(lamp)
    stand.step()
    made = stand.send(lamp)
    with stand.app.database.write() as connection:
        sending = {"state": "sending", "attempts": 1, "sent_at": made.created_at}
        connection.execute(sa.update(downlinks).values(sending))
    assert stand.sender._begun

    async def run() -> None:
        sender = asyncio.create_task(stand.sender.run())
        try:
            sent = partial(wait_until, lambda: stand.state(made) == "sent", "the command")
            await asyncio.to_thread(sent, timeout=WAIT_SECONDS)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    asyncio.run(run())
    assert stand.link.sent == []
