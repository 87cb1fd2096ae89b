"""Kinds of work that take turns in one thread, each on its own: a piece of each, in order.

For a process whose work must not compete with itself. A duty that fails waits as a worker does;
the others have their turn meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mooring.supervisor.rows import RowFaults
from mooring.supervisor.state import DEFAULT, Phase, Policy
from mooring.supervisor.worker import Record, Report

__all__ = ["Duties", "Duty"]


@dataclass(frozen=True, slots=True)
class Duty:
    """One kind of work.

    Attributes:
        step: does a piece at this time (epoch milliseconds); whether there is more to do.
    """

    name: str
    step: Callable[[int], bool]
    policy: Policy = DEFAULT
    rows: tuple[RowFaults, ...] = ()


class Duties:
    """The duties of one process."""

    def __init__(self, role: str, duties: Sequence[Duty]) -> None:
        self._duties = [(duty, Record(duty.name, role, duty.policy, duty.rows)) for duty in duties]

    def turn(self, now: int) -> bool:
        """One piece of each; whether any has more to do at once. Raises nothing."""
        busy = False
        for duty, record in self._duties:
            if record.pause:
                continue
            try:
                if record.state.phase is not Phase.RUNNING:
                    record.begin()
                busy = duty.step(now) or busy
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:  # noqa: BLE001 - a panic of a Rust library is not an Exception
                record.fail(exc)
        return busy

    def report(self) -> Report:
        """What is known of each duty. Safe from any thread."""
        return {duty.name: record.document() for duty, record in self._duties}
