"""Whether a guarded change stays. Pure.

The device has to come back: a report in the session in which it got the change proves nothing,
because a wrong network name only shows when it connects again.
"""

from __future__ import annotations

from enum import Enum, auto

from mooring.device_settings.model import Guard, Row
from mooring.device_settings.rules import State

__all__ = ["Verdict", "judge"]


class Verdict(Enum):
    """What to do about a guarded change."""

    WAIT = auto()
    BEGAN = auto()  # the device has it: note the session in which it got it
    CONFIRMED = auto()
    TAKEN_BACK = auto()


def judge(guard: Guard, row: Row, session: int | None, at: int) -> Verdict:
    """The verdict on one guarded change. Times are epoch milliseconds.

    Args:
        row: what is known of the device.
        session: when the session began in which the device is connected; ``None``: it is away.
        at: now.
    """
    record = row.record
    if record.version != guard.version:
        # Another level has changed what the device is to have; the guarded part is in it still.
        reported = record.state is State.IN_SYNC and record.version > guard.version
    else:
        reported = record.state is State.IN_SYNC
    came_back = guard.session is not None and session is not None and session > guard.session
    in_it = came_back and record.reported_at is not None and record.reported_at >= (session or 0)
    if reported and in_it:
        return Verdict.CONFIRMED
    if at >= guard.until:
        return Verdict.TAKEN_BACK
    if record.state in (State.REFUSED, State.STOPPED) and record.version == guard.version:
        return Verdict.TAKEN_BACK
    has_it = record.state in (State.SENT, State.IN_SYNC)
    if guard.session is None and session is not None and has_it:
        return Verdict.BEGAN
    return Verdict.WAIT
