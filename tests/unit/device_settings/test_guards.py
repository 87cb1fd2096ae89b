"""When a guarded change stays, and when it is taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.device_settings.guards import Verdict, judge
from mooring.device_settings.model import Guard, Row
from mooring.device_settings.rules import Record, State

GUARD = Guard(since=1000, until=60_000, version=4, document={})
FIRST, SECOND = 500, 20_000  # when its sessions began


def row(state: State, *, version: int = 4, reported_at: int | None = None) -> Row:
    return Row(1, Record(version=version, state=state, reported_at=reported_at))


KNOWN = replace(GUARD, session=FIRST)

CASES = [
    # nothing is known yet
    (GUARD, row(State.PENDING), None, 2000, Verdict.WAIT),
    (GUARD, row(State.PENDING), FIRST, 2000, Verdict.WAIT),
    # the device has it
    (GUARD, row(State.SENT), None, 2000, Verdict.WAIT),
    (GUARD, row(State.SENT), FIRST, 2000, Verdict.BEGAN),
    (GUARD, row(State.IN_SYNC, reported_at=1500), FIRST, 2000, Verdict.BEGAN),
    # a report in the session in which it got the change proves nothing
    (KNOWN, row(State.IN_SYNC, reported_at=1500), FIRST, 2000, Verdict.WAIT),
    (KNOWN, row(State.IN_SYNC, reported_at=1500), None, 2000, Verdict.WAIT),
    # it came back and has not reported since
    (KNOWN, row(State.IN_SYNC, reported_at=1500), SECOND, 21_000, Verdict.WAIT),
    (KNOWN, row(State.SENT), SECOND, 21_000, Verdict.WAIT),
    # it came back and reported
    (KNOWN, row(State.IN_SYNC, reported_at=20_500), SECOND, 21_000, Verdict.CONFIRMED),
    (KNOWN, row(State.IN_SYNC, version=5, reported_at=20_500), SECOND, 21_000, Verdict.CONFIRMED),
    # too late, or refused
    (KNOWN, row(State.SENT), SECOND, 60_000, Verdict.TAKEN_BACK),
    (GUARD, row(State.PENDING), None, 60_000, Verdict.TAKEN_BACK),
    (KNOWN, row(State.IN_SYNC, reported_at=1500), FIRST, 60_000, Verdict.TAKEN_BACK),
    (KNOWN, row(State.REFUSED, reported_at=1500), FIRST, 2000, Verdict.TAKEN_BACK),
    (KNOWN, row(State.STOPPED, reported_at=1500), FIRST, 2000, Verdict.TAKEN_BACK),
    # a confirmation that is seen late is one
    (KNOWN, row(State.IN_SYNC, reported_at=20_500), SECOND, 70_000, Verdict.CONFIRMED),
]


@pytest.mark.parametrize(("guard", "known", "session", "at", "verdict"), CASES)
def test_the_verdict(
    guard: Guard, known: Row, session: int | None, at: int, verdict: Verdict
) -> None:
    assert judge(guard, known, session, at) is verdict
