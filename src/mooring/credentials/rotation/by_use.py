"""When a rotation takes its next step where the broker accepts both passwords. Pure.

Mooring's own plugin accepts the old and the new password during a rotation and reports with
each login which one was used. So nothing changes sides, nothing is guessed from rejected
logins, and a device that keeps either password is never locked out:

    prepared ─device there─▶ sent ─stored, or silence─▶ probed
        │                     │ └──new password used─────┴──▶ settled
      never came         device rejects        old one used after the probe
        ▼                     ▼                          ▼
    cancelled            rolled_back                rolled_back

A probe ends the session once, so that a device that stays connected for months shows which
password it has. A device that is switched off finds its password, whichever it has.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.credentials.rotation.rules import Act, Answer, Decision, Phase, Timing

__all__ = ["UseFacts", "decide_by_use"]

WAIT = Decision(Act.WAIT)


@dataclass(frozen=True, slots=True)
class UseFacts:
    """What is known of one rotation now. Times are epoch milliseconds.

    Attributes:
        phase: where it is.
        created_at, first_sent_at: when; ``None``: not sent.
        last_sent_at: when the newest command was sent, or the session was last ended.
        sends: commands the broker has taken, or may have.
        enabled: whether the device may connect at all.
        connected: whether it is in session.
        busy: whether a change of this login is still pending at the broker.
        answer: its reply, if it sends one.
        used_new_at, used_old_at: its newest login with each password.
    """

    phase: Phase
    created_at: int
    first_sent_at: int | None = None
    last_sent_at: int | None = None
    sends: int = 0
    enabled: bool = True
    connected: bool = False
    busy: bool = False
    answer: Answer | None = None
    used_new_at: int | None = None
    used_old_at: int | None = None


def decide_by_use(facts: UseFacts, now: int, timing: Timing) -> Decision:
    """The next step of one rotation; ``Act.WAIT`` most of the time."""
    if facts.used_new_at is not None and not facts.phase.over:  # of a disabled device, too
        return Decision(Act.SETTLE, "the device has used the new password")
    if facts.phase.over or not facts.enabled or facts.busy:
        return WAIT
    if not facts.sends:
        return _unsent(facts, now, timing)
    if facts.answer is Answer.REFUSED:
        return Decision(Act.ROLL_BACK, "the device rejected it")
    # ``on_new`` and ``on_old`` come from another authority: the session was ended then.
    return (_sent if facts.phase is Phase.SENT else _probed)(facts, now, timing)


def _unsent(facts: UseFacts, now: int, timing: Timing) -> Decision:
    if now - facts.created_at >= timing.wait:
        why = "connect" if facts.phase is Phase.PREPARED else "listen for commands"
        return Decision(Act.CANCEL, f"the device did not {why}")
    due = facts.last_sent_at is None or now - facts.last_sent_at >= timing.resend
    return Decision(Act.SEND) if facts.connected and due else WAIT


def _sent(facts: UseFacts, now: int, timing: Timing) -> Decision:
    if facts.answer is Answer.DONE:
        return Decision(Act.PROBE, "the device has stored it")
    if facts.first_sent_at is not None and now - facts.first_sent_at >= timing.silence:
        return Decision(Act.PROBE, "the device did not answer")
    due = facts.last_sent_at is None or now - facts.last_sent_at >= timing.resend
    resend = facts.connected and due and facts.sends < timing.sends
    return Decision(Act.SEND) if resend else WAIT


def _probed(facts: UseFacts, now: int, timing: Timing) -> Decision:
    probed_at = facts.last_sent_at or facts.created_at
    back_with_old = facts.used_old_at is not None and facts.used_old_at > probed_at
    if back_with_old:
        # One that has stored the new password may keep both: it is given time to use it.
        if facts.answer is Answer.DONE and now - probed_at < timing.wait:
            return WAIT
        return Decision(Act.ROLL_BACK, "the device uses the old password")
    if facts.connected and now - probed_at >= timing.silence:
        return Decision(Act.PROBE, "its session was not ended")
    return WAIT
