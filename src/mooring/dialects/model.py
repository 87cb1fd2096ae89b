"""The values of a dialect: how one fleet speaks.

A dialect is declared in one TOML file (see ``docs/reference/dialects.md``) and everything
else follows from it: subscriptions, routing, decoding, each device's access rights,
``topics`` lists, the AsyncAPI document. These classes hold a *checked* dialect; reading and
checking a file is ``mooring.dialects.load``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mooring.dialects.parameters import CommandForm

__all__ = [
    "Attribute",
    "Channel",
    "Dialect",
    "Direction",
    "DoneWhen",
    "FirmwareCommand",
    "Format",
    "Identity",
    "Kind",
    "Path",
    "PayloadShape",
    "TimeFormat",
    "TimeNumbers",
]


class Direction(StrEnum):
    """Which way a channel runs."""

    UP = "up"  # device → platform
    DOWN = "down"  # platform → device


class Kind(StrEnum):
    """What a channel means, whatever its topic is called."""

    TELEMETRY = "telemetry"
    METRICS = "metrics"  # the device's own performance figures
    EVENT = "event"
    STATUS = "status"
    HEARTBEAT = "heartbeat"
    ONLINE = "online"  # a message here means: the device is there
    OFFLINE = "offline"  # typically the Last Will
    ALERT = "alert"
    ALERT_CLEARED = "alert_cleared"
    COMMAND = "command"
    CANCEL = "cancel"  # the platform asks a device not to carry out a command, or to stop
    REPLY = "reply"
    ROTATION_REPLY = "rotation_reply"  # whether the device has stored its new password
    CONFIG = "config"
    CONFIG_REPORTED = "config_reported"
    FIRMWARE = "firmware"
    FIRMWARE_PROGRESS = "firmware_progress"
    FILESYSTEM = "filesystem"
    REGISTER = "register"
    REGISTER_RESPONSE = "register_response"
    RECEIPT = "receipt"
    REREQUEST = "rerequest"  # platform asks a device for missing sequence numbers
    FLEET_COMMAND = "fleet_command"
    FLEET_STATUS = "fleet_status"
    SYSTEM = "system"  # platform health, metrics and alerts, for operators
    MONITORING = "monitoring"  # broker, clients and traffic, for operators


class DoneWhen(StrEnum):
    """What shows that a device has carried out a command which it does not answer."""

    SESSION = "session"  # the device connects again
    ALERT_CLEARED = "alert_cleared"  # the device publishes on its channel of that kind


class Attribute(StrEnum):
    """What a topic placeholder stands for. A dialect maps its own names to these."""

    TENANT = "tenant"
    DEVICE = "device"  # the device's id: the name it was added with
    MAC = "mac"
    GROUP = "group"
    NAME = "name"  # a free word in the topic: a command's or an alert's name


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a device when a topic or username is filled in.

    ``device`` and ``tenant`` are topic-safe words (no ``/ + #``, no control characters);
    ``mac`` is written the way the firmware writes it, or ``None``.
    """

    tenant: str
    device: str
    mac: str | None = None
    groups: tuple[str, ...] = ()


class Format(StrEnum):
    """What a payload is written in."""

    JSON = "json"  # a JSON object; anything else is a bad message
    TEXT = "text"  # UTF-8 text, not parsed
    EITHER = "either"  # a JSON object where it is one, otherwise text
    ANY = "any"  # bytes of any kind, kept as they are and never parsed


class TimeFormat(StrEnum):
    """How the platform writes a time into a payload; every form is understood when read."""

    ISO = "iso"  # 2026-02-13T12:00:00.000Z
    MILLISECONDS = "ms"  # since 1970
    SECONDS = "s"  # since 1970, whole


class TimeNumbers(StrEnum):
    """What a number means where the device's time is expected."""

    EPOCH = "epoch"  # since 1970
    UPTIME = "uptime"  # since the device was switched on, unless it is that many milliseconds
    # that no device runs for (since 1970, then)


Path = tuple[str, ...]  # object keys from the outside in; empty: the whole payload


