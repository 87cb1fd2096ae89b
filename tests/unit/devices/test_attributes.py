"""Attributes: what they may be, who counts more, and how they are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.attributes.keys import key_of, keys_of
from mooring.devices.attributes.merge import Room, merge
from mooring.devices.attributes.model import NAMED, RANKS, Held, Source, Value, document
from mooring.devices.attributes.query import Order, Term, order, terms
from mooring.devices.attributes.rules import NUMBER_MAX, checked
from mooring.devices.attributes.words import assignments, read
from mooring.errors import Invalid
from tests.support.source import ROOT

ROOM = Room(4, 2)
PERSON, IMPORT, CLAIM = Source.PERSON, Source.IMPORT, Source.CLAIM
REGISTRATION, DEVICE = Source.REGISTRATION, Source.DEVICE


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("type", " plug ", "plug"),
        ("hardware", "ESP32 rev. 3", "ESP32 rev. 3"),
        ("tags", ["b", "a", "A", "3", "3.0"], ("3", "a", "b")),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("position", {"lat": 52, "lon": -180}, (52.0, -180.0)),
        ("position", [-90, 180], (-90.0, 180.0)),
        ("max_packet", 256, 256),
        ("room", "Küche", "Küche"),
        ("floor", 3.0, 3),
        ("heated", False, False),
        ("n", NUMBER_MAX, NUMBER_MAX),
    ],
)
def test_valid_values(name: str, value: object, stored: Value) -> None:
    assert checked(name, value) == stored
    assert type(checked(name, value)) is type(stored)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", ""),
        ("type", 3),
        ("type", "x" * 129),
        ("type", "a\nb"),
        ("type", "\ud800"),
        ("tags", "a"),
        ("tags", []),
        ("tags", [""]),
        ("tags", ["x" * 65]),
        ("tags", ["a,b"]),
        ("tags", [f"t{n}" for n in range(33)]),
        ("tags", {"a": 1}),
        ("tags", [["a"]]),
        ("timezone", "Europe/Atlantis"),
        ("timezone", "../../etc/passwd"),
        ("timezone", 1),
        ("position", {"lat": 91, "lon": 0}),
        ("position", {"lat": 0, "lon": 180.1}),
        ("position", {"lat": float("nan"), "lon": 0}),
        ("position", {"lat": True, "lon": 0}),
        ("position", {"lat": "1", "lon": 0}),
        ("position", {"lat": 1}),
        ("position", "52,13"),
        ("position", [1, 2, 3]),
        ("max_packet", 63),
        ("max_packet", 268_435_456),
        ("max_packet", "256"),
        ("max_packet", True),
        ("room", "x" * 257),
        ("room", None),
        ("room", {"a": 1}),
        ("room", float("inf")),
        ("room", NUMBER_MAX + 1),
        ("", "x"),
        ("1st", "x"),
        ("a b", "x"),
        ("x" * 65, "x"),
        ("firmware", "1.0"),
        ("label", "x"),
        ("tag", "x"),
    ],
)
def test_values_that_are_not_valid(name: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        checked(name, value)
    assert caught.value.slug in ("invalid_attribute", "invalid_id")
    caught.value.message.encode()  # it can be shown


@given(
    st.text(max_size=80),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    ),
)
def test_any_value_is_taken_or_rejected(name: str, value: object) -> None:
    for one in (name, "room", *NAMED):
        try:
            stored = checked(one, value)
        except Invalid:
            continue
        assert checked(one, stored) == stored
        assert all(len(key) <= 260 and "\0" not in key for key in keys_of(one, stored))


# ------------------------------------------------------------------ who counts more


def held(source: Source, at: int = 10, value: Value = "old") -> dict[str, Held]:
    return {"room": Held(value, source, at)}


REPLACES = {
    PERSON: {PERSON, IMPORT, CLAIM, REGISTRATION, DEVICE},
    IMPORT: {IMPORT, CLAIM, REGISTRATION, DEVICE},
    CLAIM: {IMPORT, CLAIM, REGISTRATION, DEVICE},
    REGISTRATION: {REGISTRATION, DEVICE},
    DEVICE: {REGISTRATION, DEVICE},
}


@pytest.mark.parametrize("new", Source)
@pytest.mark.parametrize("old", Source)
def test_which_source_replaces_which(old: Source, new: Source) -> None:
    before = held(old)
    merged = merge(before, {"room": "new"}, new, 20, actor="x", room=ROOM)
    if old in REPLACES[new]:
        assert merged.held == {"room": Held("new", new, 20, "x")}
        assert (merged.changed, merged.kept) == (("room",), ())
    else:
        assert merged.held == before
        assert (merged.changed, merged.kept) == ((), ("room",))


def test_the_table_of_the_page_is_that_of_the_program() -> None:
    page = (ROOT / "docs" / "explanation" / "attributes.md").read_text(encoding="utf-8")
    columns = (PERSON, CLAIM, DEVICE)
    rows = re.findall(r"^\| of (?:a person|an import .*?|the device .*?) \| (.+) \|$", page, re.M)
    said = [[cell == "replaced" for cell in row.split(" | ")] for row in rows]
    assert said == [[old in REPLACES[new] for old in columns] for new in columns]


def test_an_earlier_value_of_the_same_rank_is_late() -> None:
    before = held(DEVICE, at=10)
    assert merge(before, {"room": "new"}, REGISTRATION, 9, room=ROOM).held == before
    assert merge(before, {"room": "new"}, REGISTRATION, 10, room=ROOM).held["room"].value == "new"
    # A higher rank is never late.
    assert merge(before, {"room": "new"}, PERSON, 1, room=ROOM).held["room"].value == "new"


def test_the_same_value_again_changes_nothing() -> None:
    before = held(DEVICE)
    merged = merge(before, {"room": "old"}, DEVICE, 20, room=ROOM)
    assert (merged.held, merged.changed) == (before, ())
    # A person who confirms it makes it theirs: no device replaces it then.
    merged = merge(before, {"room": "old"}, PERSON, 20, room=ROOM)
    assert merged.held["room"].source is PERSON


@pytest.mark.parametrize("source", Source)
def test_only_a_person_removes(source: Source) -> None:
    for old in Source:
        before = held(old)
        merged = merge(before, {"room": None, "none": None}, source, 20, room=ROOM)
        if source is PERSON:
            assert (merged.held, merged.removed) == ({}, ("room",))
        else:
            assert (merged.held, merged.removed) == (before, ())


def test_free_attributes_have_room_and_named_ones_always() -> None:
    new: dict[str, Value] = {f"a{n}": n for n in range(6)} | {"type": "plug", "max_packet": 256}
    said = merge({}, new, DEVICE, 1, room=ROOM)
    assert set(said.held) == {"a0", "a1", "type", "max_packet"}
    assert said.beyond == ("a2", "a3", "a4", "a5")
    told = merge(said.held, {"b0": 1, "b1": 1, "b2": 1}, PERSON, 2, room=ROOM)
    assert set(told.held) == {"a0", "a1", "b0", "b1", "type", "max_packet"}
    assert told.beyond == ("b2",)
    # A name that is there already needs no room.
    assert merge(told.held, {"b0": 2}, PERSON, 3, room=ROOM).changed == ("b0",)


names = st.sampled_from(["type", "a", "b", "c", "d", "e", "f"])
changes = st.lists(
    st.tuples(
        st.dictionaries(names, st.none() | st.integers(0, 2)),
        st.sampled_from(Source),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(changes)
def test_no_history_lets_a_lower_source_win_or_fills_the_table(
    history: list[tuple[dict[str, Value | None], Source, int]],
) -> None:
    state: Mapping[str, Held] = {}
    for new, source, at in history:
        merged = merge(state, new, source, at, room=ROOM)
        for name, before in state.items():
            if RANKS[source] < RANKS[before.source]:
                assert merged.held[name] == before
        assert {n for n in merged.held if merged.held[n] != state.get(n)} == set(merged.changed)
        assert set(state) - set(merged.held) == set(merged.removed)
        again = merge(merged.held, new, source, at, room=ROOM)
        assert again.held == merged.held
        assert not again.changed
        state = merged.held
        free = [one for name, one in state.items() if name not in NAMED]
        assert len(free) <= ROOM.most
        assert sum(RANKS[one.source] == RANKS[DEVICE] for one in free) <= ROOM.reported


# ------------------------------------------------------------------ comparing

numbers = st.integers(-NUMBER_MAX, NUMBER_MAX) | st.floats(-1e15, 1e15)


@given(numbers, numbers)
def test_keys_of_numbers_sort_as_the_numbers(one: float, other: float) -> None:
    assert (key_of(one) < key_of(other)) == (float(one) < float(other))
    assert (key_of(one) == key_of(other)) == (float(one) == float(other))


@given(st.text(max_size=256), st.text(max_size=256))
def test_keys_of_texts_ignore_case_and_no_more(one: str, other: str) -> None:
    assert key_of(one) == key_of(one.swapcase().swapcase()) or one.lower() != one.upper()
    if one.lower() == other.lower():
        assert key_of(one) == key_of(other)


def test_numbers_come_before_texts_and_are_found_as_written() -> None:
    assert key_of(3) == key_of(3.0) == key_of("3") == key_of("3.0")
    assert key_of("true") == key_of(True) != key_of(1)
    assert key_of("007") != key_of(7)
    assert key_of(10**15) < key_of("a")
    assert key_of(-1) < key_of(-0.5) < key_of(0) == key_of(-0.0) < key_of(1) < key_of(10)


def test_what_people_write() -> None:
    found = assignments(
        [
            "type=plug=x",
            "tag+=a,b",
            "tag-=c",
            "position=52.5, 13.4",
            "max_packet=256",
            "on=true",
            "tags=x;y",
            "floor=-3",
            "code=007",
        ]
    )
    assert found.values == {
        "type": "plug=x",
        "position": [52.5, 13.4],
        "max_packet": 256,
        "on": True,
        "tags": ["x", "y"],
        "floor": -3,
        "code": "007",
    }
    assert (found.add, found.remove) == (["a", "b"], ["c"])
    assert read("type", "3") == "3"
    for wrong in (["type"], ["=x"], ["type+=x"], ["a=1", "a=2"]):
        with pytest.raises(Invalid, match="attribute"):
            assignments(wrong)


def test_what_people_search_for() -> None:
    assert terms(["type=Plug", "tag!=old", "floor=3", "room=*", "room!=*"]) == (
        Term("type", "tplug"),
        Term("tags", "told", negated=True),
        Term("floor", key_of(3)),
        Term("room", None),
        Term("room", None, negated=True),
    )
    assert order("type") == Order("type")
    assert order("-tag") == Order("tags", descending=True)
    for wrong in (["type"], ["type="], ["=x"], ["position=1"], ["a=1"] * 17, ["label=1"]):
        with pytest.raises(Invalid):
            terms(wrong)
    with pytest.raises(Invalid, match="position"):
        order("position")


def test_the_document_names_what_has_a_meaning_first() -> None:
    said = {
        name: Held(value, PERSON, 1)
        for name, value in {"a": 1, "position": (1.0, 2.0), "tags": ("x",), "type": "t"}.items()
    }
    assert list(document(said).items()) == [
        ("type", "t"),
        ("tags", ["x"]),
        ("position", {"lat": 1.0, "lon": 2.0}),
        ("a", 1),
    ]
