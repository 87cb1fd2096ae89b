"""Commands from messages: replies, and the effects that dialects declare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.commands import store
from mooring.commands.changes import Waits, apply
from mooring.commands.model import Command
from mooring.commands.moving import record
from mooring.commands.rules import Event, reply_event
from mooring.dialects.meaning import error, outcome, readings
from mooring.dialects.model import Channel, DoneWhen, Kind
from mooring.ingest.facts import Fact
from mooring.ingest.projection import ALWAYS, NEVER, Effect, Keys, Sees

__all__ = ["CommandReplies", "Reply", "Shown"]

RESULT_MAX = 64  # values of an answer that are kept with the command
RESULT_CHARACTERS = 4_000
DETAIL_CHARACTERS = 200


class Reply(NamedTuple):
    """A device answers a command."""

    device: int
    uid: str
    event: Event
    result: dict[str, Any] | None
    detail: str


class Shown(NamedTuple):
    """A device shows an effect."""

    device: int
    at: int
    detail: str


@dataclass(slots=True)
class Heard:
    """What a batch says of commands, in the order of arrival."""

    replies: list[Reply] = field(default_factory=list)
    effects: list[Shown] = field(default_factory=list)


class CommandReplies:
    """Moves commands on what their devices publish. A command is found by device and id together,
    so the answer of another device changes nothing; what is repeated is not seen."""

    name = "command replies"
    sees = Sees.STORED

    def __init__(self, waits: Waits | None = None) -> None:
        self._waits = waits or Waits()

    def wants(self, channel: Channel) -> Keys:
        if channel.kind is Kind.REPLY:
            path = channel.payload.reply_to
            return frozenset({path[0]}) if path else NEVER
        return ALWAYS if channel.kind is Kind.ALERT_CLEARED else NEVER

    def plan(self, facts: Sequence[Fact]) -> Heard | None:
        heard = Heard()
        for fact in facts:
            device = fact.route.device_id
            if fact.kind is Kind.ALERT_CLEARED:
                detail = f"alert_cleared: {fact.name or ''}"[:DETAIL_CHARACTERS]
                heard.effects.append(Shown(device, fact.received_at, detail))
                continue
            uid = fact.reply_to
            if uid is None:
                continue
            shape = fact.channel.payload
            said = outcome(shape, fact.body)
            heard.replies.append(
                Reply(device, uid, reply_event(said), _result(fact), _words(fact, said))
            )
        return heard if heard.replies or heard.effects else None

    def apply(self, connection: Connection, rows: Heard) -> Sequence[Effect]:
        at = now_ms()
        changes = _Changes()
        if rows.replies:
            for found in store.of_replies(connection, ((r.device, r.uid) for r in rows.replies)):
                changes.know(found)
            for reply in rows.replies:
                known = changes.by_uid.get((reply.device, reply.uid))
                if known is not None:
                    changes.set(
                        apply(
                            changes.now(known),
                            reply.event,
                            at,
                            self._waits,
                            detail=reply.detail,
                            result=reply.result,
                        )
                    )
        if rows.effects:
            self._effects(connection, rows.effects, changes, at)
        record(connection, changes.done())
        return ()

    def _effects(
        self, connection: Connection, effects: Sequence[Shown], changes: _Changes, at: int
    ) -> None:
        waiting = store.of_effects(
            connection, {one.device for one in effects}, DoneWhen.ALERT_CLEARED
        )
        for command in waiting:
            changes.know(command)
        for shown in effects:
            for command in waiting:
                now = changes.now(command.id)
                if command.device_id != shown.device or (now.sent_at or shown.at) > shown.at:
                    continue
                changed = apply(now, Event.EFFECT, at, self._waits, detail=shown.detail)
                if changed is not None:  # one effect, one command: the oldest
                    changes.set(changed)
                    break


class _Changes:
    """Commands of a batch before and after what it says."""

    def __init__(self) -> None:
        self.by_uid: dict[tuple[int, str], int] = {}
        self._before: dict[int, Command] = {}
        self._after: dict[int, Command] = {}

    def know(self, command: Command) -> None:
        self._before.setdefault(command.id, command)
        self._after.setdefault(command.id, command)
        self.by_uid[command.device_id, command.uid] = command.id

    def now(self, number: int) -> Command:
        return self._after[number]

    def set(self, command: Command | None) -> None:
        if command is not None:
            self._after[command.id] = command

    def done(self) -> list[tuple[Command, Command]]:
        return [
            (before, self._after[number])
            for number, before in sorted(self._before.items())
            if self._after[number] is not before
        ]


def _result(fact: Fact) -> dict[str, Any] | None:
    shape = fact.channel.payload
    found = readings(shape, fact.body)
    kept: dict[str, Any] = {}
    room = RESULT_CHARACTERS
    for key, value in list(found.items())[:RESULT_MAX]:
        text = value[:500] if isinstance(value, str) else value
        room -= len(key) + len(str(text))
        if room < 0:
            break
        kept[key] = text
    return kept or None


def _words(fact: Fact, said: bool | str | None) -> str:
    body = fact.body or {}
    declared = error(fact.channel.payload, body)
    why = declared or next((body[key] for key in ("error", "message", "reason") if key in body), "")
    words = said.lower() if isinstance(said, str) else ""  # true and false are the state itself
    return f"{words}{': ' if words and why else ''}{why}"[:DETAIL_CHARACTERS]
