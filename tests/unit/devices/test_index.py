"""The index of devices, and what routing remembers, after any sequence of changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import Catalogue, load_all
from mooring.dialects.payload import PayloadLimits
from mooring.ingest.routing import Route, RouteTable, Unroutable

CATALOGUE = load_all(None)
# Smart home and mousetrap name the tenant in their topics, pulse and drivesafe do not.
DIALECTS = ("mooring", "smarthome", "mousetrap", "drivesafe", "unheard-of")
NAMES, MACS = ("a", "b"), (None, "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02")
TENANTS = ("default", "x")
TOPICS = [
    topic
    for tenant in TENANTS
    for word in (*NAMES, "AABBCCDDEE01", "aa:bb:cc:dd:ee:02")
    for topic in (
        f"mooring/{tenant}/{word}/telemetry",
        f"smarthome/{tenant}/{word}/telemetry",
        f"tenant/{tenant}/device/{word}/status",
        f"device/data/{word}",
    )
]
IDS = {
    (dialect.name, channel.name): number
    for number, (dialect, channel) in enumerate(
        ((d, c) for d in CATALOGUE.all() for c in d.channels), start=1
    )
}


def device(number: int, name: str, dialect: str, tenant: str, mac: str | None) -> Device:
    login = f"u{number}"
    return Device(number, tenant, name, "", dialect, mac, login, login, True, 0)


def table(index: DeviceIndex, catalogue: Catalogue = CATALOGUE) -> RouteTable:
    return RouteTable(catalogue, index, IDS, PayloadLimits())


def answer(routes: RouteTable, topic: str) -> tuple[Any, ...]:
    found: Route | Unroutable = routes.get(topic) or routes.find(topic)
    if isinstance(found, Unroutable):
        return (found.reason, found.stranger, found.tenant)
    return (found.device_id, found.channel_id, found.device.tenant, found.device.name)


numbers = st.integers(1, 4)
made = st.builds(
    device,
    numbers,
    st.sampled_from(NAMES),
    st.sampled_from(DIALECTS),
    st.sampled_from(TENANTS),
    st.sampled_from(MACS),
)
steps = st.lists(st.one_of(made, numbers), max_size=12)


def scoped(one: Device) -> tuple[Any, ...]:
    """What the database keeps apart: no two devices have it in common."""
    known = one.dialect in CATALOGUE.names()
    tenanted = known and CATALOGUE.get(one.dialect).tenanted
    return (one.dialect, one.tenant if tenanted else None)


def clashes(one: Device, there: dict[int, Device]) -> bool:
    return any(
        other.id != one.id
        and scoped(other) == scoped(one)
        and (other.name == one.name or (one.mac and other.mac == one.mac))
        for other in there.values()
    )


@settings(max_examples=150, deadline=None)
@given(steps=steps)
def test_like_one_that_was_made_afresh(steps: list[Device | int]) -> None:
    index = DeviceIndex(CATALOGUE)
    routes = table(index)
    there: dict[int, Device] = {}
    for step in steps:
        for topic in TOPICS:  # remembered, and to be forgotten where it matters
            answer(routes, topic)
        if isinstance(step, int):
            there.pop(step, None)
            index.drop(step)
        elif not clashes(step, there):
            there[step.id] = step
            index.put(step)
    afresh = table(DeviceIndex.of(there.values(), CATALOGUE))
    assert [answer(routes, topic) for topic in TOPICS] == [
        answer(afresh, topic) for topic in TOPICS
    ]
    known = {n for n, one in there.items() if one.dialect in CATALOGUE.names()}
    assert {n for n in range(1, 5) if index.by_id(n)} == known
    assert len(index) == len(known)


def test_a_change_costs_its_own_topics() -> None:
    index = DeviceIndex.of(
        (device(n, f"d{n}", "mooring", "x", None) for n in range(1, 1001)), CATALOGUE
    )
    routes = table(index)
    topics = [f"mooring/x/d{n}/{word}" for n in range(1, 1002) for word in ("telemetry", "status")]
    for topic in topics:
        routes.find(topic)
    index.put(device(1001, "d1001", "mooring", "x", None))
    index.put(replace(device(5, "d5", "mooring", "x", None), label="new", enabled=False))
    forgotten = [topic for topic in topics if routes.get(topic) is None]
    assert forgotten == ["mooring/x/d1001/telemetry", "mooring/x/d1001/status"]
    assert answer(routes, forgotten[0])[0] == 1001


def test_dialects_that_come_and_go() -> None:
    """A device is found once its dialect is there; devices of others keep their objects."""
    without = replace(
        CATALOGUE, dialects=tuple(d for d in CATALOGUE.all() if d.name != "smarthome")
    )
    here = device(1, "a", "mooring", "x", None)
    there = device(2, "a", "smarthome", "x", None)
    index = DeviceIndex.of([here, there], without)
    before = index.by_id(1)
    assert before is not None
    assert index.by_id(2) is None
    index.use(CATALOGUE)
    assert index.by_id(1) is before
    assert answer(table(index), "smarthome/x/a/telemetry")[0] == 2
    index.use(without)
    assert index.by_id(2) is None
    assert answer(table(index, without), "mooring/x/a/telemetry")[0] == 1
