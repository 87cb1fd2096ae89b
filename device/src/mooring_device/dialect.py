"""How the device speaks: its channels, where they are and how their payloads look.

The platform sends it with the credentials (``"shape"``), made from the dialect's file, so the SDK
needs no code for a dialect. Pure: the JSON document in, values out, and everything in it checked
and bounded, because it comes over a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mooring_device.errors import InvalidSetting

__all__ = [
    "MAX_CHANNELS",
    "MAX_TOPICS",
    "MAX_TOPIC_BYTES",
    "VERSION",
    "Channel",
    "Dialect",
    "Path",
    "Payload",
    "look_up",
    "read_shape",
]

VERSION = 1
MAX_CHANNELS = 256
MAX_TOPICS = 1_000  # of all channels together
MAX_TOPIC_BYTES = 4_096
MAX_LEVELS = 200  # a broker ends the connection for more
MAX_PATH = 32  # keys from the outside in
MAX_KEY = 256  # characters

Path = tuple[str, ...]  # keys from the outside in; empty: the whole payload

_FORMATS = ("json", "text", "either", "any")
_TIME_FORMATS = ("iso", "ms", "s")


@dataclass(frozen=True)
class Payload:
    """Where things are in a payload. A path that is ``None`` has no place in it.

    Attributes:
        format: ``json``, ``text``, ``either`` or ``any``.
        time, time_format: the device's time, as ``iso`` text, ``ms`` or ``s`` since 1970.
        sequence: the message's number.
        identifier, correlation: the id of a command, the version of settings.
        name: a command's name.
        values: readings, parameters, settings; empty: next to the other keys.
        metadata, firmware, online: what the device reports of itself.
        reply_to, outcome, error: which command or version an answer is for, and how it went.
        expires, guard, secrets: of a command and of settings.
        guess: not known; then the keys of every dialect are tried.
    """

    format: str = "json"
    time: Path | None = None
    time_format: str = "iso"
    sequence: Path | None = None
    identifier: Path | None = None
    correlation: Path | None = None
    name: Path | None = None
    values: Path = ()
    metadata: Path | None = None
    firmware: Path | None = None
    online: Path | None = None
    reply_to: Path | None = None
    outcome: tuple[Path, ...] = ()
    error: Path | None = None
    expires: Path | None = None
    guard: Path | None = None
    secrets: Path | None = None
    guess: bool = False

    @property
    def is_text(self) -> bool:
        return self.format in ("text", "any")

    @property
    def known(self) -> Iterable[Path]:
        """The places that hold something else than values."""
        places = (
            self.time,
            self.sequence,
            self.identifier,
            self.correlation,
            self.name,
            self.expires,
            self.guard,
            self.secrets,
        )
        return (path for path in places if path)


@dataclass(frozen=True)
class Channel:
    """One channel of this device.

    Attributes:
        kind: what it means, whatever it is called: ``telemetry``, ``command`` …
        up: from the device to the platform.
        topics: where it is; several for a channel of groups. ``+`` stands for a name.
    """

    name: str
    kind: str
    up: bool
    topics: tuple[str, ...]
    qos: int = 1
    retain: bool = False
    payload: Payload = field(default_factory=Payload)


class Found(NamedTuple):
    """The channel of a topic, and the topic's ``+``, if it has one."""

    channel: Channel
    name: str


class Dialect:
    """The channels of one device.

    Args:
        name: of the dialect, or "".
        groups: whether a channel belongs to groups, and the device can come into one.
    """

    def __init__(
        self, channels: Iterable[Channel] = (), *, name: str = "", groups: bool = False
    ) -> None:
        self.channels = tuple(channels)
        self.name = name
        self.groups = groups
        self._ups: dict[str, Channel] = {}
        for channel in self.channels:
            if channel.up:
                self._ups.setdefault(channel.kind, channel)
        for channel in self.channels:
            if channel.up:
                self._ups.setdefault(channel.name, channel)
        self._exact: dict[str, Channel] = {}
        self._patterns: list[tuple[list[str], Channel]] = []
        for channel in self.channels:
            for topic in () if channel.up else channel.topics:
                if "+" in topic or "#" in topic:
                    self._patterns.append((topic.split("/"), channel))
                else:
                    self._exact.setdefault(topic, channel)

    def up(self, kind_or_name: str) -> Channel | None:
        """The channel on which the device sends this: the first one of a kind, or by its name."""
        return self._ups.get(kind_or_name)

    @property
    def ups(self) -> Mapping[str, Channel]:
        """Kinds and names → channels that the device sends on."""
        return self._ups

    def has(self, kind: str) -> bool:
        """Whether the device listens to such a channel."""
        return any(not channel.up and channel.kind == kind for channel in self.channels)

    def find(self, topic: str) -> Found | None:
        """The channel of a message that has arrived; one without a wildcard goes first."""
        channel = self._exact.get(topic)
        if channel is not None:
            return Found(channel, "")
        levels = topic.split("/")
        for pattern, channel in self._patterns:
            if _covers(pattern, levels):
                return Found(channel, levels[pattern.index("+")] if "+" in pattern else "")
        return None

    def filters(self) -> dict[str, str]:
        """What to subscribe to, with the channel's name. A filter that another one covers is left
        out: the broker would send such a message twice."""
        wanted = {t: c.name for c in self.channels if not c.up for t in c.topics}
        wide = [topic.split("/") for topic in wanted if "+" in topic or "#" in topic]

        def is_covered(levels: list[str]) -> bool:
            return any(one != levels and _covers(one, levels) for one in wide)

        return {t: name for t, name in wanted.items() if not is_covered(t.split("/"))}


