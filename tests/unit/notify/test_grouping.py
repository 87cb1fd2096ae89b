"""Groups against a model that looks at every second, and the table against its page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.notify.grouping import (
    HIDING_MS,
    NEWS,
    TABLE,
    Event,
    Item,
    State,
    Timing,
    decide,
    follow,
    is_hidden,
)
from tests.support.source import ROOT

S = 1_000
WAIT, INTERVAL, REPEAT = 5, 20, 60
TIMING = Timing(WAIT * S, INTERVAL * S, REPEAT * S)
SECONDS = 150
ALERTS = range(3)


def test_the_page_shows_the_table_of_states() -> None:
    page = (ROOT / "docs" / "explanation" / "notifications.md").read_text("utf-8")
    events = list(Event)
    lines = [f"| | {' | '.join(events)} |"]
    for state, row in TABLE.items():
        cells = [str(row[event]) if event in row else "—" for event in events]
        lines.append(f"| **{state}** | {' | '.join(cells)} |")
    for line in lines:
        assert line in page, line


def test_every_state_knows_every_event_of_an_alert() -> None:
    for state in State:
        assert set(TABLE[state]) >= {Event.RAISED, Event.WORSE, Event.CLEARED}
    with pytest.raises(KeyError):
        follow(State.OVER, Event.NOTIFIED)


# ------------------------------------------------------------------ as the worker applies it


@dataclass
class Group:
    """Items as the outbox keeps them, and what was sent at which second."""

    items: dict[int, Item] = field(default_factory=dict)
    due_at: int | None = None
    sent: list[tuple[int, frozenset[tuple[int, str]]]] = field(default_factory=list)
    looks: int = 0

    def happen(self, alert: int, event: Event, second: int, severity: int) -> None:
        now = second * S
        item = self.items.get(alert)
        before = State.OVER if item is None else item.state
        after = follow(before, event)
        if after is State.OVER:
            self.items.pop(alert, None)
            return
        if item is None:
            self.items[alert] = Item(alert, after, severity, now)
            self._due(now + TIMING.wait_ms)
        elif after is not before and after in (State.WORSE, State.ENDING):
            self.items[alert] = replace(item, state=after, severity=severity, since=now)
            self._due(now + TIMING.wait_ms)
        else:
            self.items[alert] = replace(item, state=after, severity=severity)
            told_again = after is State.TOLD and before is not after
            if told_again or (after in NEWS and severity > item.severity):
                self._due(now)

    def snooze(self, alert: int, until: int, second: int) -> None:
        if alert in self.items:
            self.items[alert] = replace(self.items[alert], snoozed_until=until * S)
            self._due(second * S)

    def _due(self, at: int) -> None:
        self.due_at = at if self.due_at is None else min(self.due_at, at)

    def look(self, second: int, quiet_until: int | None) -> None:
        """Only when something is due."""
        now = second * S
        if self.due_at is None or self.due_at > now:
            return
        self.looks += 1
        quiet = None if quiet_until is None else quiet_until * S
        decision = decide(list(self.items.values()), TIMING, now, quiet)
        if decision.send:
            self.sent.append((second, frozenset((i.alert, str(i.state)) for i in decision.send)))
            for item in decision.send:
                after = follow(item.state, Event.NOTIFIED)
                if after is State.OVER:
                    del self.items[item.alert]
                else:
                    self.items[item.alert] = replace(item, state=after, told_at=now)
            decision = decide(list(self.items.values()), TIMING, now, quiet)
            assert not decision.send
        self.due_at = decision.due_at


class Naive:
    """Asks every second, of everything, what the rules say in words."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}  # alert → severity
        self.believed: dict[int, int] = {}  # alert → severity of which the recipient knows
        self.ended: dict[int, int] = {}  # alert → severity that it ended with
        self.changed: dict[int, int] = {}  # alert → since when it differs from what is believed
        self.told: dict[int, int] = {}
        self.snoozed: dict[int, int] = {}
        self.sent: list[tuple[int, frozenset[tuple[int, str]]]] = []

    def happen(self, alert: int, event: Event, second: int, severity: int) -> None:
        before = self._word(alert)
        if event is Event.CLEARED:
            self.open.pop(alert, None)
            self.ended[alert] = severity
        else:
            self.open[alert] = severity
        after = self._word(alert)
        if after in ("pending", "worse", "ending") and after != before:
            self.changed[alert] = second
        if alert not in self.open and alert not in self.believed:
            self.snoozed.pop(alert, None)

    def _word(self, alert: int) -> str:
        known = self.believed.get(alert)
        if alert in self.open:
            if known is None:
                return "pending"
            return "worse" if self.open[alert] > known else "told"
        return "over" if known is None else "ending"

    def look(self, second: int, quiet_until: int | None) -> None:
        free = {}
        for alert in ALERTS:
            word = self._word(alert)
            if word == "over":
                continue
            asleep = word != "ending" and self.snoozed.get(alert, 0) > second
            severity = self.open.get(alert, self.ended.get(alert, 0))
            still = quiet_until is not None and second < quiet_until and severity < 4
            if not asleep and not still:
                free[alert] = word
        news = [alert for alert, word in free.items() if word != "told"]
        waited = bool(news) and second >= min(self.changed[alert] for alert in news) + WAIT
        last = max(self.told.values(), default=None)
        apart = last is None or second >= last + INTERVAL
        again = any(w == "told" and second >= self.told[a] + REPEAT for a, w in free.items())
        if not (waited and apart) and not again:
            return
        self.sent.append((second, frozenset(free.items())))
        for alert, word in free.items():
            if word == "ending":
                del self.believed[alert], self.told[alert]
                self.snoozed.pop(alert, None)
            else:
                self.believed[alert], self.told[alert] = self.open[alert], second


