"""Rules as values: what a person writes, and what is compiled from it. Durations in
milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from typing import Any

from mooring.alerts.model import Severity
from mooring.dialects import Scalar

__all__ = [
    "DAYS",
    "DURATION_MAX_MS",
    "METRIC_MAX",
    "SILENCE_MIN_MS",
    "STEPS_MAX",
    "TERMS_MAX",
    "TEXT_MAX",
    "WHERE_MAX",
    "Definition",
    "Fired",
    "Operator",
    "Rule",
    "Schedule",
    "Scope",
    "Step",
    "Term",
    "Trial",
]

TERMS_MAX = 8
STEPS_MAX = 3
METRIC_MAX = 256  # characters
TEXT_MAX = 256  # characters of a text that a reading is compared with
WHERE_MAX = 2000  # characters of a query over devices
DURATION_MAX_MS = 7 * 86_400_000
SILENCE_MIN_MS = 10_000

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Operator(StrEnum):
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    IS = "=="
    IS_NOT = "!="

    @property
    def upwards(self) -> bool:
        return self in (Operator.ABOVE, Operator.AT_LEAST)

    @property
    def ordered(self) -> bool:
        return self not in (Operator.IS, Operator.IS_NOT)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        metric: the reading's name; empty: any reading, for ``silence_ms`` only.
        operator, value: with what it is compared.
        clear: once the rule has raised an alert, the term stays true until the reading has
            reached this value; ``None``: as soon as the comparison fails.
        silence_ms: true when there was no reading for so long; 0: a comparison.
    """

    metric: str
    operator: Operator | None = None
    value: Scalar | None = None
    clear: float | None = None
    silence_ms: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """From this value of the first term on the alert has this severity."""

    value: float
    severity: Severity


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule raises alerts.

    Attributes:
        days: numbers of weekdays, Monday is 0.
        begin, end: time of day; where ``end`` is not later it is on the next day.
        zone: an IANA time zone.
    """

    days: frozenset[int]
    begin: time
    end: time
    zone: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices of the rule's tenant; what is empty is not asked for."""

    dialect: str = ""
    device: str = ""
    group: str = ""
    where: str = ""  # a query over devices


@dataclass(frozen=True, slots=True)
class Definition:
    """What a rule says.

    Attributes:
        every: all terms must be true; otherwise one is enough.
        for_ms: how long the condition must hold until an alert is raised.
        clear_for_ms: how long it must not hold until the alert is cleared.
        steps: the least severe first.
        text: for people, shown with the alert.
    """

    terms: tuple[Term, ...]
    every: bool = True
    for_ms: int = 0
    clear_for_ms: int = 0
    severity: Severity = Severity.WARNING
    steps: tuple[Step, ...] = ()
    schedule: Schedule | None = None
    scope: Scope = field(default_factory=Scope)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Times are epoch milliseconds.

    Attributes:
        version: grows with each change.
        document: ``definition`` as JSON has it.
    """

    id: int
    tenant: str
    name: str
    enabled: bool
    version: int
    created_at: int
    updated_at: int
    definition: Definition
    document: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fired:
    """One alert that there would have been. ``cleared_at`` is ``None`` if it would be open."""

    device: str
    raised_at: int
    cleared_at: int | None
    severity: str
    value: str


@dataclass(slots=True)
class Trial:
    """What would have happened.

    Attributes:
        devices: to which the rule applies; messages: that were read; late: of them.
        raised: alerts in all; devices_raised: devices with at least one.
        complete: whether all messages were read.
        fired: the first of them.
    """

    devices: int = 0
    messages: int = 0
    late: int = 0
    raised: int = 0
    devices_raised: int = 0
    complete: bool = True
    fired: list[Fired] = field(default_factory=list)
