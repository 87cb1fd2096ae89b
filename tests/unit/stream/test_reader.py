"""What a subscription is sent, however slowly it reads."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from mooring.stream import reader as reader_module
from mooring.stream.journal import Journal
from mooring.stream.model import KINDS, Wanted
from mooring.stream.reader import ITEMS_MAX, Reader
from tests.unit.stream.making import change

EVERYTHING = Wanted(None, None, KINDS)


def drain(reader: Reader, journal: Journal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while reader:
        items, _ = reader.take(journal.number)
        assert len(items) <= ITEMS_MAX
        found += items
    return found


def test_a_slow_reader_gets_the_newest_values_and_a_count_of_the_others() -> None:
    journal, reader = Journal(), Reader("1", EVERYTHING)
    journal.add(reader)
    for at in range(1, 11):
        journal.take(change(1, at, {"t": at}))
    items, missed = reader.take(journal.number)
    assert [one["values"] for one in items] == [{"t": 10}]
    assert (missed, reader.number) == (9, 10)
    journal.take(change(1, 11, {"h": 1}))
    items, missed = reader.take(journal.number)
    assert ([one["values"] for one in items], missed) == ([{"h": 1}], 0)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EVERYTHING, {"d1", "d2", "d3"}),
        (Wanted("acme", None, KINDS), {"d1", "d2"}),
        (Wanted("acme", frozenset({1, 3}), KINDS), {"d1"}),  # d3 is another tenant's
        (Wanted(None, frozenset({3}), KINDS), {"d3"}),
        (Wanted("acme", None, frozenset({"status"})), {"d2"}),
        (Wanted("nobody", None, KINDS), set()),
    ],
)
def test_it_gets_what_it_wants_and_may_see(wanted: Wanted, expected: set[str]) -> None:
    journal, reader = Journal(), Reader("1", wanted)
    journal.add(reader)
    journal.take(change(1, 1))
    journal.take(change(2, 1, kind="status"))
    journal.take(change(3, 1, tenant="other"))
    assert {one["device"] for one in drain(reader, journal)} == expected
    journal.drop(reader)
    journal.take(change(1, 2))
    assert not reader


def test_too_many_marks_ask_for_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MARKS_MAX", 5)
    journal, reader = Journal(), Reader("1", EVERYTHING)
    journal.add(reader)
    for number in range(1, 10):
        journal.take(change(number, 1))
    assert (reader.lost, reader.marks, reader.missed) == (True, 0, 9)
    reader.restart(journal.number)
    journal.take(change(1, 2))
    assert [one["device"] for one in drain(reader, journal)] == ["d1"]


def test_a_journal_forgets_silent_tenants_and_says_so() -> None:
    journal = Journal(tenants_max=2)
    for number, tenant in enumerate(("a", "b", "c"), 1):
        journal.take(change(number, 1, tenant=tenant))
    assert not journal.knows_since(Wanted("a", None, KINDS), 0)
    assert journal.knows_since(Wanted("c", None, KINDS), 3)
    journal.clear()
    journal.take(change(9, 1, tenant="c"))
    assert not journal.knows_since(Wanted("c", None, KINDS), 2)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"),
            st.integers(1, 4),
            st.sampled_from("xyz"),
            st.integers(1, 30),
            st.integers(0, 3),
        ),
        st.tuples(st.just("take"), st.integers(0, 1)),
        st.tuples(st.just("leave"), st.integers(0, 1)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(STEPS)
def test_any_client_ends_with_the_newest_values(steps: list[tuple[Any, ...]]) -> None:
    """Reading at any pace, leaving and resuming at any moment: what a client puts together from
    its items equals the newest value of each metric, as a naive model keeps it."""
    journal = Journal()
    wanted = [EVERYTHING, Wanted("acme", frozenset({1, 2}), KINDS)]
    readers = [Reader(str(n), one) for n, one in enumerate(wanted)]
    views: list[dict[tuple[str, str], tuple[str, Any]]] = [{}, {}]
    truth: dict[tuple[int, str], tuple[int, int]] = {}
    for one in readers:
        journal.add(one)

    def take(which: int) -> None:
        items, _ = readers[which].take(journal.number)
        for one in items:
            for metric, value in one["values"].items():
                views[which][one["device"], metric] = (one["at"], value)

    for step in steps:
        if step[0] == "say":
            _, number, metric, at, value = step
            journal.take(change(number, at, {metric: value}))
            before = truth.get((number, metric))
            if before is None or before[0] <= at:
                truth[number, metric] = (at, value)
        elif step[0] == "take":
            take(step[1])
        else:
            which = step[1]
            known = readers[which].number
            journal.drop(readers[which])
            readers[which] = Reader(str(which), wanted[which], known)
            journal.add(readers[which])
            assert journal.knows_since(wanted[which], known)
            readers[which].catch_up(journal.since(wanted[which], known))
    for which in range(2):
        while readers[which]:
            take(which)
        expected = {
            (f"d{number}", metric): value
            for (number, metric), (_, value) in truth.items()
            if which == 0 or number in (1, 2)
        }
        assert {key: value for key, (_, value) in views[which].items()} == expected
