"""What one simulated device sends, and when: its messages in order, from its dialect alone.

Pure: the time is an argument and chance comes from a seed, so the same seed says the same.
Every tick is one message. Most are the dialect's telemetry; occasionally a heartbeat, an
event, an alert that is cleared again.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from mooring.dialects import identifier, name
from mooring.dialects.example import put, time_like
from mooring.dialects.model import (
    Channel,
    Dialect,
    Format,
    Identity,
    Kind,
    Path,
    PayloadShape,
)
from mooring.dialects.payload import look_up
from mooring.simulate.values import Leaf, leaves

__all__ = ["Message", "Voice"]

HEARTBEAT_SECONDS = 60.0
ALERT_CHANCE = 0.003  # of a tick, while none is raised
ALERT_SECONDS = (10.0, 60.0)  # until it is cleared
METRICS_CHANCE, EVENT_CHANCE = 0.05, 0.01
FREE_WORD = "simulated"  # fills a level that is a free word

# What a device mostly says: the first kind its dialect has.
_MAIN = (Kind.TELEMETRY, Kind.METRICS, Kind.STATUS, Kind.HEARTBEAT, Kind.EVENT)
_AT_BIRTH = (Kind.REGISTER, Kind.ONLINE, Kind.STATUS)
_COUNTS_UP = frozenset({Kind.COMMAND, Kind.FLEET_COMMAND})


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it goes out."""

    channel: str
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Voice:
    """One device's voice.

    Args:
        dialect: how it speaks.
        identity: who it is.
        seed: together with the identity decides all its values.
        qos: sends everything with this QoS instead of the channels' own.
    """

    def __init__(
        self, dialect: Dialect, identity: Identity, *, seed: int = 0, qos: int | None = None
    ) -> None:
        self.dialect = dialect
        self.identity = identity
        self._qos = qos
        self._random = Random(f"{seed}/{dialect.name}/{identity.tenant}/{identity.device}")  # noqa: S311 - repeatable on purpose
        self._ups: dict[Kind, _Speech] = {}
        self._sequence = 0
        for channel in dialect.ups():
            topic = None if channel.operator_only else channel.address(identity, name=FREE_WORD)
            if topic is not None and channel.kind not in self._ups:
                self._ups[channel.kind] = _Speech(channel, topic, identity, self._random)
        main = next((kind for kind in _MAIN if kind in self._ups), None)
        self._main = main if main is not None else next(iter(self._ups), None)
        self._born_ms: int | None = None
        self._beat_ms = 0
        self._clear_ms: int | None = None

    # ------------------------------------------------------------------ topics

    def subscriptions(self) -> list[tuple[str, int]]:
        """Filter and QoS of everything it listens to."""
        found: dict[str, int] = {}
        for channel in self.dialect.downs():
            for topic in channel.addresses(self.identity):
                found.setdefault(topic, channel.qos)
        return list(found.items())

    def will(self, now_ms: int) -> Message | None:
        """What the broker says for it when it vanishes."""
        for kind in (Kind.OFFLINE, Kind.STATUS):
            speech = self._ups.get(kind)
            if speech is not None and (kind is Kind.OFFLINE or speech.shape.online):
                return self._say(speech, now_ms, online=False)
        return None

    # ------------------------------------------------------------------ messages

    def birth(self, now_ms: int) -> list[Message]:
        """What it says when it has connected."""
        if self._born_ms is None:
            self._born_ms = self._beat_ms = now_ms
        return [
            self._say(self._ups[kind], now_ms, online=True)
            for kind in _AT_BIRTH
            if kind in self._ups
        ]

    def next(self, now_ms: int) -> Message | None:
        """Its next message; ``None`` for a dialect in which a device has nothing to say."""
        if self._main is None:
            return None
        if self._born_ms is None:
            self._born_ms = self._beat_ms = now_ms
        return self._say(self._ups[self._choose(now_ms)], now_ms, online=True)

    def answer(self, topic: str, payload: bytes, now_ms: int) -> Message | None:
        """What it answers to a message from the platform, where the dialect has an answer."""
        channel = self._channel_of(topic)
        if channel is None:
            return None
        answered = {
            Kind.COMMAND: Kind.REPLY,
            Kind.FLEET_COMMAND: Kind.REPLY,
            Kind.CONFIG: Kind.CONFIG_REPORTED,
        }.get(channel.kind)
        speech = self._ups.get(answered) if answered else None
        if speech is None:
            return None
        try:
            body = msgspec.json.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            return None  # a device that understands nothing says nothing
        found = identifier(channel.payload, body)
        echoed = look_up(body, channel.payload.values) if channel.kind is Kind.CONFIG else None
        return self._say(
            speech,
            now_ms,
            online=True,
            reply_to=found,
            values=echoed,
            name=name(channel.payload, body),
        )

    def is_command(self, topic: str) -> bool:
        """Whether a message on this topic asks the device to do something."""
        channel = self._channel_of(topic)
        return channel is not None and channel.kind in _COUNTS_UP

    # ------------------------------------------------------------------ inside

    def _choose(self, now_ms: int) -> Kind:
        assert self._main is not None
        random = self._random
        if Kind.HEARTBEAT in self._ups and now_ms - self._beat_ms >= HEARTBEAT_SECONDS * 1000:
            self._beat_ms = now_ms
            return Kind.HEARTBEAT
        chance = random.random()
        if Kind.ALERT in self._ups:
            if self._clear_ms is None and chance < ALERT_CHANCE:
                self._clear_ms = now_ms + int(1000 * random.uniform(*ALERT_SECONDS))
                return Kind.ALERT
            if self._clear_ms is not None and now_ms >= self._clear_ms:
                self._clear_ms = None
                if Kind.ALERT_CLEARED in self._ups:
                    return Kind.ALERT_CLEARED
        if Kind.EVENT in self._ups and chance > 1 - EVENT_CHANCE:
            return Kind.EVENT
        if Kind.METRICS in self._ups and chance > 1 - EVENT_CHANCE - METRICS_CHANCE:
            return Kind.METRICS
        return self._main

    def _say(self, speech: _Speech, now_ms: int, **said: Any) -> Message:
        channel = speech.channel
        born = self._born_ms if self._born_ms is not None else now_ms
        if speech.counts:
            self._sequence += 1
        payload = speech.payload(now_ms, (now_ms - born) / 1000, sequence=self._sequence, **said)
        qos = channel.qos if self._qos is None else self._qos
        return Message(channel.name, speech.topic, payload, qos, channel.retain)

    def _channel_of(self, topic: str) -> Channel | None:
        levels = topic.split("/")
        for channel in self.dialect.downs():
            for address in channel.addresses(self.identity):
                wanted = address.split("/")
                if len(wanted) == len(levels) and all(
                    level in ("+", given) for level, given in zip(wanted, levels, strict=True)
                ):
                    return channel
        return None


