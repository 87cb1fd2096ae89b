"""Topic matching by the letter of MQTT 4.7, and the router against a plain reference."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.dialects import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    Kind,
    Router,
    builtin,
    filters_overlap,
    topic_matches,
    valid_filter,
    valid_topic_name,
)

# The first block is from the specification's own text, 4.7.1 to 4.7.3.
MATCHING = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/#", "sport", True),
    ("#", "a/b/c", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("#", "$SYS/broker", False),
    ("+/monitor/Clients", "$SYS/monitor/Clients", False),
    ("$SYS/#", "$SYS/monitor/Clients", True),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
    ("ACCOUNTS", "Accounts", False),
    ("/a", "a", False),
    ("a//b", "a//b", True),
    ("a/+/b", "a//b", True),
    ("a/b", "a/b/", False),
    ("a/b/", "a/b", False),
    ("a/$x/+", "a/$x/y", True),
    ("a/+", "a/$x", True),
    ("a/b/#", "a", False),
    ("+/#", "a", True),
    ("+/#", "$SYS", False),
    ("a", "a", True),
    ("a/b", "a", False),
    ("a", "a/b", False),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHING)
def test_topic_matches(topic_filter: str, topic: str, expected: bool) -> None:
    assert topic_matches(topic_filter, topic) is expected


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        ("#", True),
        ("+", True),
        ("+/tennis/#", True),
        ("sport/+/player1", True),
        ("/", True),
        ("$SYS/#", True),
        (" ", True),
        ("sport/tennis#", False),
        ("sport/tennis/#/ranking", False),
        ("##", False),
        ("sport+", False),
        ("sport/+x/y", False),
        ("++", False),
        ("", False),
        ("a\0b", False),
        ("a\ud800", False),
        ("a" * 65535, True),
        ("a" * 65536, False),
        ("é" * 32768, False),
    ],
)
def test_valid_filter(topic_filter: str, expected: bool) -> None:
    assert valid_filter(topic_filter) is expected


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("a/b", True), ("/", True), ("a b", True), ("a/+", False), ("a/#", False), ("", False)],
)
def test_valid_topic_name(topic: str, expected: bool) -> None:
    assert valid_topic_name(topic) is expected


LEVEL = st.sampled_from(["a", "b", "", "$s"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.one_of(LEVEL, st.just("+")), max_size=4))
    if not levels or draw(st.booleans()):
        levels.append(draw(st.sampled_from(["#", "+", "a"])))
    return "/".join(levels) or "#"


def naive(topic_filter: list[str], topic: list[str], first: bool = True) -> bool:
    """The rules, one clause a line, with no eye to speed."""
    if topic_filter == ["#"]:
        return not (first and topic and topic[0].startswith("$"))
    if not topic_filter or not topic:
        return topic_filter == topic
    head, *rest = topic_filter
    here = head == topic[0] or (head == "+" and not (first and topic[0].startswith("$")))
    return here and naive(rest, topic[1:], first=False)


@given(filters(), TOPIC)
def test_matches_like_the_reference(topic_filter: str, topic: str) -> None:
    expected = naive(topic_filter.split("/"), topic.split("/"))
    assert topic_matches(topic_filter, topic) is expected


ALL_TOPICS = [
    "/".join(levels)
    for n in range(1, 6)
    for levels in product(["a", "b", "", "$s"], repeat=n)
    if "/".join(levels)
]


@given(filters(), filters())
@example("+", "/#")
def test_filters_overlap_exactly_when_a_topic_fits_both(one: str, other: str) -> None:
    shared = any(topic_matches(one, t) and topic_matches(other, t) for t in ALL_TOPICS)
    assert filters_overlap(one, other) is shared
    assert filters_overlap(other, one) is shared


# ------------------------------------------------------------------------------ the router

PATTERN_LEVELS = st.lists(
    st.sampled_from(["a", "b", "{device}", "{tenant}", "{name}"]), min_size=1, max_size=4
).filter(lambda levels: len([x for x in levels if "{" in x]) == len({*levels} - {"a", "b"}))


def a_channel(name: str, topic: str, direction: Direction) -> Channel:
    kind = Kind.TELEMETRY if direction is Direction.UP else Kind.COMMAND
    placeholders = {a.value: a for a in Attribute if f"{{{a.value}}}" in topic}
    return Channel(name, topic, direction, kind, placeholders=placeholders)


def a_dialect(name: str, *channels: Channel) -> Dialect:
    return Dialect(name, name, "{device}", "{device}", channels, tenanted=False)


@st.composite
def dialects(draw: st.DrawFn) -> list[Dialect]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        channels = [
            a_channel(f"c{i}", "/".join(levels), draw(st.sampled_from(Direction)))
            for i, levels in enumerate(draw(st.lists(PATTERN_LEVELS, max_size=5)))
        ]
        found.append(a_dialect(f"d{number}", *channels))
    return found


@given(dialects(), st.lists(TOPIC, max_size=12))
def test_router_like_the_reference(catalogue: list[Dialect], topics: list[str]) -> None:
    router = Router(catalogue, cache_limit=3)
    for topic in [*topics, *reversed(topics)]:
        levels = topic.split("/")
        expected = [
            (
                dialect.name,
                channel.name,
                {
                    channel.placeholders[level[1:-1]]: levels[i]
                    for i, level in enumerate(channel.topic.split("/"))
                    if level.startswith("{")
                },
            )
            for dialect in catalogue
            for channel in dialect.channels
            if naive(channel.filter.split("/"), levels)
        ]
        ups = [
            (d, c, v)
            for d, c, v in expected
            if next(x for x in catalogue if x.name == d).channel(c).direction is Direction.UP  # type: ignore[union-attr]
        ]
        assert [(m.dialect.name, m.channel.name, dict(m.values)) for m in router.match(topic)] == (
            ups
        )
        assert [
            (m.dialect.name, m.channel.name, dict(m.values)) for m in router.match_any(topic)
        ] == expected


def test_router_remembers_no_more_topics_than_its_limit() -> None:
    router = Router(builtin(), cache_limit=10)
    for number in range(1000):
        assert router.match(f"smarthome/1/d{number}/telemetry")
        assert not router.match(f"nowhere/{number}")
        assert len(router._cache) <= 10


def test_router_returns_every_candidate_in_the_order_of_the_dialects() -> None:
    one = a_dialect("one", a_channel("c", "x/{device}/y", Direction.UP))
    two = a_dialect("two", a_channel("c", "x/{device}/{name}", Direction.UP))
    assert [m.dialect.name for m in Router([two, one]).match("x/1/y")] == ["two", "one"]
    assert [m.dialect.name for m in Router([one, two]).match("x/1/y")] == ["one", "two"]
    assert [m.dialect.name for m in Router([one, two]).match("x/1/z")] == ["two"]


def test_cached_values_cannot_be_changed() -> None:
    match = Router(builtin()).match("smarthome/1/ESP32_001/telemetry")[0]
    assert match.values == {Attribute.TENANT: "1", Attribute.DEVICE: "ESP32_001"}
    with pytest.raises(TypeError):
        match.values[Attribute.TENANT] = "2"  # type: ignore[index]
