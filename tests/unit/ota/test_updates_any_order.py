"""An update under any interleaving of reports, connections, versions, kills and clock steps.

The model holds the row as the database does, and the messages that carry offers as the sender sees
them: a kill throws away what one transaction would have written.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.ota.updates import rules
from mooring.ota.updates.model import (
    INSTALL_BEGUN,
    NOT_BEGUN,
    OPEN,
    Code,
    Kind,
    Seen,
    State,
    Update,
)
from mooring.ota.updates.rules import Event, Present, Said
from mooring.ota.updates.table import TABLE
from mooring.ota.updates.waits import SKEW_MS, Waits, deadline

T0 = 1_771_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WAITS = Waits()
STEPS_MAX = 1_600  # deadlines, one after the other, of a device that says nothing

REPORTS = [
    *(Event.DOWNLOADING, Event.INSTALLING, Event.REBOOTING, Event.INSTALLED, Event.DEFERRED),
    *(Event.FAILED, Event.REJECTED, Event.CANCELLED),
]
SPANS = st.sampled_from([1, MINUTE, 5 * MINUTE, 11 * MINUTE, HOUR, DAY, 8 * DAY])
kills = st.booleans()


class UpdateMachine(RuleBasedStateMachine):
    """One update and what happens to it."""

    @initialize(
        linked=st.sampled_from([None, False, True]),
        interval=st.sampled_from([None, MINUTE, 6 * HOUR]),
        provable=st.booleans(),
        reports=st.booleans(),
        size=st.sampled_from([0, 1000]),
    )
    def begin(
        self,
        *,
        linked: bool | None,
        interval: int | None,
        provable: bool,
        reports: bool,
        size: int,
    ) -> None:
        self.at = T0
        self.messages = 1
        self.open = {1}  # messages with offers that are not handed over yet
        row = Update(
            id=7,
            tenant="home",
            device_id=1,
            device="trap",
            release_id=3,
            artifact_id=4,
            kind=Kind.FIRMWARE,
            version="1.5.0",
            from_version="1.4.0",
            size=size,
            created_at=T0,
            expires_at=T0 + WAITS.offer,
            state=State.WAITING,
            state_at=T0,
            due_at=None,
            offer_at=T0,
            downlink_id=1,
            linked=linked,
            linked_at=None if linked is None else T0 - HOUR,
            interval_ms=interval,
            provable=provable,
            reports=reports,
        )
        self.row = replace(row, due_at=deadline(row, WAITS))

    def commit(self, after: Update | None, killed: bool = False) -> None:
        """What one transaction writes; a kill before it is over leaves everything as it was."""
        if after is None or killed:
            return
        before = self.row
        if after.state is not before.state:
            assert any(
                (one, event) in TABLE and TABLE[one, event] is after.state
                for one in (before.state, *(step.state for step in after.history))
                for event in Event
            ), (before.state, after.state)
        message = rules.dropped(before, after)
        if message is not None:
            self.open.discard(message)
        if after.state is State.CONFIRMED and before.state is not State.CONFIRMED:
            self.is_proved(before, after)
        self.row = after

    def is_proved(self, before: Update, after: Update) -> None:
        assert before.state is State.INSTALLED
        assert after.seen is Seen.NEW
        assert after.session_at is not None and after.seen_ts is not None
        assert after.seen_ts >= after.session_at - SKEW_MS, "an old message proves nothing"
        if after.linked is not None:
            assert after.session_at > after.created_at, "a session from before the offer"
        assert self.at >= max(after.session_at, after.seen_since or 0) + WAITS.proof

    # ------------------------------------------------------------------ what the platform does

    @rule(killed=kills)
    def hand_over(self, killed: bool) -> None:
        """The sender: first the message, then the record of it, which a kill may prevent."""
        if self.row.downlink_id in self.open:
            self.open.discard(self.row.downlink_id)
            self.commit(rules.taken(self.row, self.at, WAITS), killed)

    @rule(span=SPANS, heard=st.booleans(), critical=st.booleans(), killed=kills)
    def time_passes(self, span: int, heard: bool, critical: bool, killed: bool) -> None:
        self.at += span
        self.due(Present(self.at if heard else None, critical), killed)

    def due(self, present: Present, killed: bool = False) -> None:
        row = self.row
        if row.due_at is None or row.due_at > self.at:
            return
        after = rules.time(row, self.at, WAITS, present) or row
        if after is not row:
            self.commit(after, killed)
        self.write_offer(killed)

    def write_offer(self, killed: bool) -> None:
        waits = self.row.state is State.WAITING and self.row.downlink_id is None
        if killed or not waits or self.at >= self.row.expires_at:
            return
        self.messages += 1
        self.open.add(self.messages)
        offered = replace(self.row, downlink_id=self.messages, offer_at=self.at)
        self.commit(replace(offered, due_at=deadline(offered, WAITS)))

    @rule(step=st.sampled_from([-DAY, -HOUR, HOUR]))
    def clock_steps(self, step: int) -> None:
        self.at = max(T0 - DAY, self.at + step)

    # ------------------------------------------------------------------ what the device does

    @rule(
        event=st.sampled_from(REPORTS),
        code=st.sampled_from(["", Code.LINK, Code.DIGEST]),
        percent=st.sampled_from([None, 0, 50, 100]),
        lag=st.sampled_from([None, -HOUR, 0, HOUR]),
        later=st.sampled_from([None, 0, HOUR, 30 * DAY]),
        killed=kills,
    )
    def reports(
        self,
        *,
        event: Event,
        code: str,
        percent: int | None,
        lag: int | None,
        later: int | None,
        killed: bool,
    ) -> None:
        ts = None if lag is None else self.at + lag
        said = Said(event, code, "words", percent=percent, ts=ts, later_ms=later)
        self.commit(rules.report(self.row, said, self.at, WAITS), killed)

    @rule(to=st.sampled_from([0, 400, 1000, 5000]), whole=st.booleans(), killed=kills)
    def downloads(self, to: int, whole: bool, killed: bool) -> None:
        self.commit(rules.served(self.row, to, self.at, WAITS, whole=whole), killed)

    @rule(connected=st.booleans(), lag=st.sampled_from([0, 0, HOUR]), killed=kills)
    def connects(self, connected: bool, lag: int, killed: bool) -> None:
        self.commit(rules.linked(self.row, self.at - lag, WAITS, connected=connected), killed)

    @rule(
        seen=st.sampled_from([Seen.NEW, Seen.OLD]),
        lag=st.sampled_from([0, 1000, HOUR, 2 * DAY]),
        killed=kills,
    )
    def names(self, seen: Seen, lag: int, killed: bool) -> None:
        self.commit(rules.named(self.row, seen, self.at - lag, self.at, WAITS), killed)

    @rule(killed=kills)
    def asks_with_an_expired_link(self, killed: bool) -> None:
        self.commit(rules.renew(self.row, self.at, WAITS), killed)

    # ------------------------------------------------------------------ what people do

    @rule(event=st.sampled_from([Event.CANCEL, Event.WITHDRAW, Event.SUPERSEDE, Event.REMOVE]))
    def people(self, event: Event) -> None:
        if self.row.state is State.DOWNLOADING and event in (Event.CANCEL, Event.WITHDRAW):
            asked = replace(self.row, asked_at=self.row.asked_at or self.at)
            self.commit(replace(asked, due_at=deadline(asked, WAITS)))
            return
        self.commit(rules.advance(self.row, event, self.at, WAITS))

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def one_state_and_a_deadline(self) -> None:
        if not hasattr(self, "row"):
            return
        row = self.row
        assert row.over == (row.finished_at is not None)
        if row.state in OPEN:
            assert row.due_at is not None
        elif row.state is not State.CONFIRMED:
            assert row.due_at is None
        assert (row.state in INSTALL_BEGUN) <= (row.install_at is not None)
        assert len(row.history) <= rules.HISTORY_MAX
        assert row.served <= row.size

    @invariant()
    def never_two_offers_at_once(self) -> None:
        if not hasattr(self, "row"):
            return
        assert len(self.open) <= 1
        if self.open and self.row.state not in NOT_BEGUN:
            assert not self.open & {self.row.downlink_id}, "an offer that nobody needs any more"
        if self.row.over:
            assert not self.open

    def teardown(self) -> None:
        """A device that says nothing more: every chain of deadlines ends."""
        if not hasattr(self, "row"):
            return
        for _ in range(STEPS_MAX):
            if self.row.over and self.row.due_at is None:
                return
            assert self.row.due_at is not None
            self.at = max(self.at, self.row.due_at)
            self.due(Present(None, critical=True))
            self.hand_over_now()
        raise AssertionError(f"it never ends: {self.row}")

    def hand_over_now(self) -> None:
        if self.row.downlink_id in self.open:
            self.open.discard(self.row.downlink_id)
            self.commit(rules.taken(self.row, self.at, WAITS))


UpdateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestUpdate = UpdateMachine.TestCase
