"""The endpoints an IoTFlow fleet's tools already call, by their names.

They work for devices of every dialect. ``device_id`` is anything a device goes by.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.commands.model import Command, NewCommand
from mooring.commands.service import Commands
from mooring.devices.service import Devices
from mooring.dialects import (
    Router,
    valid_filter,
    valid_topic_name,
)
from mooring.downlink.gate import NUDGE
from mooring.errors import Invalid
from mooring.identity.actor import Role
from mooring.jobs.documents import PlanIn, changed_plan
from mooring.jobs.rules import Plan
from mooring.publish.broadcast import Broadcasts
from mooring.publish.document import (
    BrokerStatus,
    CommandIn,
    CommandOut,
    DeviceTopicsOut,
    FleetOut,
    MetricsOut,
    PublishedOut,
    PublishIn,
    StreamOut,
    StructureOut,
    SubscribeIn,
    ValidateIn,
    ValidOut,
)
from mooring.publish.fleet import FleetCommands
from mooring.publish.rules import Addressed, check_publish, check_retain, stream_request
from mooring.publish.service import as_bytes, note, sent
from mooring.publish.store import tenants_of
from mooring.stream.api import PATH as STREAM_PATH
from mooring.telemetry.service import Telemetry
from mooring.web.address import stream_url, told_to_devices
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Word
from mooring.web.publisher import Publisher
from mooring.web.routing import Routes
from mooring.web.services import CatalogueNow, DatabaseNow, SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = Routes(prefix="/api/v1/mqtt", tags=["mqtt"])

DevicesNow = Annotated[Devices, provided(Devices)]
CommandsNow = Annotated[Commands, provided(Commands)]
BroadcastsNow = Annotated[Broadcasts, provided(Broadcasts)]
FleetsNow = Annotated[FleetCommands, provided(FleetCommands)]
TelemetryNow = Annotated[Telemetry, provided(Telemetry)]


@router.get("/status", response_model=BrokerStatus)
def mqtt_status(
    telemetry: TelemetryNow, settings: SettingsNow, who: Who, request: Request
) -> dict[str, Any]:
    """Returns the state of this process's connection to the broker."""
    publisher = _publisher(request)
    overview = telemetry.overview(who)
    return {
        "connected": publisher.connected,
        "host": settings.mqtt_host,
        "port": settings.mqtt_port,
        "error": "" if publisher.connected else publisher.error,
        "devices": overview.devices,
        "devices_online": overview.online,
        "devices_connected": overview.connected,
    }


@router.post("/publish", status_code=202, response_model=PublishedOut)
def publish(
    *,
    settings: SettingsNow,
    database: DatabaseNow,
    catalogue: CatalogueNow,
    who: Who,
    request: Request,
    message: PublishIn,
) -> dict[str, Any]:
    """Publishes a message. Operators can publish to devices, administrators to any topic."""
    matches = Router(catalogue.all()).match_any(message.topic)
    with database.read() as connection:
        addressed = [Addressed(match, tenants_of(connection, match)) for match in matches]
    check_publish(who, message.topic, addressed)
    if message.retain:
        check_retain(message.topic, addressed)
    payload = as_bytes(message.payload)
    if len(payload) > settings.message_size_limit:
        raise Invalid(
            f"The payload has {len(payload)} bytes; the broker accepts "
            f"{settings.message_size_limit}.",
            hint="Send less, or raise message_size_limit.",
            code="payload_too_large",
        )
    _publisher(request).publish(message.topic, payload, qos=message.qos, retain=message.retain)
    with database.write() as connection:
        note(
            connection,
            who,
            "mqtt.publish",
            message.topic,
            tenant=who.tenant,
            reason=message.reason,
        )
    return {
        "topic": message.topic,
        "qos": message.qos,
        "retain": message.retain,
        "bytes": len(payload),
    }


@router.post("/subscribe", response_model=StreamOut)
def subscribe(
    settings: SettingsNow,
    catalogue: CatalogueNow,
    who: Who,
    request: Request,
    given: SubscribeIn,
) -> dict[str, Any]:
    """Returns where messages of a topic can be read as they come. For administrators.

    The answer opens nothing: the stream and the broker ask for a login.
    """
    who.require(Role.ADMIN, who.tenant)
    if not valid_filter(given.topic):
        raise Invalid(
            f"{given.topic[:64]!a} is not a valid topic filter.",
            hint="'+' and '#' stand for whole levels, '#' only at the end.",
            code="invalid_topic",
        )
    asked = request.url
    broker = told_to_devices(settings, asked_at=asked.hostname)["broker"]
    scheme = "wss" if asked.scheme == "https" else "ws"
    return {
        "topic": given.topic,
        "url": f"{scheme}://{asked.netloc}{STREAM_PATH}",
        "send": stream_request(catalogue.all(), given.topic),
        "mqtt_url": stream_url(settings, asked_at=asked.hostname),
        "mqtt_host": broker["host"],
        "mqtt_port": broker["tls_port"],
    }


@router.get("/topics/structure", response_model=StructureOut)
def structure(catalogue: CatalogueNow, who: Who, dialect: Word | None = None) -> dict[str, Any]:
    """Lists the channels of all dialects, or of one."""
    who.require(Role.VIEWER, who.tenant)
    shown = (catalogue.get(dialect),) if dialect else catalogue.all()
    return {"dialects": {one.name: list(one.channels) for one in shown}}


