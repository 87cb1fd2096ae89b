"""What must hold for a dialect as a whole: topics, usernames, directions, examples."""

from __future__ import annotations

import re
from itertools import combinations

from mooring.dialects.ids import MAX_WORD_BYTES
from mooring.dialects.mistakes import Report, nearest
from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    DoneWhen,
    Format,
    Kind,
)
from mooring.dialects.payload import BadPayload, PayloadLimits, compile_decoder
from mooring.dialects.tables import placeholder_of
from mooring.dialects.times import DAY_MS
from mooring.dialects.topics import (
    MAX_TOPIC_BYTES,
    MAX_TOPIC_LEVELS,
    filters_overlap,
    valid_topic_name,
)

__all__ = ["RESERVED_NAMES", "check_rules"]

RESERVED_NAMES = frozenset({"all", "any", "default", "none"})  # they mean something in commands

_UP = frozenset(
    {
        Kind.TELEMETRY,
        Kind.METRICS,
        Kind.EVENT,
        Kind.STATUS,
        Kind.HEARTBEAT,
        Kind.ONLINE,
        Kind.OFFLINE,
        Kind.ALERT,
        Kind.ALERT_CLEARED,
        Kind.REPLY,
        Kind.ROTATION_REPLY,
        Kind.CONFIG_REPORTED,
        Kind.FIRMWARE_PROGRESS,
        Kind.REGISTER,
    }
)
_DOWN = frozenset(
    {
        Kind.COMMAND,
        Kind.CANCEL,
        Kind.CONFIG,
        Kind.FIRMWARE,
        Kind.FILESYSTEM,
        Kind.REGISTER_RESPONSE,
        Kind.RECEIPT,
        Kind.REREQUEST,
        Kind.FLEET_COMMAND,
    }
)
_OPERATORS = frozenset({Kind.SYSTEM, Kind.MONITORING})
_UNIQUE = frozenset({Attribute.DEVICE, Attribute.MAC})
_TEMPLATE = re.compile(r"\{([^{}]*)\}")
_IN_TEMPLATES = (Attribute.TENANT, Attribute.DEVICE, Attribute.MAC)
_FAR_FUTURE_MS = 4_102_444_800_000  # 2100: an example's time is judged by its form


def check_rules(dialect: Dialect, report: Report) -> None:
    """Report what is wrong across keys and channels."""
    if dialect.name in RESERVED_NAMES:
        report.add(("name",), f"{dialect.name!r} is reserved.", "Choose another name.")
    _check_template(dialect.username, "username", report)
    _check_template(dialect.client_id, "client_id", report)
    if "{tenant}" in dialect.username and not re.search(r"\{(tenant|mac)\}", dialect.client_id):
        report.add(
            ("client_id",),
            "Devices of two tenants with the same name would disconnect each other.",
            "Use {tenant} in it, as the username does.",
        )
    seen: dict[str, int] = {}
    for index, channel in enumerate(dialect.channels):
        _check_name(channel, index, seen, report)
        _check_topic(channel, index, report)
        _check_direction(channel, index, report)
        _check_owner(dialect, channel, index, report)
        _check_payload(channel, index, report)
        _check_commands(dialect, channel, index, report)
    _check_overlaps(dialect, report)


def _check_template(template: str, key: str, report: Report) -> None:
    names = _TEMPLATE.findall(template)
    known = [str(a) for a in _IN_TEMPLATES]
    for name in names:
        if name not in known:
            report.add((key,), f"{{{name}}} is not an attribute of a device.", nearest(name, known))
    rest = _TEMPLATE.sub("", template)
    if "{" in rest or "}" in rest:
        report.add((key,), "A brace has no counterpart.", "Write attributes as {device}.")
    if any(ord(c) < 32 or ord(c) == 127 for c in template):
        report.add((key,), "It contains a control character.")
    if "}{" in template:
        report.add(
            (key,),
            "Two attributes touch, so two devices could get the same one.",
            "Put a character between them, such as ':'.",
        )
    if template and not {"device", "mac"} & set(names):
        report.add((key,), "It does not distinguish devices.", "Use {device} or {mac} in it.")


