"""Values of rollouts. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mooring.errors import Forbidden
from mooring.groups.selector import Selector
from mooring.jobs.model import Job
from mooring.jobs.rules import Facts, Plan
from mooring.ota.releases.model import Release
from mooring.ota.rollouts.windows import Window

__all__ = [
    "KIND",
    "PLAN",
    "Approval",
    "GateOn",
    "NewRollout",
    "Reason",
    "Rollout",
    "Shown",
    "Terms",
    "Wave",
]

KIND = "firmware"
NAMES_CHARACTERS = 200  # of people who changed a rollout since it was approved
"""The kind of the jobs that rollouts are."""

PLAN = Plan(
    pace=10.0,
    at_once=50,
    stop_share=0.05,
    waves=(1.0, 10.0, 100.0),
    gate_share=0.95,
    soak_ms=600_000,
    gate_done=0.5,
)
"""How a rollout continues unless somebody says otherwise."""


class GateOn(StrEnum):
    """What counts as a success."""

    CONFIRMED = "confirmed"  # the new version was proved in a later session
    INSTALLED = "installed"  # the device reports it
    UNPROVED = "unproved"  # likewise, and devices that never report a version count, too


@dataclass(frozen=True, slots=True)
class Terms:
    """When a device may be offered the release.

    Attributes:
        windows: times of the week; none: always.
        zone: IANA name, for devices that have no time zone of their own.
        condition: a query that the device must match; empty: none.
        first: the group whose devices come before all others; empty: none.
        artifact: name of the file; empty: the release's first complete one.
        force_downgrade: also for devices that run a newer version.
        force_hardware: also for devices whose hardware is not known.
        bytes_per_second: that are offered at most, on average; 0: no limit.
        jitter_ms: each offer is delayed by a random time up to this.
        download_any_time: the windows are those of the install; devices that can wait with the
            image may download it before.
    """

    gate_on: GateOn = GateOn.CONFIRMED
    windows: tuple[Window, ...] = ()
    zone: str = "UTC"
    condition: str = ""
    first: str = ""
    artifact: str = ""
    force_downgrade: bool = False
    force_hardware: bool = False
    bytes_per_second: int = 0
    jitter_ms: int = 0
    download_any_time: bool = False


@dataclass(frozen=True, slots=True)
class NewRollout:
    """A rollout as somebody asks for it; unchecked.

    Attributes:
        release: its number, or ``product:version``.
        approval: a second person has to approve it before it starts.
        expires_ms: how long it may take; ``None``: as the settings say.
        key: a second rollout with the same key of the same person is not made.
    """

    release: str
    selection: Selector
    plan: Plan = PLAN
    terms: Terms = field(default_factory=Terms)
    approval: bool = False
    expires_ms: int | None = None
    reason: str = ""
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """Whether a second person has agreed.

    Attributes:
        needed: nothing is started before.
        changed_by: who made it, and who changed it since it was approved, with commas; somebody
            else must approve it.
        by, at: who approved it, and when; empty and ``None``: nobody since the last change.
        changed_at: epoch milliseconds of the last change that needs an approval, or of the
            approval; each is later than the one before.
    """

    needed: bool
    changed_by: str
    by: str = ""
    at: int | None = None
    changed_at: int = 0

    @property
    def open(self) -> bool:
        """Whether it is needed and missing."""
        return self.needed and self.at is None

    @property
    def changers(self) -> tuple[str, ...]:
        """The names in ``changed_by``."""
        return tuple(self.changed_by.split(", "))

    def again(self, name: str) -> Approval:
        """After a change by this person.

        Raises:
            Forbidden: ``second_person_needed``: it has been changed by as many as can be noted.
        """
        names = dict.fromkeys([*(self.changers if self.open else ()), name])
        changed_by = ", ".join(names)
        if len(names) > 1 and len(changed_by) > NAMES_CHARACTERS:
            raise Forbidden(
                f"{len(names) - 1} people have started or changed the rollout already.",
                hint="Somebody else has to approve it before it is changed again.",
                code="second_person_needed",
            )
        return Approval(needed=True, changed_by=changed_by)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout.

    Attributes:
        latest_at: since when its release is announced to every device; ``None``: it is not.
    """

    job: Job
    release: Release
    terms: Terms
    approval: Approval
    latest_at: int | None = None

    @property
    def id(self) -> int:
        """The number of its job."""
        return self.job.id


class Reason(NamedTuple):
    """Devices of a rollout that are in a state for one reason."""

    state: str
    cause: str
    devices: int


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave, from 1.

    Attributes:
        percent: devices of this wave and the ones before, as a share of all.
        size: devices of this wave alone.
        counts: started devices of it by state.
    """

    number: int
    percent: float
    size: int
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def over(self) -> int:
        return self.counts.get("succeeded", 0) + self.counts.get("failed", 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A rollout and how far it is.

    Attributes:
        gate: what it waits for, in words.
        reasons: why devices wait, were skipped or cancelled, or failed.
    """

    rollout: Rollout
    facts: Facts
    waves: tuple[Wave, ...]
    gate: str
    reasons: tuple[Reason, ...]
