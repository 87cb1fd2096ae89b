"""Types of requests and answers about alerts and rules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mooring.web.fields import Document, Json, Line, Time

__all__ = ["AlertOut", "RuleIn", "RuleOut", "Severities", "States", "TrialOut"]

Severities = Literal["info", "warning", "error", "critical"]
States = Literal["raised", "acknowledged", "cleared"]


class EntryOut(Document):
    """A line of an alert's history. `by` is empty for the source of the alert."""

    at: Time
    event: str
    by: str
    severity: Severities
    detail: str
    late: bool


class AlertOut(Document):
    """An alert. `device` is null for an alert of the platform itself."""

    number: int
    tenant: str | None
    device: str | None
    source: Literal["rule", "device", "platform"]
    rule: int | None = Field(description="Number of the rule, which may have been removed.")
    name: str
    severity: Severities
    state: States
    message: str
    value: str = Field(description="What was measured, as text.")
    late: bool = Field(description="The message that raised it was old: nobody is notified.")
    count: int = Field(description="How often its source raised it.")
    raised_at: Time
    updated_at: Time
    acknowledged_at: Time | None
    acknowledged_by: str
    cleared_at: Time | None
    cleared_by: str = Field(description="Empty: by its source.")
    assignee: str
    snoozed_until: Time | None
    history: list[EntryOut] = Field(description="Empty in lists.")


class TermOut(Document):
    """A condition: a comparison, or no reading for `no_data_seconds`."""

    metric: str | None = None
    operator: str | None = None
    value: bool | int | float | str | None = None
    clear: float | None = None
    no_data_seconds: float | None = None


class StepOut(Document):
    value: float
    severity: Severities


class ScheduleOut(Document):
    days: list[str]
    from_: str = Field(alias="from")
    to: str
    zone: str


class ScopeOut(Document):
    dialect: str | None
    device: str | None
    group: str | None
    where: str | None


class DefinitionOut(Document):
    """What a rule says."""

    match: Literal["all", "any"]
    terms: list[TermOut]
    for_seconds: float
    clear_for_seconds: float
    severity: Severities
    steps: list[StepOut]
    schedule: ScheduleOut | None
    scope: ScopeOut
    text: str


class RuleOut(Document):
    """A rule of a tenant."""

    number: int
    tenant: str
    name: str
    enabled: bool
    version: int
    created_at: Time
    updated_at: Time
    condition: str = Field(description="The condition in one line.")
    rule: DefinitionOut


class RuleIn(Document):
    """A rule to add. `rule` is described in docs/how-to/alerts.md."""

    name: Line
    tenant: Line | None = None
    rule: dict[str, Json]
    reason: Line = ""


class FiredOut(Document):
    device: str
    raised_at: Time
    cleared_at: Time | None
    severity: Severities
    value: str


class TrialOut(Document):
    """What a rule would have raised."""

    devices: int
    messages: int
    late: int
    raised: int
    devices_raised: int
    complete: bool = Field(description="Whether all messages were read.")
    fired: list[FiredOut] = Field(description="The first of them.")
