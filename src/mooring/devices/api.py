"""Routes of devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query, Request, Response
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from mooring.broker.access_rules import Action
from mooring.broker.users import PASSWORD_MOST
from mooring.devices import documents
from mooring.devices.attributes.api import AttributesNow
from mooring.devices.model import Credentials, NewDevice
from mooring.devices.service import Devices
from mooring.devices.state import DeviceStates
from mooring.web.address import told_to_devices
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Json, Line, Reason, Time, Word
from mooring.web.routing import Routes
from mooring.web.services import SettingsNow, provided
from mooring.web.watching import Watch

__all__ = [
    "BrokerOut",
    "CredentialsOut",
    "DeviceListed",
    "DeviceOut",
    "HttpOut",
    "StateOut",
    "router",
]

QUERY_TOPIC_MAX = 4000
"""Characters of a topic in an address, which may have 64 KiB with each byte escaped."""

router = Routes(prefix="/api/v1/devices", tags=["devices"])

DevicesNow = Annotated[Devices, provided(Devices)]
StatesNow = Annotated[DeviceStates, provided(DeviceStates)]

ACCEPTANCE_SECONDS = 2.0


class DeviceOut(Document):
    """A device, without any secret."""

    id: int
    device: str
    tenant: str
    dialect: str
    label: str
    mac: str | None
    groups: list[str]
    username: str
    client_id: str
    enabled: bool
    created_at: Time


class BrokerOut(Document):
    """Address of the broker. `ca_pem` is null if every system trusts its certificate."""

    host: str
    port: int
    tls_port: int
    ws_port: int
    ca_pem: str | None


class HttpOut(Document):
    """HTTP address of the platform; null if `http_url` is not set and the request is not from "
    "this machine."""

    url: str | None


class CredentialsOut(DeviceOut):
    """A new device with its password, which is shown only once, and its connection data."""

    password: str | None = Field(description="Only if it was generated. Shown only once.")
    topics: dict[str, str]
    shape: dict[str, Any] = Field(description="Channels of the device, for the SDK.")
    accepted_by_broker: bool
    broker: BrokerOut
    http: HttpOut


class StateOut(Document):
    """The known state of a device; null if it never reported it."""

    last_seen_at: Time | None
    online: bool | None
    online_at: Time | None
    firmware: str | None
    metadata: dict[str, Any]
    metadata_at: Time | None
    connected: bool | None
    connected_at: Time | None
    address: str | None


class DeviceListed(DeviceOut):
    """A device in a list, with its attributes."""

    attributes: dict[str, Any]


class DeviceDetails(DeviceListed):
    """A device with its attributes, topics and state."""

    topics: dict[str, str]
    state: StateOut


class TopicsOut(Document):
    """Kind → topic."""

    device: str
    tenant: str
    topics: dict[str, str]


class CanOut(Document):
    """Whether a device may use a topic: the filter that allows it, or the reason why not."""

    device: str
    tenant: str
    action: Literal["publish", "subscribe"]
    topic: str
    allowed: bool
    rule: str | None
    reason: str | None


class RemovedOut(Document):
    """A device that no longer exists."""

    removed: DeviceOut
    applied_by_broker: bool


class DeviceIn(Document):
    """A device to add."""

    name: Word
    dialect: Word
    tenant: Word | None = None
    label: Line = ""
    mac: Line | None = None
    groups: tuple[Word, ...] = ()
    username: Line | None = None
    password: Annotated[str, StringConstraints(max_length=PASSWORD_MOST)] | None = None
    attributes: dict[str, Json] = Field(default={}, description="Attributes of the device.")
    reason: Reason = ""


@router.post("", status_code=201, response_model=CredentialsOut)
async def add_device(
    *,
    settings: SettingsNow,
    devices: DevicesNow,
    who: Who,
    watch: Watch,
    new: DeviceIn,
    request: Request,
    response: Response,
) -> dict[str, Any]:
    """Adds a device. The answer shows its password only once.

    A device that has a password keeps it with `password`. `username` is for one whose username
    is not what its dialect makes of its names; it needs an administrator of all tenants.
    """
    wanted = NewDevice(
        new.name,
        new.dialect,
        new.tenant or who.tenant or "default",
        new.label,
        new.mac,
        tuple(new.groups),
        new.username,
        new.attributes,
    )

    def add() -> tuple[Credentials, list[int], dict[str, Any]]:
        made, pending = devices.add(who, wanted, password=new.password, reason=new.reason)
        return made, pending, told_to_devices(settings, asked_at=request.url.hostname)

    credentials, changes, told = await run_in_threadpool(add)
    response.headers["Location"] = f"{router.prefix}/{quote(credentials.device.reference)}"
    accepted = await watch.applied(changes, ACCEPTANCE_SECONDS)
    answer = documents.credentials(credentials, accepted, told["broker"], told["http"])
    return answer if new.password is None else answer | {"password": None}


@router.get("/{device}", response_model=DeviceDetails)
def show_device(
    *,
    devices: DevicesNow,
    attributes: AttributesNow,
    states: StatesNow,
    who: Who,
    device: DeviceReference,
) -> dict[str, Any]:
    """Returns a device with its attributes, its topics and its last known state."""
    found, held = attributes.of(who, device)
    return documents.details(found, held, devices.topics(found), states.of(who, found))


@router.delete("/{device}", response_model=RemovedOut)
async def remove_device(
    devices: DevicesNow, who: Who, watch: Watch, device: DeviceReference, reason: Reason = ""
) -> dict[str, Any]:
    """Removes a device. Its session ends and its password is rejected."""
    found, changes = await run_in_threadpool(devices.remove, who, device, reason=reason)
    applied = await watch.applied(changes, ACCEPTANCE_SECONDS)
    return {"removed": documents.device(found), "applied_by_broker": applied}


@router.get("/{device}/topics", response_model=TopicsOut)
def device_topics(devices: DevicesNow, who: Who, device: DeviceReference) -> dict[str, Any]:
    """Lists the topics that a device publishes and subscribes to."""
    found = devices.get(who, device)
    return documents.topics(found, devices.topics(found))


@router.get("/{device}/can", response_model=CanOut)
def device_can(
    devices: DevicesNow,
    who: Who,
    device: DeviceReference,
    action: Annotated[Literal["publish", "subscribe"], Query()],
    topic: Annotated[str, Query(max_length=QUERY_TOPIC_MAX)],
) -> dict[str, Any]:
    """Checks whether a device may use a topic, and which rule decides."""
    found = devices.get(who, device)
    verdict = devices.may(found, Action(action), topic)
    return documents.can(found, action, topic, verdict)
