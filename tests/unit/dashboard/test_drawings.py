"""Drawings hold what they are given, escaped, at the places where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from mooring.dashboard import drawings
from mooring.dashboard.drawings import Dot, Flow, Span, View, Wave
from mooring.dashboard.drawings.coast import COASTS
from mooring.dashboard.drawings.sankey import NODES_MAX, TALL
from mooring.dashboard.drawings.svg import clean, number, shortened
from mooring.fleet.spots import Position, Spot, spots

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "{{ 7 * 7 }}",
    "</svg><script>alert(1)</script>",
    "]]><!--",
    "\u202egnp.exe",
    "\x00\x1b[31m\ufeff\ud800",
    "&lt;b&gt;&amp;",
    "x" * 300,
)
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
floats = st.floats(allow_nan=True, allow_infinity=True)
few = settings(max_examples=25)
NUMBERS = {"x", "y", "width", "height", "cx", "cy", "r", "x1", "x2", "y1", "y2"}


def parsed(svg: Markup) -> Xml.Element:
    """Reads a drawing as XML, and checks what holds for each."""
    assert isinstance(svg, Markup)
    root = Xml.fromstring(svg)  # noqa: S314 - ours
    assert root.tag == "svg" and root.get("role") == "img" and "aria-label" in root.attrib
    for one in root.iter():
        assert one.tag in {
            *("svg", "g", "a", "title", "text", "rect", "circle", "path", "line"),
            *("polyline", "polygon", "image"),
        }
        for name, value in one.attrib.items():
            assert name != "style" and not name.startswith("on")
            if name in NUMBERS:
                assert re.fullmatch(r"-?\d+(\.\d{1,2})?", value), (one.tag, name, value)
    return root


def boxes(root: Xml.Element, css: str) -> list[tuple[float, float, float, float]]:
    return [
        tuple(float(one.attrib[key]) for key in ("x", "y", "width", "height"))  # type: ignore[misc]
        for one in root.iter("rect")
        if css in one.get("class", "").split()
    ]


def points(one: Xml.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in one.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def words(root: Xml.Element) -> str:
    return " ".join(root.itertext())


# ------------------------------------------------------------------ texts and numbers


def hostile(text: str, number: int) -> list[Spot]:
    return spots([Position(1, 2, text, text)] * number, 1)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels_are_text(text: str) -> None:
    shown = clean(text)
    drawn = [
        drawings.sparkline([1, 2], text),
        drawings.presence_bar([Span(text, 0, 5)], 0, 10, text),
        drawings.waves([Wave(text, 3, 1, 1)], text),
        drawings.sankey([Flow((text, "b"), 2)], ("from", text), text),
        drawings.fleet_map(
            [Dot(one, text, text, "/devices/1") for one in hostile(text, 1)], WORLD, text
        ),
        drawings.fleet_map([Dot(one, text, text) for one in hostile(text, 2)], WORLD, text),
        drawings.qr("x", text),
    ]
    for svg in drawn:
        root = parsed(svg)
        assert root.get("aria-label") == shown
        assert "<script" not in svg and "<img" not in svg
    assert shortened(text) in words(parsed(drawn[3]))


@few
@given(texts)
def test_clean_text_is_visible_text(text: str) -> None:
    assert clean(text).isprintable() or not text.isprintable()
    assert clean(clean(text)) == clean(text) and len(clean(text)) == len(text)
    assert len(shortened(text, 10)) <= 10


@few
@given(st.floats(-1e9, 1e9))
def test_numbers_are_short_and_near(value: float) -> None:
    said = number(value)
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", said) and said != "-0"
    assert abs(float(said) - value) <= 0.0051


# ------------------------------------------------------------------ sparkline


@few
@given(st.lists(st.none() | floats, max_size=40))
def test_a_sparkline_keeps_gaps_and_bounds(values: list[float | None]) -> None:
    root = parsed(drawings.sparkline(values, "it"))
    there = [one is not None and abs(one) < float("inf") for one in values]  # NaN is not
    runs = sum(now and not before for before, now in pairwise([False, *there]))
    lines = list(root.iter("polyline"))
    assert len(lines) + len(list(root.iter("circle"))) == runs
    assert sum(len(points(one)) for one in lines) + len(list(root.iter("circle"))) == sum(there)
    for line in lines:
        assert all(0 <= x <= 120 and 0 <= y <= 24 for x, y in points(line))


def test_a_higher_value_is_drawn_higher() -> None:
    (line,) = parsed(drawings.sparkline([1, 5, 3], "it")).iter("polyline")
    (_, first), (_, second), (_, third) = points(line)
    assert second < third < first


# ------------------------------------------------------------------ presence


@few
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["connected", "not-connected", "silent", "other"]),
            st.integers(-50, 150),
            st.integers(0, 60),
        ),
        max_size=8,
    )
)
def test_a_presence_bar_stays_within_its_bar(found: list[tuple[str, int, int]]) -> None:
    spans = [Span(state, start, start + length) for state, start, length in found]
    root = parsed(drawings.presence_bar(spans, 0, 100, "it"))
    bars = [box for state in ("connected", "not-connected", "silent", "unknown")
            for box in boxes(root, f"presence-{state}")]  # fmt: skip
    assert len(bars) == sum(min(s.end, 100) > max(s.start, 0) for s in spans)
    assert all(x >= 0 and x + wide <= 961 and y >= 0 for x, y, wide, _ in bars)


def test_presence_is_told_by_height_too() -> None:
    spans = [Span("connected", 0, 50), Span("not-connected", 50, 100)]
    root = parsed(drawings.presence_bar(spans, 0, 100, "it"))
    ((x, _, wide, there),) = boxes(root, "presence-connected")
    ((_, _, _, away),) = boxes(root, "presence-not-connected")
    assert (x, wide) == (0, 480) and there > 2 * away


# ------------------------------------------------------------------ waves


@few
@given(
    st.lists(
        st.tuples(st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9999)), max_size=30
    )
)
def test_waves_fill_their_width(found: list[tuple[int, int, int]]) -> None:
    root = parsed(drawings.waves([Wave("w", *one) for one in found], "it"))
    rest, done = boxes(root, "wave-rest"), boxes(root, "wave-done")
    failed = boxes(root, "wave-failed")
    assert len(rest) == len(found)
    if found:
        assert abs(rest[-1][0] + rest[-1][2] - 960) < 1
    for whole, part, bad in zip(rest, done, failed, strict=True):
        assert part[2] + bad[2] <= whole[2] + 0.02 and bad[3] < part[3]


# ------------------------------------------------------------------ sankey


amounts = st.floats(0.01, 1e6)
rows = st.lists(
    st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.sampled_from("xyz"), amounts),
    min_size=1,
    max_size=60,
)


@few
@given(rows)
def test_a_sankey_loses_nothing(found: list[tuple[str, str, float]]) -> None:
    flows = [Flow((one, two, "stored"), value) for one, two, value in found]
    root = parsed(drawings.sankey(flows, ("A", "B", "C"), "it"))
    nodes = boxes(root, "node")
    for column in {x for x, _, _, _ in nodes}:
        heights = [high for x, _, _, high in nodes if x == column]
        assert len(heights) <= NODES_MAX
        # Each node is at least one unit high.
        assert TALL - 0.2 <= sum(heights) + 0.01 * len(heights) <= TALL + len(heights) * 1.02
        tops = sorted((y, y + high) for x, y, _, high in nodes if x == column)
        assert all(before[1] <= after[0] for before, after in pairwise(tops))
    if len({one for one, _, _ in found}) > NODES_MAX:
        assert " others" in words(root)


def test_a_sankey_shows_amounts_and_outcomes() -> None:
    flows = [Flow(("smarthome", "stored"), 12.5, "ok"), Flow(("smarthome", "rejected"), 2, "bad")]
    root = parsed(drawings.sankey(flows, ("Dialect", "Outcome"), "it"))
    assert "smarthome  14.5" in words(root) and "rejected  2" in words(root)
    ribbons = [one.get("class") for one in root.iter("path")]
    assert sorted(map(str, ribbons)) == ["ribbon bad", "ribbon ok"]


def test_a_sankey_of_nothing_is_its_headings() -> None:
    root = parsed(
        drawings.sankey([Flow(("a", "b"), 0), Flow(("a", "b"), float("nan"))], "AB", "it")
    )
    assert words(root).split() == ["A", "B"] and not list(root.iter("path"))
    with pytest.raises(ValueError, match="one node for each heading"):
        drawings.sankey([Flow(("a",), 1)], "AB", "it")


# ------------------------------------------------------------------ map


def dots(root: Xml.Element) -> Iterable[Xml.Element]:
    return (one for one in root.iter("g") if "place" in one.get("class", "").split())


positions = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
WORLD = View(0.0, 0.0, 1)


def drawn_map(found: Iterable[tuple[float, float]], view: View = WORLD, **more: str) -> Xml.Element:
    placed = [Position(*one, "silent", "a:d") for one in found]
    dots = [Dot(one, "silent", "silent", "/x") for one in spots(placed, view.zoom)]
    return parsed(drawings.fleet_map(dots, view, "it", **more))


@few
@given(st.lists(positions, max_size=30))
def test_every_device_is_on_the_map_of_the_world(found: list[tuple[float, float]]) -> None:
    near = [(latitude * 0.7, longitude) for latitude, longitude in found]
    shown = 0
    for dot in dots(drawn_map(near)):
        shown += int(words(dot).split()[-1]) if "crowd" in dot.get("class", "") else 1
    assert shown == len(found)


@few
@given(positions, st.integers(0, 18), positions)
def test_a_map_stays_in_its_bounds(
    middle: tuple[float, float], zoom: int, device: tuple[float, float]
) -> None:
    root = drawn_map([device], View(*middle, zoom))
    for circle in root.iter("circle"):
        assert -9 <= float(circle.attrib["cx"]) <= 969 and -9 <= float(circle.attrib["cy"]) <= 489
    (land,) = (one for one in root.iter("path") if one.get("class") == "land")
    for run in land.get("d", "").replace("z", "").split("M")[1:]:
        start, _, steps = run.partition("l")
        x, y = map(int, start.split())
        numbers = list(map(int, steps.split()))
        for right, down in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + right, y + down
            assert -18 <= x <= 1938 and -18 <= y <= 978, "half units, and the edge"


@few
@given(positions, st.integers(0, 18), st.floats(-1, 1), st.floats(-1, 1))
def test_a_map_can_be_moved_and_not_off_the_earth(
    middle: tuple[float, float], zoom: int, right: float, down: float
) -> None:
    moved = View(*middle, zoom).moved(right, down)
    assert abs(moved.latitude) <= 85.06 and abs(moved.longitude) <= 180.01
    x, y = moved.place(moved.latitude, moved.longitude)
    assert (round(x), round(y)) == (480, 240)


def test_a_map_of_the_world_is_small() -> None:
    assert len(drawings.fleet_map([], View(20, 0, 2), "it")) < 40_000


def test_a_crowd_is_drawn_with_its_number_and_leads_on() -> None:
    root = drawn_map([(48.1, 11.5)] * 1234)
    (dot,) = dots(root)
    assert "1,234 devices" in words(dot) and "1.2k" in words(dot) and "1,229 more" in words(dot)
    assert [one.get("href") for one in root.iter("a")] == ["/x"]


def test_tiles_are_drawn_instead_of_coasts() -> None:
    root = drawn_map([(52.5, 13.4)], View(52.5, 13.4, 5), tiles="https://t.example/{z}/{x}/{y}.png")
    images = {one.attrib["href"]: one.attrib for one in root.iter("image")}
    assert "https://t.example/5/17/10.png" in images and not list(root.iter("path"))
    for one in images.values():  # together they cover the drawing
        assert -256 < float(one["x"]) < 960 and -256 < float(one["y"]) < 480
    whole = drawn_map([], View(0, 0, 1), tiles="https://t.example/{z}/{x}/{y}")
    assert len(list(whole.iter("image"))) == 4, "there are no more at this zoom"


def test_known_places_are_on_land() -> None:
    """Each of these towns is inside an odd number of coasts, and none of the seas."""
    towns = {
        "Munich": (11.6, 48.1), "Madrid": (-3.7, 40.4), "Cairo": (31.2, 29.5),
        "Delhi": (77.2, 28.6),
        "Beijing": (115.9, 39.9), "Denver": (-105, 39.7), "Brasilia": (-47.9, -15.8),
        "Nairobi": (36.8, -1.3), "Alice Springs": (133.9, -23.7), "Moscow": (37.6, 55.8),
        "Birmingham": (-1.9, 52.5), "Kyoto": (135.8, 35.0), "Johannesburg": (28, -26.2),
    }  # fmt: skip
    assert [name for name, where in towns.items() if not on_land(*where)] == []
    seas = {
        "Atlantic": (-35, 35),
        "Pacific": (-150, 10),
        "Indian": (75, -15),
        "North": (3, 56),
        "Caspian": (51, 42),
    }
    assert [name for name, where in seas.items() if on_land(*where)] == []


def on_land(x: float, y: float) -> bool:
    def inside(coast: tuple[tuple[float, float], ...]) -> bool:
        crossed = False
        for (x0, y0), (x1, y1) in zip(coast, (*coast[1:], coast[0]), strict=True):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
                crossed = not crossed
        return crossed

    return sum(inside(coast) for coast in COASTS) % 2 == 1


# ------------------------------------------------------------------ QR


@few
@given(st.text(min_size=1, max_size=60))
def test_a_code_has_its_quiet_zone(text: str) -> None:
    root = parsed(drawings.qr(text, "code"))
    size = float(root.attrib["viewBox"].split()[2])
    (path,) = root.iter("path")
    starts = [tuple(map(int, one.split())) for one in re.findall(r"M(\d+ \d+)", path.attrib["d"])]
    assert min(x for x, _ in starts) == 4 and min(y for _, y in starts) == 4
    assert max(y for _, y in starts) <= size - 5
