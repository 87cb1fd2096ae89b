"""What devices answer to commands, through planner and sink, on each database."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from mqtt5 import PublishPacket

from mooring.commands import store
from mooring.commands.model import Command, Evidence
from mooring.commands.rules import State
from mooring.store.engine import Database
from mooring.store.schema import commands, counters, dead_letters, devices, downlinks, tenants
from tests.conformance.projections.conftest import OpenDesk
from tests.support.projecting import DEVICES, NOW, Desk, packet, registered

REPLY, OTHER_REPLY = "mooring/acme/a/reply", "mooring/rival/b/reply"
CLEARED = "tenant/acme/device/AA:BB:CC:DD:EE:01/alert_cleared"
LAMP, OTHER, TRAP = 1, 2, 4


@pytest.fixture(autouse=True)
def known_devices(database: Database) -> None:
    with database.write() as connection:
        for name in sorted({one.tenant for one in DEVICES}):
            connection.execute(sa.insert(tenants).values(name=name, created_at=1))
        for one in DEVICES:
            connection.execute(
                sa.insert(devices).values(
                    id=one.id,
                    tenant=one.tenant,
                    name=one.name,
                    scope=one.tenant,
                    dialect=one.dialect,
                    username=one.username,
                    client_id=one.client_id,
                    created_at=1,
                )
            )


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk(*registered())


def put(database: Database, uid: str, device: int = LAMP, **more: Any) -> int:
    values: dict[str, Any] = {
        "device_id": device,
        "tenant": "acme",
        "uid": uid,
        "channel": "command",
        "name": "reboot",
        "parameters": "{}",
        "actor": "ada",
        "topic": "t",
        "qos": 1,
        "delivery": "at_most_once",
        "replies": True,
        "state": "sent",
        "attempts": 1,
        "created_at": NOW - 9,
        "sent_at": NOW - 8,
        "expires_at": NOW + 9,
        "reply_timeout_ms": 60_000,
        "due_at": NOW + 60_000,
        "evidence": store.evidence_text([Evidence(NOW - 9, "queued", "person", "ada")]),
    }
    with database.write() as connection:
        return int(
            connection.execute(
                sa.insert(commands).values(values | more).returning(commands.c.id)
            ).scalar_one()
        )


def now(database: Database, number: int) -> Command:
    with database.read() as connection:
        found = store.one(connection, number)
    assert found is not None
    return found


def counted(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(
            connection.execute(sa.select(counters.c.value).where(counters.c.name == name)).scalar()
            or 0
        )


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"ok": True, "result": {"took_ms": 3}}, State.DONE),
        ({"ok": False, "error": "no power"}, State.FAILED),
        ({"status": "rejected"}, State.REJECTED),
        ({"status": "running"}, State.DELIVERED),
        ({}, State.DONE),
    ],
)
def test_a_reply_moves_its_command(
    database: Database, desk: Desk, said: dict[str, Any], state: State
) -> None:
    number = put(database, "c-1")
    other = put(database, "c-2")
    desk.batch([packet(REPLY, {"id": "c-1", **said})])
    found = now(database, number)
    assert found.state is state
    assert found.over == (state is not State.DELIVERED)
    assert found.evidence[-1].kind == "reply"
    assert found.evidence[-1].detail.endswith(said.get("error", ""))
    assert found.result == said.get("result")
    assert now(database, other).state is State.SENT
    if found.over:
        assert counted(database, f"commands_{state}") == 1


@pytest.mark.attack("answers another device's command")
def test_the_reply_of_another_device_changes_nothing(database: Database, desk: Desk) -> None:
    number = put(database, "c-1")
    desk.batch([packet(OTHER_REPLY, {"id": "c-1", "ok": True})])
    assert now(database, number).state is State.SENT
    with database.read() as connection:
        assert connection.execute(sa.select(dead_letters.c.id)).all() == []


@pytest.mark.parametrize("same_batch", [True, False], ids=["one-batch", "each-its-own"])
def test_steps_of_an_answer(database: Database, desk: Desk, *, same_batch: bool) -> None:
    number = put(database, "c-1")
    said = [{"status": "accepted"}, {"status": "running"}, {"status": "done"}, {"ok": False}]
    packets = [packet(REPLY, {"id": "c-1", **one, "n": n}) for n, one in enumerate(said)]
    if same_batch:
        desk.batch(packets)
    else:
        for one in packets:
            desk.batch([one])
    found = now(database, number)
    assert (found.state, found.late) == (State.DONE, False)
    assert [one.state for one in found.evidence] == ["queued", "delivered", "done"]
    assert counted(database, "commands_done") == 1


def test_a_reply_that_is_delivered_again_after_its_successor(
    database: Database, desk: Desk
) -> None:
    first = put(database, "c-1")
    reply = {"ts": NOW, "seq": 7, "id": "c-1", "ok": True}
    desk.batch([packet(REPLY, reply)])
    second = put(database, "c-2")
    done = now(database, first)
    desk.batch([packet(REPLY, reply), packet(REPLY, {"id": "c-2", "ok": True})], NOW + 5)
    desk.batch([packet(REPLY, reply)], NOW + 9)
    assert now(database, first) == done
    assert now(database, second).state is State.DONE
    assert counted(database, "commands_done") == 2


def test_a_late_reply_is_marked(database: Database, desk: Desk) -> None:
    timed_out = put(database, "c-1", state="timed_out", due_at=None, finished_at=NOW - 1)
    expired = put(database, "c-2", state="expired", due_at=None, finished_at=NOW - 1)
    desk.batch([packet(REPLY, {"id": uid, "ok": False}) for uid in ("c-1", "c-2", "never")])
    assert (now(database, timed_out).state, now(database, timed_out).late) == (State.FAILED, True)
    assert now(database, expired).state is State.EXPIRED


def test_an_answer_before_the_sender_has_recorded_anything(database: Database, desk: Desk) -> None:
    """What the device has answered is not sent to it any more."""
    with database.write() as connection:
        downlink = connection.execute(
            sa.insert(downlinks)
            .values(
                device_id=LAMP,
                tenant="acme",
                topic="t",
                qos=1,
                until="live",
                state="queued",
                created_at=1,
                next_at=1,
                expires_at=NOW * 2,
                origin="command",
            )
            .returning(downlinks.c.id)
        ).scalar_one()
    number = put(database, "c-1", state="queued", attempts=0, sent_at=None, downlink_id=downlink)
    desk.batch([packet(REPLY, {"id": "c-1", "ok": True})])
    found = now(database, number)
    assert (found.state, found.attempts) == (State.DONE, 1)
    with database.read() as connection:
        assert connection.execute(sa.select(downlinks.c.state)).scalar_one() == "confirmed"


def test_a_cleared_alert_is_the_effect_of_the_oldest_command(
    database: Database, desk: Desk
) -> None:
    shape = {"device": TRAP, "name": "alert_reset", "replies": False}
    first, second = (put(database, uid, done_when="alert_cleared", **shape) for uid in "ab")
    reboot = put(database, "c", TRAP, done_when="session", replies=False)
    foreign = put(database, "d", OTHER, done_when="alert_cleared", replies=False)
    later = put(database, "e", done_when="alert_cleared", sent_at=NOW + 99, **shape)
    desk.batch([packet(CLEARED, {"alert_type": "trap_triggered"})])
    assert now(database, first).state is State.DONE
    assert now(database, first).evidence[-1].detail == "alert_cleared: trap_triggered"
    desk.batch(
        [packet(CLEARED, {"alert_type": "other"}), packet(CLEARED, {"alert_type": "more"})], NOW + 1
    )
    assert now(database, second).state is State.DONE
    for number in (reboot, foreign, later):
        assert now(database, number).state is State.SENT


def test_a_cleared_alert_that_is_delivered_again_is_no_effect_of_the_next_command(
    database: Database, desk: Desk
) -> None:
    """It has no number of its own: what the broker repeats is recognised by its packet."""
    shape = {"device": TRAP, "name": "alert_reset", "replies": False, "done_when": "alert_cleared"}
    first = put(database, "a", **shape)
    cleared = packet(CLEARED, {"alert_type": "trap_triggered"}, number=77)
    plan = desk.plan([cleared])
    desk.commit(plan)
    desk.planner.ledger.committed(desk.planner.ledger.next_batch, plan.packets)  # as ingest does
    done = now(database, first)
    assert done.state is State.DONE
    second = put(database, "b", sent_at=NOW + 1, **shape)
    again = PublishPacket(
        cleared.topic, cleared.payload, qos=cleared.qos, packet_id=77, duplicate=True
    )
    desk.batch([again], NOW + 50)
    assert now(database, second).state is State.SENT
    assert now(database, first) == done
    desk.batch([packet(CLEARED, {"alert_type": "trap_triggered"})], NOW + 60)  # said again
    assert now(database, second).state is State.DONE


def test_what_a_reply_holds_is_bounded(database: Database, desk: Desk) -> None:
    number = put(database, "c-1")
    large = {f"k{n}": "x" * 900 for n in range(200)}
    desk.batch([packet(REPLY, {"id": "c-1", "ok": False, "error": "y" * 9_000, "result": large})])
    found = now(database, number)
    assert found.state is State.FAILED
    assert len(json.dumps(found.result)) < 10_000
    assert len(found.evidence[-1].detail) <= store.DETAIL_MAX
