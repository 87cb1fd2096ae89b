"""A world in a few numbers: a broker with one password, a device, the rules. One tick a second.

It knows no Mooring but the rules: what the broker's log would show is worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mooring.credentials.rotation.rules import Act, Answer, Facts, Phase, Timing, decide

TIMING = Timing()
TICK = 1_000
OLD, NEW = "old", "new"


class Firmware:
    """What a device makes of a rotation; ``tries`` is the password of its next login."""

    answers = False

    def __init__(self) -> None:
        self.known = [OLD]
        self.turn = 0

    @property
    def tries(self) -> str:
        return self.known[self.turn % len(self.known)]

    def told(self) -> bool:
        """The command has arrived; whether it reconnects at once."""
        raise NotImplementedError

    def refused(self) -> None:
        """The broker did not take what it tried."""

    def accepted(self) -> None:
        """It did."""


class Deaf(Firmware):
    """Does not know the command."""

    def told(self) -> bool:
        return False


class Newest(Firmware):
    """Stores the newest password over the old one, and reconnects."""

    def told(self) -> bool:
        self.known = [NEW]
        return True


class Lazy(Newest):
    """The same, but uses it only when it has to reconnect anyway."""

    def told(self) -> bool:
        self.known = [NEW]
        return False


class Both(Firmware):
    """Keeps both, tries them in turn, answers."""

    answers = True

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.turns = 0

    def told(self) -> bool:
        if NEW not in self.known:
            self.known, self.turn = [NEW, OLD], 0
        return True

    def refused(self) -> None:
        self.refusals += 1
        if self.refusals >= min(2 + self.turns, 6):
            self.refusals, self.turn, self.turns = 0, self.turn + 1, self.turns + 1

    def accepted(self) -> None:
        self.refusals = 0
        if self.tries == NEW:
            self.known, self.turn = [NEW], 0


@dataclass
class World:
    """The whole of it."""

    firmware: Firmware
    free: bool = True
    powered: Callable[[int], bool] = lambda _tick: True
    arrives: Callable[[int], bool] = lambda _send: True  # the nth command
    replies: Callable[[int], bool] = lambda _send: True  # the nth answer
    neighbour: Callable[[int], bool] = lambda _tick: False  # somebody else is refused
    patience: int = 2  # ticks between two logins

    now: int = 0
    phase: Phase = Phase.PREPARED
    holds: str = OLD
    in_force_at: int | None = None
    session: str | None = OLD
    came_at: int = 0
    went_at: int = -1
    sends: int = 0
    first_sent: int | None = None
    last_sent: int | None = None
    expired: int = 0
    flips: int = 0
    answer: Answer | None = None
    near: int = 0
    ended: bool = False
    away_since: int | None = None
    restarts: int = 0
    acts: list[Act] = field(default_factory=list)

    @property
    def proved(self) -> bool:
        return self.in_force_at is not None and self.session == self.holds

    def facts(self) -> Facts:
        held = self.phase in {Phase.ON_NEW, Phase.ON_OLD}
        over = None if self.first_sent is None else self.first_sent + TIMING.silence
        return Facts(
            phase=self.phase,
            created_at=0,
            first_sent_at=self.first_sent,
            last_sent_at=self.last_sent,
            sends=self.sends,
            flips=self.flips,
            in_force_at=self.in_force_at if held else None,
            connected=self.session is not None,
            ended=self.ended,
            away_since=self.away_since,
            back_late=self.session is not None and over is not None and self.came_at >= over,
            answer=self.answer,
            proved=held and self.proved,
            near=self.near,
            far=self.near,
            free=self.free,
        )

    def tick(self) -> None:
        self._device()
        if self.neighbour(self.now // TICK):
            self.near += 1
        decision = decide(self.facts(), self.now, TIMING)
        if decision.act is not Act.WAIT:
            self.acts.append(decision.act)
            self._act(decision.act)
        self.now += TICK

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            if self.phase.over and self.session is not None:
                return
            self.tick()

    # ------------------------------------------------------------------ inside

    def _device(self) -> None:
        if not self.powered(self.now // TICK):
            self._end()
            return
        if self.session is None and (self.now // TICK) % self.patience == 0:
            tried = self.firmware.tries
            if tried == self.holds:
                self.session, self.came_at, self.away_since = tried, self.now, None
                self.firmware.accepted()
            else:
                self.near += 1
                self.firmware.refused()

    def _end(self) -> None:
        if self.session is not None:
            self.session, self.went_at, self.away_since = None, self.now, self.now
            if self.sends:
                self.ended = True

    def _act(self, act: Act) -> None:
        match act:
            case Act.SEND:
                self._send()
            case Act.PROBE:
                self.phase, self.last_sent = Phase.PROBED, self.now
                self._end()
            case Act.HOLD_NEW | Act.HOLD_OLD:
                self._hold(act)
            case Act.SETTLE:
                assert self.session == NEW, "settled without proof"
                self.phase = Phase.SETTLED
            case Act.ROLL_BACK:
                self.phase = Phase.ROLLED_BACK
            case Act.CANCEL:
                assert self.sends == 0, "cancelled what was sent"
                self.phase = Phase.CANCELLED

    def _send(self) -> None:
        if not self.sends:
            self.near, self.first_sent, self.phase = 0, self.now, Phase.SENT
        self.sends += 1
        self.last_sent = self.now
        if not self.arrives(self.sends) or self.session is None:
            return
        leaves = self.firmware.told()
        if self.firmware.answers and self.replies(self.sends):
            self.answer = Answer.DONE
        if leaves:
            self._end()

    def _hold(self, act: Act) -> None:
        self.phase = Phase.ON_NEW if act is Act.HOLD_NEW else Phase.ON_OLD
        if act is Act.HOLD_OLD and not self.free:
            self.restarts += 1
        self.holds = NEW if act is Act.HOLD_NEW else OLD
        self.flips += 1
        self.near = 0
        self.in_force_at = self.now
        if self.session is not None and self.session != self.holds:
            self._end()
