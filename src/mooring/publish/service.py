"""Putting what a person sends into a dialect's shape, and out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection
from starlette.concurrency import run_in_threadpool

from mooring.audit import log as audit_log
from mooring.dialects import Channel, Dialect, Identity, Kind, compose, valid_topic_name
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import BrokerUnavailable, Invalid, NotFound
from mooring.identity.actor import Actor
from mooring.publish.document import CommandIn
from mooring.store.engine import now_ms
from mooring.web.watching import Watcher

__all__ = ["Addressee", "as_bytes", "command_channel", "note", "sent", "write_command"]


SENT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Addressee:
    """A device, or with ``group`` all devices that listen to a topic of that group.

    Attributes:
        identity: of the device, or of one of them.
        tenant: whose they are; empty when they may be of several tenants.
    """

    identity: Identity
    tenant: str
    device_id: int | None = None
    group: str = ""


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


def command_channel(dialect: Dialect, name: str | None) -> Channel:
    channels = dialect.of_kind(Kind.COMMAND)
    for channel in channels:
        if name is None or channel.name == name:
            return channel
    known = ", ".join(channel.name for channel in channels) or "none"
    raise NotFound(
        f"The dialect {dialect.name} has no such channel for commands.",
        hint=f"It has: {known}.",
        code="channel_not_found",
    )


def write_command(
    downlinks: Downlinks,
    connection: Connection,
    channel: Channel,
    given: CommandIn,
    to: Addressee,
    *,
    number: str,
) -> tuple[int, str]:
    """Composes the command in the dialect's shape and writes its downlink in the caller's
    transaction; the downlink's number and its topic.

    Raises:
        Invalid: the command cannot be written for that device.
        Conflict: the device or the tenant has too many open downlinks.
    """
    identity, at = to.identity, now_ms()
    topic = channel.address(identity, group=to.group, name=given.command)
    if topic is None or not valid_topic_name(topic) or "/" in given.command:
        raise Invalid(
            f"{identity.device} cannot be sent {given.command[:100]!a} on {channel.name}.",
            hint="The name of a command must be one word without / + #, and the device must have "
            "every attribute in its dialect's topics.",
            code="invalid_command",
        )
    try:
        payload = compose(
            channel.payload,
            given.parameters,
            time_ms=at,
            identifier=number,
            name=given.command,
            device=None if to.group else identity.device,
        )
    except (UnicodeEncodeError, TypeError, ValueError) as exc:
        raise Invalid(
            "The parameters cannot be written as JSON.",
            hint="Use text, numbers, booleans, lists and objects.",
            code="invalid_payload",
        ) from exc
    new = NewDownlink(
        topic=topic,
        payload=payload,
        tenant=to.tenant,
        origin="command",
        expires_at=at + downlinks.settings.downlink_expiry_seconds * 1000,
        device_id=to.device_id,
        until=Until.ONCE if to.device_id is None else Until.TAKEN,
        qos=channel.qos,
        retain=channel.retain,
        reason=given.reason,
    )
    return downlinks.put(connection, new).id, topic


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
    withdrawn = await run_in_threadpool(downlinks.withdraw, who, numbers, subject)
    if withdrawn:
        raise BrokerUnavailable(
            f"The message was not sent within {SENT_SECONDS:g} s and is withdrawn.",
            hint="Check that the broker and `mooring worker` run (`mooring status`), then send it "
            "again.",
        )
    raise BrokerUnavailable(
        f"The broker did not confirm the message within {SENT_SECONDS:g} s.",
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
