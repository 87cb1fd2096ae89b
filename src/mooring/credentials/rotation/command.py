"""The command that brings a device its new password, in its dialect's shape. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mooring.credentials.rotation.rules import Answer
from mooring.dialects import Channel, Dialect, Identity, Kind, compose
from mooring.dialects.payload import look_up

__all__ = ["COMMAND", "Message", "answer_in", "command_for"]

COMMAND = "rotate_credentials"
_NO = {"error", "failed", "failure", "rejected", "refused", "unsupported"}

Message = tuple[str, bytes]  # topic, payload


def command_for(
    dialect: Dialect, identity: Identity, *, rotation: str, password: str, at: int
) -> Message | None:
    """Where to send what; ``None`` for a dialect that has no commands.

    A channel of that name is used where the dialect has one, otherwise its first for commands.
    The command's name is the last word of the topic where the dialect has it there. Fleets
    that write their commands in capitals (their example says so) get it in capitals.
    """
    channels = dialect.of_kind(Kind.COMMAND)
    if not channels:
        return None
    channel = next((one for one in channels if one.name == COMMAND), channels[0])
    name = _spelled(channel)
    topic = channel.address(identity, name=name)
    if topic is None:
        return None
    values: dict[str, Any] = {"password": password}
    if dialect.of_kind(Kind.REPLY):
        values["rotation"] = rotation
    payload = compose(
        channel.payload, values, time_ms=at, identifier=rotation, name=name, device=identity.device
    )
    return topic, payload


def _spelled(channel: Channel) -> str:
    if channel.payload.name is None or not channel.payload.example:
        return COMMAND
    said = look_up(json.loads(channel.payload.example), channel.payload.name)
    return COMMAND.upper() if isinstance(said, str) and said.isupper() else COMMAND


def answer_in(channel: Channel, body: Mapping[str, Any], rotation: str) -> Answer | None:
    """What a message on a reply channel says to this rotation; ``None``: it is about another."""
    if channel.payload.reply_to is None:
        return None
    if str(look_up(body, channel.payload.reply_to)) != rotation:
        return None
    status = body.get("status")
    refused = (
        body.get("ok") is False
        or body.get("success") is False
        or (isinstance(status, str) and status.lower() in _NO)
    )
    return Answer.REFUSED if refused else Answer.DONE
