"""When to start a process again that has died. Pure."""

from __future__ import annotations

__all__ = ["PAUSE_MOST", "YOUNG_SECONDS", "restart_pause"]

YOUNG_SECONDS = 10.0
"""Who dies younger than this is started again later each time."""

PAUSE_FIRST, PAUSE_MOST = 0.25, 10.0  # seconds


def restart_pause(young_deaths: int) -> float:
    """Seconds to wait before starting again after this many early deaths in a row."""
    return min(PAUSE_MOST, PAUSE_FIRST * float(1 << min(young_deaths, 16)))
