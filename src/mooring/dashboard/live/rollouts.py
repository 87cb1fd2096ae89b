"""Rollouts of open pages: state, waves, figures, and what they wait for, in words."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.live.ask import Ask, number_of
from mooring.errors import Invalid, NotFound
from mooring.jobs.rules import TargetState
from mooring.ota.rollouts.model import Rollout
from mooring.ota.rollouts.service import Rollouts

__all__ = ["ROWS_MAX", "listed", "one", "state_of"]

ROWS_MAX = 100  # rollouts of one list


def state_of(rollout: Rollout) -> str:
    """A word of ``static/js/words.js``."""
    if rollout.approval.open and not rollout.job.over:
        return "not_approved"
    return str(rollout.job.state)


def one(ask: Ask) -> dict[str, Any]:
    """One rollout: ``gate``, ``installing``, ``w1.open`` …"""
    shown = ask.app.service(Rollouts).shown(ask.actor, number_of(ask.argument))
    job = shown.rollout.job
    values: dict[str, Any] = {
        "state": state_of(shown.rollout),
        "gate": shown.gate,
        "why": job.why,
        "installing": shown.facts.busy,
        "wave": job.wave + 1,
        "over": job.over,
        **{str(state): getattr(job.counts, str(state)) for state in TargetState},
    }
    for wave in shown.waves:
        name = f"w{wave.number}"
        values[f"{name}.size"] = wave.size
        values[f"{name}.open"] = wave.counts.get("handed_over", 0)
        values[f"{name}.done"] = wave.counts.get("succeeded", 0)
        values[f"{name}.failed"] = wave.counts.get("failed", 0)
    return values


def listed(ask: Ask) -> dict[str, Any]:
    """The rollouts of a list: ``17.state``, ``17.wave`` …"""
    numbers = [number_of(text) for text in ask.argument.split(",")]
    if len(numbers) > ROWS_MAX:
        raise Invalid(f"A list of {ROWS_MAX} rollouts can be watched.", code="invalid_topic")
    service = ask.app.service(Rollouts)
    values: dict[str, Any] = {}
    for number in numbers:
        try:
            rollout = service.get(ask.actor, number)
        except NotFound:  # it is gone, or was never seen: the others are shown all the same
            continue
        counts = rollout.job.counts
        values |= {
            f"{number}.state": state_of(rollout),
            f"{number}.wave": rollout.job.wave + 1,
            f"{number}.done": counts.succeeded,
            f"{number}.failed": counts.failed,
            f"{number}.total": counts.total,
        }
    return values
