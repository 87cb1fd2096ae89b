"""Requests and answers of ``mooring.publish.api``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mooring.web.fields import Document, Json, Reason, Word

__all__ = [
    "BrokerStatus",
    "ChannelOut",
    "CommandIn",
    "CommandOut",
    "DeviceTopicsOut",
    "FleetOut",
    "MatchOut",
    "MetricsOut",
    "PublishIn",
    "PublishedOut",
    "StreamOut",
    "StructureOut",
    "SubscribeIn",
    "ValidOut",
    "ValidateIn",
]

TopicText = Annotated[str, StringConstraints(min_length=1, max_length=65535)]


class BrokerStatus(Document):
    """Whether this process has a connection to the broker; why not, otherwise."""

    connected: bool
    host: str
    port: int
    error: str
    devices: int
    devices_online: int
    devices_connected: int


class PublishIn(Document):
    """A message. A string is sent as it is, anything else as JSON."""

    topic: TopicText
    payload: Json
    qos: Annotated[int, Field(ge=0, le=2)] = 1
    retain: bool = False
    reason: Reason = ""


class PublishedOut(Document):
    topic: str
    qos: int
    retain: bool
    bytes: int


class SubscribeIn(Document):
    topic: TopicText


class StreamOut(Document):
    """Where messages of a topic can be read as they come."""

    topic: str
    url: str = Field(description="The live stream, a WebSocket.")
    send: dict[str, Any] | None = Field(
        description="What to send there to get what devices publish to the topic. null: the stream "
        "does not carry it; read it from the broker."
    )
    mqtt_url: str | None = Field(
        description="MQTT over WebSocket. On loopback it is open to programs on this machine. "
        "null: an attached broker is not known to have it."
    )
    mqtt_host: str
    mqtt_port: int = Field(description="MQTT over TLS.")


class ChannelOut(Document):
    name: str
    topic: str
    direction: Literal["up", "down"]
    kind: str
    qos: int
    retain: bool
    description: str


class StructureOut(Document):
    """Dialect → its channels."""

    dialects: dict[str, list[ChannelOut]]


class ValidateIn(Document):
    topic: TopicText


class MatchOut(Document):
    dialect: str
    channel: str
    kind: str
    direction: Literal["up", "down"]
    values: dict[str, str]


class ValidOut(Document):
    """Whether MQTT allows the text as a topic or filter, and what it means here."""

    topic: str
    valid_topic: bool
    valid_filter: bool
    matches: list[MatchOut]


class DeviceTopicsOut(Document):
    device: str
    publish: list[str]
    subscribe: list[str]
    topics: dict[str, str]


class CommandIn(Document):
    """A command; `command_id` is made where it is left out."""

    command: Word
    parameters: dict[str, Json] = Field(default_factory=dict)
    command_id: Word | None = None
    channel: Word | None = None
    reason: Reason = ""


class CommandOut(Document):
    """It is handed over when the device is connected and subscribed. `number` names it in
    `/api/v1/commands/{number}`."""

    command_id: str
    number: int
    state: str
    device: str
    topic: str
    qos: int


class FleetOut(Document):
    """Each device has a command of its own, which the jobs send and track; a broadcast has
    none."""

    command_id: str
    group: str
    devices: int = Field(description="Enabled devices of the group.")
    topics: list[str] = Field(description="Of each device; of a broadcast, the group's.")
    jobs: list[int] = Field(
        description="`/api/v1/jobs/{number}` shows what became of the command at each device; one "
        "for each tenant."
    )


class MetricsOut(Document):
    counters: dict[str, int]
    devices: int
    devices_online: int
    devices_connected: int
    dead_letters: int
    strangers: int
    broker_changes_pending: int
    processes: list[dict[str, Any]]
