"""One bad row stops no other: it is recorded, counted, and tried again later.

A worker that goes through rows asks ``postponed`` before each and does the row's work inside
``isolated``. What fails waits, longer each time. What concerns every row, such as a database that
does not answer, is passed on.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mooring.errors import DatabaseUnavailable, MooringError
from mooring.supervisor.state import ERROR_CHARACTERS, Policy, backoff

__all__ = ["ROWS_MAX", "RowFaults"]

ROWS_MAX = 10_000
POLICY = Policy(first=1.0, most=300.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Fault:
    streak: int
    until: float


class RowFaults:
    """The rows of one kind of work that failed lately.

    Args:
        what: one row, in words: "the rotation".
        passing: errors that are not caused by a row.
        retried: whether a row that failed is tried again; otherwise it is left out permanently.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        what: str,
        *,
        passing: tuple[type[BaseException], ...] = (DatabaseUnavailable,),
        retried: bool = True,
        policy: Policy = POLICY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._passing = passing
        self._retried = retried
        self._policy = policy
        self._clock = clock
        self._faults: OrderedDict[Hashable, _Fault] = OrderedDict()
        self.failures = 0  # since the process started
        self.error = ""  # what the last one said

    @property
    def waiting(self) -> int:
        """Rows that failed and have not worked since."""
        return len(self._faults)

    def postponed(self, key: Hashable) -> bool:
        """Whether a row that failed has to wait still."""
        fault = self._faults.get(key)
        return fault is not None and self._clock() < fault.until

    @contextmanager
    def isolated(self, key: Hashable) -> Iterator[None]:
        """Does the work on one row; its failure ends the block and nothing else."""
        try:
            yield
        except self._passing:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other rows continue
            self.failed(key, exc)
        else:
            self._faults.pop(key, None)

    def failed(self, key: Hashable, exc: BaseException) -> None:
        """Records a failure."""
        self.failures += 1
        self.error = f"{self._what} {key}: {_words(exc)}"[:ERROR_CHARACTERS]
        log.warning(
            "%s %s failed and is %s: %s",
            self._what,
            key,
            f"tried again in {self._postpone(key):g} s" if self._retried else "left out",
            _words(exc),
            exc_info=None if isinstance(exc, MooringError) else exc,
        )

    def _postpone(self, key: Hashable) -> float:
        before = self._faults.pop(key, None)
        streak = 1 if before is None else before.streak + 1
        pause = backoff(streak, self._policy)
        self._faults[key] = _Fault(streak, self._clock() + pause)
        if len(self._faults) > ROWS_MAX:  # the one that failed longest ago is tried again
            self._faults.popitem(last=False)
        return pause


def _words(exc: BaseException) -> str:
    return str(exc) if isinstance(exc, MooringError) else f"{type(exc).__name__}: {exc}"
