"""How many starts a pace allows, as an account that fills with time. Pure."""

from __future__ import annotations

__all__ = ["BURST_SECONDS", "interval", "paced"]

BURST_SECONDS = 0.5
"""What a worker that looked late may catch up on."""


def paced(pace: float | None, paced_at: int, at: int) -> tuple[int | None, int, int]:
    """How many starts the pace allows now (``None``: any number), the state of the account, and
    when the next one is due.

    Args:
        pace: starts in a second; ``None``: as fast as possible.
        paced_at: until when starts are paid for, epoch microseconds.
        at: epoch milliseconds.
    """
    if pace is None:
        return None, paced_at, at
    each = interval(pace)
    most = max(1, int(pace * BURST_SECONDS))
    now = at * 1000
    # Neither time that nobody used, nor a clock that was set back, changes the pace for long.
    base = min(max(paced_at, now - most * each), now + each)
    paid = max(0, (now - base) // each)
    return paid, base, -(-(base + (paid + 1) * each) // 1000)


def interval(pace: float) -> int:
    """Microseconds between two starts."""
    return max(1, round(1_000_000 / pace))
