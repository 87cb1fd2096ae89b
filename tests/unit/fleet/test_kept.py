"""Positions of large fleets are read once for several views."""

from __future__ import annotations

import pytest

from mooring.errors import NotFound
from mooring.fleet import kept as under_test
from mooring.fleet.kept import Found, KeptMaps
from mooring.fleet.model import Filter
from mooring.fleet.service import SPOTS_MAX
from mooring.fleet.spots import Box, Position, spots

FIRST = Filter()


class Reads:
    """A fleet of ``number`` devices, and how often it was read."""

    def __init__(self, number: int) -> None:
        self.number, self.times = number, 0

    def __call__(self) -> Found:
        self.times += 1
        found = [Position(n % 80, n % 170, "online", f"a:{n}") for n in range(self.number)]
        return Found(found, more=False, without=0)


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def maps(now: list[float]) -> KeptMaps:
    return KeptMaps(lambda: now[0])


def test_a_large_fleet_is_read_once_for_some_seconds(maps: KeptMaps, now: list[float]) -> None:
    reads = Reads(under_test.KEPT_FROM)
    found = maps.positions("a", FIRST, reads)
    now[0] += under_test.KEPT_SECONDS - 1
    assert maps.positions("a", FIRST, reads) is found
    now[0] += 2
    assert maps.positions("a", FIRST, reads) is not found
    assert reads.times == 2


def test_a_small_fleet_is_shown_as_it_is_now(maps: KeptMaps) -> None:
    reads = Reads(under_test.KEPT_FROM - 1)
    maps.positions("a", FIRST, reads)
    maps.positions("a", FIRST, reads)
    assert reads.times == 2 and len(maps) == 0


def test_another_tenant_or_filter_is_another_list(maps: KeptMaps) -> None:
    reads = Reads(under_test.KEPT_FROM)
    for tenant, wanted in (("a", FIRST), ("b", FIRST), (None, FIRST), ("a", Filter(search="x"))):
        maps.positions(tenant, wanted, reads)
    assert reads.times == 4


def test_what_fails_is_not_kept(maps: KeptMaps) -> None:
    def fails() -> Found:
        raise NotFound("There is no such group.")

    with pytest.raises(NotFound):
        maps.positions("a", FIRST, fails)
    reads = Reads(under_test.KEPT_FROM)
    assert maps.positions("a", FIRST, reads).positions and reads.times == 1


def test_the_oldest_lists_are_forgotten(maps: KeptMaps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "POSITIONS_MAX", 2 * under_test.KEPT_FROM)
    reads = Reads(under_test.KEPT_FROM)
    for tenant in ("a", "b", "c"):
        maps.positions(tenant, FIRST, reads)
    assert len(maps) == 2 * under_test.KEPT_FROM


def test_spots_of_a_part_are_kept_with_their_positions(
    maps: KeptMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = maps.positions("a", FIRST, Reads(under_test.KEPT_FROM))
    box = Box(0, 0, 10, 10)
    number, drawn = maps.spots("a", FIRST, found, box, 3)
    assert number == sum(box.holds(one) for one in found.positions)
    assert sum(one.devices for one in drawn) == number
    monkeypatch.setattr(under_test, "spots", lambda *_: pytest.fail("they were made again"))
    assert maps.spots("a", FIRST, found, box, 3) == (number, drawn)
    monkeypatch.undo()
    assert maps.spots("a", FIRST, found, None, 3)[0] == len(found.positions)
    # What no map shows is not kept.
    assert under_test.DRAWN_MAX == SPOTS_MAX + 1
    monkeypatch.setattr(under_test, "DRAWN_MAX", 3)
    assert maps.spots("a", FIRST, found, None, 18) == (
        len(found.positions),
        spots(found.positions, 18)[:3],
    )
    # Of other positions than those that are kept.
    assert maps.spots("a", FIRST, Found((), more=False, without=0), box, 3) == (0, [])