happenings = st.lists(
    st.tuples(
        st.integers(0, SECONDS),
        st.sampled_from(ALERTS),
        st.sampled_from(["raise", "raise", "clear", "snooze"]),
        st.integers(2, 4),
    ),
    max_size=14,
).map(sorted)


@example([(0, 0, "raise", 2), (62, 0, "clear", 2), (66, 0, "raise", 2)], (0, 0))
@example([(0, 0, "raise", 2), (6, 0, "raise", 4)], (0, 7))
@example([(0, 2, "raise", 2), (6, 2, "raise", 4), (7, 2, "clear", 2)], (6, 20))
@given(happenings, st.tuples(st.integers(0, 80), st.integers(0, 60)))
def test_a_group_sends_what_a_look_at_every_second_would_send(
    some: list[tuple[int, int, str, int]], quiet: tuple[int, int]
) -> None:
    group, naive = Group(), Naive()
    begin, end = quiet[0], sum(quiet)
    for second in range(SECONDS + 2 * REPEAT):
        for when, alert, what, severity in some:
            if when != second:
                continue
            if what == "snooze":
                if alert in naive.open:
                    naive.snoozed[alert] = second + 10 * severity
                    group.snooze(alert, second + 10 * severity, second)
                continue
            if what == "clear" and alert not in naive.open:
                continue
            # A source steps up only: what steps down is in the table's own test.
            least = max(severity, naive.believed.get(alert, 0), naive.open.get(alert, 0))
            known = naive.believed.get(alert)
            worse = known is not None and least > known
            event = Event.WORSE if worse else Event.RAISED
            event = Event.CLEARED if what == "clear" else event
            kept = least if what != "clear" else naive.open[alert]
            naive.happen(alert, event, second, kept)
            group.happen(alert, event, second, kept)
        quiet_until = end if begin <= second < end else None
        naive.look(second, quiet_until)
        group.look(second, quiet_until)
    assert group.sent == naive.sent
    assert group.looks <= 4 * len(some) + SECONDS // INTERVAL + 12  # it does not ask every second


def test_what_is_cleared_before_it_is_sent_is_never_sent() -> None:
    group = Group()
    group.happen(1, Event.RAISED, 0, 2)
    group.happen(1, Event.CLEARED, WAIT - 1, 2)
    for second in range(200):
        group.look(second, None)
    assert group.sent == []


def test_a_critical_alert_passes_a_quiet_time() -> None:
    items = [Item(1, State.PENDING, 2, 0), Item(2, State.PENDING, 4, 0)]
    decision = decide(items, TIMING, WAIT * S, quiet_until=99 * S)
    assert [item.alert for item in decision.send] == [2]
    assert decide(items[:1], TIMING, WAIT * S, quiet_until=99 * S).due_at == 99 * S


def test_an_acknowledged_alert_is_not_repeated() -> None:
    item = Item(1, State.TOLD, 2, 0, told_at=0, acknowledged=True)
    assert decide([item], TIMING, 10 * REPEAT * S) == decide([], TIMING, 0)
    assert decide([item], replace(TIMING, acknowledged=True), REPEAT * S).send == (item,)


def test_a_program_that_groups_itself_gets_only_what_is_due() -> None:
    timing = Timing(0, 1_000, 60_000, whole=False)
    old, fresh, new = (
        Item(1, State.TOLD, 2, 0, told_at=0),
        Item(2, State.TOLD, 2, 0, told_at=50 * S),
        Item(3, State.PENDING, 2, 59 * S),
    )
    assert decide([old, fresh, new], timing, 59 * S).send == (new,)
    assert decide([old, fresh, new], timing, 60 * S).send == (old, new)


@pytest.mark.parametrize(
    ("of_device", "raised_at", "wider_since", "hidden"),
    [
        (True, HIDING_MS, 2 * HIDING_MS, True),
        (True, HIDING_MS - 1, 2 * HIDING_MS, False),  # long before: not because of it
        (True, 9 * HIDING_MS, 2 * HIDING_MS, True),
        (False, 9 * HIDING_MS, 2 * HIDING_MS, False),  # not about a device
        (True, 9 * HIDING_MS, None, False),
    ],
)
def test_what_a_wider_alert_hides(
    of_device: bool, raised_at: int, wider_since: int | None, hidden: bool
) -> None:
    found = is_hidden(of_device=of_device, raised_at=raised_at, wider_since=wider_since)
    assert found is hidden


def test_what_is_hidden_is_held_and_not_lost() -> None:
    item = Item(1, State.PENDING, 4, 0, hidden=True)
    decision = decide([item], TIMING, 100 * S)
    assert not decision.send
    assert decision.due_at is not None
    assert decide([replace(item, hidden=False)], TIMING, decision.due_at).send
