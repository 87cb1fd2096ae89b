"""Queries and selections in the database agree with Python, on both engines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from mooring.app import App, open_app
from mooring.devices import group_store
from mooring.devices.attributes.language import parse
from mooring.devices.attributes.query import terms
from mooring.devices.attributes.search_store import Search
from mooring.devices.model import NewDevice
from mooring.errors import Conflict, Invalid, MooringError, NotFound
from mooring.groups.selector import NAMES_MAX, Selector
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.store.schema import device_groups, device_state, groups, presence
from mooring.store.version_key import version_key
from tests.support.postgres import Postgres
from tests.support.querying import Known, naive

FLEET = [
    Known("P-1", "pulse", {"type": "pump", "tags": ["cellar", "old"]}, "1.4.0", "online"),
    Known("p-2", "pulse", {"type": "Pump", "tags": ["roof"]}, "1.10", "silent"),
    Known("P_3", "pulse", {"type": "pump", "floor": 3}, "1.4.0-rc1", "offline"),
    Known("x%y", "pulse", {"type": "lamp", "floor": "3"}, "v1.9", None, frozenset({"heat"})),
    Known("x[y]", "pulse", {"floor": -1}, "build-7", "online", frozenset({"heat", "east"})),
    Known("xay", "mooring", {"floor": "attic", "note": "50%_[a]*?"}, None, "never_seen"),
    Known("Änne", "mooring", {"on": True, "type": "t"}, "2", "flapping", enabled=False),
    Known("plain", "mooring"),
]

WORDS = st.sampled_from(
    [
        *(
            "type = pump",
            "type != pump",
            "type = *",
            "type != *",
            "tag = old",
            "tag in (old, roof)",
        ),
        *("floor = 3", "floor < 3", "floor <= 3", "floor > -2", "floor >= attic", "floor < b"),
        *("on = true", "firmware = 1.4", "firmware < 1.4.0", "firmware >= 1.4", "firmware > 1.9"),
        *("firmware = *", "firmware != *", "firmware < build-9", "firmware != 1.4.0"),
        *(
            "online",
            "offline",
            "not online",
            "presence = never_seen",
            "presence in (silent, flapping)",
        ),
        *("enabled", "disabled", "group = heat", "group != heat", "group = *", "group = none"),
        *("name = P-1", "name ~ p*", "name ~ ?-*", "name ~ 'x%y'", "name ~ 'x[y]'", "name ~ x_y"),
        *("name ~ x?y", "name !~ *1", "name ~ Ä*", "dialect = pulse", "dialect ~ *g"),
        *("type ~ p*", "type ~ '%'", "note ~ '50%_[a]*'", "note ~ '*[*'", "note ~ ?0*", "type ~ T"),
    ]
)
QUERIES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' or '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[App]:
    """The fleet in tenant a, and the same again in tenant b, their numbers mixed."""
    folder: Path = tmp_path_factory.mktemp("selector")
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), folder / "mooring.db")
        url = f"sqlite:///{folder / 'mooring.db'}"
    else:
        server: Postgres = request.getfixturevalue("postgres_server")
        url = request.getfixturevalue("migrated_postgres")
        server.empty_tables(url)
    with open_app(Settings(data_dir=folder / "data", database_url=url)) as app:
        for one in FLEET:
            for tenant, name in (("a", one.name), ("b", one.name), ("b", f"{one.name}2")):
                fill(app, one, tenant, name)
        yield app


def fill(app: App, one: Known, tenant: str, name: str) -> None:
    groups_of = tuple(sorted(one.groups))
    new = NewDevice(name, one.dialect, tenant, groups=groups_of, attributes=one.attributes)
    device = app.devices.add(SYSTEM, new)[0].device
    if not one.enabled:
        app.devices.set_enabled(SYSTEM, device.reference, enabled=False)
    with app.database.write() as connection:
        if one.firmware is not None:
            connection.execute(
                sa.insert(device_state).values(
                    device_id=device.id,
                    firmware=one.firmware,
                    firmware_key=version_key(one.firmware),
                )
            )
        if one.presence is not None:
            connection.execute(
                sa.insert(presence).values(device_id=device.id, state=one.presence, record="[]")
            )


@pytest.fixture
def connection(platform: App) -> Iterator[Connection]:
    with platform.database.read() as opened:
        yield opened


def names(platform: App, numbers: Any) -> list[str]:
    return [
        device.name
        for number in numbers
        if (device := platform.devices.numbered(SYSTEM, number)) is not None
    ]


@settings(max_examples=60, deadline=None)
@given(query=QUERIES, size=st.integers(1, 4))
def test_a_query_finds_what_it_says(platform: App, query: str, size: int) -> None:
    condition = parse(query)
    expected = [one.name for one in FLEET if naive(condition, one)]
    selector = Selector("a", where=query)
    with platform.database.read() as connection:
        assert selector.count(connection) == len(expected)
        found: list[int] = []
        while page := selector.page(connection, found[-1] if found else 0, size):
            found += page
        everywhere = Search(where=terms([query])).count(connection)
    assert names(platform, found) == expected
    twins = [Known(f"{one.name}2", *vars_of(one)) for one in FLEET]
    assert everywhere == 2 * len(expected) + sum(naive(condition, one) for one in twins)


def vars_of(one: Known) -> tuple[Any, ...]:
    return one.dialect, one.attributes, one.firmware, one.presence, one.groups, one.enabled


def test_all_names_and_groups(platform: App, connection: Connection) -> None:
    everything = Selector("a")
    assert everything.count(connection) == len(FLEET)
    assert names(platform, everything.page(connection, 0, 100)) == [one.name for one in FLEET]
    named = Selector("a", names=("xay", "P-1", "nobody", "P-12"))
    assert named.count(connection) == 2
    assert names(platform, named.page(connection, 0, 100)) == ["P-1", "xay"]
    assert names(platform, named.page(connection, named.page(connection, 0, 1)[0], 9)) == ["xay"]
    heat = Selector("a", group="heat")
    assert (heat.count(connection), str(heat)) == (2, "group heat")
    assert names(platform, heat.page(connection, 0, 100)) == ["x%y", "x[y]"]
    assert Selector("a", group="nothing").count(connection) == 0
    assert Selector("a", group="nothing").page(connection, 0, 9) == ()
    assert Selector("c").count(connection) == 0


def test_what_is_named_must_exist(connection: Connection) -> None:
    Selector("a", names=("xay",)).check(connection)
    Selector("a", group="heat").check(connection)
    for missing in (
        Selector("a", names=("xay", "P-12")),
        Selector("a", group="nothing"),
        Selector("c", group="heat"),
        Selector("c", names=("xay",)),
    ):
        with pytest.raises(NotFound):
            missing.check(connection)


def test_a_selector_is_a_value(connection: Connection) -> None:
    for one in (
        Selector("a"),
        Selector("a", names=("x", "y")),
        Selector("a", where="type = pump"),
        Selector("a", group="heat"),
    ):
        assert Selector.of_document(one.document()) == one
        assert str(one)
    for wrong in (
        {"where": "type ="},
        {"group": "a", "where": "online"},
        {"names": ("x",) * (NAMES_MAX + 1)},
    ):
        with pytest.raises(Invalid):
            Selector("a", **wrong)


@pytest.mark.parametrize(
    ("selector", "index"),
    [
        (Selector("a"), "ix_devices_tenant"),
        (Selector("a", where="type = pump and firmware < 1.4"), "ix_device_attributes_tenant"),
        (Selector("a", where="not online and (floor > 2 or tag = x)"), "ix_devices_tenant"),
        (Selector("a", where="group = heat and online"), "ix_device_groups_group_name"),
        (Selector("a", group="heat"), "ix_device_groups_group_name"),
        (
            Selector("a", names=("x", "y")),
            "sqlite_autoindex_devices_|_devices_tenant|ix_devices_name",
        ),
    ],
    ids=str,
)
def test_nothing_is_read_but_by_an_index(platform: App, selector: Selector, index: str) -> None:
    """With 100,000 devices a count would cost as much as all devices of all tenants."""
    for work in (selector.count, lambda connection: selector.page(connection, 3, 50)):
        for plan in plans(platform, work):
            assert "SCAN " not in scans(plan), plan
            assert "Seq Scan" not in plan, plan
        assert any(one in plan for one in index.split("|")), plan


def scans(plan: str) -> str:
    """Without the rows that the statement brings along."""
    return (
        "\n".join(
            line
            for line in plan.splitlines()
            if "VIRTUAL TABLE" not in line and "LIST SUBQUERY" not in line
        )
        .replace("Index Scan", "")
        .replace("Index Only Scan", "")
    )


def plans(platform: App, work: Any) -> list[str]:
    """How the database would run each question of ``work``, were its tables large."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    database = platform.database
    found = []
    with database.read() as connection:
        sa.event.listen(database.engine, "before_cursor_execute", note)
        try:
            work(connection)
        finally:
            sa.event.remove(database.engine, "before_cursor_execute", note)
        if not database.is_sqlite:
            for kind in ("seqscan", "hashjoin", "mergejoin", "bitmapscan"):
                connection.exec_driver_sql(f"SET LOCAL enable_{kind} = off")
            connection.exec_driver_sql(
                "UPDATE pg_class SET reltuples = 100000, relpages = greatest(relpages, 1)"
                " WHERE relname IN ('devices', 'uq_devices_mac_key_dialect_tenant')"
            )
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(explain + statement, parameters).all()
            found.append("\n".join(str(row[-1]) for row in rows))
    return found


