"""Attributes in the database: set by people, searched, sorted and paged, on both engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from mooring.app import App, open_app
from mooring.devices.attributes import search_store, store
from mooring.devices.attributes.keys import key_of
from mooring.devices.attributes.model import Held, Source, document
from mooring.devices.attributes.query import order, terms
from mooring.devices.attributes.search_store import Place
from mooring.devices.attributes.service import Tags, version_of
from mooring.devices.model import NewDevice
from mooring.errors import Conflict, Forbidden, Invalid, NotFound, Outdated
from mooring.fleet.model import DeviceRow, Filter
from mooring.fleet.service import DeviceLists
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.store.schema import audit, device_attributes

ADA = Actor("ada", Role.OPERATOR, "a")


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path / "data", database_url=migrated_url)) as app:
        yield app


def add(platform: App, name: str, tenant: str = "a", **attributes: object) -> int:
    new = NewDevice(name, "pulse", tenant, attributes=attributes)
    return platform.devices.add(SYSTEM, new)[0].device.id


def values(platform: App, name: str) -> dict[str, Any]:
    return document(platform.attributes.of(SYSTEM, name)[1])


def test_a_person_sets_changes_and_removes(platform: App) -> None:
    number = add(platform, "one", type="plug")
    change = platform.attributes.change
    said = {"tags": ["a", "b"], "position": [1, 2], "max_packet": 256, "room": "hall", "type": None}
    _, held = change(ADA, "one", said, reason="moved")
    assert (
        document(held)
        == values(platform, "one")
        == {
            "tags": ["a", "b"],
            "position": {"lat": 1.0, "lon": 2.0},
            "max_packet": 256,
            "room": "hall",
        }
    )
    assert (held["room"].source, held["room"].actor) == (Source.PERSON, "ada")
    change(ADA, "one", {}, tags=Tags(add=("c",), remove=("A",)))
    assert values(platform, "one")["tags"] == ["b", "c"]
    change(ADA, "one", {}, tags=Tags(remove=("b", "c")))
    assert "tags" not in values(platform, "one")
    with platform.database.read() as connection:
        assert store.max_packets(connection, [number, number + 1]) == {number: 256}
        rows = connection.execute(
            sa.select(audit.c.actor, audit.c.subject, audit.c.reason)
            .where(audit.c.action == "device.attributes")
            .order_by(audit.c.id)
        ).all()
    assert rows[0] == ("ada", "a:one: tags, position, max_packet, room, type", "moved")
    assert len(rows) == 3


def test_nothing_new_writes_nothing(platform: App) -> None:
    add(platform, "one")
    platform.attributes.change(ADA, "one", {"room": "hall"})
    before = platform.attributes.of(ADA, "one")[1]
    platform.attributes.change(ADA, "one", {"room": "hall", "none": None})
    assert platform.attributes.of(ADA, "one")[1] == before
    with platform.database.read() as connection:
        statement = sa.select(sa.func.count()).where(audit.c.action == "device.attributes")
        assert connection.execute(statement).scalar_one() == 1


def test_a_version_that_has_moved_on_is_rejected(platform: App) -> None:
    add(platform, "one")
    old = version_of(platform.attributes.of(ADA, "one")[1])
    platform.attributes.change(ADA, "one", {"room": "hall"}, versions=[old])
    with pytest.raises(Outdated):
        platform.attributes.change(ADA, "one", {"room": "cellar"}, versions=[old])
    assert values(platform, "one") == {"room": "hall"}


def test_who_may(platform: App) -> None:
    add(platform, "one")
    add(platform, "two", "b")
    with pytest.raises(Forbidden):
        platform.attributes.change(Actor("v", Role.VIEWER, "a"), "one", {"room": "x"})
    with pytest.raises(NotFound):
        platform.attributes.change(ADA, "two", {"room": "x"})
    with pytest.raises(Invalid):
        platform.attributes.change(ADA, "one", {"room": ["x"]})
    most = platform.settings.attributes_max_per_device
    with pytest.raises(Conflict, match="limit"):
        platform.attributes.change(ADA, "one", {f"a{n}": n for n in range(most + 1)})
    assert values(platform, "one") == values(platform, "two") == {}


def test_a_removed_device_takes_them_along(platform: App) -> None:
    add(platform, "one", type="plug", tags=["a", "b"])
    platform.devices.remove(SYSTEM, "one")
    with platform.database.read() as connection:
        assert connection.execute(sa.select(device_attributes)).all() == []


# ------------------------------------------------------------------ lists

FLEET: list[dict[str, Any]] = [
    {"type": "plug", "floor": 3, "tags": ["a", "b"]},
    {"type": "Plug", "floor": 10, "tags": ["b"]},
    {"type": "lamp", "floor": "3"},
    {"floor": -1, "tags": ["c"]},
    {"type": "lamp", "floor": "attic", "tags": ["a"]},
    {},
    {"type": "plug", "tags": ["B"]},
    {"type": "zebra", "floor": 2.5},
]
WHERE = [
    "type=plug",
    "type!=lamp",
    "tag=b",
    "tag!=a",
    "floor=3",
    "floor=*",
    "type!=*",
    "floor=ATTIC",
]


@pytest.fixture
def fleet(platform: App) -> list[dict[str, Any]]:
    """Devices of tenant a, and the same again in tenant b, their numbers mixed."""
    for place, attributes in enumerate(FLEET):
        add(platform, f"d{place}", "a", **attributes)
        add(platform, f"e{place}", "b", **attributes)
    return FLEET


def holds(attributes: dict[str, Any], text: str) -> bool:
    (term,) = terms([text])
    value = attributes.get(term.name, ())
    keys = (
        {key_of(one) for one in (value if isinstance(value, list) else [value])}
        if value != ()
        else set()
    )
    return (bool(keys) if term.key is None else term.key in keys) is not term.negated


def expected(where: list[str], sort: str | None) -> list[str]:
    found = [place for place, one in enumerate(FLEET) if all(holds(one, text) for text in where)]
    if sort is not None:
        by = order(sort)

        def key(place: int) -> tuple[str, int] | None:
            value = FLEET[place].get(by.name)
            if value is None:
                return None
            keys = [key_of(one) for one in (value if isinstance(value, list) else [value])]
            return (max(keys) if by.descending else min(keys), place)

        have = [place for place in found if key(place) is not None]
        have.sort(key=lambda place: key(place) or ("", 0), reverse=by.descending)
        found = have + [place for place in found if key(place) is None]
    return [f"d{place}" for place in found]


def listed(
    platform: App,
    actor: Actor,
    where: Sequence[str] = (),
    sort: str | None = None,
    *,
    limit: int = 50,
    after: Place | int | None = None,
    **more: Any,
) -> list[DeviceRow]:
    wanted = Filter(where=tuple(where), **more)
    by = order(sort) if sort else None
    return (
        platform.service(DeviceLists).page(actor, wanted, order=by, after=after, limit=limit).rows
    )


def paged(
    platform: App, where: list[str], sort: str | None, size: int, by_number: bool
) -> list[str]:
    found: list[str] = []
    after: Place | int | None = None
    while True:
        page = listed(platform, ADA, where, sort, limit=size, after=after)
        found += [one.device.name for one in page]
        if len(page) < size:
            return found
        after = page[-1].device.id if by_number else page[-1].place


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    where=st.lists(st.sampled_from(WHERE), max_size=3),
    sort=st.sampled_from([None, "type", "-type", "floor", "-floor", "tag", "-tag"]),
    size=st.integers(1, 4),
    by_number=st.booleans(),
)
def test_pages_are_the_whole_list_in_its_order(
    *,
    platform: App,
    fleet: Any,
    where: list[str],
    sort: str | None,
    size: int,
    by_number: bool,
) -> None:
    assert paged(platform, where, sort, size, by_number) == expected(where, sort)


def test_lists_respect_the_wall(platform: App, fleet: Any) -> None:
    everything = listed(platform, SYSTEM, sort="type", limit=500)
    assert len(everything) == 2 * len(FLEET)
    of_b = listed(platform, SYSTEM, ["type=*"], limit=500, tenant="b")
    assert {one.device.tenant for one in of_b} == {"b"}
    with pytest.raises(NotFound):
        listed(platform, ADA, tenant="b")
    assert listed(platform, ADA, ["type=*"], dialect="mooring") == []
    one = listed(platform, ADA, sort="type", search="d4")
    assert [(o.device.name, document(o.attributes)["floor"]) for o in one] == [("d4", "attic")]


# ------------------------------------------------------------------ how they are read


def plans(database: Database, work: Any) -> list[str]:
    """How the database would run each question of ``work``, were its tables large."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    found = []
    with database.read() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(explain + statement, parameters).all()
            found.append("\n".join(str(row[-1]) for row in rows))
    return found


