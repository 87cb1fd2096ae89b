"""Putting what a person sends into a dialect's shape, and out."""

from __future__ import annotations

import json
from typing import Any

from mooring.audit import log as audit_log
from mooring.dialects import Channel, Dialect, Identity, Kind, compose, valid_topic_name
from mooring.dialects.sendable import check_topic
from mooring.errors import Invalid, NotFound
from mooring.identity.actor import Actor
from mooring.publish.document import CommandIn
from mooring.store.engine import Database, now_ms
from mooring.web.publisher import Publisher

__all__ = ["as_bytes", "command_channel", "note", "send_command"]


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


def send_command(
    publisher: Publisher,
    channel: Channel,
    identity: Identity,
    given: CommandIn,
    *,
    number: str,
    group: str = "",
) -> str:
    """Composes the command in the dialect's shape and sends it; returns the topic."""
    topic = channel.address(identity, group=group, name=given.command)
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
            time_ms=now_ms(),
            identifier=number,
            name=given.command,
            device=None if group else identity.device,
        )
    except (UnicodeEncodeError, TypeError, ValueError) as exc:
        raise Invalid(
            "The parameters cannot be written as JSON.",
            hint="Use text, numbers, booleans, lists and objects.",
            code="invalid_payload",
        ) from exc
    check_topic(topic)
    publisher.publish(topic, payload, qos=channel.qos, retain=channel.retain)
    return topic


def note(
    database: Database, who: Actor, action: str, subject: str, *, tenant: str | None, reason: str
) -> None:
    """Records it in the audit."""
    with database.write() as connection:
        audit_log.record(connection, who, action, subject[:300], tenant=tenant, reason=reason)
