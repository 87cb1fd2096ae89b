"""What polls read of updates. Pure."""

from __future__ import annotations

from typing import NamedTuple

from mooring.ota.updates.model import FINAL, Seen, State, Update

__all__ = ["Asked", "is_stopped"]


class Asked(NamedTuple):
    """Of an update what its device asks for: polls read no more. Times are epoch milliseconds;
    see ``mooring.ota.updates.model.Update``."""

    id: int
    release_id: int
    artifact_id: int
    state: State
    seen: Seen
    session_at: int | None
    asked_at: int | None
    expires_at: int

    @property
    def action(self) -> int:
        """Its number for clients."""
        return self.id

    @property
    def over(self) -> bool:
        return self.state in FINAL

    @property
    def stopped(self) -> bool:
        """Whether the device is asked to stop."""
        return is_stopped(self.state, self.asked_at)

    @classmethod
    def of(cls, update: Update) -> Asked:
        return cls(*(getattr(update, name) for name in cls._fields))


def is_stopped(state: State, asked_at: int | None) -> bool:
    """Whether the device of an update is asked to stop."""
    return asked_at is not None and state is State.DOWNLOADING