@dataclass(frozen=True, slots=True)
class PayloadShape:
    """Where things are in a JSON payload. A path is a tuple of object keys.

    Attributes:
        format: what the payload is written in.
        time: where the device's own time is; tried in order.
        time_numbers: what a number there means.
        time_format: how the platform writes the time (channels that run down).
        sequence: where the sequence number is, if the firmware counts.
        device: where the payload repeats the device's id; never a reading.
        identifier: the id of what is said: a command's id, a config's version.
        name: the word that says what it is: a command's, an alert's or an event's name.
        values: the object that holds the readings, parameters or settings; empty path: the
            whole payload, without the keys that mean something else.
        metadata: the object with firmware version, signal, battery; empty path: the whole
            payload, without the keys that mean something else.
        firmware: where the firmware version is; tried in order.
        online: a boolean or a word (``online``/``offline``) that says whether it is there;
            tried in order.
        reply_to: in a reply, the id of the command it answers; in a reported config, its
            version.
        correlation: where a command repeats its id for programs that pass it on.
        expires: where a command says until when it may be carried out.
        outcome: in a reply, whether the command worked, and in reported settings, whether they
            were applied: a boolean or a word; tried in order.
        error: in the same, why not, in the device's words; tried in order.
        guard: where settings say within how many seconds the device has to confirm them.
        secrets: where settings name their secret fields, which the device does not report.
        required: keys without which the payload is a bad message.
        fixed: constants the platform writes into every payload of a channel that runs down.
        example: a payload in this shape.
    """

    format: Format = Format.JSON
    time: tuple[Path, ...] = ()
    time_numbers: TimeNumbers = TimeNumbers.EPOCH
    time_format: TimeFormat = TimeFormat.ISO
    sequence: Path | None = None
    device: Path | None = None
    identifier: Path | None = None
    name: Path | None = None
    values: Path = ()
    metadata: Path | None = None
    firmware: tuple[Path, ...] = ()
    online: tuple[Path, ...] = ()
    reply_to: Path | None = None
    correlation: Path | None = None
    expires: Path | None = None
    outcome: tuple[Path, ...] = ()
    error: tuple[Path, ...] = ()
    guard: Path | None = None
    secrets: Path | None = None
    required: tuple[Path, ...] = ()
    fixed: tuple[tuple[Path, str | int | float | bool], ...] = ()
    example: str = ""


