"""When a rotation takes its next step. Pure: what is known and the time in, a decision out.

The broker holds one password a login, and holds the old one until there is a sign that the
device has the new one: it says so, or it is rejected with what it has. A lost command changes
nothing. A device that says nothing is asked by ending its session: it comes back with the
password it has. From the sign on the broker holds the new one, and changes sides while logins
are rejected, until the device has connected:

    prepared ─device there─▶ sent ─silence─▶ probed
        │                     │ └─────sign─────┴──▶ on_new ◀─rejected─▶ on_old
      never came         device rejects,  comes        │                  │
        │                                 with old   proved             proved
        ▼                     ▼             ▼          ▼                  ▼
    cancelled            rolled_back   rolled_back   settled         rolled_back

Nothing here ends because of time alone once the command may have reached the device: a device
that was switched off for a month finds its password, whichever it has.

A device that keeps two passwords tries each a few times in turn. So that two rhythms always
meet, each side is held for twice as many rejections as the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Act", "Answer", "Decision", "Facts", "Phase", "Timing", "decide"]


class Phase(StrEnum):
    PREPARED = "prepared"  # stored; nothing has been sent
    SENT = "sent"  # the device may know the new password; the broker holds the old one
    PROBED = "probed"  # its session was ended, so that it shows which one it has
    ON_NEW = "on_new"  # the broker holds the new one, or is about to
    ON_OLD = "on_old"  # the broker holds the old one again, or is about to
    SETTLED = "settled"  # the device has used the new one
    ROLLED_BACK = "rolled_back"  # the device uses the old one
    CANCELLED = "cancelled"  # the device was never told

    @property
    def over(self) -> bool:
        return self in {Phase.SETTLED, Phase.ROLLED_BACK, Phase.CANCELLED}


class Answer(StrEnum):
    """What the device replied to the command."""

    DONE = "done"
    REFUSED = "refused"


class Act(StrEnum):
    WAIT = "wait"
    SEND = "send"
    PROBE = "probe"
    HOLD_NEW = "hold_new"
    HOLD_OLD = "hold_old"
    SETTLE = "settle"
    ROLL_BACK = "roll_back"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, and why in words for the audit."""

    act: Act
    why: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds and counts.

    Attributes:
        wait: how long to wait for a device that does not connect before it was notified.
        resend: between two commands to a device that does not answer.
        sends: commands at most.
        silence: after the first command, before a device without an answer is probed. The
            commands themselves expire before.
        gone: how long a device is away, at least, before rejections are taken for its own where
            going back to the old password restarts the broker.
        hold: how long a side is held at least.
        refusals: rejected logins from the device's address that change the side at first.
        refusals_most: the same after many changes.
        anywhere: how long a side is held at first when only rejections from other addresses
            are seen: the device may have moved.
        anywhere_most: the same after many changes.
        restart: as ``hold``, where going back to the old password restarts the broker.
    """

    wait: int = 7 * 86_400_000
    resend: int = 10_000
    sends: int = 3
    silence: int = 30_000
    gone: int = 15_000
    hold: int = 3_000
    refusals: int = 2
    refusals_most: int = 16
    anywhere: int = 30_000
    anywhere_most: int = 3_600_000
    restart: int = 600_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one rotation now. Times are epoch milliseconds.

    Attributes:
        phase: where it is.
        created_at, first_sent_at, last_sent_at: when; ``None``: not sent.
        sends: commands the broker has taken, or may have.
        flips: how often the side changed.
        in_force_at: since when the broker is known to hold its side; ``None``: not known.
        enabled: whether the device may connect at all.
        connected: whether it is in session.
        ended: whether a session of it has ended since the command.
        away_since: since when it is not connected; ``None``: it is, or nobody knows.
        back_late: whether it is in session with the old password since after the commands
            had expired at the broker: then it does not have the new one.
        busy: whether a change of this login is still pending.
        answer: its reply, if it sends one.
        proved: whether the password in force was seen to work.
        near, far: rejected logins from the device's last address, and from anywhere, since the
            command or since the side was in force.
        free: whether the broker can go back to the old password without a restart.
    """

    phase: Phase
    created_at: int
    first_sent_at: int | None = None
    last_sent_at: int | None = None
    sends: int = 0
    flips: int = 0
    in_force_at: int | None = None
    enabled: bool = True
    connected: bool = False
    ended: bool = False
    away_since: int | None = None
    back_late: bool = False
    busy: bool = False
    answer: Answer | None = None
    proved: bool = False
    near: int = 0
    far: int = 0
    free: bool = True


