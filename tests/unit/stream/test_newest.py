"""The newest values of one tenant."""

from __future__ import annotations

from mooring.stream.newest import METRICS_MAX, TEXT_MAX, Newest
from tests.unit.stream.making import change


def said(newest: Newest) -> dict[tuple[int, str], dict[str, object]]:
    return {
        (entry.key.device_id, entry.key.kind): {n: v.value for n, v in entry.values.items()}
        for entry in newest.since(0)
    }


def test_each_metric_keeps_its_newest_value() -> None:
    newest = Newest()
    newest.put(change(1, 10, {"t": 1, "h": 5}), 1)
    newest.put(change(1, 20, {"t": 2}), 2)
    newest.put(change(2, 20, {"t": 9}), 3)
    assert said(newest) == {(1, "telemetry"): {"h": 5, "t": 2}, (2, "telemetry"): {"t": 9}}


def test_what_is_older_or_the_same_is_no_news() -> None:
    newest = Newest()
    newest.put(change(1, 10, {"t": 1}), 1)
    assert newest.put(change(1, 9, {"t": 3}), 2) is None
    assert newest.put(change(1, 10, {"t": 1}), 3) is None
    assert newest.put(change(1, 10, {"t": 4}), 4) is not None
    assert said(newest) == {(1, "telemetry"): {"t": 4}}


def test_it_tells_the_youngest_value_that_was_replaced() -> None:
    newest = Newest()
    first = newest.put(change(1, 10, {"t": 1}), 1)
    second = newest.put(change(1, 11, {"h": 1}), 2)
    third = newest.put(change(1, 12, {"h": 2, "t": 2}), 3)
    assert [one[1] for one in (first, second, third) if one is not None] == [0, 0, 2]


def test_a_message_without_values_is_news_when_it_is_newer() -> None:
    newest = Newest()
    assert newest.put(change(1, 10, {}, kind="heartbeat"), 1) is not None
    assert newest.put(change(1, 10, {}, kind="heartbeat"), 2) is None
    assert newest.put(change(1, 11, {}, kind="heartbeat"), 3) is not None


def test_names_are_kept_apart() -> None:
    newest = Newest()
    newest.put(change(1, 10, {"level": 1}, kind="alert", name="door"), 1)
    newest.put(change(1, 10, {"level": 2}, kind="alert", name="water"), 2)
    assert len(newest) == 2


def test_since_gives_the_last_ones_first() -> None:
    newest = Newest()
    for number in range(1, 6):
        newest.put(change(number, 10), number)
    newest.put(change(2, 11), 6)
    assert [entry.key.device_id for entry in newest.since(3)] == [2, 5, 4]


def test_entries_have_a_bound_and_it_says_what_was_forgotten() -> None:
    newest = Newest(entries_max=3)
    for number in range(1, 6):
        newest.put(change(number, 10), number)
    assert (len(newest), newest.floor) == (3, 2)
    assert newest.size == sum(entry.size for entry in newest.since(0))


def test_bytes_have_a_bound() -> None:
    newest = Newest(bytes_max=10_000)
    for number in range(1, 50):
        newest.put(change(number, 10, {"text": "x" * 5_000}), number)
    assert newest.size <= 10_000
    assert 1 < len(newest) < 49
    longest = max(len(str(v.value)) for entry in newest.since(0) for v in entry.values.values())
    assert longest == TEXT_MAX


def test_a_device_that_invents_metrics_keeps_the_last_ones() -> None:
    newest = Newest()
    for number in range(METRICS_MAX + 100):
        newest.put(change(1, number + 1, {f"m{number}": number}), number + 1)
    (entry,) = newest.since(0)
    assert len(entry.values) == METRICS_MAX
    assert f"m{METRICS_MAX + 99}" in entry.values
    assert "m0" not in entry.values
