"""What a domain brings so that its action can be done for many devices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.identity.actor import Actor
from mooring.identity.scopes import Scope
from mooring.jobs.model import Job, Started, Verdict
from mooring.jobs.rules import Facts, Plan

__all__ = ["JobKind", "Steering"]


class JobKind(Protocol):
    """One kind of job.

    Every outcome is reported with ``mooring.jobs.outcomes.note`` in the transaction in which the
    domain learns of it. ``verdicts`` answers for what was missed, from time to time.
    """

    name: str
    scope: Scope  # that an API key needs to start or change such a job

    def check(self, actor: Actor, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for, as it is stored.

        Raises:
            Invalid: it can be done for no device.
        """
        ...

    def title(self, what: Mapping[str, Any]) -> str:
        """In a few words, without secrets."""
        ...

    def shown(self, connection: Connection, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        """``what`` without secrets."""
        ...

    def chosen(
        self, connection: Connection, what: Mapping[str, Any], numbers: Sequence[int]
    ) -> Sequence[int]:
        """Those of the selected devices that are targets at all."""
        ...

    def start(
        self, connection: Connection, job: Job, devices: Sequence[Device]
    ) -> Sequence[Started]:
        """Hands the devices over in the caller's transaction; one answer for each, in order.

        Raises:
            Exception: for one of them; it is then asked for each alone.
        """
        ...

    def withdraw(self, connection: Connection, references: Sequence[str]) -> None:
        """Takes back what no device can have yet, and notes that as outcomes."""
        ...

    def verdicts(
        self, connection: Connection, asked: Sequence[tuple[str, int]]
    ) -> Mapping[str, Verdict]:
        """Reference and mark → what became of it; a reference that is gone is left out."""
        ...


@runtime_checkable
class Steering(JobKind, Protocol):
    """A kind that decides when each device is started.

    Its targets may wait for a time, and skipped ones are judged again while a wave is open.
    """

    def check_devices(self, connection: Connection, job: Job) -> None:
        """Whether a job can be started for any device of its selection.

        Args:
            job: as it will be written; its number is 0.

        Raises:
            Conflict: it can be done for none of them, and none will come to be able by itself.
        """
        ...

    def changed(self, connection: Connection, actor: Actor, job: Job, plan: Plan | None) -> None:
        """Somebody changes a job, in the transaction that does.

        Args:
            plan: the plan from now on; ``None``: failed or later devices are added.
        """
        ...

    def first(
        self, connection: Connection, job: Job, numbers: Sequence[int]
    ) -> Collection[int] | None:
        """Those of these devices that come before all others; ``None``: the job has no such
        devices."""
        ...

    def settle(self, connection: Connection, job: Job, at: int) -> None:
        """Before outcomes are counted: what the job takes for one, and for which.

        Args:
            at: epoch milliseconds.
        """
        ...

    def facts(self, connection: Connection, job: Job, at: int) -> Facts:
        """What holds a running job, in the transaction of its turn; the times of targets are added
        by the caller.

        Args:
            at: epoch milliseconds.
        """
        ...

    def judge(
        self, connection: Connection, job: Job, devices: Sequence[Device], at: int
    ) -> Sequence[Started | None]:
        """Why each device is not started now, without writing anything; ``None``: it can be.

        ``WAITING`` and ``SKIPPED`` with ``not_before`` are judged again from then on.
        """
        ...