def _covers(wide: list[str], narrow: list[str]) -> bool:
    """Whether a filter covers a topic or another filter [MQTT-4.7]. Only topics that somebody has
    put into the environment have a ``#``."""
    if wide[-1] == "#":
        wide, narrow = wide[:-1], narrow[: len(wide) - 1]
    return len(wide) == len(narrow) and all(w in ("+", n) for w, n in zip(wide, narrow))


def look_up(body: Any, path: Path | None) -> Any:
    """The value at a path, or ``None``."""
    if path is None:
        return None
    for key in path:
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


# ---------------------------------------------------------------------- reading


def read_shape(document: object) -> Dialect:
    """The dialect in the ``shape`` of the platform's answer.

    Keys and kinds that are not known are left alone: a newer platform has more of them.

    Raises:
        InvalidSetting: it is not one, or it is larger than any dialect.
    """
    try:
        return _dialect(document)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise InvalidSetting(
            f"The shape in the credentials cannot be used: {str(exc)[:200]}.",
            hint="It comes from the platform: claim the device again, or update the SDK.",
        ) from exc


def _dialect(document: Any) -> Dialect:
    if document["version"] != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    given = document["channels"]
    if not isinstance(given, list) or len(given) > MAX_CHANNELS:
        raise ValueError(f"channels are a list of at most {MAX_CHANNELS}")
    channels = [_channel(one) for one in given]
    if sum(len(channel.topics) for channel in channels) > MAX_TOPICS:
        raise ValueError(f"it has more than {MAX_TOPICS} topics")
    return Dialect(channels, name=_text(document.get("dialect", "")), groups="groups" in document)


def _channel(given: Any) -> Channel:
    direction = given["direction"]
    if direction not in ("up", "down"):
        raise ValueError("a direction is up or down")
    topics = given["topics"]
    if not isinstance(topics, list) or not topics:
        raise TypeError("topics are a list that is not empty")
    if any(_is_wide(topic) for topic in topics):
        raise ValueError("a topic has more than one name")
    qos, retain = given.get("qos", 1), given.get("retain", False)
    if type(qos) is not int or qos not in (0, 1, 2) or type(retain) is not bool:
        raise ValueError("qos is 0, 1 or 2, and retain true or false")
    return Channel(
        name=_text(given["name"]),
        kind=_text(given["kind"]),
        up=direction == "up",
        topics=tuple(_topic(topic) for topic in topics),
        qos=qos,
        retain=retain,
        payload=_payload(given.get("payload", {})),
    )


def _is_wide(topic: str) -> bool:
    return topic.split("/").count("+") > 1


def _payload(given: Any) -> Payload:
    form, time_format = given.get("format", "json"), given.get("time_format", "iso")
    if form not in _FORMATS or time_format not in _TIME_FORMATS:
        raise ValueError("a format is not known")
    outcome = given.get("outcome", [])
    if not isinstance(outcome, list) or len(outcome) > MAX_PATH:
        raise TypeError("outcome is a list of paths")
    places: dict[str, Any] = {key: _path(given[key]) for key in _PLACES if key in given}
    payload = Payload(
        format=form,
        time_format=time_format,
        values=_path(given.get("values", [])),
        outcome=tuple(_path(path) for path in outcome),
        **places,
    )
    for key in _NOT_WHOLE:
        if getattr(payload, key) == ():
            raise ValueError(f"{key} has no key")
    if () in payload.outcome:
        raise ValueError("outcome has no key")
    return payload


_PLACES = (
    "time",
    "sequence",
    "identifier",
    "correlation",
    "name",
    "metadata",
    "firmware",
    "online",
    "reply_to",
    "error",
    "expires",
    "guard",
    "secrets",
)
_NOT_WHOLE = tuple(key for key in _PLACES if key != "metadata")


def _path(given: Any) -> Path:
    if not isinstance(given, list) or len(given) > MAX_PATH:
        raise TypeError(f"a path is a list of at most {MAX_PATH} keys")
    return tuple(_text(key) for key in given)


def _text(given: Any) -> str:
    if not isinstance(given, str) or len(given) > MAX_KEY or "\0" in given:
        raise TypeError(f"a name is a text of at most {MAX_KEY} characters")
    given.encode()  # a half of a surrogate pair is a ValueError
    return given


def _topic(given: Any) -> str:
    """A topic, or a filter whose only wildcard is ``+``."""
    if not isinstance(given, str) or not given or "\0" in given:
        raise TypeError("a topic is a text that is not empty")
    if len(given.encode()) > MAX_TOPIC_BYTES or given.count("/") >= MAX_LEVELS:
        raise ValueError("a topic is too long")
    levels = given.split("/")
    if given.startswith("$") or "#" in given or set(levels) == {"+"}:
        raise ValueError(f"the topic {given[:80]!r} is not one of a device")
    if any("+" in level and level != "+" for level in levels):
        raise ValueError(f"the topic {given[:80]!r} is not valid")
    return given
