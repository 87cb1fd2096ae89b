"""Types of requests and answers about recipients and notifications."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mooring.notify.targets import TARGET_MAX
from mooring.web.fields import Document, Json, Line, Name, Time

__all__ = ["AddedOut", "NotificationOut", "RecipientChange", "RecipientIn", "RecipientOut"]

Kinds = Literal["apprise", "webhook", "alertmanager"]
Severities = Literal["info", "warning", "error", "critical"]
Target = Annotated[str, StringConstraints(min_length=1, max_length=TARGET_MAX)]


class QuietOut(Document):
    days: list[str]
    from_: str = Field(alias="from")
    to: str
    zone: str


class OptionsOut(Document):
    """What a recipient gets, and when."""

    severity: Severities
    alerts: list[str]
    devices: list[str]
    quiet: list[QuietOut]
    wait_seconds: int
    interval_seconds: int
    repeat_seconds: int
    cleared: bool


class RecipientOut(Document):
    """A recipient of notifications."""

    number: int
    tenant: str
    name: str
    kind: Kinds
    target: str = Field(description="Without its secrets.")
    enabled: bool
    private: bool = Field(description="Private addresses are allowed.")
    platform: bool = Field(description="Also gets alerts of the platform itself.")
    why_off: str = Field(description="Why Mooring switched it off.")
    failures: int = Field(description="Failed attempts in a row.")
    last_error: str
    last_failed_at: Time | None
    last_sent_at: Time | None
    created_at: Time
    updated_at: Time
    options: OptionsOut


class AddedOut(RecipientOut):
    """A recipient, and the new secret of a webhook."""

    secret: str | None = Field(description="Signs notifications. Shown only once.")


class RecipientIn(Document):
    """A recipient to add. `options` is described in docs/how-to/notifications.md."""

    name: Name
    kind: Kinds
    target: Target
    tenant: Name | None = None
    options: dict[str, Json] = Field(default_factory=dict)
    private: bool = False
    platform: bool = False
    reason: Line = ""


class RecipientChange(Document):
    """What is left out stays as it is; so do options that are not named."""

    target: Target | None = None
    options: dict[str, Json] | None = None
    enabled: bool | None = None
    private: bool | None = None
    platform: bool | None = None
    renew_secret: bool = False
    reason: Line = ""


class NotificationOut(Document):
    """A notification to one recipient."""

    number: int
    message_id: str = Field(description="The same in every attempt.")
    state: Literal["waiting", "sent", "failed"]
    title: str
    alerts: int
    attempts: int
    unanswered: int = Field(description="Attempts that were not answered in time.")
    last_error: str
    created_at: Time
    finished_at: Time | None
    next_at: Time | None = Field(description="When it is tried next.")