def _check_name(channel: Channel, index: int, seen: dict[str, int], report: Report) -> None:
    place = ("channels", index, "name")
    if channel.name and channel.name in seen:
        report.add(place, f"The name {channel.name!r} is taken by channels[{seen[channel.name]}].")
    seen.setdefault(channel.name, index)
    # Lists of topics are keyed by kind first, then by channel name
    if channel.name in set(Kind) and channel.name != channel.kind:
        report.add(
            place,
            f"{channel.name!r} is reserved for channels of that kind; this one is {channel.kind}.",
            "Rename the channel or change its kind.",
        )


def _check_topic(channel: Channel, index: int, report: Report) -> None:
    place = ("channels", index, "topic")
    topic = channel.topic
    if not topic:
        return
    if "+" in topic or "#" in topic:
        report.add(
            place, "The pattern contains a wildcard.", "Use a placeholder, such as {device}."
        )
    elif "\0" not in topic and not valid_topic_name(topic):
        report.add(place, "It is not a valid topic: not UTF-8 or longer than 65535 bytes.")
    if topic.startswith("$"):
        report.add(place, "Topics that begin with '$' are reserved for the broker.")
    levels = topic.split("/")
    if len(levels) > MAX_TOPIC_LEVELS:
        report.add(place, f"It has more than {MAX_TOPIC_LEVELS} levels, which brokers reject.")
    if "" in levels:
        report.add(place, "A level is empty.", "Remove a leading, trailing or doubled slash.")
    attributes = list(channel.placeholders.values())
    names = [name for level in levels if (name := placeholder_of(level)) is not None]
    if len(topic.encode(errors="replace")) + len(names) * MAX_WORD_BYTES > MAX_TOPIC_BYTES:
        report.add(place, f"With long ids it passes {MAX_TOPIC_BYTES} bytes.")
    for level in levels:
        if ("{" in level or "}" in level) and placeholder_of(level) is None:
            report.add(
                place,
                f"The placeholder does not fill its level {level!r}.",
                "Give it a level of its own: /{device}/.",
            )
    if len(set(names)) < len(names) or len(set(attributes)) < len(attributes):
        report.add(place, "Two placeholders name the same attribute.")


def _check_direction(channel: Channel, index: int, report: Report) -> None:
    place = ("channels", index, "direction")
    kind = channel.kind
    wrong = _DOWN if channel.direction is Direction.UP else _UP
    if kind in wrong:
        right = Direction.DOWN if channel.direction is Direction.UP else Direction.UP
        report.add(
            place,
            f"The kind {kind} always has the direction {right}.",
            f'Write direction = "{right}".',
        )
    if kind in _OPERATORS and not channel.operator_only:
        report.add(
            ("channels", index, "kind"),
            f"The kind {kind} is for operators.",
            "Add operator_only = true.",
        )


def _check_owner(dialect: Dialect, channel: Channel, index: int, report: Report) -> None:
    """Every message from a device must say whose it is."""
    if channel.direction is not Direction.UP or channel.operator_only or not channel.topic:
        return
    place = ("channels", index, "topic")
    attributes = set(channel.placeholders.values())
    if not attributes & _UNIQUE:
        report.add(
            place,
            "It does not identify the sending device.",
            "Use a placeholder for device or mac, or make the channel operator_only.",
        )
    elif dialect.tenanted and Attribute.TENANT not in attributes:
        report.add(
            place,
            "It does not name the tenant, though other channels do.",
            "Use the tenant's placeholder in every channel that sends up, or in none.",
        )


