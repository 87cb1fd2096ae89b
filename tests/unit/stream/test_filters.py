"""Which topics the broker is asked for."""

from __future__ import annotations

from mooring.dialects import load_all
from mooring.dialects.model import Kind
from mooring.stream.filters import LINGER_MS, Filters, filters_of, filters_within
from mooring.stream.model import KINDS, Wanted
from tests.unit.stream.making import device

DIALECTS = load_all(None).all()
TELEMETRY = frozenset({"telemetry"})


def test_a_named_device_needs_its_own_topics_alone() -> None:
    one = device(1, "home", "smarthome")
    wanted = Wanted("home", frozenset({1}), TELEMETRY)
    assert filters_of(wanted, DIALECTS, [one]) == {"smarthome/home/d1/telemetry"}


def test_a_tenant_needs_its_own_part_of_each_dialect_that_names_it() -> None:
    found = filters_of(Wanted("home", None, TELEMETRY), DIALECTS, [])
    assert "smarthome/home/+/telemetry" in found
    assert "smarthome/+/+/telemetry" not in found
    everywhere = filters_of(Wanted(None, None, TELEMETRY), DIALECTS, [])
    assert "smarthome/+/+/telemetry" in everywhere


def test_no_topic_on_which_the_platform_speaks_or_settings_are_reported() -> None:
    found = filters_of(Wanted(None, None, KINDS), DIALECTS, [])
    channels = [channel for dialect in DIALECTS for channel in dialect.channels]
    brought = {one.kind for one in channels if one.filter in found}
    assert {Kind.TELEMETRY, Kind.ALERT, Kind.REPLY} <= brought
    assert not brought & {Kind.COMMAND, Kind.CONFIG, Kind.CONFIG_REPORTED, Kind.SYSTEM}


def test_filters_are_counted_and_linger() -> None:
    filters = Filters()
    assert filters.take({"a", "b"})
    assert not filters.take({"a"})
    filters.confirmed(["a", "b"], 7)
    assert filters.since({"a", "b"}) == 7
    filters.give({"a", "b"}, 0)
    assert filters.used
    filters.give({"a"}, 0)
    assert (filters.used, sorted(filters.all())) == (False, ["a", "b"])
    assert not filters.take({"b"})  # it lingered
    assert filters.since({"b"}) == 7
    assert filters.expire(LINGER_MS)
    assert filters.all() == ["b"]
    assert filters.since({"a"}) is None


def test_a_lost_connection_ends_what_can_be_resumed() -> None:
    filters = Filters()
    filters.take({"a"})
    filters.confirmed(["a"], 3)
    filters.lost()
    assert filters.since({"a"}) is None
    filters.confirmed(["a"], 9)
    assert filters.since({"a"}) == 9


def test_a_change_is_told_once() -> None:
    filters = Filters()
    filters.take({"a", "b"})
    assert [sorted(some) for some in filters.changes()] == [["a", "b"], []]
    filters.take({"a", "c"})
    filters.give({"a", "b"}, 0)
    assert filters.changes() == (["c"], [])
    assert filters.expire(LINGER_MS)
    assert filters.changes() == ([], ["b"])
    filters.give({"a"}, LINGER_MS)
    assert filters.expire(2 * LINGER_MS)
    filters.take({"a"})  # before the broker was told that it is gone
    assert filters.changes() == (["a"], [])


def test_a_subscription_to_very_many_devices_takes_the_filters_of_all() -> None:
    devices = [device(n, "home", "smarthome") for n in range(1, 11)]
    wanted = Wanted("home", frozenset(range(1, 11)), TELEMETRY)
    assert len(filters_within(10, wanted, DIALECTS, devices)) == 10
    few = filters_within(9, wanted, DIALECTS, devices)
    assert few == filters_of(Wanted("home", None, TELEMETRY), DIALECTS, [])
