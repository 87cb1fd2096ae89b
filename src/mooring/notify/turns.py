"""Whose notification is sent next: pure.

Attempts run in parallel, one at a time for each recipient. A receiver that hangs holds its place
until the time is up, so a tenant has a share of the places, and so have recipients that failed
lately: those that work never wait for those that do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mooring.notify.model import Kind

__all__ = ["Due", "Places", "choose"]


class Due(NamedTuple):
    """The oldest notification of a recipient that may be sent now."""

    notification: int
    recipient: int
    tenant: str
    kind: Kind
    failures: int


@dataclass(frozen=True, slots=True)
class Places:
    """How many attempts run at a time. Those of Apprise are processes."""

    all: int = 64
    of_tenant: int = 8
    processes: int = 6
    processes_of_tenant: int = 2


def choose(due: Sequence[Due], running: Collection[Due], places: Places) -> list[Due]:
    """What to start now.

    Args:
        due: at most one of a recipient, the oldest first.
        running: what was started and has not ended.
    """
    busy = {one.recipient for one in running}
    taken = _Taken(places, running)
    waiting = (one for one in due if one.recipient not in busy)
    return [one for one in sorted(waiting, key=lambda item: item.failures > 0) if taken.take(one)]


class _Taken:
    """Places in use."""

    def __init__(self, places: Places, running: Collection[Due]) -> None:
        self._places = places
        self._counts: Counter[tuple[bool, str]] = Counter()
        self._failing: Counter[tuple[bool, str]] = Counter()
        for one in running:
            self._count(one)

    def take(self, one: Due) -> bool:
        """Whether there was a place."""
        process = one.kind is Kind.APPRISE
        whole = self._places.processes if process else self._places.all
        share = self._places.processes_of_tenant if process else self._places.of_tenant
        for key, most in (((process, ""), whole), ((process, one.tenant), share)):
            if self._counts[key] >= most:
                return False
            if one.failures and self._failing[key] >= max(1, most // 2):
                return False
        self._count(one)
        return True

    def _count(self, one: Due) -> None:
        process = one.kind is Kind.APPRISE
        for key in ((process, ""), (process, one.tenant)):
            self._counts[key] += 1
            self._failing[key] += one.failures > 0
