"""When the next wave of a job may open. Pure.

A wave is whole when enough of its devices have an outcome. It is then judged: too few successes
hold it, and devices that are in the middle of something delay it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Gate", "Look", "boundary", "needed", "verdict"]


class Gate(StrEnum):
    """What is said about the open wave."""

    FILLING = "filling"  # devices of it can still be started
    WAITING = "waiting"  # for outcomes
    MISSED = "missed"  # too few successes, and no outcome can come any more
    BELOW = "below"  # too few successes so far
    OPEN = "open"  # all that is left is the soak time
    BUSY = "busy"  # likewise, but a device is in the middle of something


@dataclass(frozen=True, slots=True)
class Look:
    """The open wave and the ones before it.

    Attributes:
        room: how many more devices belong to these waves.
        startable: devices that wait and could be started now.
        open: started devices without an outcome.
        successes, failures: outcomes, without those that a person has forgiven.
        over: all outcomes.
        busy: devices in the middle of something.
    """

    room: int
    startable: int
    open: int
    successes: int
    failures: int
    over: int
    busy: int = 0


def boundary(percent: float, wave: int, total: int) -> int:
    """How many devices the waves up to this one have; each has at least one.

    Args:
        wave: from 0.
        total: devices of the job that count.
    """
    return min(total, max(wave + 1, math.ceil(percent * total / 100)))


def needed(gate_done: float, look: Look) -> int:
    """How many outcomes the open wave needs: a share of the devices that could be reached."""
    return max(1, math.ceil(gate_done * (look.over + look.open)))


def verdict(gate_done: float | None, gate_share: float, look: Look) -> Gate:
    """What holds the next wave back.

    Args:
        gate_done: the share of reached devices that need an outcome; ``None``: every device of
            the wave needs one.
        gate_share: the share of successes among outcomes.
    """
    if look.room > 0 and (gate_done is None or look.startable > 0):
        return Gate.FILLING
    if look.open if gate_done is None else look.over < needed(gate_done, look):
        return Gate.WAITING
    outcomes = look.successes + look.failures
    if look.failures and look.successes < gate_share * outcomes:
        return Gate.BELOW if look.open or look.room > 0 else Gate.MISSED
    return Gate.BUSY if look.busy else Gate.OPEN
