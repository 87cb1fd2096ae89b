"""Mosquitto's file of queues, sessions and retained messages, and what becomes of a damaged one.

After a power cut it may be cut short, and Mosquitto then ends at its start: 2.0 leaves the file,
2.1 first writes what it could read in its place. What matters is in our database, so the file is
set aside and the broker starts without it.
"""

from __future__ import annotations

from pathlib import Path

from mooring.clock import utc_now

__all__ = ["SET_ASIDE_MAX", "StateFile"]

SET_ASIDE_MAX = 3  # damaged files that are kept


class StateFile:
    """One broker's file.

    Args:
        path: need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = path.with_name(f".{path.name}.before")

    def remember(self) -> bool:
        """Gives the file as it is a second name: Mosquitto replaces it and writes to no old
        one. Returns whether there is one."""
        self._before.unlink(missing_ok=True)
        if not self.path.exists():
            return False
        self._before.hardlink_to(self.path)
        return True

    def forget(self) -> None:
        """It was usable."""
        self._before.unlink(missing_ok=True)

    def clear_the_way(self) -> None:
        """Takes the damaged file away. What a broker wrote in its place may stay."""
        if self.path.exists() and self.path.samefile(self._before):
            self.path.unlink()

    def put_back(self) -> None:
        """It was not the file's fault."""
        if self._before.exists():
            self._before.replace(self.path)

    def set_aside(self) -> Path:
        """Keeps the damaged file under a name of its own, and no more than a few of them."""
        name = f"{self.path.name}.damaged-{utc_now():%Y%m%dT%H%M%S.%fZ}"
        moved = self._before.replace(self.path.with_name(name))
        for older in sorted(self.path.parent.glob(f"{self.path.name}.damaged-*"))[:-SET_ASIDE_MAX]:
            older.unlink(missing_ok=True)
        return moved
