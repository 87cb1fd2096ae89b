"""An offer in the shape of a dialect. Pure.

A device that accepts small packets only gets what its firmware needs: the manifest, its signatures
and the rest are left out, one after the other, until the offer fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mooring.dialects import Channel, Dialect, Identity, Kind, compose, valid_topic_name
from mooring.dialects.model import Attribute
from mooring.dialects.outgoing import packet_bytes
from mooring.dialects.times import iso
from mooring.ota.releases import manifest
from mooring.ota.releases.model import Artifact, Release
from mooring.ota.releases.model import Kind as Of

__all__ = [
    "LINK_CHARACTERS",
    "Message",
    "Offer",
    "TooLarge",
    "can_be_offered",
    "can_wait",
    "cancel_message",
    "shaped",
]

LINK_CHARACTERS = 25
"""Of the path of a link: ``/f/`` and 22 characters."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a device is offered.

    Attributes:
        uid: the id on the wire.
        url: where the file is.
        install: from when until when it may be installed, epoch milliseconds; ``None``: always.
    """

    uid: str
    url: str = field(repr=False)
    release: Release
    artifact: Artifact
    install: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a device."""

    channel: Channel
    topic: str
    payload: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of its packet."""
        return packet_bytes(self.topic, self.payload, self.channel.qos)


@dataclass(frozen=True, slots=True)
class TooLarge:
    """An offer that the device would drop without notice.

    Attributes:
        size: bytes of its smallest packet; most: what the device accepts.
    """

    size: int
    most: int


def can_wait(dialect: Dialect, of: Of) -> bool:
    """Whether devices of a dialect keep an image until their offer allows the install."""
    channels = _channels_for(dialect, of)
    return bool(channels) and all(one.install_windows for one in channels)


def can_be_offered(dialect: Dialect, of: Of) -> bool:
    """Whether devices of a dialect can be offered a release of that kind."""
    return bool(_channels_for(dialect, of) or _commands_for(dialect, of))


def _channels_for(dialect: Dialect, of: Of) -> list[Channel]:
    kinds = (Kind.FILESYSTEM, Kind.FIRMWARE) if of is Of.FILESYSTEM else (Kind.FIRMWARE,)
    return [channel for kind in kinds for channel in _own_channels(dialect, kind)]


def _commands_for(dialect: Dialect, of: Of) -> Channel | None:
    """The channel for commands whose dialect says how they offer firmware."""
    if of is not Of.FIRMWARE:
        return None
    return next((one for one in _own_channels(dialect, Kind.COMMAND) if one.firmware), None)


def _own_channels(dialect: Dialect, kind: Kind) -> list[Channel]:
    """Those that reach one device and no other one: an offer never goes to a tenant's topic."""
    return [
        channel
        for channel in dialect.of_kind(kind)
        if any(
            channel.placeholders[level[1:-1]] in (Attribute.DEVICE, Attribute.MAC)
            for level in channel.topic.split("/")
            if level.startswith("{")
        )
    ]


def shaped(
    dialect: Dialect, identity: Identity, offer: Offer, *, at: int, most: int
) -> tuple[Message, ...] | TooLarge | None:
    """The messages of an offer, in order; ``None``: the dialect has no way to offer it.

    Args:
        at: epoch milliseconds, written into the payload where the dialect has a place.
        most: bytes of the largest packet that the device accepts; 0: not known.
    """
    smallest: tuple[Message, ...] | None = None
    for channel in _channels_for(dialect, offer.release.kind):
        topic = channel.address(identity)
        if topic is None or not valid_topic_name(topic):
            continue
        for body in bodies(offer):
            payload = compose(
                channel.payload, body, time_ms=at, identifier=offer.uid, device=identity.device
            )
            smallest = (Message(channel, topic, payload),)
            if not most or smallest[0].size <= most:
                return smallest
    by_command = _commands_for(dialect, offer.release.kind)
    if smallest is None and by_command is not None:
        smallest = _commands(by_command, identity, offer, at=at, most=most)
        if smallest and (not most or max(one.size for one in smallest) <= most):
            return smallest
    if not smallest:
        return None
    return TooLarge(max(one.size for one in smallest), most)


def _commands(
    channel: Channel, identity: Identity, offer: Offer, *, at: int, most: int
) -> tuple[Message, ...] | None:
    """The commands of an offer, as small as they have to be; ``None``: a topic is not valid."""
    found = []
    for command in channel.firmware:
        topic = channel.address(identity, name=command.command)
        if topic is None or not valid_topic_name(topic):
            return None
        parameters = list(command.parameters)
        while True:
            payload = compose(
                channel.payload,
                {name: _filled(value, offer) for name, value in parameters},
                time_ms=at,
                identifier=offer.uid,
                name=command.command,
                device=identity.device,
            )
            message = Message(channel, topic, payload)
            spare = [one for one in parameters if "{url}" not in str(one[1])]
            if not most or message.size <= most or not spare:
                break
            parameters.remove(spare[-1])
        found.append(message)
    return tuple(found)


def _filled(value: str | int | float | bool, offer: Offer) -> str | int | float | bool:
    if not isinstance(value, str):
        return value
    if value == "{size}":
        return offer.artifact.size
    for name, said in (
        ("{url}", offer.url),
        ("{version}", offer.release.version),
        ("{sha256}", offer.artifact.sha256),
        ("{size}", str(offer.artifact.size)),
        ("{id}", offer.uid),
    ):
        value = value.replace(name, said)
    return value


def bodies(offer: Offer) -> Iterator[dict[str, Any]]:
    """What an offer says, from all of it to what every firmware needs."""
    release, artifact = offer.release, offer.artifact
    least: dict[str, Any] = {
        "version": release.version,
        "url": offer.url,
        "sha256": artifact.sha256,
        "size": artifact.size,
    }
    if offer.install is not None:
        begin, end = offer.install
        least |= {"install_after": iso(begin), "install_before": iso(end)}
    # Next to the dialect's own place, firmware looks for the id here.
    middle = {"id": offer.uid, **least, "kind": str(release.kind)}
    if release.hardware:
        middle["hardware"] = list(release.hardware)
    if release.security_version:
        middle["security_version"] = release.security_version
    signed = artifact.signatures
    if signed:
        yield middle | {
            "signature": signed[0].value,
            "manifest": manifest.canonical(manifest.describe(release, artifact)).decode(),
            "signatures": [one._asdict() for one in signed],
        }
        yield middle | {"signature": signed[0].value}
    yield middle
    yield least


def cancel_message(dialect: Dialect, identity: Identity, uid: str, at: int) -> Message | None:
    """Asks a device to stop a download; ``None``: its dialect has no way to.

    On the channel of the offer itself, or else on that for cancelling commands.
    """
    for kind in (Kind.FIRMWARE, Kind.CANCEL):
        for channel in _own_channels(dialect, kind):
            topic = channel.address(identity, name=uid)
            if topic is None or not valid_topic_name(topic):
                continue
            said = {"cancel": True} if kind is Kind.FIRMWARE else {}
            payload = compose(channel.payload, said, time_ms=at, identifier=uid)
            if kind is Kind.CANCEL and channel.payload.identifier is None and uid not in topic:
                continue
            return Message(channel, topic, payload)
    return None
