"""Stored rows of the broker's evidence, as events of a diagnosis."""

from __future__ import annotations

import pytest

from mooring.doctor.seen import EventKind
from mooring.doctor.store import event_of
from mooring.presence.evidence import Evidence, parse

ROWS = [
    ("connected", "password", EventKind.LOGIN, "password", "", "", 1),
    ("refused", "wrong_password (17 times)", EventKind.REFUSED, "wrong_password", "", "", 17),
    ("denied_publish", "a/b", EventKind.DENIED, "", "a/b", "publish", 1),
    ("denied_subscribe", "#", EventKind.DENIED, "", "#", "subscribe", 1),
    ("disconnected", "19", EventKind.GONE, "keep-alive exceeded", "", "", 1),
    ("disconnected", "25", EventKind.OVERSIZE, "packet too large", "", "", 1),
    ("disconnected", "limit_bytes", EventKind.LIMITED, "limit_bytes", "", "", 1),
    ("limited", "limit_messages (3 times)", EventKind.LIMITED, "limit_messages", "", "", 3),
]


@pytest.mark.parametrize(("word", "detail", "kind", "why", "topic", "action", "count"), ROWS)
def test_rows(  # noqa: PLR0917
    word: str, detail: str, kind: EventKind, why: str, topic: str, action: str, count: int
) -> None:
    event = event_of(1, word, "c", "10.0.0.1", detail)
    assert event is not None
    assert (event.kind, event.why, event.topic, event.action, event.count) == (
        kind,
        why,
        topic,
        action,
        count,
    )


def test_a_row_that_says_nothing_of_a_login_is_passed_over() -> None:
    assert event_of(1, "running", None, None, "mosquitto version 2.0.11 running") is None


def test_a_limit_is_no_denied_topic() -> None:
    told = parse(
        b'{"boot":"b","n":1,"at":5,"kind":"denied","why":"limit_bytes","user":"u","client":"c",'
        b'"topic":"t","action":"publish","count":2,"sample":"eA=="}'
    )
    assert told is not None
    seen = Evidence().fold([told])
    assert [(row.event, row.detail) for row in seen.rows] == [("limited", "limit_bytes (2 times)")]
    assert seen.denied == []
