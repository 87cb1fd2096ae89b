"""What the broker's plugin says, as rows and as who is connected."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.log import LogKind
from mooring.presence.evidence import OVERSIZE, Evidence, Folded, Oversize, Told, parse
from mooring.presence.observe import KEEPALIVE_MAX, EventRow


def told(n: int, kind: str, **more: Any) -> Told:
    said = {"boot": "b1", "n": n, "at": 1000 + n, "kind": kind, "user": "lamp", "client": "c"}
    event = parse(json.dumps({**said, "ip": "10.0.0.7", **more}).encode())
    assert event is not None
    return event


def words(seen: Folded) -> list[str]:
    return [row.event for row in seen.rows]


def test_a_login_and_its_end() -> None:
    evidence = Evidence()
    seen = evidence.fold([told(1, "login", **{"with": "password", "key": "salt", "session": 4})])
    assert seen.restarted
    assert seen.latest["lamp"].connected
    assert seen.latest["lamp"].address == "10.0.0.7"
    assert [(one.username, one.key, one.at) for one in seen.used] == [("lamp", "salt", 1001)]
    assert seen.rows[0].keepalive is None  # a plugin of an earlier version
    seen = evidence.fold([told(2, "gone", why="7", session=4)])
    assert not seen.restarted
    assert not seen.latest["lamp"].connected
    assert words(seen) == ["disconnected"]


def test_a_login_says_its_keepalive() -> None:
    seen = Evidence().fold([told(1, "login", session=4, keepalive=300)])
    assert [row.keepalive for row in seen.rows] == [300]


def test_the_end_of_a_session_that_was_taken_over_is_not_the_end_of_the_newer_one() -> None:
    evidence = Evidence()
    evidence.fold([told(1, "login", session=4)])
    seen = evidence.fold([told(2, "login", session=5), told(3, "gone", session=4)])
    assert seen.latest["lamp"].connected
    assert words(seen) == ["connected", "taken_over"]
    assert not evidence.fold([told(4, "gone", session=5)]).latest["lamp"].connected


def test_an_end_that_was_never_told_is_not_waited_for() -> None:
    """The plugin tells only the newest of many logins of one client id."""
    evidence = Evidence()
    evidence.fold([told(1, "login", session=4), told(2, "login", session=9)])
    assert not evidence.fold([told(3, "gone", session=9)]).latest["lamp"].connected


def test_an_account_with_two_clients_is_connected_while_one_is() -> None:
    evidence = Evidence()
    evidence.fold([told(1, "login", session=4), told(2, "login", session=5, client="d")])
    assert "lamp" not in evidence.fold([told(3, "gone", session=4)]).latest
    assert not evidence.fold([told(4, "gone", session=5, client="d")]).latest["lamp"].connected


def test_a_new_start_of_the_broker_disconnects_everybody_before_what_follows() -> None:
    evidence = Evidence()
    evidence.fold([told(1, "login", session=4)])
    seen = evidence.fold(
        [told(2, "gone", session=4), told(1, "login", boot="b2", user="bulb", session=1)]
    )
    assert seen.restarted
    assert set(seen.latest) == {"bulb"}


def test_events_folded_one_by_one_say_the_same_together() -> None:
    events = [
        told(1, "login", session=4, clean=False),
        told(2, "refused", why="unknown_username", user="x"),
        told(3, "denied", action="publish", topic="m/x"),
        told(1, "login", boot="b2", session=1, key="salt"),
        told(2, "trouble", boot="b2", why="corrupt"),
    ]
    evidence = Evidence()
    assert Folded.merged(evidence.fold([one]) for one in events) == Evidence().fold(events)


def test_what_the_broker_repeats_counts_once() -> None:
    evidence = Evidence()
    once = [told(1, "refused", why="wrong_password"), told(2, "refused", why="locked")]
    assert len(evidence.fold(once).rows) == 2
    assert evidence.fold(once).rows == []


def test_what_was_told_again_for_a_late_listener_counts_once() -> None:
    evidence = Evidence()
    evidence.fold([told(1, "login", session=4)])
    assert evidence.fold([told(2, "login", session=4, replay=True)]).rows == []


@pytest.mark.parametrize(
    ("action", "word", "letters"),
    [
        ("publish", "denied_publish", 1),
        ("subscribe", "denied_subscribe", 0),
        ("read", "denied_read", 0),
    ],
)
def test_denials(action: str, word: str, letters: int) -> None:
    sample = base64.b64encode(b"\x00\xffsecret").decode()
    seen = Evidence().fold(
        [told(1, "denied", action=action, topic="m/x", sample=sample, size=900, count=17)]
    )
    assert words(seen) == [word]
    assert seen.rows[0].detail == "m/x"
    assert [(one.sample, one.size, one.count) for one in seen.denied] == [
        (b"\x00\xffsecret", 900, 17)
    ] * letters


def test_refusals_and_troubles() -> None:
    seen = Evidence().fold(
        [
            told(1, "refused", why="unknown_username", user="device:acme:pump", count=3),
            told(2, "trouble", why="corrupt", user=None, client=None),
            told(3, "oversize", why="message_size_limit"),
        ]
    )
    assert words(seen) == ["refused", "trouble", "oversize"]
    assert seen.rows[0].detail == "unknown_username (3 times)"
    assert seen.unknown == {"device:acme:pump": 1001}
    assert seen.troubles == ["corrupt"]


def test_a_message_too_large_is_a_dead_letter() -> None:
    seen = Evidence().fold([told(1, "oversize", why="message_size_limit", topic="m/x", size=900)])
    assert [(one.row.event, one.row.detail, one.size) for one in seen.denied] == [
        (OVERSIZE, "m/x", 900)
    ]


def test_a_session_that_ends_over_a_packet_too_large_is_a_dead_letter_a_minute() -> None:
    """The device comes back with the same packet, again and again."""
    evidence = Evidence()
    seen = evidence.fold([told(n, "gone", why="25") for n in range(1, 4)])
    assert [(one.row.event, one.row.username) for one in seen.denied] == [(OVERSIZE, "lamp")]
    assert len(seen.rows) == 3
    assert evidence.fold([told(9, "gone", why="7")]).denied == []


@pytest.mark.parametrize("said", ["oversize packet", "oversize payload"])
def test_the_log_says_that_a_packet_was_too_large(said: str) -> None:
    oversize = Oversize()

    def ended(at: int, username: str | None = "lamp", detail: str = said) -> EventRow:
        return EventRow(at, str(LogKind.DISCONNECTED), username, "c", "10.0.0.7", detail)

    first = oversize.of_log(ended(100_000))
    assert first is not None
    assert (first.row.event, first.row.username, first.row.detail) == (OVERSIZE, "lamp", "")
    assert oversize.of_log(ended(159_999)) is None
    assert oversize.of_log(ended(160_000)) is not None
    assert oversize.of_log(ended(100_000, "other")) is not None
    assert oversize.of_log(ended(900_000, None)) is None
    assert oversize.of_log(ended(900_000, detail="exceeded timeout")) is None


def test_persistent_sessions_are_named() -> None:
    seen = Evidence().fold([told(1, "login", clean=False), told(2, "login", client="d", user="b")])
    assert seen.sessions == {"c": ("lamp", True), "d": ("b", False)}


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"boot":"b","n":"x","at":1,"kind":"k"}'],
)
def test_what_is_no_event(payload: bytes) -> None:
    assert parse(payload) is None


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "user",
                "client",
                "topic",
                "why",
                "ip",
                "sample",
                "size",
                "count",
                "session",
                "key",
                "with",
                "clean",
                "keepalive",
                "action",
            ]
        ),
        st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.lists(st.integers())),
    )
)
def test_no_event_breaks_the_fold(more: dict[str, Any]) -> None:
    for kind in ("login", "gone", "denied", "refused", "trouble"):
        said = {"boot": "b", "n": 1, "at": 1, "kind": kind, **more}
        event = parse(json.dumps(said).encode("utf-8", "surrogatepass"))
        if event is not None:
            for row in Evidence().fold([event]).rows:
                assert row.keepalive is None or 0 <= row.keepalive <= KEEPALIVE_MAX
                for text in (row.username, row.client_id, row.address, row.detail):
                    assert text is None or "\0" not in text
                    (text or "").encode()
