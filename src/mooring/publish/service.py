"""Putting what a person sends into a dialect's shape, and out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection
from starlette.concurrency import run_in_threadpool

from mooring.audit import log as audit_log
from mooring.commands.model import NewCommand
from mooring.commands.shape import shaped
from mooring.dialects import Channel, Identity
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import BrokerUnavailable, Invalid
from mooring.identity.actor import Actor
from mooring.store.engine import now_ms
from mooring.web.watching import Watcher

__all__ = [
    "SENT_SECONDS",
    "Group",
    "as_bytes",
    "note",
    "sent",
    "withdrawn",
    "write_group_command",
]


SENT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Group:
    """All devices that listen to a topic of a group.

    Attributes:
        identity: of one of them.
        tenant: whose they are; empty when they may be of several tenants.
    """

    identity: Identity
    tenant: str
    name: str


def as_bytes(payload: Any) -> bytes:
    """A string as it is, anything else as JSON.

    Raises:
        Invalid: it cannot be written as UTF-8.
    """
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise Invalid(
            "The payload contains half a surrogate pair, which is not valid text.",
            hint="Send valid Unicode.",
            code="invalid_payload",
        ) from exc


def write_group_command(
    downlinks: Downlinks,
    connection: Connection,
    channel: Channel,
    new: NewCommand,
    to: Group,
    *,
    number: str,
) -> int:
    """Composes a command to the topic of a group in the dialect's shape and writes its downlink
    in the caller's transaction; the downlink's number.

    Raises:
        Invalid: the command cannot be written for that group.
        Conflict: the tenant has too many open downlinks.
    """
    at = now_ms()
    message = shaped(channel, new, to.identity, uid=number, at=at, group=to.name)
    return downlinks.put(
        connection,
        NewDownlink(
            topic=message.topic,
            payload=message.payload,
            tenant=to.tenant,
            origin="command",
            expires_at=at + downlinks.settings.downlink_expiry_seconds * 1000,
            until=Until.ONCE,
            qos=channel.qos,
            reason=new.reason,
        ),
    ).id


async def sent(
    watcher: Watcher, downlinks: Downlinks, numbers: Sequence[int], who: Actor, subject: str
) -> None:
    """Returns when the broker has had every message. What could not be sent by then is
    withdrawn, so that no command goes out which its sender believes lost.

    Raises:
        BrokerUnavailable: they were not sent; or, with the code ``broker_slow``, some may have
            been.
    """
    if await watcher.until(lambda: downlinks.answered(numbers), SENT_SECONDS):
        return
    done = await run_in_threadpool(downlinks.withdraw, who, numbers, subject)
    raise withdrawn(SENT_SECONDS, everything=done)


def withdrawn(seconds: float, *, everything: bool) -> BrokerUnavailable:
    """The error for messages that the broker has not taken in time.

    Args:
        everything: whether none of them can have gone out.
    """
    if everything:
        return BrokerUnavailable(
            f"The message was not sent within {seconds:g} s and is withdrawn.",
            hint="Check that the broker and `mooring worker` run (`mooring status`), then send it "
            "again.",
        )
    return BrokerUnavailable(
        f"The broker did not confirm the message within {seconds:g} s.",
        hint="It may still arrive: `mooring device downlinks` shows it.",
        code="broker_slow",
    )


def note(
    connection: Connection,
    who: Actor,
    action: str,
    subject: str,
    *,
    tenant: str | None,
    reason: str,
) -> None:
    """Records it in the audit."""
    audit_log.record(connection, who, action, subject[:300], tenant=tenant, reason=reason)