class _Speech:
    """One channel of one device: its example, with the values moving."""

    def __init__(self, channel: Channel, topic: str, identity: Identity, random: Random) -> None:
        self.channel = channel
        self.topic = topic
        self.shape = channel.payload
        self._identity = identity
        self._body = _example(channel)
        self._leaves: list[tuple[Path, Leaf]] = []
        self._time_was: dict[Path, object] = {}
        self.counts = False  # whether its messages carry a sequence number
        if self._body is not None:
            if self.shape.sequence:
                self.counts = (
                    not self.shape.example or look_up(self._body, self.shape.sequence) is not None
                )
            self._time_was = {p: look_up(self._body, p) for p in self.shape.time}
            self._leaves = list(leaves(self._body, random, keep=_meanings(self.shape)))

    def payload(
        self,
        now_ms: int,
        seconds: float,
        *,
        sequence: int,
        online: bool,
        reply_to: str | None = None,
        values: object = None,
        name: str | None = None,
    ) -> bytes:
        if self._body is None:
            return self.shape.example.encode() or b"1"
        body = copy.deepcopy(self._body)
        for path, leaf in self._leaves:
            put(body, path, leaf.next(seconds))
        shape = self.shape
        for path, was in self._time_was.items():
            if was is not None or path in shape.required or path == shape.time[0]:
                put(body, path, time_like(now_ms, was, shape.time_format))
        if self.counts and shape.sequence:
            put(body, shape.sequence, sequence)
        if shape.device and look_up(body, shape.device) is not None:
            put(body, shape.device, self._identity.device)
        for path in shape.online:
            was = look_up(body, path)
            if was is not None:
                word: object = "online" if online else "offline"
                put(body, path, word if isinstance(was, str) else online)
        if shape.reply_to and reply_to is not None:
            was = look_up(body, shape.reply_to)
            number = isinstance(was, int) and reply_to.isdigit()
            put(body, shape.reply_to, int(reply_to) if number else reply_to)
        if isinstance(values, dict) and shape.values:
            put(body, shape.values, values)
        if shape.name and name is not None:
            put(body, shape.name, name)
        return msgspec.json.encode(body)


def _example(channel: Channel) -> dict[str, Any] | None:
    """The example as an object, one made up where JSON has none, ``None`` for other formats."""
    shape = channel.payload
    if shape.example and shape.format in (Format.JSON, Format.EITHER):
        try:
            found = json.loads(shape.example)
        except ValueError:
            return None  # text, in a channel that takes either
        return found if isinstance(found, dict) else None
    if shape.format is not Format.JSON:
        return None
    body: dict[str, Any] = {}
    for path in shape.required:
        put(body, path, 1)
    put(body, (*shape.values, "value"), 20.0)
    return body


def _meanings(shape: PayloadShape) -> frozenset[Path]:
    """Paths that are not readings: they are filled in for what they mean."""
    single = (shape.sequence, shape.device, shape.identifier, shape.name, shape.reply_to)
    return frozenset(
        {*shape.time, *shape.firmware, *shape.online, *(path for path in single if path)}
    )
