"""From what somebody wants to send to a message in the dialect's shape. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from mooring.commands.model import NewCommand
from mooring.dialects import (
    Channel,
    Dialect,
    Identity,
    Kind,
    capabilities,
    compose,
    valid_topic_name,
)
from mooring.dialects.model import Attribute
from mooring.dialects.outgoing import packet_bytes
from mooring.dialects.parameters import mistakes
from mooring.errors import Invalid, NotFound

__all__ = [
    "Shaped",
    "cancellation",
    "check_packet",
    "check_parameters",
    "command_channel",
    "shaped",
]


@dataclass(frozen=True, slots=True)
class Shaped:
    """A command as it goes out."""

    channel: Channel
    topic: str
    payload: bytes = field(repr=False)


def command_channel(dialect: Dialect, name: str | None) -> Channel:
    """The dialect's channel for commands of that name, or its first one.

    Raises:
        NotFound: it has none.
    """
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


def shaped(
    channel: Channel,
    new: NewCommand,
    identity: Identity,
    *,
    uid: str,
    at: int,
    expires_at: int | None = None,
    group: str = "",
) -> Shaped:
    """Topic and payload.

    Args:
        at: epoch milliseconds, written into the payload where the dialect has a place.
        group: for a channel of a group.

    Raises:
        Invalid: the command cannot be written for that device.
    """
    check_parameters(channel, new)
    topic = channel.address(identity, group=group, name=new.name)
    in_topic = Attribute.NAME in channel.placeholders.values()
    bad_name = not new.name or (in_topic and ("/" in new.name or "+" in new.name))
    if topic is None or bad_name or not valid_topic_name(topic):
        raise Invalid(
            f"{identity.device} cannot be sent {new.name[:100]!a} on {channel.name}.",
            hint="The name of a command must be one word without / + #, and the device must have "
            "every attribute in its dialect's topics.",
            code="invalid_command",
        )
    try:
        payload = compose(
            channel.payload,
            new.parameters,
            time_ms=at,
            identifier=uid,
            name=new.name,
            device=None if group else identity.device,
            expires_ms=expires_at,
        )
        json.dumps(dict(new.parameters), allow_nan=False).encode()
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError) as exc:
        raise Invalid(
            "The parameters cannot be written in the shape of the dialect.",
            hint="Use text, numbers, booleans, lists and objects. A channel for text has one "
            "parameter, value.",
            code="invalid_payload",
        ) from exc
    return Shaped(channel, topic, payload)


def check_parameters(channel: Channel, new: NewCommand) -> None:
    """Compares the parameters with what the dialect declares of that command.

    Raises:
        Invalid: ``invalid_parameter``.
    """
    form = next((one for one in channel.commands if one.name == new.name), None)
    wrong = mistakes(form, new.parameters) if form is not None else {}
    if wrong:
        name, problem = next(iter(wrong.items()))
        raise Invalid(
            f"The parameter {name} of the command {new.name} is not valid: {problem}",
            hint="The dialect declares the parameters of this command.",
            code="invalid_parameter",
            parameters=wrong,
        )


def cancellation(dialect: Dialect, identity: Identity, *, uid: str, at: int) -> Shaped | None:
    """Asks a device to cancel a command; ``None``: its dialect has no way to.

    Args:
        uid: the command's id on the wire.
    """
    if not capabilities(dialect).cancel:
        return None
    channel = dialect.of_kind(Kind.CANCEL)[0]
    topic = channel.address(identity, name=uid)
    if topic is None or not valid_topic_name(topic):
        return None
    return Shaped(channel, topic, compose(channel.payload, {}, time_ms=at, identifier=uid))


def check_packet(shape: Shaped, most: int, whose: str) -> None:
    """Rejects what the firmware would drop without notice.

    Args:
        most: bytes of the largest packet that the device accepts; 0: not known.
        whose: what accepts no more, for the message.

    Raises:
        Invalid: ``packet_too_large``, with both numbers.
    """
    size = packet_bytes(shape.topic, shape.payload, shape.channel.qos)
    if most and size > most:
        raise Invalid(
            f"The command needs a packet of {size} bytes; {whose} accepts {most}.",
            hint="Send fewer or shorter parameters. The topic and the header count.",
            code="packet_too_large",
            bytes=size,
            most=most,
        )
