"""What a rollout waits for, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.dialects import iso
from mooring.jobs.gates import Gate, needed, verdict
from mooring.jobs.model import Job
from mooring.jobs.rules import Facts, State, look
from mooring.ota.rollouts.model import Reason

__all__ = ["gate_in_words", "why_nothing"]


def gate_in_words(job: Job, facts: Facts) -> str:
    """One or two sentences about the open wave."""
    if job.state is not State.RUNNING:
        return _resting(job)
    if facts.held:
        return f"Nothing is offered: {facts.held}."
    if job.wave >= len(job.plan.waves) - 1:
        return "The last wave is open. It has no gate."
    return _gate(job, facts)


def _resting(job: Job) -> str:
    match job.state:
        case State.PREPARING:
            return "Its devices are being listed."
        case State.STOPPED:
            return f"It is stopped: {job.why}."
        case State.PAUSED:
            return "It is paused. Nothing is offered; what was offered runs on."
        case State.CANCELLING | State.EXPIRING:
            return "Nothing is offered any more; what was offered is ending."
        case _:
            return "It is over."


def _gate(job: Job, facts: Facts) -> str:
    plan, seen = job.plan, look(job.plan, job.progress, facts)
    wave = f"Wave {job.wave + 1} of {len(plan.waves)}"
    following = f"wave {job.wave + 2}"
    outcomes = seen.successes + seen.failures
    share = f"{seen.successes} of {outcomes} are successes; {plan.gate_share:.0%} are needed"
    match verdict(plan.gate_done, plan.gate_share, seen):
        case Gate.FILLING:
            some = "device is" if seen.room == 1 else "devices are"
            return f"{wave}: up to {seen.room} more {some} offered the release."
        case Gate.WAITING:
            most = seen.over + seen.open
            if not most:
                return f"{wave}: no device of it can be offered the release now."
            least = most if plan.gate_done is None else needed(plan.gate_done, seen)
            return (
                f"{wave}: {seen.over} of {most} devices have an outcome; {following} needs {least}."
            )
        case Gate.BELOW | Gate.MISSED:
            return f"{wave}: {share} for {following}."
        case Gate.BUSY:
            some = "1 device is" if facts.busy == 1 else f"{facts.busy} devices are"
            return f"{wave}: {some} installing; {following} opens after that, {_until(job)}."
        case Gate.OPEN:
            return f"{wave}: {share}. {following.capitalize()} opens {_until(job)}."


def _until(job: Job) -> str:
    if job.wave_over_at is None or not job.plan.soak_ms:
        return "immediately"
    return f"not before {iso(job.wave_over_at + job.plan.soak_ms)}"


def why_nothing(reasons: Sequence[Reason]) -> str:
    """Why no device is eligible: devices by reason."""
    return ", ".join(f"{one.devices} {one.cause.replace('_', ' ')}" for one in reasons)
