"""Devices on a map: none is lost, and a spot is where its devices are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.fleet.spots import (
    CELL,
    CLOSEST_ZOOM,
    POLAR_LATITUDE,
    STATES,
    Box,
    Position,
    around,
    degrees,
    fitting,
    on_map,
    spots,
)

latitudes, longitudes = st.floats(-POLAR_LATITUDE, POLAR_LATITUDE), st.floats(-180, 180)
zooms = st.integers(0, CLOSEST_ZOOM)
found = st.lists(
    st.builds(Position, st.floats(-90, 90), longitudes, st.sampled_from(STATES), st.just("a:d")),
    max_size=20,
)
few = settings(max_examples=50)


@few
@given(latitudes, longitudes, zooms)
def test_a_position_comes_back_from_the_map(latitude: float, longitude: float, zoom: int) -> None:
    x, y = on_map(latitude, longitude, zoom)
    assert 0 <= x <= 256 * 2**zoom and -1e-3 <= y <= 256 * 2**zoom + 1e-3
    assert degrees(x, y, zoom) == pytest.approx((latitude, longitude), abs=1e-6)


def test_the_middle_of_the_map_and_a_town() -> None:
    assert on_map(0, 0, 0) == pytest.approx((128, 128))
    # The tile 5/17/10 of every map of the web has Berlin on it.
    x, y = on_map(52.52, 13.405, 5)
    assert (int(x // 256), int(y // 256)) == (17, 10)


@few
@given(found, zooms)
def test_every_device_is_in_one_spot(positions: list[Position], zoom: int) -> None:
    drawn = spots(positions, zoom)
    assert sum(one.devices for one in drawn) == len(positions)
    assert [one.devices for one in drawn] == sorted((one.devices for one in drawn), reverse=True)
    for one in drawn:
        left, top = on_map(one.box.north, one.box.west, zoom)
        right, bottom = on_map(one.box.south, one.box.east, zoom)
        assert right - left <= 3 * CELL and bottom - top <= 3 * CELL
        members = [each for each in positions if one.box.holds(each)]
        worst = min(STATES.index(each.state) for each in members)
        assert STATES.index(one.state) >= worst and len(one.names) == min(5, one.devices)


def test_devices_on_both_sides_of_an_edge_are_one_spot() -> None:
    latitude, left = degrees(CELL * 10 - 1, CELL * 10.5, 5)
    _, right = degrees(CELL * 10 + 1, CELL * 10.5, 5)
    (one,) = spots([Position(latitude, x, "online", "a:d") for x in (left, right)], 5)
    assert one.devices == 2 and one.box == Box(left, latitude, right, latitude)


def test_a_spot_has_the_state_that_needs_attention_most() -> None:
    crowd = [Position(1, 1, state, "a:d") for state in ("online", "never_seen", "silent")]
    (one,) = spots(crowd, 4)
    assert (one.state, one.devices) == ("silent", 3)


@few
@given(found.filter(bool), st.floats(100, 1000), st.floats(100, 1000))
def test_a_box_fits_at_the_zoom_found_for_it(
    positions: list[Position], width: float, height: float
) -> None:
    box = around(positions)
    assert box is not None and all(box.holds(one) for one in positions)
    middle, zoom = fitting(box, width, height)
    left, top = on_map(box.north, box.west, zoom)
    right, bottom = on_map(box.south, box.east, zoom)
    assert zoom == 0 or (right - left <= width and bottom - top <= height)
    assert on_map(middle.latitude, middle.longitude, zoom) == pytest.approx(
        ((left + right) / 2, (top + bottom) / 2), abs=0.01
    )


def test_nothing_has_no_box_and_a_box_has_edges() -> None:
    assert around([]) is None
    box = Box(-10, -20, 10, 20)
    assert box.holds(Position(20, -10, "", "")) and not box.holds(Position(20.1, 0, "", ""))