@pytest.mark.parametrize("actor", [ADA, SYSTEM], ids=["tenant", "all"])
@pytest.mark.parametrize(
    ("where", "sort"), [(["type=plug"], None), ([], "type"), (["tag=a"], "-floor")]
)
def test_no_list_reads_or_sorts_all_devices(
    platform: App, actor: Actor, where: list[str], sort: str | None
) -> None:
    """With 100,000 devices a page would cost as much as all of them."""
    after = Place(key_of("a"), 5) if sort else Place(None, 5)
    (first, *_) = plans(
        platform.database, lambda: listed(platform, actor, where, sort, after=after)
    )
    index = "ix_device_attributes_tenant" if actor.tenant else "ix_device_attributes_name"
    assert index in first, first
    assert "TEMP B-TREE" not in first
    assert "SCAN " not in first.replace("Index Scan", "").replace("Index Only Scan", ""), first
    assert "Sort" not in first


def test_the_list_of_a_tenant_is_read_in_its_order(platform: App) -> None:
    (first, *_) = plans(platform.database, lambda: listed(platform, ADA, after=5))
    assert "ix_devices_tenant" in first, first
    assert "TEMP B-TREE" not in first
    assert "Sort" not in first


def test_few_matches_are_sorted_alone(platform: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same list, whether its order or the condition is read from an index."""
    for place in range(9):
        add(platform, f"d{place}", type="plug" if place % 2 else "lamp", floor=place % 3)

    def names(limit: int) -> list[str]:
        page = listed(platform, ADA, ["type=plug"], "-floor", limit=limit)
        return [one.device.name for one in page]

    few = names(50)
    assert few == ["d5", "d7", "d1", "d3"]
    monkeypatch.setattr(search_store, "FEW", 1)
    assert names(50) == few
    assert names(2) == few[:2]


def test_one_change_costs_one_device(platform: App) -> None:
    """The number of statements does not depend on how many devices there are, and no index of
    devices has to follow."""
    add(platform, "one")
    with platform.database.read() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM device_changes").scalar()
    platform.attributes.change(ADA, "one", {"room": "hall"})
    with platform.database.read() as connection:
        after = connection.exec_driver_sql("SELECT count(*) FROM device_changes").scalar()
    assert after == before


def test_values_survive_as_they_are(platform: App) -> None:
    number = add(platform, "one")
    said: dict[str, Held] = {
        "a": Held("3", Source.DEVICE, 1),
        "b": Held(3, Source.IMPORT, 2, "ada"),
        "c": Held(2.5, Source.CLAIM, 3, "claim 1"),
        "d": Held(True, Source.REGISTRATION, 4),
        "e": Held('"\\ \N{GRINNING FACE}' * 30, Source.PERSON, 5, "ada"),
        "position": Held((-1.5, 2.25), Source.PERSON, 6),
        "tags": Held(("b", "ä"), Source.PERSON, 7),
    }
    with platform.database.write() as connection:
        store.insert_many(connection, [(number, "a", said)])
        assert store.of_device(connection, number) == said
