"""Commands to many devices in one transaction, on both databases."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from mooring.commands.model import Command, NewCommand
from mooring.downlink.gate import WORK
from mooring.downlink.live import store as live_store
from mooring.errors import MooringError
from mooring.identity.actor import SYSTEM
from mooring.store import wake
from mooring.store.engine import now_ms
from mooring.store.schema import commands, downlinks
from tests.integration.commands.conftest import Stand

SDK = {"metadata": json.dumps({"sdk": "1.0"}), "metadata_at": 1}


def test_each_device_gets_its_own(stand: Stand) -> None:
    every = [stand.device(f"lamp{n}") for n in range(5)]
    stand.connection(every[2], connected=True, **SDK)
    orders = [(one, NewCommand("reboot", {"n": n})) for n, one in enumerate(every)]
    with stand.app.database.write() as connection:
        made = stand.commands.create_many(connection, SYSTEM, orders)
    for n, (device, one) in enumerate(zip(every, made, strict=True)):
        assert isinstance(one, Command)
        found = stand.now(one)
        assert found == one
        assert (found.device_id, found.parameters) == (device.id, {"n": n})
        assert found.delivery == ("at_least_once" if n == 2 else "at_most_once")
        with stand.app.database.read() as connection:
            topic, payload = connection.execute(
                sa.select(downlinks.c.topic, downlinks.c.payload).where(
                    downlinks.c.id == found.downlink_id
                )
            ).one()
        assert topic == f"mooring/a/lamp{n}/command/reboot"
        assert json.loads(payload)["id"] == found.uid
    for one in every:
        stand.listens(one)
    stand.step()
    assert [stand.state(one) for one in made if isinstance(one, Command)] == ["sent"] * 5


def test_an_order_that_fails_costs_no_other_one_anything(stand: Stand) -> None:
    lamp, full, away, gone = (stand.device(name) for name in ("lamp", "full", "away", "gone"))
    trap = stand.device("trap", "mousetrap", mac="AA:BB:CC:DD:EE:02")
    for n in range(19):
        stand.send(full, f"c{n}")
    first = stand.send(lamp, "known", uid="known")
    stand.app.devices.remove(SYSTEM, gone.reference)
    orders = {
        "new": (lamp, NewCommand("reboot")),
        "again": (lamp, NewCommand("known", uid="known")),
        "another": (lamp, NewCommand("other", uid="known")),
        "twin": (lamp, NewCommand("twin", uid="twin")),
        "twin again": (lamp, NewCommand("twin", uid="twin")),
        "bad name": (lamp, NewCommand("a/b")),
        "too large": (trap, NewCommand("blink", {"text": "x" * 256})),
        "twentieth": (full, NewCommand("reboot")),
        "one too many": (full, NewCommand("reboot")),
        "away": (away, NewCommand("reboot", now=True)),
        "gone": (gone, NewCommand("reboot")),
    }
    with stand.app.database.write() as connection:
        found = stand.commands.create_many(connection, SYSTEM, list(orders.values()))
    made = dict(zip(orders, found, strict=True))
    assert {name: one.slug for name, one in made.items() if isinstance(one, MooringError)} == {
        "another": "command_id_taken",
        "bad name": "invalid_command",
        "too large": "packet_too_large",
        "one too many": "limit_reached",
        "away": "device_not_connected",
        "gone": "device_not_found",
    }
    assert made["again"] == first
    assert made["twin again"] == made["twin"]
    with stand.app.database.read() as connection:
        count = sa.select(sa.func.count())
        rows = connection.execute(count.select_from(commands)).scalar_one()
        carriers = connection.execute(count.select_from(downlinks)).scalar_one()
    assert (rows, carriers) == (23, 23), "what fails leaves nothing, and no message without one"


def test_the_number_of_statements_does_not_grow_with_the_devices(stand: Stand) -> None:
    every = [stand.device(f"lamp{n}") for n in range(60)]
    counted: dict[int, int] = {}
    engine = stand.app.database.engine
    for number in (2, 60):
        seen: list[str] = []

        def noted(*given: object, seen: list[str] = seen) -> None:
            seen.append(str(given[2]))

        event.listen(engine, "before_cursor_execute", noted)
        with stand.app.database.write() as connection:
            orders = [(one, NewCommand("reboot")) for one in every[:number]]
            made = stand.commands.create_many(connection, SYSTEM, orders)
        event.remove(engine, "before_cursor_execute", noted)
        assert all(isinstance(one, Command) for one in made)
        counted[number] = len(seen)
    assert counted[60] <= counted[2]


def test_a_command_on_its_way_wakes_the_sender_alone(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every commit that wakes everybody costs each process some milliseconds."""
    rung: list[str] = []
    monkeypatch.setattr(wake, "ring", lambda folder, only="": rung.append(only))
    monkeypatch.setattr(stand.app.database, "wake_folder", stand.app.settings.data_dir)
    lamp = stand.device()
    stand.listens(lamp)
    stand.step()
    rung.clear()
    sent = stand.send(lamp)
    stand.step()
    assert stand.state(sent) == "sent"
    assert rung == [WORK]


def test_a_tenant_with_many_waiting_has_its_first_ones_looked_at(stand: Stand) -> None:
    """What a batch costs does not grow with what waits behind it; all are handed over, in order."""
    every = [stand.device(f"lamp{n}") for n in range(40)]
    orders = [(one, NewCommand(f"c{turn}")) for turn in range(10) for one in every]
    with stand.app.database.write() as connection:
        stand.commands.create_many(connection, SYSTEM, orders)
    stand.gate.usernames = {one.username for one in every}
    with stand.app.database.read() as connection:
        found = live_store.live_devices(connection, "a", now_ms(), 5)
    assert found == [one.id for one in every[:5]], "those that have waited longest"
    stand.step(6)
    sent: dict[str, list[str]] = {}
    for topic, *_ in stand.link.sent:
        device, _command, name = topic.split("/")[-3:]
        sent.setdefault(device, []).append(name)
    assert sent == {one.name: [f"c{turn}" for turn in range(10)] for one in every}
