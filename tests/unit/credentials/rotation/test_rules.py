"""The rules of rotation: each decision in a table, and whole lives of devices made up.

What must hold, whatever is lost and whenever the power fails: at the end the device is in
session, and nothing was settled that was not proved.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.credentials.rotation.rules import Act, Answer, Facts, Phase, Timing, decide
from tests.unit.credentials.rotation.world import (
    NEW,
    OLD,
    Both,
    Deaf,
    Firmware,
    Lazy,
    Newest,
    World,
)

T = Timing()
SENT = Facts(Phase.SENT, created_at=0, first_sent_at=0, last_sent_at=0, sends=1, connected=True)
AWAY = replace(SENT, connected=False, ended=True, away_since=0)
ON_NEW = replace(SENT, phase=Phase.ON_NEW, flips=1, in_force_at=0, connected=False)


@pytest.mark.parametrize(
    ("facts", "now", "act"),
    [
        (Facts(Phase.PREPARED, 0), 0, Act.WAIT),
        (Facts(Phase.PREPARED, 0, connected=True), 0, Act.SEND),
        (Facts(Phase.PREPARED, 0), T.wait, Act.CANCEL),
        (Facts(Phase.PREPARED, 0, connected=True, enabled=False), 0, Act.WAIT),
        (SENT, 1_000, Act.WAIT),
        (SENT, T.resend, Act.SEND),
        (replace(SENT, sends=T.sends), T.resend, Act.WAIT),
        (replace(SENT, sends=0, first_sent_at=None), T.resend, Act.SEND),
        (replace(SENT, sends=0, first_sent_at=None), T.wait, Act.CANCEL),
        (replace(SENT, answer=Answer.DONE), 0, Act.HOLD_NEW),
        (replace(SENT, answer=Answer.REFUSED), 0, Act.ROLL_BACK),
        (SENT, T.silence, Act.PROBE),
        (replace(SENT, busy=True), T.silence, Act.WAIT),
        (replace(AWAY, near=1), T.hold, Act.WAIT),
        (replace(AWAY, near=2), T.hold, Act.HOLD_NEW),
        (replace(AWAY, near=2, free=False), T.gone, Act.WAIT),
        (replace(AWAY, near=3, free=False), T.gone - 1, Act.WAIT),
        (replace(AWAY, near=3, free=False), T.gone, Act.HOLD_NEW),
        (replace(AWAY, far=1, last_sent_at=T.resend), T.anywhere - 1, Act.WAIT),
        (replace(AWAY, far=1), T.anywhere, Act.HOLD_NEW),
        (replace(SENT, near=9), 0, Act.WAIT),
        (replace(SENT, phase=Phase.PROBED, back_late=True), T.silence, Act.ROLL_BACK),
        (replace(AWAY, phase=Phase.PROBED), 9 * T.wait, Act.WAIT),
        (replace(AWAY, phase=Phase.PROBED, answer=Answer.DONE), T.silence, Act.HOLD_NEW),
        (replace(SENT, phase=Phase.PROBED), T.silence, Act.PROBE),
        (replace(ON_NEW, in_force_at=None, proved=True), 0, Act.WAIT),
        (replace(ON_NEW, proved=True), 0, Act.SETTLE),
        (replace(ON_NEW, phase=Phase.ON_OLD, flips=2, proved=True), 0, Act.ROLL_BACK),
        (replace(ON_NEW, near=2), T.hold, Act.HOLD_OLD),
        (replace(ON_NEW, near=2), T.hold - 1, Act.WAIT),
        (replace(ON_NEW, near=2, connected=True), T.hold, Act.WAIT),
        (replace(ON_NEW, phase=Phase.ON_OLD, flips=2, near=2), T.hold, Act.WAIT),
        (replace(ON_NEW, phase=Phase.ON_OLD, flips=2, near=4), T.hold, Act.HOLD_NEW),
        (replace(ON_NEW, far=1), T.anywhere, Act.HOLD_OLD),
        (replace(ON_NEW), 99 * T.wait, Act.WAIT),
        (replace(ON_NEW, near=99, free=False), T.restart - 1, Act.WAIT),
        (replace(ON_NEW, near=99, free=False), T.restart, Act.HOLD_OLD),
        (replace(ON_NEW, phase=Phase.SETTLED), T.wait, Act.WAIT),
    ],
)
def test_decisions(facts: Facts, now: int, act: Act) -> None:
    assert decide(facts, now, T).act is act


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize(
    ("firmware", "phase", "password"),
    [
        (Both, Phase.SETTLED, NEW),
        (Newest, Phase.SETTLED, NEW),
        (Lazy, Phase.SETTLED, NEW),
        (Deaf, Phase.ROLLED_BACK, OLD),
    ],
)
def test_without_a_fault(firmware: type[Firmware], phase: Phase, password: str, free: bool) -> None:
    world = World(firmware(), free=free)
    world.run(300)
    assert (world.phase, world.session) == (phase, password)
    assert world.restarts == 0


def test_a_device_that_does_not_know_the_command_is_never_refused() -> None:
    world = World(Deaf())
    world.run(300)
    assert Act.HOLD_NEW not in world.acts


def test_a_lost_command_changes_nothing() -> None:
    world = World(Newest(), arrives=lambda _: False)
    world.run(300)
    assert (world.phase, world.session) == (Phase.ROLLED_BACK, OLD)
    assert Act.HOLD_NEW not in world.acts


@pytest.mark.parametrize("firmware", [Both, Newest, Lazy, Deaf])
def test_away_for_a_month_after_the_command(firmware: type[Firmware]) -> None:
    month = 30 * 86_400
    world = World(firmware(), powered=lambda tick: tick < 2 or tick > month)
    world.run(5)
    world.now = (month - 5) * 1_000
    world.run(3_000)
    assert world.phase.over
    assert world.session is not None


days = st.lists(st.integers(0, 400), max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    firmware=st.sampled_from([Both, Newest, Lazy, Deaf]),
    free=st.booleans(),
    off=days,
    length=st.integers(1, 90),
    lost=st.sets(st.integers(1, 3)),
    silent=st.sets(st.integers(1, 3)),
    neighbours=days,
    patience=st.integers(1, 7),
)
def test_nobody_is_stranded(
    *,
    firmware: type[Firmware],
    free: bool,
    off: list[int],
    length: int,
    lost: set[int],
    silent: set[int],
    neighbours: list[int],
    patience: int,
) -> None:
    world = World(
        firmware(),
        free=free,
        powered=lambda tick: not any(start <= tick < start + length for start in off),
        arrives=lambda send: send not in lost,
        replies=lambda send: send not in silent,
        neighbour=lambda tick: tick in neighbours,
        patience=patience,
    )
    world.run(20_000)
    assert world.phase.over
    # Its end is where it stays: after another power cut it comes back.
    world.powered = lambda tick: tick % 50 > 5
    for _ in range(400):
        world.tick()
    world.powered = lambda _: True
    for _ in range(60):
        world.tick()
    assert world.session is not None
