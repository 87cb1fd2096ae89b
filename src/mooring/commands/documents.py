"""Requests and answers of ``mooring.commands.api``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mooring.commands.model import Command
from mooring.dialects.times import iso, iso_or_none
from mooring.web.fields import Document, Json, Reason, Time, Word

__all__ = ["CommandIn", "CommandOut", "States", "document"]

States = Literal[
    "queued",
    "sent",
    "delivered",
    "done",
    "failed",
    "rejected",
    "timed_out",
    "unconfirmed",
    "expired",
    "cancelled",
]


class CommandIn(Document):
    """A command. `now`: only to a device that is connected, and within seconds."""

    name: Word
    parameters: dict[str, Json] = Field(default_factory=dict)
    channel: Word | None = Field(None, description="Of the dialect; its first one by default.")
    now: bool = False
    expires_seconds: Annotated[float, Field(ge=1, le=31_536_000)] | None = Field(
        None, description="How long it may wait for the device."
    )
    reply_timeout_seconds: Annotated[float, Field(ge=1, le=604_800)] | None = Field(
        None, description="How long the device may take to answer."
    )
    id: Word | None = Field(None, description="Its ID on the wire; made where it is left out.")
    reason: Reason = ""


class EvidenceOut(Document):
    """Why the command entered a state."""

    at: Time
    state: str
    kind: str = Field(description="packet, reply, effect, broker event, clock, person or job.")
    detail: str


class CommandOut(Document):
    """A command and the evidence that moved it."""

    number: int
    id: str
    device: str
    tenant: str
    channel: str
    name: str
    parameters: dict[str, Any]
    topic: str
    qos: int
    state: States
    over: bool
    late: bool = Field(description="Its outcome came after the time-out.")
    delivery: Literal["at_most_once", "at_least_once"]
    replies: bool = Field(description="Whether devices of the dialect answer commands.")
    done_when: str = Field(description="The effect that shows it was carried out.")
    cancel_asked: bool = Field(description="The device was asked to cancel it.")
    attempts: int = Field(description="How often it was handed over, or may have been.")
    actor: str
    reason: str
    result: dict[str, Any] | None = Field(description="What the device answered.")
    reply_timeout_seconds: float
    created_at: Time
    expires_at: Time
    sent_at: Time | None
    delivered_at: Time | None
    finished_at: Time | None
    evidence: list[EvidenceOut]


def document(command: Command) -> dict[str, Any]:
    """A command as every answer shows it. Times are text."""
    same = (
        "device",
        "tenant",
        "channel",
        "name",
        "topic",
        "qos",
        "over",
        "late",
        "delivery",
        "replies",
        "done_when",
        "cancel_asked",
        "attempts",
        "actor",
        "reason",
        "result",
    )
    times = ("created_at", "expires_at", "sent_at", "delivered_at", "finished_at")
    return {
        "number": command.id,
        "id": command.uid,
        "parameters": dict(command.parameters),
        "state": str(command.state),
        "reply_timeout_seconds": command.reply_timeout_ms / 1000,
        "evidence": [
            {"at": iso(one.at), "state": one.state, "kind": one.kind, "detail": one.detail}
            for one in command.evidence
        ],
        **{name: getattr(command, name) for name in same},
        **{name: iso_or_none(getattr(command, name)) for name in times},
    }
