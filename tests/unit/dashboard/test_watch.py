"""A tab ends up with the values that were put, however slowly it reads, and is sent no topic more
often than once a second."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.dashboard.live.rows import fits, stream_row, stream_values, wanted_filter
from mooring.dashboard.live.watch import (
    PACE_SECONDS,
    ROWS_MAX,
    TOPICS_MAX,
    VALUES_MAX,
    Outbox,
    Topic,
    changed,
    parse,
)
from mooring.errors import Invalid

ONE, TWO = Topic("overview", ""), Topic("device", "17")

values = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3))


def applied(view: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """What a page knows after a message."""
    known = {} if message.get("whole") else dict(view)
    known.update(message["values"])
    return {name: value for name, value in known.items() if value is not None}


@settings(max_examples=60)
@given(st.lists(st.one_of(values, st.just(None)), max_size=30))
def test_a_page_has_the_newest_values(steps: list[dict[str, int] | None]) -> None:
    """``None``: time passes, and the page reads."""
    outbox, view, now, truth = Outbox(), dict[str, Any](), 0.0, dict[str, Any]()
    outbox.put(ONE, {}, whole=True)
    sent: list[float] = []
    for step in [*steps, None, None]:
        if step is None:
            now += 0.6
            for message in outbox.take(now):
                view = applied(view, message)
                sent.append(now)
        else:
            outbox.put(ONE, changed(truth, step))
            truth = step
    now += PACE_SECONDS
    for message in outbox.take(now):
        view = applied(view, message)
    assert view == truth
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert all(gap >= PACE_SECONDS for gap in gaps)


@settings(max_examples=60)
@given(values, values)
def test_changed_says_what_to_do(before: dict[str, int], now: dict[str, int]) -> None:
    news = changed(before, now)
    assert applied(before, {"values": news}) == now
    assert all(before.get(name) != value for name, value in news.items())


def test_rows_are_kept_up_to_a_bound_and_counted() -> None:
    outbox = Outbox()
    for number in range(ROWS_MAX + 30):
        outbox.put(ONE, {"rows": [number], "dropped": 0})
    (message,) = outbox.take(5.0)
    assert message["values"]["rows"] == list(range(30, ROWS_MAX + 30))
    assert message["values"]["dropped"] == 30
    outbox.put(ONE, {"rows": [1], "dropped": 2})
    (message,) = outbox.take(7.0)
    assert message["values"] == {"rows": [1], "dropped": 2}


def test_what_is_not_watched_any_more_is_not_sent() -> None:
    outbox = Outbox()
    outbox.put(ONE, {"a": 1}, whole=True)
    outbox.put(TWO, {"a": 2}, whole=True)
    outbox.keep([TWO])
    assert [message["topic"] for message in outbox.take(0.0)] == ["device:17"]
    assert outbox.due() is None


def test_what_a_page_may_ask_for() -> None:
    assert parse('{"watch": ["overview", "device:17", "overview"]}') == {ONE, TWO}
    assert parse('{"watch": ["messages:device=a:b"]}') == {Topic("messages", "device=a:b")}
    for text in (
        "",
        "[]",
        '{"watch": 5}',
        '{"watch": [""]}',
        '{"watch": [], "more": 1}',
        msgspec.json.encode({"watch": ["a"] * (TOPICS_MAX + 1)}),
        msgspec.json.encode({"watch": ["a" * 1001]}),
        "[" * 100_000,
    ):
        with pytest.raises(Invalid):
            parse(text)


ITEM = {
    "device": "kitchen",
    "tenant": "acme",
    "kind": "telemetry",
    "channel": "telemetry",
    "at": "2026-11-29T12:00:00.000Z",
    "values": {"temperature": 21.5},
}


def test_a_message_as_values_of_a_device_and_as_a_row() -> None:
    at = 1_795_953_600_000
    assert stream_values(ITEM) == {"seen": at, "temperature.value": 21.5, "temperature.at": at}
    state = ITEM | {"kind": "presence", "values": {"state": "silent", "reason": "quiet"}}
    assert stream_values(state) == {"state": "silent", "reason": "quiet"}
    assert not fits(state, {}) and fits(ITEM, {})
    row = stream_row(ITEM)
    when, device, *rest = row["cells"]
    assert when == {"at": at}
    href = "/devices/acme%3Akitchen"
    assert device == {"text": "acme:kitchen", "href": href, "class": "tight"}
    assert [one["text"] for one in rest] == ["telemetry", "telemetry", "temperature 21.5"]


def test_rows_are_filtered() -> None:
    assert wanted_filter("device=a=b&kind=&x=y&channel=c") == {
        "device": "a=b",
        "kind": "",
        "channel": "c",
    }
    assert not fits(ITEM, {"kind": "status"})
    assert fits(ITEM, {"kind": "telemetry", "device": "kitchen", "channel": ""})
    assert stream_row(ITEM | {"device": '"><img src=x>'})["cells"]


def test_values_that_a_tab_does_not_read_are_bounded() -> None:
    outbox = Outbox()
    for n in range(2 * VALUES_MAX):
        outbox.put(TWO, {f"m{n}.value": n})
    (message,) = outbox.take(0.0)
    assert len(message["values"]) == VALUES_MAX
    assert f"m{2 * VALUES_MAX - 1}.value" in message["values"]
