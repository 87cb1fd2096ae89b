"""What a worker is, and what is known of it while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mooring.errors import MooringError
from mooring.supervisor.registry import names
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.state import DEFAULT, Event, Phase, Policy, State, advance

__all__ = ["Record", "Report", "Worker"]

log = logging.getLogger(__name__)

Report = dict[str, dict[str, Any]]
"""Worker → what is known of it, as JSON; in ``processes.detail``."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Work that continues until it is cancelled.

    Attributes:
        name: one of the registry.
        run: called again after each failure.
        rows: failed rows of its work.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    policy: Policy = DEFAULT
    rows: tuple[RowFaults, ...] = ()


@dataclass(slots=True)
class Record:
    """The state of one worker in this process, kept by anyone who runs it.

    Attributes:
        clock: seconds, never going back.
    """

    name: str
    role: str
    policy: Policy = DEFAULT
    rows: tuple[RowFaults, ...] = ()
    clock: Callable[[], float] = time.monotonic
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        if self.name not in names(self.role):
            raise ValueError(
                f"{self.name!r} is not a worker of `mooring {self.role}`: see registry.py."
            )

    def begin(self) -> None:
        self._advance(Event.BEGIN)

    def end(self) -> None:
        self._advance(Event.END)

    def stop(self) -> None:
        self._advance(Event.STOP)

    def fail(self, exc: BaseException) -> None:
        """Records and logs a failure: with a traceback where it was not raised on purpose."""
        on_purpose = isinstance(exc, MooringError)
        words = str(exc) if on_purpose else f"{type(exc).__name__}: {exc}"
        self._advance(Event.FAIL, words)
        log.log(
            logging.WARNING if on_purpose else logging.ERROR,
            "the worker %r of `mooring %s` failed and runs again in %g s: %s",
            self.name,
            self.role,
            self.pause,
            words,
            exc_info=None if on_purpose else exc,
        )

    @property
    def pause(self) -> float:
        """Seconds until it may run again; 0 when it may now."""
        if self.state.phase is not Phase.WAITING:
            return 0.0
        return max(0.0, self.state.until - self.clock())

    def document(self) -> dict[str, Any]:
        """What ``status`` and ``/metrics`` show."""
        state = self.state
        return {
            "phase": str(state.phase),
            "failures": state.failures,
            "failures_in_a_row": state.streak if self._troubled() else 0,
            "error": state.error,
            "runs_again_in": round(self.pause, 1),
            "rows_postponed": sum(one.waiting for one in self.rows),
            "row_failures": sum(one.failures for one in self.rows),
            "row_error": next((one.error for one in self.rows if one.error), ""),
        }

    def _troubled(self) -> bool:
        """A worker that has run for a while since its last failure is well again."""
        running = self.state.phase is Phase.RUNNING
        return not (running and self.clock() - self.state.since >= self.policy.steady)

    def _advance(self, event: Event, error: str = "") -> None:
        self.state = advance(self.state, event, self.clock(), self.policy, error)
