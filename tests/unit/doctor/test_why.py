"""Verdicts: each one is reached, and refused attempts of others do not forge one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.access_rules import Reason
from mooring.doctor.refusals import Code
from mooring.doctor.seen import CertificateSeen, DeadLetterSeen, Event, EventKind, Seen
from mooring.doctor.why import SHOWN_MAX, nearest, why

NOW = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE

IDLE = Seen(
    now=NOW,
    username="home/lamp",
    client_id="home:lamp",
    created_at=NOW - 30 * 24 * HOUR,
    password_at=NOW - 30 * 24 * HOUR,
    proved_at=NOW - 29 * 24 * HOUR,
    publishes=("mooring/home/lamp/telemetry", "mooring/home/lamp/status"),
    subscribes=("mooring/home/lamp/command/+",),
)
CONNECTED = replace(
    IDLE,
    connected=True,
    connected_at=NOW - HOUR,
    address="10.0.0.7",
    last_seen_at=NOW - MINUTE,
    last_stored=("telemetry", NOW - MINUTE),
)


def event(kind: EventKind, why: str = "", ago: int = MINUTE, **more: object) -> Event:
    return Event(NOW - ago, kind, why, **more)  # type: ignore[arg-type]


def refused(why: str, **more: object) -> tuple[Event, ...]:
    return (event(EventKind.REFUSED, why, client_id="x", address="10.0.0.9", **more),)


def certificate(*, revoked: bool = False, expired: bool = False) -> CertificateSeen:
    return CertificateSeen(
        "0a",
        NOW - 90 * 24 * HOUR,
        NOW - HOUR if expired else NOW + 24 * HOUR,
        NOW - MINUTE if revoked else None,
    )


CASES: dict[str, tuple[Seen, Code]] = {
    "connected and sending": (CONNECTED, Code.WELL),
    "just connected": (
        replace(CONNECTED, connected_at=NOW - 1000, last_seen_at=None, last_stored=None),
        Code.WELL,
    ),
    "connected for an hour without a word": (
        replace(CONNECTED, last_seen_at=None, last_stored=None),
        Code.SILENT,
    ),
    "quiet for longer than its interval": (
        replace(CONNECTED, expected_ms=MINUTE, last_seen_at=NOW - 20 * MINUTE),
        Code.SILENT,
    ),
    "removed": (replace(IDLE, removed=True), Code.REMOVED),
    "broker down": (replace(CONNECTED, broker_answers=False), Code.BROKER_DOWN),
    "pending": (replace(IDLE, change_pending=""), Code.CHANGE_PENDING),
    "disabled": (replace(IDLE, enabled=False), Code.DISABLED),
    "never": (replace(IDLE, proved_at=None), Code.NEVER_REACHED),
    "was there": (replace(IDLE, last_seen_at=NOW - HOUR), Code.DISCONNECTED),
    "never used password": (
        replace(IDLE, proved_at=None, events=refused("wrong_password")),
        Code.WRONG_PASSWORD_NEVER_USED,
    ),
    "old password": (
        replace(IDLE, password_at=NOW - HOUR, events=refused("wrong_password")),
        Code.WRONG_PASSWORD_OLD,
    ),
    "wrong password": (replace(IDLE, events=refused("wrong_password")), Code.WRONG_PASSWORD),
    "wrong password in a rotation": (
        replace(IDLE, proved_at=None, rotating=True, events=refused("wrong_password")),
        Code.WRONG_PASSWORD,
    ),
    "unknown": (replace(IDLE, events=refused("unknown_username")), Code.UNKNOWN_USERNAME),
    "no password": (replace(IDLE, events=refused("no_password")), Code.NO_PASSWORD),
    "password for a certificate": (
        replace(IDLE, events=refused("certificate_only")),
        Code.CERTIFICATE_ONLY,
    ),
    "wrong client id": (replace(IDLE, events=refused("wrong_client_id")), Code.WRONG_CLIENT_ID),
    "client id of another": (
        replace(IDLE, events=refused("client_id_of_another")),
        Code.CLIENT_ID_OF_ANOTHER,
    ),
    "certificate revoked": (
        replace(
            IDLE,
            events=refused("certificate_unknown"),
            certificates=(certificate(revoked=True),),
        ),
        Code.CERTIFICATE_REVOKED,
    ),
    "certificate of another CA": (
        replace(IDLE, events=refused("certificate_unknown"), certificates=(certificate(),)),
        Code.CERTIFICATE_UNKNOWN,
    ),
    "certificate of another device": (
        replace(IDLE, events=refused("certificate_of_another")),
        Code.CERTIFICATE_OF_ANOTHER,
    ),
    "certificate of a clock that was ahead": (
        replace(
            IDLE,
            by_certificate=True,
            certificates=(replace(certificate(), not_before=NOW + HOUR),),
        ),
        Code.CERTIFICATE_EXPIRED,
    ),
    "certificate expired": (
        replace(IDLE, by_certificate=True, certificates=(certificate(expired=True),)),
        Code.CERTIFICATE_EXPIRED,
    ),
    "too many": (replace(IDLE, events=refused("too_many_connections")), Code.TOO_MANY_CONNECTIONS),
    "unreadable": (
        replace(IDLE, events=refused("accounts_unreadable")),
        Code.ACCOUNTS_UNREADABLE,
    ),
    "rejected for a reason without words": (replace(IDLE, events=refused("new")), Code.REFUSED),
    "somebody at its address was rejected": (
        replace(IDLE, names_rejected=False, events=refused("not authorised", named=False)),
        Code.REFUSED,
    ),
    "a handshake at its address failed": (
        replace(
            IDLE,
            events=(
                event(
                    EventKind.TLS_FAILED,
                    "error:0A000086:SSL routines::certificate verify failed",
                    address="10.0.0.9",
                    named=False,
                ),
            ),
        ),
        Code.TLS_FAILED,
    ),
    "certificate revoked, of a device with a password": (
        replace(
            IDLE,
            events=(event(EventKind.LOGIN, "certificate", ago=HOUR),),
            certificates=(certificate(revoked=True),),
        ),
        Code.CERTIFICATE_REVOKED,
    ),
    "takeover loop": (
        replace(
            CONNECTED,
            events=tuple(event(EventKind.TAKEN_OVER, ago=n * 5000 + 1000) for n in range(4)),
        ),
        Code.TAKEOVER_LOOP,
    ),
    "limited": (
        replace(CONNECTED, events=(event(EventKind.LIMITED, "limit_messages"),)),
        Code.LIMITED,
    ),
    "oversize": (
        replace(CONNECTED, last_stored=None, events=(event(EventKind.OVERSIZE),)),
        Code.OVERSIZE,
    ),
    "denied": (
        replace(
            CONNECTED,
            last_stored=("telemetry", NOW - HOUR),
            events=(event(EventKind.DENIED, topic="mooring/home/lamb/telemetry"),),
        ),
        Code.DENIED_TOPIC,
    ),
    "denied subscription": (
        replace(
            CONNECTED,
            events=(event(EventKind.DENIED, topic="#", action="subscribe"),),
        ),
        Code.DENIED_TOPIC,
    ),
    "undecodable": (
        replace(
            CONNECTED,
            last_stored=None,
            dead_letter=DeadLetterSeen(NOW - 1000, "not_json", "It is not JSON.", "a/b"),
        ),
        Code.UNDECODABLE,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_situation_has_its_verdict(name: str) -> None:
    seen, code = CASES[name]
    assert why(seen).code is code


def test_every_verdict_is_reached() -> None:
    assert {code for _, code in CASES.values()} == set(Code)


def test_every_reason_of_the_broker_has_words_of_its_own() -> None:
    """But for those of topics, and for a login without a username, which names no device."""
    others = {"no_right", "reserved", "invalid_topic", "no_username"}
    for reason in Reason:
        if reason.value not in others:
            assert why(replace(IDLE, events=refused(reason.value))).code is not Code.REFUSED


@pytest.mark.parametrize("reason", ["wrong_password", "wrong_client_id", "unknown_username", ""])
def test_attempts_of_others_say_nothing_of_a_connected_device(reason: str) -> None:
    attempts = tuple(e for n in range(50) for e in refused(reason, ago=n * 100))
    assert why(replace(CONNECTED, events=attempts)).code is Code.WELL


def test_an_accepted_login_outweighs_refused_ones_before_it() -> None:
    events = (event(EventKind.LOGIN, ago=1000), *refused("wrong_password", ago=2000))
    assert why(replace(IDLE, last_seen_at=NOW, events=events)).code is Code.DISCONNECTED


def test_an_attempt_while_the_device_was_connected_is_not_why_it_is_gone() -> None:
    events = (event(EventKind.GONE, "7", ago=1000), *refused("wrong_password", ago=2000))
    assert why(replace(IDLE, last_seen_at=NOW, events=events)).code is Code.DISCONNECTED


def test_braces_in_what_devices_choose_are_text() -> None:
    for text in ("{0}", "{username}", "{", "%s"):
        found = why(replace(IDLE, username=text, events=refused(text)))
        assert found.code is Code.REFUSED
        found = why(replace(IDLE, username=text, client_id=text, events=refused("wrong_client_id")))
        assert text in found.next_step


def test_what_the_broker_says_of_nobody_is_not_said_of_the_device() -> None:
    """Rejected logins and handshakes without a name: of others behind the same address, too."""
    for kind in (EventKind.REFUSED, EventKind.TLS_FAILED):
        found = why(replace(IDLE, events=(event(kind, "x", address="10.0.0.9", named=False),)))
        assert "does not report which" in found.summary
        nowhere = replace(IDLE, proved_at=None, events=(event(kind, "x", named=False),))
        for names in (True, False):
            told = why(replace(nowhere, names_rejected=names))
            assert told.code is Code.NEVER_REACHED
            assert "may have been this device" in told.summary
        assert ("has reached the broker" in told.summary) is False
        # What the device did after that outweighs it, and so does what the broker says by name.
        later = event(EventKind.LOGIN, ago=1000)
        gone = replace(IDLE, last_seen_at=NOW, events=(later, *nowhere.events))
        assert why(gone).code is Code.DISCONNECTED
        named = (*refused("wrong_client_id", ago=2 * MINUTE), *found_events(kind))
        assert why(replace(IDLE, events=named)).code is Code.WRONG_CLIENT_ID


def found_events(kind: EventKind) -> tuple[Event, ...]:
    return (event(kind, "x", address="10.0.0.9", named=False),)


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("error:0A000418:SSL routines::tlsv1 alert unknown ca", "CA of the platform"),
        ("error:0A000086:SSL routines::certificate verify failed", "Issue one"),
        (
            "error:0A0000C7:SSL routines::peer did not return a certificate",
            "accepts only certificates",
        ),
        ("error:0A00010B:SSL routines::wrong version number", "TLS version"),
    ],
)
def test_a_failed_handshake_says_what_to_do(reason: str, hint: str) -> None:
    events = (event(EventKind.TLS_FAILED, reason, address="10.0.0.9", named=False),)
    assert hint in why(replace(IDLE, events=events)).next_step


def test_a_refused_attempt_is_told_with_its_address() -> None:
    found = why(replace(IDLE, events=refused("wrong_password")))
    assert "10.0.0.9" in found.evidence[0].text


def test_what_is_stored_after_a_trouble_ends_it() -> None:
    for trouble in (
        event(EventKind.DENIED, topic="a", ago=2 * MINUTE),
        event(EventKind.OVERSIZE, ago=2 * MINUTE),
    ):
        assert why(replace(CONNECTED, events=(trouble,))).code is Code.WELL


def test_the_newer_of_two_troubles_is_told() -> None:
    denied = (event(EventKind.DENIED, topic="a", ago=2 * MINUTE),)
    dead = DeadLetterSeen(NOW - 1000, "not_json", "It is not JSON.", "a/b")
    both = replace(CONNECTED, last_stored=None, events=denied, dead_letter=dead)
    assert why(both).code is Code.UNDECODABLE
    older = replace(dead, at=NOW - 3 * MINUTE)
    assert why(replace(both, dead_letter=older)).code is Code.DENIED_TOPIC


def test_the_nearest_topic_is_named() -> None:
    found = why(CASES["denied"][0])
    assert "mooring/home/lamp/telemetry" in found.next_step
    assert nearest("mooring/home/lamp/statos", IDLE.publishes) == "mooring/home/lamp/status"
    assert nearest("a", ()) is None


TEXT = st.text(max_size=40)
EVENTS = st.lists(
    st.builds(
        Event,
        at=st.integers(NOW - 2 * HOUR, NOW),
        kind=st.sampled_from(EventKind),
        why=st.sampled_from([*Reason, "", "limit_bytes", "%s {0} {username}"]) | TEXT,
        client_id=TEXT,
        address=TEXT,
        topic=TEXT,
        action=st.sampled_from(["", "publish", "subscribe", "read"]),
        count=st.integers(1, 10**6),
        named=st.booleans(),
    ),
    max_size=30,
)


@given(
    events=EVENTS,
    connected=st.sampled_from([None, True, False]),
    seen_at=st.none() | st.integers(NOW - HOUR, NOW),
    enabled=st.booleans(),
    certificates=st.lists(
        st.builds(
            CertificateSeen,
            TEXT,
            st.just(0),
            st.integers(NOW - HOUR, NOW + HOUR),
            st.none() | st.just(NOW - 1),
        ),
        max_size=3,
    ),
)
def test_whatever_was_seen_there_is_one_verdict(
    events: list[Event],
    connected: bool | None,
    seen_at: int | None,
    enabled: bool,
    certificates: list[CertificateSeen],
) -> None:
    seen = replace(
        IDLE,
        events=tuple(sorted(events, key=lambda e: -e.at)),
        connected=connected,
        connected_at=seen_at,
        last_seen_at=seen_at,
        enabled=enabled,
        by_certificate=bool(certificates),
        certificates=tuple(certificates),
    )
    found = why(seen)
    assert found.summary.strip().endswith((".", ". ")) or found.summary
    assert found.well == (found.code is Code.WELL)
    assert len(found.evidence) <= 2 * SHOWN_MAX


@given(attempts=st.lists(st.sampled_from([*Reason, ""]), max_size=20))
def test_nobody_forges_a_verdict_on_a_connected_device_by_attempts(attempts: list[str]) -> None:
    events = tuple(e for n, reason in enumerate(attempts) for e in refused(reason, ago=n))
    assert why(replace(CONNECTED, events=events)) == why(CONNECTED)
