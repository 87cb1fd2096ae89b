"""The table of states, and reports in any order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.device_settings.rules import (
    NO_RECORD,
    REFUSALS_MAX,
    TRANSITIONS,
    Event,
    Record,
    Report,
    State,
    changed,
    follow,
    label,
    reported,
    resent,
    taken,
)
from tests.support.source import ROOT

TABLE = {
    State.NONE: {Event.CHANGE: State.PENDING},
    State.PENDING: {
        Event.CHANGE: State.PENDING,
        Event.TAKEN: State.SENT,
        Event.APPLIED: State.IN_SYNC,
        Event.REFUSE: State.REFUSED,
        Event.EXHAUST: State.STOPPED,
        Event.RESEND: State.PENDING,
    },
    State.SENT: {
        Event.CHANGE: State.PENDING,
        Event.APPLIED: State.IN_SYNC,
        Event.REFUSE: State.REFUSED,
        Event.EXHAUST: State.STOPPED,
        Event.RESEND: State.PENDING,
    },
    State.IN_SYNC: {
        Event.CHANGE: State.PENDING,
        Event.APPLIED: State.IN_SYNC,
        Event.REFUSE: State.REFUSED,
        Event.EXHAUST: State.STOPPED,
        Event.RESEND: State.PENDING,
    },
    State.REFUSED: {
        Event.CHANGE: State.PENDING,
        Event.APPLIED: State.IN_SYNC,
        Event.REFUSE: State.REFUSED,
        Event.EXHAUST: State.STOPPED,
        Event.RESEND: State.PENDING,
    },
    State.STOPPED: {
        Event.CHANGE: State.PENDING,
        Event.APPLIED: State.IN_SYNC,
        Event.EXHAUST: State.STOPPED,
        Event.RESEND: State.PENDING,
    },
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_every_pair_leads_where_the_table_says(state: State, event: Event) -> None:
    assert follow(state, event) is TABLE[state].get(event, state)
    assert TRANSITIONS.get((state, event)) is TABLE[state].get(event)


SENT = Record(version=3, state=State.SENT)


def report(version: int | None, *, ok: bool = True, seq: int | None = None, at: int = 1) -> Report:
    return Report(version, ok, at, seq, "" if ok else f"no {version}", f'{{"v":{version}}}')


def test_only_a_report_of_this_version_is_in_sync() -> None:
    assert reported(SENT, report(3)).state is State.IN_SYNC
    for other in (None, 0, 1, 2, 4, 10**17):
        assert reported(SENT, report(other)).state is State.SENT


def test_a_report_of_a_version_that_was_never_made_shows_what_the_device_has() -> None:
    after = reported(SENT, report(9))
    assert (after.state, after.reported, after.reported_version) == (
        State.SENT,
        '{"v":9}',
        None,
    )
    assert reported(after, report(3)).state is State.IN_SYNC  # it blocks no later one
    assert reported(SENT, report(9, ok=False)) == SENT


def test_five_refusals_of_one_version_stop_it() -> None:
    record = SENT
    for number in range(1, REFUSALS_MAX):
        record = reported(record, report(3, ok=False))
        assert (record.state, record.refusals, record.words) == (State.REFUSED, number, "no 3")
    record = reported(record, report(3, ok=False))
    assert record.state is State.STOPPED
    assert reported(record, report(3, ok=False)).refusals == REFUSALS_MAX
    assert changed(record) == replace(record, version=4, state=State.PENDING, refusals=0, words="")
    assert resent(record).state is State.PENDING
    assert resent(record).refusals == 0


def test_a_refusal_of_an_earlier_version_is_no_refusal_of_this_one() -> None:
    after = reported(SENT, report(2, ok=False))
    assert (after.state, after.refusals) == (State.SENT, 0)


def test_an_earlier_message_about_the_same_version_changes_nothing() -> None:
    record = reported(SENT, report(3, seq=20))
    assert reported(record, report(3, ok=False, seq=19)) == record
    assert reported(record, report(3, ok=False, seq=20)) == record
    assert reported(record, report(2, seq=30)) == record
    assert reported(record, report(3, ok=False, seq=21)).state is State.REFUSED


def test_what_was_taken_is_the_newest_version_or_nothing() -> None:
    record = Record(version=3, state=State.PENDING)
    assert taken(record, 2) == record
    assert taken(record, 3).state is State.SENT
    done = reported(record, report(3))
    assert taken(done, 3) == done  # the report was faster than the record of sending
    assert resent(NO_RECORD) == NO_RECORD


def test_a_dialect_without_reports_claims_no_more_than_sending() -> None:
    assert label(State.SENT, reports=False) == "sent, not reported"
    assert {label(state, reports=True) for state in State} >= {"in sync", "pending", "refused"}


class Reports(RuleBasedStateMachine):
    """Changes, a broker that takes versions late, and a device whose reports come late, twice,
    and in any order."""

    @initialize()
    def begin(self) -> None:
        self.record = NO_RECORD
        self.said: list[Report] = []
        self.seq = 0
        self.applied: set[int] = set()
        self.refused = 0
        self.versions: list[int] = []

    @rule()
    def change(self) -> None:
        self.record = changed(self.record)
        self.refused = 0
        self.versions.append(self.record.version)

    @rule(back=st.integers(0, 2))
    def broker_takes(self, back: int) -> None:
        self.record = taken(self.record, self.record.version - back)

    @rule()
    def resend(self) -> None:
        self.record = resent(self.record)
        self.refused = 0

    @rule(back=st.integers(-1, 2), ok=st.booleans(), numbered=st.booleans(), at=st.integers(0, 99))
    def device_says(self, back: int, ok: bool, numbered: bool, at: int) -> None:
        self.seq += 1
        version = self.record.version - back
        new = report(version, ok=ok, seq=self.seq if numbered else None, at=at)
        self.said.append(new)

    @rule(data=st.data())
    def a_report_arrives(self, data: st.DataObject) -> None:
        if self.said:
            at = data.draw(st.integers(0, len(self.said) - 1))
            one = self.said[at]
            if data.draw(st.booleans()):  # otherwise it comes again
                self.said.pop(at)
            before = self.record
            self.record = reported(before, one)
            assert self.record.version == before.version
            if one.version == before.version and self.record != before:
                if one.ok:
                    self.applied.add(before.version)
                else:
                    self.refused += 1

    @invariant()
    def only_a_report_makes_it_in_sync(self) -> None:
        if self.record.state is State.IN_SYNC:
            assert self.record.version in self.applied
            assert self.record.reported_version == self.record.version

    @invariant()
    def versions_have_no_gap(self) -> None:
        assert self.versions == list(range(1, self.record.version + 1))

    @invariant()
    def it_stops_only_after_refusals(self) -> None:
        assert self.record.refusals <= min(self.refused, REFUSALS_MAX)
        stopped = self.record.state is State.STOPPED
        assert not stopped or self.record.refusals == REFUSALS_MAX

    @invariant()
    def nothing_is_known_of_a_version_that_was_never_made(self) -> None:
        assert (self.record.reported_version or 0) <= self.record.version


TestReports = Reports.TestCase
TestReports.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_the_docs_show_the_table() -> None:
    page = (ROOT / "docs" / "explanation" / "device-settings.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = next(row for row in cells if row[0] == "state")
    assert heads[2:] == [str(event) for event in Event]
    shown = {row[0].strip("`"): row[2:] for row in cells if len(row) == len(heads)}
    for state in State:
        targets = [str(TRANSITIONS.get((state, event), "")) for event in Event]
        assert shown[str(state)] == targets, state
    named = {row[0].strip("`") for row in cells if len(row) == 2}
    assert named >= {str(event) for event in Event}
