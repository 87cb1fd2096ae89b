"""Where devices are, on both databases: by the same filters as the list, each tenant its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.devices.model import NewDevice
from mooring.errors import Forbidden, MooringError, NotFound
from mooring.fleet import service as fleet
from mooring.fleet.model import Filter
from mooring.fleet.service import DeviceLists
from mooring.fleet.spots import Box
from mooring.groups.model import NewGroup
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.presence.states.machine import Record, State
from mooring.presence.states.store import pack
from mooring.settings import Settings
from mooring.store.schema import presence

ADA = Actor("ada", Role.VIEWER, "a")
PLACES = {
    "a:kiln": (52.5, 13.4),
    "a:lathe": (52.5, 13.4),
    "a:mill": (-33.9, 151.2),
    "a:oven": None,
    "b:forge": (0.0, 0.0),
}


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path / "data", database_url=migrated_url)) as app:
        for number, (reference, at) in enumerate(PLACES.items()):
            tenant, _, name = reference.partition(":")
            held = {"room": f"r{number}"} if at is None else {"position": at, "room": f"r{number}"}
            new = NewDevice(name, "mooring", tenant, groups=("g",), attributes=held)
            device = app.devices.add(SYSTEM, new)[0].device
            if name in ("kiln", "mill"):
                state = "silent" if name == "kiln" else "online"
                with app.database.write() as connection:
                    row = {
                        "device_id": device.id,
                        "state": state,
                        "record": pack(Record(State(state), since=1)),
                    }
                    connection.execute(sa.insert(presence).values(**row))
        app.devices.set_enabled(SYSTEM, "a:lathe", enabled=False)
        app.service(Groups).create(SYSTEM, NewGroup("south", "a", "room = r2"))
        yield app


def test_positions_of_a_list(platform: App) -> None:
    lists = platform.service(DeviceLists)
    found, more, without = lists.positions(ADA)
    assert [(one.device, one.state) for one in found] == [
        ("a:kiln", "silent"),
        ("a:lathe", "disabled"),
        ("a:mill", "online"),
    ]
    assert (found[2].latitude, found[2].longitude) == (-33.9, 151.2)
    assert (more, without) == (False, 1)
    assert len(lists.positions(SYSTEM)[0]) == 4


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(states=("silent",)), ["a:kiln"]),
        (Filter(where=("room = r1",)), ["a:lathe"]),
        (Filter(group="south"), ["a:mill"]),
        (Filter(group="g", search="ill"), ["a:mill"]),
        (Filter(where=("position = *",), states=("disabled",)), ["a:lathe"]),
        (Filter(where=("not position = *",)), []),
    ],
)
def test_positions_follow_every_filter(platform: App, wanted: Filter, names: list[str]) -> None:
    lists = platform.service(DeviceLists)
    assert [one.device for one in lists.positions(ADA, wanted)[0]] == names
    listed = lists.page(ADA, wanted).rows
    placed = [f"a:{row.device.name}" for row in listed if "position" in row.attributes]
    assert placed == names


def test_a_map_has_spots_of_its_box(platform: App, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = platform.service(DeviceLists)
    whole = lists.map(ADA, zoom=3)
    assert [(one.devices, one.state) for one in whole.spots] == [(2, "silent"), (1, "online")]
    assert (whole.placed, whole.shown, whole.without, whole.more) == (3, 3, 1, False)
    part = lists.map(ADA, zoom=3, box=Box(100, -50, 180, 0))
    assert [one.names for one in part.spots] == [("a:mill",)]
    assert (part.placed, part.shown) == (3, 1)
    monkeypatch.setattr(fleet, "POSITIONS_MAX", 2)
    assert lists.map(ADA).more and lists.map(ADA).placed == 2


def test_another_tenants_positions_are_not_there(platform: App) -> None:
    lists = platform.service(DeviceLists)
    with pytest.raises((Forbidden, NotFound)) as caught:
        lists.map(ADA, Filter(tenant="b"))
    assert isinstance(caught.value, MooringError)
    assert all(one.device.startswith("a:") for one in lists.positions(ADA)[0])
