"""Lists of devices: filters, order, pages, totals and counts, against a plain model in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from mooring.app import App, open_app
from mooring.devices.attributes.order_store import PRESENCE_ORDER
from mooring.devices.attributes.query import Place, order
from mooring.devices.attributes.terms import Problem
from mooring.devices.model import NewDevice
from mooring.errors import Invalid, NotFound
from mooring.fleet.model import STATES, CountBy, Filter, Listing
from mooring.fleet.service import DeviceLists
from mooring.groups.model import NewGroup
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.presence.states.machine import Record, State
from mooring.presence.states.store import pack
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.schema import (
    alerts,
    broker_events,
    certificates,
    dead_letters,
    device_settings,
    device_state,
    devices,
    presence,
    rotations,
    sequences,
)
from mooring.store.version_key import version_key

ADA = Actor("ada", Role.VIEWER, "a")
HOUR = 3_600_000


class Known(NamedTuple):
    """A device as the model has it; ``silent``: hours since its last message."""

    name: str
    tenant: str = "a"
    dialect: str = "pulse"
    label: str = ""
    groups: tuple[str, ...] = ()
    enabled: bool = True
    presence: str | None = None
    silent: int | None = None
    connected: bool | None = None
    address: str | None = None
    firmware: str | None = None
    problems: frozenset[Problem] = frozenset()
    room: str | None = None


P = Problem
FLEET = [
    Known("kiln", presence="online", silent=0, connected=True, address="10.4.2.17", firmware="1.9"),
    Known("lathe", presence="online", silent=1, connected=True, firmware="1.10", room="hall"),
    Known("mill", presence="silent", silent=30, connected=True, problems=frozenset({P.SILENT})),
    Known("oven", presence="offline", silent=30, connected=False, firmware="1.9", groups=("g",)),
    Known("press", label="Kitchen 50%", groups=("g", "h"), room="hall"),
    Known("saw", dialect="mooring", enabled=False, problems=frozenset({P.LOGIN})),
    Known(
        "drill", presence="flapping", silent=2, firmware="v1.9.0", problems=frozenset({P.SILENT})
    ),
    Known("crane", presence="updating", silent=2, connected=True, problems=frozenset({P.ALERT})),
    Known("belt", dialect="mooring", silent=5, connected=True, problems=frozenset({P.DENIED})),
    Known("anvil", presence="online", silent=0, problems=frozenset({P.MISSING, P.DEAD_LETTER})),
    Known("forge", tenant="b", presence="silent", silent=9, problems=frozenset({P.SILENT})),
    Known("crane", tenant="b", firmware="2.0", groups=("g",), problems=frozenset({P.ROTATION})),
    Known("hoist", tenant="b", room="hall", problems=frozenset({P.CERTIFICATE, P.SETTINGS})),
]


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path / "data", database_url=migrated_url)) as app:
        numbers = []
        for known in FLEET:
            new = NewDevice(
                *(known.name, known.dialect, known.tenant, known.label),
                groups=known.groups,
                attributes={} if known.room is None else {"room": known.room},
            )
            numbers.append(app.devices.add(SYSTEM, new)[0].device)
        with app.database.write() as connection:
            for known, device in zip(FLEET, numbers, strict=True):
                tell(connection, known, device.id, device.username)
        for tenant in ("a", "b"):
            dynamic = NewGroup("dyn", tenant, "room = hall and not presence = online")
            app.service(Groups).create(SYSTEM, dynamic)
        yield app


def tell(connection: sa.Connection, known: Known, number: int, username: str) -> None:
    """What the platform has stored of such a device."""
    now = now_ms()
    connection.execute(
        sa.update(devices)
        .where(devices.c.id == number)
        .values(created_at=now - 100 * HOUR, enabled=known.enabled)
    )
    if (known.silent, known.connected, known.firmware, known.address) != (None,) * 4:
        values = {
            "device_id": number,
            "last_seen_at": None if known.silent is None else now - known.silent * HOUR - 60_000,
            "connected": known.connected,
            "address": known.address,
            "firmware": known.firmware,
            "firmware_key": None if known.firmware is None else version_key(known.firmware),
        }
        connection.execute(sa.insert(device_state).values(values))
    if known.presence is not None:
        record = Record(state=State(known.presence), since=now - HOUR)
        connection.execute(
            sa.insert(presence).values(
                device_id=number, state=known.presence, record=pack(record), interval_ms=10_000
            )
        )
    for problem in known.problems:
        for row in _rows(problem, number, username, now):
            connection.execute(row)


def _rows(problem: Problem, number: int, username: str, now: int) -> list[Any]:
    certificate = {
        "username": username,
        "device_id": number,
        "fingerprint": "x",
        "authority": "x",
        "key_type": "x",
        "not_before": 1,
        "issued_at": 1,
        "pem": "x",
        "own_key": True,
    }
    event_ = {"at": now, "username": username, "detail": ""}
    made: dict[Problem, Callable[[], list[Any]]] = {
        Problem.ALERT: lambda: [
            sa.insert(alerts).values(
                key=f"k{number}",
                device_id=number,
                source="device",
                name="n",
                severity=1,
                state="raised",
                raised_at=1,
                updated_at=1,
            )
        ],
        Problem.LOGIN: lambda: [
            sa.insert(broker_events).values(event="connected", **event_),
            sa.insert(broker_events).values(event="refused", **event_),
        ],
        Problem.DENIED: lambda: [
            sa.insert(broker_events).values(event="refused", **event_),
            sa.insert(broker_events).values(event="denied_publish", **event_),
        ],
        Problem.DEAD_LETTER: lambda: [
            sa.insert(dead_letters).values(
                received_at=now,
                reason="x",
                detail="",
                topic="t",
                device_id=number,
                size=1,
                payload=b"",
            )
        ],
        Problem.MISSING: lambda: [
            sa.insert(sequences).values(device_id=number, upto=1, gap_since=1)
        ],
        Problem.ROTATION: lambda: [
            sa.insert(rotations).values(
                id=f"r{number}",
                device_id=number,
                phase="sent",
                actor="x",
                created_at=now - HOUR,
                old_created_at=1,
            )
        ],
        Problem.CERTIFICATE: lambda: [
            sa.insert(certificates).values(serial="aa", not_after=now + HOUR, **certificate)
        ],
        Problem.SETTINGS: lambda: [
            sa.insert(device_settings).values(device_id=number, state="refused")
        ],
        Problem.SILENT: list,
    }
    return made[problem]()


# ---------------------------------------------------------------------- the model


def state_holds(known: Known, state: str) -> bool:
    own = {
        "connected": known.connected is True,
        "disconnected": known.connected is not True,
        "enabled": known.enabled,
        "disabled": not known.enabled,
    }
    return own.get(state, (known.presence or "never_seen") == state)


def matches(known: Known, wanted: Filter) -> bool:
    text = wanted.search.lower()
    words = (known.name, known.label, known.address or "", username(known))
    in_dynamic = known.room == "hall" and known.presence != "online"
    silent = 100 if known.silent is None else known.silent
    version = None if known.firmware is None else version_key(known.firmware)
    return all(
        (
            wanted.tenant in (None, known.tenant),
            wanted.dialect in (None, known.dialect),
            not text or any(text in word.lower() for word in words),
            not wanted.where or known.room == "hall",
            not wanted.states or any(state_holds(known, one) for one in wanted.states),
            not wanted.firmware
            or version in {version_key(one) if one else None for one in wanted.firmware},
            wanted.group is None
            or (wanted.group in known.groups if wanted.group != "dyn" else in_dynamic),
            wanted.silent_ms is None or silent * HOUR >= wanted.silent_ms,
            not wanted.problems
            or any(
                one in known.problems or (one == "any" and known.problems)
                for one in wanted.problems
            ),
        )
    )


def username(known: Known) -> str:
    return f"{known.tenant}/{known.name}" if known.dialect == "pulse" else ""


def expected(wanted: Filter, sort: str | None) -> list[str]:
    """Tenant and name of each device, in the order of the list."""
    found = [place for place, known in enumerate(FLEET) if matches(known, wanted)]
    if sort is not None:
        name = sort.removeprefix("-")

        def key(place: int) -> Any:
            known = FLEET[place]
            match name:
                case "added":
                    return place
                case "presence":
                    return PRESENCE_ORDER.index(known.presence or "never_seen")
                case "last_seen_at":
                    return None if known.silent is None else -known.silent
                case "firmware":
                    return None if known.firmware is None else version_key(known.firmware)
            return getattr(known, name)

        have = [place for place in found if key(place) is not None]
        have.sort(key=lambda place: (key(place), place), reverse=sort.startswith("-"))
        if name == "last_seen_at":
            have = sorted(have, key=lambda place: _seen(place, sort))
        found = have + [place for place in found if key(place) is None]
    return [f"{FLEET[place].tenant}:{FLEET[place].name}" for place in found]


def _seen(place: int, sort: str) -> Any:
    """Devices that were heard in the same hour were told apart by when they were added."""
    hours = FLEET[place].silent or 0
    return (hours, -place) if sort.startswith("-") else (-hours, place)


def paged(lists: DeviceLists, wanted: Filter, sort: str | None, size: int) -> tuple[list[str], int]:
    found: list[str] = []
    after, total = None, -1
    while True:
        page = lists.page(
            SYSTEM,
            wanted,
            order=order(sort) if sort else None,
            after=after,
            limit=size,
            total=after is None,
        )
        if after is None:
            assert page.total is not None
            total = page.total
        found += [f"{one.device.tenant}:{one.device.name}" for one in page.rows]
        if not page.more:
            return found, total
        after = page.rows[-1].place


filters = st.builds(
    Filter,
    tenant=st.sampled_from([None, None, "a", "b"]),
    dialect=st.sampled_from([None, None, "mooring"]),
    search=st.sampled_from(["", "", "", "CR", "kitchen", "50%", "_", "10.4", "l"]),
    where=st.sampled_from([(), (), ("room = hall",)]),
    states=st.lists(st.sampled_from(STATES), max_size=2).map(tuple),
    firmware=st.lists(st.sampled_from(["1.9", "1.10", ""]), max_size=2).map(tuple),
    silent_ms=st.sampled_from([None, None, HOUR, 3 * HOUR, 50 * HOUR]),
    problems=st.lists(st.sampled_from(["any", *Problem]), max_size=2).map(tuple),
)
ORDERS = ("added", "name", "dialect", "firmware", "presence", "last_seen_at")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    wanted=filters,
    sort=st.sampled_from([None, *ORDERS, *(f"-{one}" for one in ORDERS)]),
    size=st.integers(1, 5),
    by=st.sampled_from(CountBy),
    group=st.sampled_from([None, None, None, "g", "h", "dyn"]),
)
def test_pages_totals_and_counts_are_those_of_the_model(
    *, platform: App, wanted: Filter, sort: str | None, size: int, by: CountBy, group: str | None
) -> None:
    if group is not None and not (group == "h" and wanted.tenant == "b"):
        wanted = Filter(
            *(wanted.tenant or "a", wanted.dialect, wanted.search, wanted.where, wanted.states),
            *(wanted.firmware, group, wanted.silent_ms, wanted.problems),
        )
    lists = platform.service(DeviceLists)
    names = expected(wanted, sort)
    assert paged(lists, wanted, sort, size) == (names, len(names))
    found = {one.value: one.devices for one in lists.counts(SYSTEM, by, wanted)}
    chosen = [known for known in FLEET if matches(known, wanted)]
    assert found == Counter(value for known in chosen for value in values(known, by))
    tenant = wanted.tenant or "a"
    with platform.database.read() as connection:
        selected = lists.selector(SYSTEM, tenant, wanted).page(connection, 0, 500)
        named = connection.execute(
            sa.select(devices.c.name).where(devices.c.id.in_(selected)).order_by(devices.c.id)
        ).scalars()
        assert list(named) == [k.name for k in chosen if k.tenant == tenant]


def values(known: Known, by: CountBy) -> list[str | None]:
    match by:
        case CountBy.FIRMWARE:
            return [known.firmware]
        case CountBy.GROUP:
            return [*known.groups] or [None]
        case CountBy.PRESENCE:
            return [known.presence or "never_seen"]
    return [getattr(known, str(by))]


def test_each_row_says_what_is_wrong(platform: App) -> None:
    page = platform.service(DeviceLists).page(SYSTEM, limit=500)
    for row, known in zip(page.rows, FLEET, strict=True):
        assert (row.device.name, frozenset(row.problems)) == (known.name, known.problems)
        assert row.presence == (known.presence or "never_seen")
        assert (row.connected, row.address, row.firmware) == (
            known.connected,
            known.address,
            known.firmware,
        )
        assert (row.last_seen_at is None) == (known.silent is None)
        assert (row.presence_since is None) == (known.presence is None)


def test_a_page_does_not_read_the_newest_rows_of_all_devices(platform: App) -> None:
    """What the broker reported and what was not understood has up to a million rows each."""
    database = platform.database
    if not database.is_sqlite:
        pytest.skip("the plan depends on how many rows there are")
    asked = asked_by(database, lambda: platform.service(DeviceLists).page(ADA))
    with database.read() as connection:
        plans = [
            str(row[-1])
            for text, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    read = [one for one in plans if "broker_events" in one or "dead_letters" in one]
    assert len(read) == 3
    assert all(one.startswith("SEARCH ") for one in read), read


def test_a_problem_that_is_over_is_none(platform: App) -> None:
    lists = platform.service(DeviceLists)
    with platform.database.write() as connection:
        connection.execute(sa.update(alerts).values(cleared_at=1))
        connection.execute(sa.update(rotations).values(finished_at=1))
        connection.execute(sa.update(dead_letters).values(received_at=1))
        connection.execute(sa.update(sequences).values(gap_since=None))
        connection.execute(sa.update(certificates).values(revoked_at=1))
        connection.execute(sa.update(device_settings).values(state="in_sync"))
        connection.execute(sa.update(presence).values(state="online"))
        now = now_ms()
        for name in ("saw", "belt"):
            username = lists.page(SYSTEM, Filter(search=name)).rows[0].device.username
            connection.execute(
                sa.insert(broker_events).values(at=now, event="connected", username=username)
            )
    assert lists.page(SYSTEM, Filter(problems=("any",))).rows == []


def test_what_others_have_is_not_there(platform: App) -> None:
    lists = platform.service(DeviceLists)
    assert {row.device.tenant for row in lists.page(ADA, limit=500).rows} == {"a"}
    assert lists.page(ADA, Filter(search="hoist"), total=True).total == 0
    assert [one.value for one in lists.counts(ADA, CountBy.TENANT)] == ["a"]
    for work in (
        lambda: lists.page(ADA, Filter(tenant="b")),
        lambda: lists.counts(ADA, CountBy.GROUP, Filter(tenant="b")),
        lambda: lists.selector(ADA, "b", Filter(tenant="b")),
        lambda: lists.page(ADA, Filter(group="none")),
    ):
        with pytest.raises(NotFound):
            work()


def test_a_cursor_that_somebody_made_up_is_rejected(platform: App) -> None:
    lists = platform.service(DeviceLists)
    for name in ("last_seen_at", "presence"):
        for key in ("x", "9" * 40, ""):
            with pytest.raises(Invalid):
                lists.page(SYSTEM, order=order(name), after=Place(key, 1))


def asked_by(database: Database, work: Callable[[], object]) -> list[tuple[str, Any]]:
    """The statements that read, with their values."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    return asked


def test_a_page_costs_as_many_statements_however_long_it_is(platform: App) -> None:
    lists = platform.service(DeviceLists)

    def cost(limit: int, sort: str | None = None) -> int:
        by = order(sort) if sort else None
        found: list[Listing] = []
        asked = asked_by(
            platform.database,
            lambda: found.append(lists.page(SYSTEM, order=by, limit=limit, total=True)),
        )
        assert len(found[0].rows) == min(limit, len(FLEET))
        return len(asked)

    assert cost(2) == 7
    assert cost(10) == 7
    assert cost(len(FLEET)) == 6  # counted already
    assert cost(10, "name") == 7
    assert cost(10, "last_seen_at") <= 8
    assert cost(10, "presence") <= 6 + len(PRESENCE_ORDER)
