"""An offer in the shape of a dialect. Pure.

A device that accepts small packets only gets what its firmware needs: the manifest, its signatures
and the rest are left out, one after the other, until the offer fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mooring.dialects import (
    Channel,
    Dialect,
    Identity,
    Kind,
    PayloadShape,
    capabilities,
    compose,
    valid_topic_name,
)
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
    "Reach",
    "TooLarge",
    "can_wait",
    "cancel_message",
    "reach_of",
    "reaches",
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


@dataclass(frozen=True, slots=True)
class Reach:
    """How devices of a dialect get releases of a kind.

    Attributes:
        channels: for offers, in the order in which they are tried.
        command: the channel for commands whose dialect says how they offer firmware.
        reports: the dialect has a channel for progress.
    """

    channels: tuple[Channel, ...]
    command: Channel | None
    reports: bool

    def __bool__(self) -> bool:
        return bool(self.channels or self.command)


_REACHES: dict[tuple[int, Of], tuple[Dialect, Reach]] = {}
_KEPT = 256  # dialects and kinds that are remembered


def reach_of(dialect: Dialect, of: Of) -> Reach:
    """Worked out once for each dialect: a rollout asks for every device."""
    key = (id(dialect), of)
    known = _REACHES.get(key)
    if known is not None and known[0] is dialect:
        return known[1]
    kinds = (Kind.FILESYSTEM, Kind.FIRMWARE) if of is Of.FILESYSTEM else (Kind.FIRMWARE,)
    commands = _own_channels(dialect, Kind.COMMAND) if of is Of.FIRMWARE else []
    found = Reach(
        tuple(channel for kind in kinds for channel in _own_channels(dialect, kind)),
        next((one for one in commands if one.firmware), None),
        capabilities(dialect).progress_up,
    )
    if len(_REACHES) >= _KEPT:
        _REACHES.clear()
    _REACHES[key] = (dialect, found)
    return found


def can_wait(dialect: Dialect, of: Of) -> bool:
    """Whether devices of a dialect keep an image until their offer allows the install."""
    channels = reach_of(dialect, of).channels
    return bool(channels) and all(one.install_windows for one in channels)


def reaches(reach: Reach, identity: Identity) -> bool:
    """Whether ``shaped`` has a message for that device, however large."""
    topics = (channel.address(identity) for channel in reach.channels)
    if any(topic is not None and valid_topic_name(topic) for topic in topics):
        return True
    if reach.command is None:
        return False
    names = [one.command for one in reach.command.firmware]
    topics = (reach.command.address(identity, name=name) for name in names)
    return bool(names) and all(topic is not None and valid_topic_name(topic) for topic in topics)


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
    reach = reach_of(dialect, offer.release.kind)
    for channel in reach.channels:
        topic = channel.address(identity)
        if topic is None or not valid_topic_name(topic):
            continue
        for shape, body in _sizes(channel.payload, offer):
            payload = compose(shape, body, time_ms=at, identifier=offer.uid, device=identity.device)
            smallest = (Message(channel, topic, payload),)
            if not most or smallest[0].size <= most:
                return smallest
    if smallest is None and reach.command is not None:
        smallest = _commands(reach.command, identity, offer, at=at, most=most)
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


def _sizes(shape: PayloadShape, offer: Offer) -> Iterator[tuple[PayloadShape, dict[str, Any]]]:
    """What an offer says and how, the smallest one last: without the time, which no firmware needs
    to install."""
    body: dict[str, Any] = {}
    for body in bodies(offer):
        yield shape, body
    if shape.time:
        yield replace(shape, time=()), body


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
