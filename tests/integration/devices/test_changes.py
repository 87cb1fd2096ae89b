"""An index in one process follows changes that others make, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from mooring.app import App, open_app
from mooring.bulk.model import Entry
from mooring.devices import changes
from mooring.devices.following import AT_ONCE, follow
from mooring.devices.index import DeviceIndex
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings


@pytest.fixture
def app(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path, database_url=migrated_url)) as opened:
        yield opened


def followed(app: App, index: DeviceIndex) -> int:
    """The number of statements that it took."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(app.database.engine, "before_cursor_execute", note)
    try:
        for _ in follow(index, app.database):
            pass
    finally:
        event.remove(app.database.engine, "before_cursor_execute", note)
    return len([one for one in seen if one.startswith("SELECT")])


def names(index: DeviceIndex) -> set[str]:
    found = (index.by_id(number) for number in range(1, 2000))
    return {ref.name for ref in found if ref is not None}


def add(app: App, name: str) -> None:
    app.devices.add(SYSTEM, NewDevice(name, "mooring"))


def test_each_change_is_followed(app: App) -> None:
    index = DeviceIndex(app.catalogue)
    add(app, "a")
    followed(app, index)
    assert names(index) == {"a"}
    add(app, "b")
    app.devices.set_enabled(SYSTEM, "a", enabled=False)
    assert followed(app, index) <= 2 + 2 * 2
    assert names(index) == {"a", "b"}
    app.devices.remove(SYSTEM, "a")
    add(app, "c")
    followed(app, index)
    assert names(index) == {"b", "c"}
    assert followed(app, index) == 2  # nothing new


def test_one_change_costs_the_same_in_any_fleet(app: App) -> None:
    costs = []
    for fleet in (5, 2 * AT_ONCE + 5):
        entries = [Entry(n, NewDevice(f"d{fleet}-{n}", "mooring")) for n in range(fleet)]
        checked, wrong = app.bulk.check(SYSTEM, entries)
        assert wrong == []
        app.bulk.store(SYSTEM, checked)
        index = DeviceIndex(app.catalogue)
        followed(app, index)
        assert len(index) >= fleet
        add(app, f"one{fleet}")
        costs.append(followed(app, index))
    assert costs[0] == costs[1]


def test_one_that_is_far_behind_reads_everything(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    index = DeviceIndex(app.catalogue)
    add(app, "a")
    followed(app, index)
    monkeypatch.setattr(changes, "CHANGES_KEPT", 2)
    for name in "bcde":
        add(app, name)
    app.devices.remove(SYSTEM, "a")
    with app.database.read() as connection:
        assert changes.changed_since(connection, index.version).spans is None
        assert changes.changed_since(connection, changes.newest(connection) - 2).spans is not None
    followed(app, index)
    assert names(index) == set("bcde")
