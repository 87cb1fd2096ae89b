"""The most particular rule wins; 0 is for ever."""

from __future__ import annotations

import pytest

from mooring.errors import Invalid
from mooring.retention.policy import (
    DAY_MS,
    DAYS_MAX,
    MINUTES,
    ROLLUPS,
    Policy,
    Rule,
    check,
    cutoff,
)

POLICY = Policy(
    400,
    300,
    2000,
    (
        Rule("", "heartbeat", 7),
        Rule("acme", "", 730),
        Rule("acme", "event", 90),
        Rule("acme", ROLLUPS, 0),
        Rule("", MINUTES, 100),
    ),
)


@pytest.mark.parametrize(
    ("tenant", "kind", "days"),
    [
        ("home", "telemetry", 400),
        ("home", "heartbeat", 7),
        ("acme", "event", 90),
        ("acme", "telemetry", 730),
        ("acme", "heartbeat", 730),  # the tenant's own rule goes before everybody's
        ("", "", 400),
    ],
)
def test_messages(tenant: str, kind: str, days: int) -> None:
    assert POLICY.of_messages(tenant, kind) == days


def test_rollups() -> None:
    assert POLICY.of_rollups("home", minutes=True) == 100
    assert POLICY.of_rollups("acme", minutes=True) == 100
    assert POLICY.of_rollups("home", minutes=False) == 2000
    assert POLICY.of_rollups("acme", minutes=False) == 0


def test_terms() -> None:
    assert POLICY.message_terms() == [7, 90, 400, 730]
    assert POLICY.longest == 730
    assert Policy(0, 1, 1).longest is None
    assert Policy(0, 1, 1).message_terms() == []
    assert Policy(30, 1, 1, (Rule("a", "", 0),)).longest is None
    assert Policy(30, 1, 1, (Rule("", "", 5),)).of_messages("a", "event") == 5


def test_cutoff() -> None:
    assert cutoff(0, 5) is None
    assert cutoff(2, 5 * DAY_MS) == 3 * DAY_MS


@pytest.mark.parametrize(
    ("kind", "days", "code"),
    [("telemtry", 1, "unknown_kind"), ("", -1, "invalid_term"), ("", DAYS_MAX + 1, "invalid_term")],
)
def test_what_is_refused(kind: str, days: int, code: str) -> None:
    with pytest.raises(Invalid) as error:
        check(kind, days)
    assert error.value.slug == code


def test_what_is_taken() -> None:
    for kind in ("", "telemetry", MINUTES, ROLLUPS):
        check(kind, 0)
