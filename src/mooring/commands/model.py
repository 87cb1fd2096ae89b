"""Commands as values. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from mooring.commands.rules import OPEN, Facts, State

__all__ = ["AT_LEAST_ONCE", "AT_MOST_ONCE", "OF_JOB", "Command", "Evidence", "NewCommand"]

AT_LEAST_ONCE = "at_least_once"
AT_MOST_ONCE = "at_most_once"
OF_JOB = "job"  # the kind of the first evidence of a command that a job sends


@dataclass(frozen=True, slots=True)
class NewCommand:
    """What somebody wants to send; unchecked.

    Attributes:
        channel: the dialect's channel; ``None``: its first one for commands.
        now: only to a device that is connected, and within seconds.
        expires_ms: how long it may wait for the device; ``None``: as the settings say.
        reply_timeout_ms: how long the device may take to answer; likewise.
        uid: its id on the wire; ``None``: one is made.
        job: the job that sends it.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    channel: str | None = None
    now: bool = False
    expires_ms: int | None = None
    reply_timeout_ms: int | None = None
    uid: str | None = None
    reason: str = ""
    job: int | None = None


class Evidence(Struct, frozen=True, array_like=True):
    """Why a command has the state it has.

    Attributes:
        kind: packet, reply, effect, broker event, clock, person or job.
    """

    at: int
    state: str
    kind: str
    detail: str


class Command(Struct, frozen=True):
    """One command. A job makes and changes thousands in a row, which this class is quick at.

    Attributes:
        id: its number here; ``uid``: its id on the wire, unique for the device.
        done_when: the effect that shows it was carried out; empty: none is declared.
        delivery: ``at_most_once``, or ``at_least_once`` where the device recognises repeats.
        attempts: how often it was handed over, or may have been.
        due_at: when the deadline of its state is; ``None`` once it is over.
        late: its outcome came after the time-out.
        downlink_id: the message that carries it.
        session: the device's session in which it was handed over, where that is known.
    """

    id: int
    uid: str
    device_id: int
    tenant: str
    device: str
    channel: str
    name: str
    parameters: Mapping[str, Any]
    actor: str
    reason: str
    topic: str
    qos: int
    delivery: str
    replies: bool
    done_when: str
    state: State
    attempts: int
    late: bool
    created_at: int
    expires_at: int
    reply_timeout_ms: int
    sent_at: int | None
    delivered_at: int | None
    finished_at: int | None
    due_at: int | None
    downlink_id: int | None
    session: str | None
    result: Any
    evidence: tuple[Evidence, ...]

    @property
    def over(self) -> bool:
        return self.state not in OPEN

    @property
    def cancel_asked(self) -> bool:
        """Whether the device was asked to cancel it."""
        return any(
            one.kind == "person" and one.state in (State.SENT, State.DELIVERED)
            for one in self.evidence
        )

    @property
    def facts(self) -> Facts:
        return Facts(
            self.replies,
            effect=bool(self.done_when),
            repeatable=self.delivery == AT_LEAST_ONCE,
            attempts=self.attempts,
        )
