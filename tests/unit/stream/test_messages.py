"""What clients say."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mooring.errors import Invalid, TooMany
from mooring.identity.actor import Actor, Role
from mooring.stream.admission import Admission
from mooring.stream.messages import (
    DEVICES_MAX,
    Cursor,
    parse,
    read_cursor,
    write_cursor,
)


def test_a_subscription() -> None:
    ask = parse('{"subscribe":{"id":"1","devices":["a"],"kinds":["telemetry"],"from":"p.3"}}')
    assert ask.subscribe is not None
    assert (ask.subscribe.devices, ask.subscribe.from_) == (["a"], "p.3")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"token":"a","unsubscribe":"1"}',
        '{"subscribe":{}}',
        '{"subscribe":{"id":""}}',
        '{"subscribe":{"id":"1","kinds":[]}}',
        '{"subscribe":{"id":"1","kinds":["config_reported"]}}',
        '{"subscribe":{"id":"1","tenant":"other"}}',
        json.dumps({"subscribe": {"id": "1", "devices": ["d"] * (DEVICES_MAX + 1)}}),
        '{"subscribe":' + "[" * 5_000,
        '{"token":"' + "x" * 5_000 + '"}',
    ],
)
def test_what_is_no_message_is_rejected_in_words(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert caught.value.slug == "invalid_message"
    assert len(caught.value.message) < 500


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_input_is_a_message_or_an_error(text: str | bytes) -> None:
    try:
        parse(text)
    except Invalid:
        return


@given(st.text(max_size=80))
def test_any_cursor_is_read(text: str) -> None:
    found = read_cursor(text)
    assert found is None or found.number >= 0


def test_cursors() -> None:
    assert read_cursor(write_cursor("abc", 12)) == Cursor("abc", 12)
    assert read_cursor("abc.-1") is None
    assert read_cursor("." + "9" * 30) is None


def test_admission_counts_logins_tenants_and_all() -> None:
    admission = Admission(4, 3, 2)
    ada, bob, eve = (
        Actor("ada", Role.VIEWER, "a"),
        Actor("bob", Role.VIEWER, "a"),
        Actor("eve", Role.VIEWER, "e"),
    )
    admission.enter(ada)
    admission.enter(ada)
    for actor, limit in ((ada, "login"), (bob, None), (bob, "tenant"), (eve, None), (eve, "max")):
        if limit is None:
            admission.enter(actor)
            continue
        with pytest.raises(TooMany) as caught:
            admission.enter(actor)
        assert limit in caught.value.message
    for actor in (ada, ada, bob, eve):
        admission.leave(actor)
    assert len(admission) == 0
    admission.enter(ada)