@router.post("/topics/validate", response_model=ValidOut)
def validate(catalogue: CatalogueNow, who: Who, given: ValidateIn) -> dict[str, Any]:
    """Checks whether a topic is valid, and which channel it belongs to."""
    who.require(Role.VIEWER, who.tenant)
    is_topic = valid_topic_name(given.topic)
    found = Router(catalogue.all()).match_any(given.topic) if is_topic else ()
    return {
        "topic": given.topic,
        "valid_topic": is_topic,
        "valid_filter": valid_filter(given.topic),
        "matches": [
            {
                "dialect": match.dialect.name,
                "channel": match.channel.name,
                "kind": match.channel.kind.value,
                "direction": match.channel.direction.value,
                "values": {key.value: value for key, value in match.values.items()},
            }
            for match in found
        ],
    }


@router.get("/topics/device/{device_id}", response_model=DeviceTopicsOut)
def topics_of_device(
    devices: DevicesNow, catalogue: CatalogueNow, who: Who, device_id: DeviceReference
) -> dict[str, Any]:
    """Lists the topics that a device publishes and subscribes to."""
    device = devices.get(who, device_id)
    dialect = catalogue.get(device.dialect)
    return {
        "device": device.name,
        "publish": [t for c in dialect.ups() for t in c.addresses(device.identity)],
        "subscribe": [t for c in dialect.downs() for t in c.addresses(device.identity)],
        "topics": devices.topics(device),
    }


@router.post("/device/{device_id}/command", status_code=202, response_model=CommandOut)
async def command(
    *,
    devices: DevicesNow,
    commands: CommandsNow,
    who: Who,
    request: Request,
    device_id: DeviceReference,
    given: CommandIn,
) -> dict[str, Any]:
    """Sends a command to a device. It is handed over when the device listens."""
    publisher = _publisher(request)

    def write() -> Command:
        who.require(Role.OPERATOR, devices.get(who, device_id).tenant)
        publisher.require_connection()
        return commands.send(who, device_id, _new_command(given))

    await publisher.settle()
    written = await run_in_threadpool(write)
    return {
        "command_id": written.uid,
        "number": written.id,
        "state": str(written.state),
        "device": written.device,
        "topic": written.topic,
        "qos": written.qos,
    }


class FleetCommandIn(CommandIn, PlanIn):
    """A command to each device of a group, and how the job continues."""

    broadcast: bool = Field(
        False,
        description="One message on the topic of the group, where its devices have one. No device "
        "answers it, and nothing tracks it.",
    )


@router.post("/fleet/{group_id}/command", status_code=202, response_model=FleetOut)
async def fleet_command(
    *,
    fleets: FleetsNow,
    broadcasts: BroadcastsNow,
    who: Who,
    watch: Watch,
    request: Request,
    group_id: Word,
    given: FleetCommandIn,
) -> dict[str, Any]:
    """Sends a command to each device of a group, as a job.

    With `broadcast`, one message on the topic of the group instead: where it has one, and all
    devices that would hear it belong to the login's tenant.
    """
    who.require(Role.OPERATOR, who.tenant)
    publisher = _publisher(request)
    number = given.command_id or _new_id()
    await publisher.settle()
    if given.broadcast:
        new = _new_command(given, number)
        written = await run_in_threadpool(
            broadcasts.write, who, who.tenant, group_id, new, publisher.require_connection
        )
        publisher.nudge(NUDGE)
        subject = f"{group_id} ({number})"
        await sent(watch, broadcasts.downlinks, written.downlinks, who, subject)
        return _fleet(number, group_id, written.reached, written.topics)
    started = await run_in_threadpool(
        fleets.start,
        who,
        group_id,
        _new_command(given),
        Plan(**changed_plan(given)),
        number=number,
        first=publisher.require_connection,
        once=given.command_id is not None,
    )
    return _fleet(number, group_id, started.devices, started.topics, started.jobs)


def _fleet(
    number: str, group: str, devices: int, topics: Sequence[str], jobs: Sequence[int] = ()
) -> dict[str, Any]:
    return {
        "command_id": number,
        "group": group,
        "devices": devices,
        "topics": list(topics),
        "jobs": list(jobs),
    }


@router.get("/monitoring/metrics", response_model=MetricsOut)
def monitoring(telemetry: TelemetryNow, who: Who) -> dict[str, Any]:
    """Returns figures of the platform. For administrators."""
    who.require(Role.ADMIN, who.tenant)
    overview = telemetry.overview(who)
    return {
        "counters": overview.counters,
        "devices": overview.devices,
        "devices_online": overview.online,
        "devices_connected": overview.connected,
        "dead_letters": overview.dead_letters,
        "strangers": overview.strangers,
        "broker_changes_pending": overview.broker_changes_pending,
        "processes": [
            {"name": p.name, "role": p.role, "alive": p.alive, **p.detail}
            for p in overview.processes
        ],
    }


# ------------------------------------------------------------------ inside


def _publisher(request: Request) -> Publisher:
    publisher = request.app.state.publisher
    assert isinstance(publisher, Publisher)
    return publisher


def _new_command(given: CommandIn, uid: str | None = None) -> NewCommand:
    return NewCommand(
        name=given.command,
        parameters=given.parameters,
        channel=given.channel,
        uid=uid or given.command_id,
        reason=given.reason,
    )


def _new_id() -> str:
    return f"c-{secrets.token_hex(8)}"
