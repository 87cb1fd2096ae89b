"""A fact: one message as projections see it, decoded once."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import msgspec

from mooring.devices.reference import DeviceRef
from mooring.dialects import meaning
from mooring.dialects.model import Channel, Kind
from mooring.dialects.payload import Decoded
from mooring.ingest.routing import Route
from mooring.ingest.rows import MessageRow, own_time

__all__ = ["Fact", "Standing"]


class Standing(Enum):
    """How a message came."""

    LIVE = auto()  # the device has just said it
    RETAINED = auto()  # the broker had kept it: it may be old, and is not a sign of life
    UNREADABLE = auto()  # it became a dead letter; only device, time and number are known


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One message. It is cheap to make (0.15 µs); what it means is worked out when asked."""

    row: MessageRow
    route: Route
    decoded: Decoded
    standing: Standing = Standing.LIVE

    @property
    def device(self) -> DeviceRef:
        return self.route.device

    @property
    def channel(self) -> Channel:
        return self.route.channel

    @property
    def kind(self) -> Kind:
        return self.route.kind

    @property
    def topic(self) -> str:
        return self.route.topic

    @property
    def ts(self) -> int:
        """The time that counts, epoch milliseconds: the device's, or that of arrival."""
        return self.row[2]

    @property
    def own_time(self) -> int | None:
        """The device's own time, epoch milliseconds; ``None`` where it gave none to believe.
        Of two messages with one, the larger is the newer; otherwise the order of arrival
        decides."""
        return own_time(self.row)

    @property
    def received_at(self) -> int:
        """Epoch milliseconds."""
        return self.row[3]

    @property
    def seq(self) -> int | None:
        return self.row[4]

    @property
    def time_source(self) -> int:
        """0: the device's time; 1: it gave none; 2: it gave one that cannot be."""
        return self.row[5]

    @property
    def fingerprint(self) -> int:
        """Equal for what the device repeats, where that can be determined."""
        return self.row[6]

    @property
    def text(self) -> str:
        """The payload as it is stored."""
        return self.row[7]

    @property
    def body(self) -> dict[str, Any] | None:
        """The decoded object; ``None`` where the payload is not one."""
        return self.decoded.body

    # -- what it means, by the paths of its dialect

    @property
    def identifier(self) -> str | None:
        """The id that the message carries."""
        return meaning.identifier(self.channel.payload, self.body)

    @property
    def reply_to(self) -> str | None:
        """The id of the command, or the version of the settings, that it answers."""
        return meaning.reply_to(self.channel.payload, self.body)

    @property
    def name(self) -> str | None:
        """The name of the command, alert or event: in the payload, or else in the topic."""
        return meaning.name(self.channel.payload, self.body) or self.route.word

    @property
    def firmware(self) -> str | None:
        """The firmware version that it names."""
        return meaning.firmware(self.channel.payload, self.body)