def _check_commands(dialect: Dialect, channel: Channel, index: int, report: Report) -> None:
    if channel.done_when and channel.kind is not Kind.COMMAND:
        report.add(
            ("channels", index, "done_when"),
            f"A channel of the kind {channel.kind} has no commands.",
            "Remove it, or move it to a channel of the kind command.",
        )
    if channel.commands and channel.kind is not Kind.COMMAND:
        report.add(
            ("channels", index, "commands"),
            f"A channel of the kind {channel.kind} has no commands.",
            "Remove them, or move them to a channel of the kind command.",
        )
    if channel.firmware:
        if channel.kind is not Kind.COMMAND:
            report.add(
                ("channels", index, "firmware"),
                f"A channel of the kind {channel.kind} has no commands.",
                "Remove it, or move it to a channel of the kind command.",
            )
        texts = [v for one in channel.firmware for _, v in one.parameters if isinstance(v, str)]
        if not any("{url}" in text for text in texts):
            report.add(
                ("channels", index, "firmware"),
                "No parameter says where the file is.",
                'Add one with "{url}".',
            )
    if channel.install_windows and channel.kind not in (Kind.FIRMWARE, Kind.FILESYSTEM):
        report.add(
            ("channels", index, "install_windows"),
            f"A channel of the kind {channel.kind} offers no firmware.",
            "Remove it, or move it to a channel of the kind firmware or filesystem.",
        )
    if channel.kind is Kind.CANCEL and channel.payload.identifier is None:
        report.add(
            ("channels", index, "payload", "identifier"),
            "It does not name the command that is to be cancelled.",
            "Add payload.identifier.",
        )
    for name, effect in channel.done_when:
        if effect is DoneWhen.ALERT_CLEARED and not dialect.of_kind(Kind.ALERT_CLEARED):
            report.add(
                ("channels", index, "done_when", name),
                "The dialect has no channel of the kind alert_cleared.",
                "Add one, or remove this effect.",
            )


def _check_payload(channel: Channel, index: int, report: Report) -> None:
    shape = channel.payload
    place = ("channels", index, "payload")
    taken = {path for path, _ in shape.fixed}
    for path in (
        *shape.time,
        shape.sequence,
        shape.identifier,
        shape.correlation,
        shape.expires,
        shape.guard,
        shape.secrets,
        shape.name,
        shape.device,
    ):
        if path in taken:
            report.add(
                (*place, "fixed"), f"The key {'.'.join(path or ())!r} has a reserved meaning."
            )
    if shape.format in (Format.TEXT, Format.ANY) and shape.required:
        report.add(
            (*place, "required"),
            f"A payload of format {shape.format} has no keys.",
            "Remove it, or use format json.",
        )
    if not shape.example:
        return
    decode = compile_decoder(shape, PayloadLimits(future_ms=DAY_MS))
    found = decode(shape.example.encode(errors="surrogatepass"), _FAR_FUTURE_MS)
    if isinstance(found, BadPayload):
        report.add(
            (*place, "example"),
            f"The channel's own decoder rejects it ({found.reason}): {found.detail}",
        )
    elif found.not_numbers:
        report.add((*place, "example"), "It is not valid JSON: it holds NaN or Infinity.")


def _say_the_same(one: Channel, other: Channel) -> bool:
    """Whether two channels differ only in which of its attributes the device is named by."""
    named = [set(channel.placeholders.values()) & _UNIQUE for channel in (one, other)]
    return (
        one.direction is other.direction is Direction.UP
        and (one.kind, one.filter, one.payload) == (other.kind, other.filter, other.payload)
        and not named[0] & named[1]
    )


def _check_overlaps(dialect: Dialect, report: Report) -> None:
    """A topic of the dialect must have one meaning, and one side that may send to it.

    Two channels may name the device differently and be alike otherwise: a device's name is
    never another one's MAC address (``Devices.checked``)."""
    named = [(i, c) for i, c in enumerate(dialect.channels) if c.topic]
    for (_, one), (index, other) in combinations(named, 2):
        if one.direction is other.direction is Direction.DOWN and one.filter != other.filter:
            continue  # the platform knows what it sends
        if _say_the_same(one, other):
            continue
        if filters_overlap(one.filter, other.filter):
            report.add(
                ("channels", index, "topic"),
                f"It overlaps with the channel {one.name!r} ({one.topic}).",
                "Give every channel topics of its own.",
            )
