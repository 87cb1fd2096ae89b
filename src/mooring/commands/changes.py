"""What an event makes of a command: the table of ``rules`` applied to a value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as replace_facts
from typing import Any

from msgspec.structs import replace

from mooring.commands.model import Command, Evidence
from mooring.commands.rules import Event, State, deadline, follow

__all__ = ["Waits", "apply"]


@dataclass(frozen=True, slots=True)
class Waits:
    """How long states last that no command says itself, milliseconds."""

    unconfirmed_ms: int = 30_000


def apply(
    command: Command,
    event: Event,
    at: int,
    waits: Waits,
    *,
    detail: str = "",
    result: Any = None,
    sent_at: int | None = None,
    session: str = "",
    cancellable: bool = False,
) -> Command | None:
    """The command after an event; ``None``: nothing changes.

    Args:
        at: epoch milliseconds.
        detail: for people: what shows it.
        result: what the device answered.
        cancellable: the device can be asked to cancel it.
        sent_at, session: with ``Event.TAKEN``: when the attempt began, and the session.
    """
    facts = command.facts
    if cancellable:
        facts = replace_facts(facts, cancellable=True)
    rule = follow(command.state, event, facts)
    if rule is None:
        return None
    attempts, began = command.attempts, command.sent_at
    in_session = command.session
    if event is Event.TAKEN or (command.state is State.QUEUED and rule.evidence == "reply"):
        began = sent_at if sent_at is not None else at
        attempts, in_session = attempts + 1, session or None
    delivered_at = command.delivered_at
    if rule.to is State.DELIVERED and delivered_at is None:
        delivered_at = at
    due_at = deadline(
        rule.to,
        facts,
        expires_at=command.expires_at,
        sent_at=began,
        reply_timeout_ms=command.reply_timeout_ms,
        unconfirmed_ms=waits.unconfirmed_ms,
    )
    # In one piece: a batch makes some hundreds of these.
    return replace(
        command,
        state=rule.to,
        late=rule.late,
        evidence=(*command.evidence, Evidence(at, str(rule.to), rule.evidence, detail)),
        sent_at=began,
        attempts=attempts,
        session=in_session,
        delivered_at=delivered_at,
        result=command.result if result is None else result,
        due_at=due_at,
        finished_at=at if due_at is None else None,
    )
