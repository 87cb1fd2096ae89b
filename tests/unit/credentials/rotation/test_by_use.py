"""Rotations where the broker accepts both passwords: rules, and devices that live by them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.credentials.rotation.by_use import UseFacts, decide_by_use
from mooring.credentials.rotation.rules import Act, Answer, Phase, Timing

TIMING = Timing()
TICK = 1_000


def facts(**more: object) -> UseFacts:
    base = UseFacts(Phase.SENT, 0, first_sent_at=1_000, last_sent_at=1_000, sends=1, connected=True)
    return replace(base, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "now", "act"),
    [
        (facts(), 2_000, Act.WAIT),
        (facts(), 11_000, Act.SEND),
        (facts(connected=False), 11_000, Act.WAIT),
        (facts(sends=3), 11_000, Act.WAIT),
        (facts(), 31_000, Act.PROBE),
        (facts(busy=True), 31_000, Act.WAIT),
        (facts(answer=Answer.DONE), 2_000, Act.PROBE),
        (facts(answer=Answer.REFUSED), 2_000, Act.ROLL_BACK),
        (facts(used_new_at=1_500), 2_000, Act.SETTLE),
        (facts(used_new_at=1_500, enabled=False), 2_000, Act.SETTLE),
        (facts(used_new_at=1_500, answer=Answer.REFUSED), 2_000, Act.SETTLE),
        (facts(used_old_at=1_500), 2_000, Act.WAIT),  # it came before the command did
        (facts(phase=Phase.PREPARED, sends=0, first_sent_at=None), 500, Act.WAIT),
        (
            facts(phase=Phase.PREPARED, sends=0, first_sent_at=None, last_sent_at=None),
            500,
            Act.SEND,
        ),
        (
            facts(phase=Phase.PREPARED, sends=0, last_sent_at=None, connected=False),
            TIMING.wait,
            Act.CANCEL,
        ),
        (facts(phase=Phase.PROBED, connected=False), 10**9, Act.WAIT),  # for as long as it takes
        (facts(phase=Phase.PROBED), 2_000, Act.WAIT),
        (facts(phase=Phase.PROBED), 31_000, Act.PROBE),
        (facts(phase=Phase.PROBED, used_old_at=999), 2_000, Act.WAIT),
        (facts(phase=Phase.PROBED, used_old_at=1_001), 2_000, Act.ROLL_BACK),
        (facts(phase=Phase.PROBED, used_old_at=1_001, answer=Answer.DONE), 2_000, Act.WAIT),
        (facts(phase=Phase.ON_NEW, used_old_at=1_001), 2_000, Act.ROLL_BACK),
        (facts(phase=Phase.SETTLED, used_new_at=1), 2_000, Act.WAIT),
    ],
)
def test_each_step(known: UseFacts, now: int, act: Act) -> None:
    assert decide_by_use(known, now, TIMING).act is act


@dataclass
class Life:
    """A device and the broker, one tick a second; the broker accepts old and new."""

    stores: bool  # it knows the command
    answers: bool
    leaves: bool  # it reconnects by itself once it has stored the password
    prefers_old: bool = False
    has: set[str] = field(default_factory=lambda: {"old"})
    session: str | None = "old"
    phase: Phase = Phase.PREPARED
    sends: int = 0
    first: int | None = None
    last: int | None = None
    answer: Answer | None = None
    used: dict[str, int] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset({"old", "new"})
    refused: int = 0

    def run(self, powered: list[bool], arrives: list[bool], ticks: int = 2_000) -> Phase:
        for tick in range(1, ticks):
            now = tick * TICK
            on = powered[tick % len(powered)] or tick > ticks // 2
            if not on:
                self.session = None
            elif self.session is None:
                self.log_in(now)
            decision = decide_by_use(self.facts(), now, TIMING)
            match decision.act:
                case Act.SEND:
                    self.phase, self.first, self.last = Phase.SENT, self.first or now, now
                    self.sends += 1
                    if arrives[self.sends % len(arrives)]:
                        self.command()
                case Act.PROBE:
                    self.phase, self.last, self.session = Phase.PROBED, now, None
                case Act.SETTLE:
                    self.phase, self.accepted = Phase.SETTLED, frozenset({"new"})
                case Act.ROLL_BACK | Act.CANCEL:
                    self.phase, self.accepted = Phase.ROLLED_BACK, frozenset({"old"})
            if self.phase.over:
                self.session = None
                self.log_in(now + 1)
                return self.phase
        return self.phase

    def log_in(self, now: int) -> None:
        order = ["old", "new"] if self.prefers_old else ["new", "old"]
        for password in (one for one in order if one in self.has):
            if password in self.accepted:
                self.session, self.used[password] = password, now
                return
            self.refused += 1

    def command(self) -> None:
        if not self.stores or self.session is None:
            return
        self.has = {"old", "new"} if self.prefers_old or self.answers else {"new"}
        if self.answers:
            self.answer = Answer.DONE
        if self.leaves:
            self.session = None

    def facts(self) -> UseFacts:
        return UseFacts(
            self.phase, 0, self.first, self.last, self.sends, True, self.session is not None,
            False, self.answer, self.used.get("new"),
            self.used.get("old"),
        )  # fmt: skip


LIVES = st.builds(
    Life,
    stores=st.booleans(),
    answers=st.booleans(),
    leaves=st.booleans(),
    prefers_old=st.booleans(),
)


@given(
    LIVES,
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_no_device_is_ever_locked_out(life: Life, powered: list[bool], arrives: list[bool]) -> None:
    phase = life.run(powered, arrives)
    assert life.session is not None
    if phase is Phase.SETTLED:
        assert "new" in life.has
    if life.has == {"new"}:
        assert phase is Phase.SETTLED
    assert life.refused == 0 or phase.over
