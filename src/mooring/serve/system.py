"""Routes of the platform itself: status, dialects, the AsyncAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import Field

from mooring import __version__
from mooring.alerts.service import Alerts
from mooring.dialects import documents
from mooring.dialects.asyncapi import document
from mooring.identity.actor import Role
from mooring.masking import without_login
from mooring.publish.document import ChannelOut
from mooring.settings import Settings
from mooring.telemetry.service import Telemetry
from mooring.web.address import bracketed
from mooring.web.auth import Who
from mooring.web.fields import Document, Time, Word
from mooring.web.publisher import Publisher
from mooring.web.routing import Routes
from mooring.web.services import CatalogueNow, SettingsNow, provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["platform"])

TelemetryNow = Annotated[Telemetry, provided(Telemetry)]
AlertsNow = Annotated[Alerts, provided(Alerts)]


class WorkerOut(Document):
    """A worker of a process. `phase`: `running`, or `waiting` after a failure until it runs
    again. `row_failures` are failures of single rows, which do not affect other rows."""

    name: str
    phase: str
    failures: int
    failures_in_a_row: int
    error: str
    rows_postponed: int
    row_failures: int
    row_error: str


class ProcessOut(Document):
    """A process that reports that it runs; `alive` if it reported recently."""

    name: str
    role: str
    pid: int
    host: str
    started_at: Time
    beat_at: Time
    alive: bool
    detail: dict[str, Any]
    workers: list[WorkerOut]


class StatusOut(Document):
    """Figures. Those of the whole installation are empty for a login of a tenant. `dead_letters`
    and `strangers` count stored ones up to 10,000.
    """

    version: str
    broker_connected: bool
    devices: int
    online: int
    connected: int
    strangers: int
    dead_letters: int
    counters: dict[str, int]
    broker_changes_pending: int
    broker_changes_error: str
    downlinks_open: int
    alerts_open: dict[str, int] = Field(description="Severity to the number of open alerts.")
    processes: list[ProcessOut]


class CapabilitiesOut(Document):
    """What devices of a dialect can answer, report and accept."""

    commands: list[str] = Field(description="Names of the channels for commands.")
    replies: bool = Field(description="The device answers commands.")
    cancel: bool = Field(description="A device can cancel a command that was sent.")
    command_ids: bool = Field(description="A command carries an id.")
    effects: dict[str, str] = Field(
        description="Name of a command to what shows that it was carried out."
    )
    settings_down: bool
    settings_reported: bool
    firmware_down: bool
    progress_up: bool
    max_packet: int = Field(
        description="Bytes of the largest packet that the firmware accepts; 0: not known."
    )


class ParameterOut(Document):
    """A parameter of a declared command. `minimum` and `maximum` of a text are its characters."""

    name: str
    type: Literal["text", "integer", "number", "boolean"]
    required: bool
    default: bool | int | float | str | None
    minimum: float | None
    maximum: float | None
    choices: list[int | float | str]
    unit: str
    description: str


class CommandFormOut(Document):
    """A command that the dialect declares."""

    name: str
    description: str
    parameters: list[ParameterOut]


class DialectChannelOut(ChannelOut):
    """A channel in a dialect's declaration. `operator_only`: no device may use it."""

    operator_only: bool
    example: Any = Field(description="A payload; null if the dialect gives none.")
    commands: list[CommandFormOut] = Field(
        description="Declared commands; others may be sent as well."
    )


class DialectOut(Document):
    """The declaration of one fleet."""

    name: str
    title: str
    description: str
    username: str
    client_id: str
    client_id_fixed: bool = Field(description="The firmware connects with this client ID.")
    interval_seconds: int | None = Field(description="How often a device sends; null: not known.")
    tenanted: bool
    needs_mac: bool
    max_packet: int
    capabilities: CapabilitiesOut
    channels: list[DialectChannelOut]


class DialectsOut(Document):
    items: list[DialectOut]


@router.get("/status", response_model=StatusOut)
def status(
    telemetry: TelemetryNow, alerts: AlertsNow, who: Who, request: Request
) -> dict[str, Any]:
    """Returns running processes and amounts of data."""
    publisher = request.app.state.publisher
    assert isinstance(publisher, Publisher)
    overview = telemetry.overview(who)
    return {
        "version": __version__,
        "broker_connected": publisher.connected,
        "devices": overview.devices,
        "online": overview.online,
        "connected": overview.connected,
        "strangers": overview.strangers,
        "dead_letters": overview.dead_letters,
        "counters": overview.counters,
        "broker_changes_pending": overview.broker_changes_pending,
        "broker_changes_error": overview.broker_changes_error,
        "downlinks_open": overview.downlinks_open,
        "alerts_open": {
            severity.word: number for severity, number in alerts.open_by_severity(who).items()
        },
        "processes": overview.processes,
    }


@router.get("/dialects", response_model=DialectsOut)
def list_dialects(catalogue: CatalogueNow, who: Who) -> dict[str, Any]:
    """Lists dialects with their channels."""
    who.require(Role.VIEWER, who.tenant)
    return {"items": [documents.dialect(one) for one in catalogue.all()]}


@router.get("/dialects/{name}", response_model=DialectOut)
def show_dialect(catalogue: CatalogueNow, who: Who, name: Word) -> dict[str, Any]:
    """Returns a dialect."""
    who.require(Role.VIEWER, who.tenant)
    return documents.dialect(catalogue.get(name))


@router.get("/asyncapi.json")
def asyncapi(
    catalogue: CatalogueNow,
    settings: SettingsNow,
    who: Who,
    request: Request,
    dialect: Word | None = None,
) -> dict[str, Any]:
    """Returns the messages between devices and the platform as an AsyncAPI 3 document."""
    who.require(Role.VIEWER, who.tenant)
    described = (catalogue.get(dialect),) if dialect else catalogue.all()
    return document(described, server_url=_broker_url(settings, request), version=__version__)


def _broker_url(settings: Settings, request: Request) -> str:
    """Where devices reach the broker: as told, or where this request reached us."""
    if settings.broker == "attached" and settings.broker_url:
        return without_login(settings.broker_url)
    host = settings.public_hosts[0] if settings.public_hosts else request.url.hostname
    host = host or "localhost"
    return f"mqtts://{bracketed(host)}:{settings.mqtt_tls_port}"
