"""What a plan may say. Pure."""

from __future__ import annotations

import math
from itertools import pairwise

from mooring.errors import Invalid
from mooring.jobs.rules import Plan

__all__ = ["PACE_MAX", "WAVES_MAX", "check_plan"]

PACE_MAX = 100_000.0
PACE_MIN = 1 / 86_400  # one a day
WAVES_MAX = 10
NUMBER_MAX = 1_000_000
SOAK_MAX_MS = 30 * 86_400_000


def check_plan(plan: Plan) -> None:
    """Rejects a plan that no job can follow.

    Raises:
        Invalid: ``invalid_plan``; the message names the value.
    """
    if plan.pace is not None:
        _within(plan.pace, PACE_MIN, PACE_MAX, "pace")
    for name in ("at_once", "stop_after"):
        value = getattr(plan, name)
        if value is not None:
            _within(value, 1, NUMBER_MAX, name)
    if plan.stop_share is not None:
        _within(plan.stop_share, 0.001, 1, "stop_share")
    _within(plan.gate_share, 0, 1, "gate_share")
    if plan.gate_done is not None:
        _within(plan.gate_done, 0, 1, "gate_done")
    _within(plan.soak_ms, 0, SOAK_MAX_MS, "soak_ms")
    waves = plan.waves
    rising = all(a < b for a, b in pairwise(waves))
    if not 1 <= len(waves) <= WAVES_MAX or not rising or waves[0] <= 0 or waves[-1] != 100:
        raise Invalid(
            f"{', '.join(f'{one:g}' for one in waves)[:100]} are no valid waves.",
            hint=f"Use at most {WAVES_MAX} rising percentages that end with 100.",
            code="invalid_plan",
        )


def _within(value: float, least: float, most: float, name: str) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise Invalid(
            f"{value:g} is not a valid {name}.",
            hint=f"Use {least:g} to {most:g}.",
            code="invalid_plan",
        )
