"""Attributes that devices report of themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.devices.attributes import store
from mooring.devices.attributes.merge import Room
from mooring.devices.attributes.model import Held, Source, document
from mooring.dialects.payload import PayloadLimits
from mooring.presence.reported import REFUSED, ReportedAttributes
from mooring.store.engine import Database
from mooring.store.schema import counters, device_attributes, devices
from tests.conformance.projections.conftest import OpenDesk
from tests.support.projecting import NOW, Desk, add_devices, packet

OWN, BOILER = "mooring/acme/a/status", "iotflow/discovery/register/boiler"
ROOM = Room(6, 3)


@pytest.fixture
def desk(database: Database, open_desk: OpenDesk) -> Desk:
    add_devices(database)
    return open_desk(ReportedAttributes(PayloadLimits(), ROOM))


def held(database: Database, number: int = 1) -> dict[str, Held]:
    with database.read() as connection:
        return store.of_device(connection, number)


def refused(database: Database) -> int:
    with database.read() as connection:
        statement = sa.select(counters.c.value).where(counters.c.name == REFUSED)
        return int(connection.execute(statement).scalar() or 0)


def status(**about: object) -> Any:
    return packet(OWN, {"online": True, "meta": about})


def test_a_status_names_attributes_with_a_meaning_only(database: Database, desk: Desk) -> None:
    said = {
        "type": "pump",
        "board": "r3",
        "tags": ["a"],
        "timeZone": "UTC",
        "maxPacket": 256,
        "location": {"lat": 1, "lon": 2},
        "rssi": -60,
        "ip": "10.0.0.1",
    }
    desk.batch([status(**said)])
    assert document(held(database)) == {
        "type": "pump",
        "hardware": "r3",
        "tags": ["a"],
        "timezone": "UTC",
        "position": {"lat": 1.0, "lon": 2.0},
        "max_packet": 256,
    }
    assert {one.source for one in held(database).values()} == {Source.DEVICE}
    assert {one.at for one in held(database).values()} == {NOW}
    assert refused(database) == 0


def test_a_registration_also_brings_free_ones(database: Database, desk: Desk) -> None:
    said = {
        "device_id": "boiler",
        "device_type": "boiler",
        "firmware_version": "1",
        "room": "cellar",
        "kw": 12.5,
        "gas": True,
        "deep": {"a": 1},
        "timestamp": "2026-01-01T00:00:00Z",
        "b c": 1,
    }
    desk.batch([packet(BOILER, said)])
    found = held(database, 5)
    assert (
        document(found) == {"type": "boiler", "deep.a": 1, "gas": True, "kw": 12.5}
        or len(found) == 1 + ROOM.reported
    )
    assert found["type"] == Held("boiler", Source.REGISTRATION, NOW)
    assert "firmware_version" not in found
    assert refused(database) == 2  # one name is not valid, and for one no room is left


def test_what_a_person_said_stays(database: Database, desk: Desk) -> None:
    own = {"type": Held("valve", Source.PERSON, 1, "ada"), "tags": Held(("x",), Source.CLAIM, 1)}
    with database.write() as connection:
        store.insert_many(connection, [(1, "acme", own)])
    desk.batch([status(type="pump", tags=["y"], board="r3")])
    assert document(held(database)) == {"type": "valve", "hardware": "r3", "tags": ["x"]}


def test_a_value_that_is_not_valid_costs_itself(database: Database, desk: Desk) -> None:
    wrong = {
        "type": 1,
        "board": "x" * 500,
        "tags": [["a"]],
        "timezone": "Mars",
        "max_packet": -1,
        "position": {"lat": 1e300, "lon": None},
    }
    answer = desk.batch([status(**wrong), status(type="pump")])
    assert answer.stored == 2
    assert document(held(database)) == {"type": "pump"}
    assert refused(database) == len(wrong)


def test_reports_cannot_fill_the_table(database: Database, desk: Desk) -> None:
    """However many names a device makes up, its rows stay bounded, and others' untouched."""
    for batch in range(3):
        desk.batch(
            [packet(BOILER, {f"n{batch}-{number}": number}) for number in range(20)], NOW + batch
        )
        desk.batch([status(tags=[f"t{batch}-{number}" for number in range(32)])], NOW + batch)
    with database.read() as connection:
        rows = connection.execute(
            sa.select(device_attributes.c.device_id, sa.func.count())
            .group_by(device_attributes.c.device_id)
            .order_by(device_attributes.c.device_id)
        ).all()
    assert [tuple(row) for row in rows] == [(1, 32), (5, ROOM.reported)]
    assert refused(database) == 60 - ROOM.reported


def test_an_unchanged_report_writes_nothing(database: Database, desk: Desk) -> None:
    desk.batch([status(type="pump", tags=["a", "b"])])
    before = held(database)
    desk.batch([status(type="pump", tags=["b", "a"])], NOW + 5)
    assert held(database) == before


def test_a_device_that_is_gone_costs_nothing(database: Database, desk: Desk) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(devices).where(devices.c.id == 1))
    assert desk.batch([status(type="pump")]).stored == 1
    assert held(database) == {}


def test_a_registration_is_answered(database: Database, desk: Desk) -> None:
    """Once a batch, also if it says nothing else; not for what the broker had kept."""
    said = {"device_id": "boiler", "timestamp": "2026-01-01T00:00:00Z"}
    effects = desk.batch([packet(BOILER, said), packet(BOILER, said)]).effects
    assert [one.topic for one in effects] == ["iotflow/discovery/response/boiler"]
    answer = json.loads(effects[0].payload)
    assert answer["device_id"] == "boiler"
    assert answer["status"] == "registered"
    assert answer["timestamp"].endswith("Z")
    assert not desk.batch([packet(BOILER, said, retain=True)]).effects
    assert not desk.batch([status(type="pump")]).effects