# ------------------------------------------------------------------ members


@pytest.fixture
def undone(platform: App) -> Iterator[Connection]:
    """A transaction that leaves nothing behind."""

    class Undo(Exception):
        pass

    try:
        with platform.database.write() as connection:
            yield connection
            raise Undo  # noqa: TRY301 - out of the transaction
    except Undo:
        pass  # rolled back, as wanted


def test_members_come_and_go(undone: Connection) -> None:
    first, second = Selector("a", names=("P-1", "xay")).page(undone, 0, 9)
    group_store.ensure(undone, "a", ["new", "heat"], most=3, actor="ada")
    assert group_store.add_members(undone, [(first, "a", "new"), (second, "a", "new")]) == 2
    assert group_store.add_members(undone, [(first, "a", "new"), (second, "a", "heat")]) == 1
    assert group_store.members(undone, "a", "new", limit=9) == [first, second]
    assert group_store.members(undone, "a", "new", after=first, limit=9) == [second]
    assert group_store.drop_members(undone, "b", "new", [first]) == 0
    assert group_store.drop_members(undone, "a", "new", [first, 999]) == 1
    assert group_store.members(undone, "a", "new", limit=9) == [second]


def test_groups_come_into_being_within_the_limit(undone: Connection) -> None:
    group_store.ensure(undone, "a", ["one", "one", "heat"], most=3, actor="ada")
    found = group_store.find(undone, "a", ["one", "heat", "two"])
    assert {name: group.created_by for name, group in found.items()} == {
        "one": "ada",
        "heat": SYSTEM.name,
    }
    with pytest.raises(Conflict) as caught:
        group_store.ensure(undone, "a", ["two"], most=3, actor="ada")
    assert caught.value.slug == "limit_reached"
    undone.execute(sa.update(groups).where(groups.c.name == "one").values(query="online"))
    with pytest.raises(MooringError) as dynamic:
        group_store.ensure(undone, "a", ["one"], most=3, actor="ada")
    assert dynamic.value.slug == "group_is_dynamic"


def test_a_member_s_group_cannot_vanish(platform: App) -> None:
    with pytest.raises(sa.exc.IntegrityError), platform.database.write() as connection:
        connection.execute(sa.delete(groups).where(groups.c.name == "heat"))
    with platform.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(device_groups)).scalar()