WAIT = Decision(Act.WAIT)


def decide(facts: Facts, now: int, timing: Timing) -> Decision:
    """The next step of one rotation; ``Act.WAIT`` most of the time."""
    if facts.phase.over or not facts.enabled:
        return WAIT
    match facts.phase:
        case Phase.PREPARED:
            return _prepared(facts, now, timing)
        case Phase.SENT | Phase.PROBED:
            return _sent(facts, now, timing)
        case _:
            return _held(facts, now, timing)


def _prepared(facts: Facts, now: int, timing: Timing) -> Decision:
    if facts.connected:
        return Decision(Act.SEND)
    if now - facts.created_at >= timing.wait:
        return Decision(Act.CANCEL, "the device did not connect")
    return WAIT


def _sent(facts: Facts, now: int, timing: Timing) -> Decision:
    due = facts.last_sent_at is None or now - facts.last_sent_at >= timing.resend
    if not facts.sends:  # nobody has listened so far, or the broker did not run
        if now - facts.created_at >= timing.wait:
            return Decision(Act.CANCEL, "the device did not listen for commands")
        return Decision(Act.SEND) if facts.connected and due else WAIT
    found = _sign(facts, now, timing)
    if found is not WAIT:
        return found
    if facts.phase is Phase.PROBED:
        return _probed(facts, now, timing)
    if facts.first_sent_at is not None and now - facts.first_sent_at >= timing.silence:
        return WAIT if facts.busy else Decision(Act.PROBE, "the device did not answer")
    resend = facts.connected and due and facts.sends < timing.sends
    return Decision(Act.SEND) if resend else WAIT


def _probed(facts: Facts, now: int, timing: Timing) -> Decision:
    if facts.back_late:
        return Decision(Act.ROLL_BACK, "the device uses the old password")
    again = facts.last_sent_at is None or now - facts.last_sent_at >= timing.silence
    if facts.connected and again and not facts.busy:
        return Decision(Act.PROBE, "its session was not ended")
    return WAIT


def _sign(facts: Facts, now: int, timing: Timing) -> Decision:
    """What the device reports, or that it is rejected since it left after the command.

    The broker's log names no rejected login, only its address. Where a wrong guess can be
    taken back at no cost, little is enough.
    """
    if facts.answer is Answer.DONE:
        return Decision(Act.HOLD_NEW, "the device has stored it")
    if facts.answer is Answer.REFUSED:
        return Decision(Act.ROLL_BACK, "the device rejected it")
    if facts.connected or not facts.ended:
        return WAIT
    away = 0 if facts.away_since is None else now - facts.away_since
    if facts.free:
        near, anywhere = facts.near >= timing.refusals, timing.anywhere
    else:
        near = facts.near > timing.refusals and away >= timing.gone
        anywhere = timing.anywhere_most
    if near or (facts.far > 0 and away >= anywhere):
        return Decision(Act.HOLD_NEW, "the device is rejected with what it has")
    return WAIT


def _held(facts: Facts, now: int, timing: Timing) -> Decision:
    if facts.in_force_at is None:
        return WAIT
    on_new = facts.phase is Phase.ON_NEW
    if facts.proved:
        if on_new:
            return Decision(Act.SETTLE, "the device has used the new password")
        return Decision(Act.ROLL_BACK, "the device uses the old password")
    if facts.connected:
        return WAIT  # the proof is on its way
    held = now - facts.in_force_at
    turn = min(facts.flips - 1, 12) if facts.flips > 0 else 0
    needed = min(timing.refusals << turn, timing.refusals_most)
    least, anywhere = timing.hold, min(timing.anywhere << turn, timing.anywhere_most)
    if on_new and not facts.free:
        needed, least = timing.refusals_most, timing.restart << min(turn, 6)
        anywhere = max(anywhere, least)
    refused_here = facts.near >= needed and held >= least
    if refused_here or (facts.far and held >= anywhere):
        act = Act.HOLD_OLD if on_new else Act.HOLD_NEW
        return Decision(act, "logins are rejected")
    return WAIT
