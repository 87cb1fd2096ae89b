"""Jobs as values. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.groups.selector import Selector
from mooring.jobs.rules import OVER, Counts, Plan, Progress, State, TargetState

__all__ = ["Job", "NewJob", "Outcome", "Started", "Target", "Verdict"]


@dataclass(frozen=True, slots=True)
class NewJob:
    """What somebody wants done for many devices; unchecked.

    Attributes:
        kind: the name of a ``JobKind``.
        what: for that kind.
        selection: which devices; its tenant is that of the job.
        expires_ms: how long it may take; ``None``: as the settings say.
        key: a second job with the same key of the same person is not made.
    """

    kind: str
    what: Mapping[str, Any] = field(repr=False)
    selection: Selector
    plan: Plan = field(default_factory=Plan)
    expires_ms: int | None = None
    reason: str = ""
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes:
        what: sealed in the database, because settings may hold secrets.
        title: what it does, in a few words.
        why: why it stopped.
        due_at: when the worker looks at it again without anything having happened.
        prepared_to: the last device that was listed as a target.
    """

    id: int
    tenant: str
    kind: str
    what: Mapping[str, Any] = field(repr=False)
    title: str
    selection: Selector
    plan: Plan
    state: State
    why: str
    counts: Counts
    actor: str
    origin: str
    reason: str
    created_at: int
    expires_at: int
    started_at: int | None
    finished_at: int | None
    due_at: int | None
    prepared_to: int
    wave: int
    wave_over_at: int | None
    paced_at: int
    forgiven: int
    forgiven_successes: int
    retrying: bool

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def progress(self) -> Progress:
        return Progress(
            self.state,
            self.counts,
            self.expires_at,
            self.wave,
            self.wave_over_at,
            self.paced_at,
            self.forgiven,
            self.forgiven_successes,
            self.retrying,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """One device of a job.

    Attributes:
        cause: why it is skipped, failed or cancelled, or why it waits, as a machine word; words:
            for people.
        not_before: when it is looked at again, where it waits or is skipped for some time.
        reference: what carries it out: ``command:12``.
        attempts: how often it was handed over.
    """

    device_id: int
    device: str
    rank: int
    state: TargetState
    cause: str
    words: str
    reference: str | None
    attempts: int
    handed_at: int | None
    finished_at: int | None
    not_before: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """What starting one target did.

    Attributes:
        state: ``HANDED_OVER`` with a reference; ``SKIPPED`` or ``FAILED`` with a cause;
            ``SUCCEEDED`` where there is nothing to do; ``WAITING``: there is no room now, or it
            cannot be started before a time; ``CANCELLED``: it is not wanted any more.
        mark: outcomes with a lower mark belong to something earlier with the same reference.
    """

    state: TargetState
    reference: str | None = None
    cause: str = ""
    words: str = ""
    mark: int = 0
    not_before: int | None = None
    """Epoch milliseconds; with ``WAITING`` or ``SKIPPED``: it is judged again from then on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of something that a job has started."""

    reference: str
    state: TargetState
    cause: str = ""
    words: str = ""
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Answer of a kind about one open reference; ``None`` as state: still open."""

    state: TargetState | None
    cause: str = ""
    words: str = ""