class FirmwareCommand(NamedTuple):
    """A command with which devices are offered firmware, where a dialect has no channel for it.

    In texts among the parameters, ``{url}``, ``{version}``, ``{sha256}``, ``{size}`` and ``{id}``
    stand for those of the offer.
    """

    command: str
    parameters: tuple[tuple[str, str | int | float | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One address pattern of a dialect.

    ``topic`` holds placeholders in braces, one per topic level at most
    (``smarthome/{home}/{device}/telemetry``); ``placeholders`` maps each to its attribute.
    ``qos`` is what the sender publishes with and the receiver subscribes with; ``retain``
    says that the sender asks the broker to keep the last message; a command is never retained,
    whatever it says.
    """

    name: str
    topic: str
    direction: Direction
    kind: Kind
    qos: int = 1
    retain: bool = False
    payload: PayloadShape = field(default_factory=PayloadShape)
    placeholders: Mapping[str, Attribute] = field(default_factory=dict, hash=False)
    description: str = ""
    operator_only: bool = False  # no device may read or write it (system, monitoring)
    # Of a channel for commands: name of a command → the effect that shows it was carried out.
    done_when: tuple[tuple[str, DoneWhen], ...] = ()
    commands: tuple[CommandForm, ...] = ()  # of such a channel; others may be sent as well
    # Likewise: the commands that offer firmware, sent one after the other.
    firmware: tuple[FirmwareCommand, ...] = ()
    # Of a channel for offers: the device keeps the image until its offer allows the install.
    install_windows: bool = False

    @property
    def filter(self) -> str:
        """The MQTT topic filter that covers every device: placeholders become ``+``."""
        return "/".join("+" if level.startswith("{") else level for level in self.topic.split("/"))

    def address(self, identity: Identity, *, group: str = "", name: str = "+") -> str | None:
        """The topic of one device, or ``None`` when the device lacks what it needs.

        A free-word placeholder is filled with ``name`` (``+`` by default, which makes the
        result a filter); a group placeholder with ``group``.
        """
        levels = []
        for level in self.topic.split("/"):
            if not level.startswith("{"):
                levels.append(level)
                continue
            match self.placeholders[level[1:-1]]:
                case Attribute.TENANT:
                    value: str | None = identity.tenant
                case Attribute.DEVICE:
                    value = identity.device
                case Attribute.MAC:
                    value = identity.mac
                case Attribute.GROUP:
                    value = group or None
                case Attribute.NAME:
                    value = name
            if not value:
                return None
            levels.append(value)
        return "/".join(levels)

    def addresses(self, identity: Identity) -> tuple[str, ...]:
        """Every filter through which one device uses this channel: one per group it is in,
        otherwise one; none when an attribute is missing or the channel is the operator's."""
        if self.operator_only:
            return ()
        if Attribute.GROUP in self.placeholders.values():
            found = [self.address(identity, group=group) for group in identity.groups]
        else:
            found = [self.address(identity)]
        return tuple(topic for topic in found if topic)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One fleet's way to speak, checked.

    ``username`` and ``client_id`` are templates over ``{tenant}``, ``{device}``, ``{mac}``.
    ``tenanted`` says whether the topics name the tenant; if not, devices of every tenant
    share the tree, so a device's id is unique across tenants. ``client_id_fixed`` says whether
    the firmware connects with exactly that client id; otherwise with one of its own choice.
    ``max_packet`` is the size in bytes of the largest MQTT packet that the firmware accepts, 0
    if it is not known: some boards ignore a larger one without notice.
    ``interval_ms``: a device sends something at least so often; ``None``: it is learned.
    """

    name: str
    title: str
    username: str
    client_id: str
    channels: tuple[Channel, ...]
    tenanted: bool
    needs_mac: bool = False
    client_id_fixed: bool = True
    max_packet: int = 0
    description: str = ""
    source: str = ""  # the file it was read from, for messages
    interval_ms: int | None = None

    def fill(self, template: str, identity: Identity) -> str:
        """``template`` with the device's attributes in place."""
        return (
            template.replace("{tenant}", identity.tenant)
            .replace("{device}", identity.device)
            .replace("{mac}", identity.mac or "")
        )

    def username_of(self, identity: Identity) -> str:
        return self.fill(self.username, identity)

    def client_id_of(self, identity: Identity) -> str:
        return self.fill(self.client_id, identity)

    def channel(self, name: str) -> Channel | None:
        return next((c for c in self.channels if c.name == name), None)

    def of_kind(self, kind: Kind) -> tuple[Channel, ...]:
        return tuple(c for c in self.channels if c.kind is kind)

    @property
    def has_groups(self) -> bool:
        """Whether a device's groups decide which topics it may use."""
        return any(
            Attribute.GROUP in channel.placeholders.values() and not channel.operator_only
            for channel in self.channels
        )

    def ups(self) -> tuple[Channel, ...]:
        return tuple(c for c in self.channels if c.direction is Direction.UP)

    def downs(self) -> tuple[Channel, ...]:
        return tuple(c for c in self.channels if c.direction is Direction.DOWN)

    @property
    def names_by_mac_too(self) -> bool:
        """Whether one topic may name a device by its name or by its MAC address."""
        filters = [channel.filter for channel in self.ups()]
        return len(set(filters)) < len(filters)

    def topics(self, identity: Identity) -> dict[str, str]:
        """Kind → topic for one device; a second channel of a kind is named by its channel."""
        result: dict[str, str] = {}
        for channel in self.channels:
            for topic in channel.addresses(identity):
                key = str(channel.kind) if str(channel.kind) not in result else channel.name
                result.setdefault(key, topic)
        return result
