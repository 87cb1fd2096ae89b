"""Composition: the one module that knows every part.

A process opens an ``App`` for its settings and takes from it what it needs. A service is
imported when it is asked for: a command pays for its own. Parts that cost time to import (HTTP,
dashboard) are composed where they are served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

from sqlalchemy.engine import Connection

from mooring import settings as settings_module
from mooring.broker.password_lines import CANARY_USERNAME
from mooring.devices.attributes.merge import Room
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.dialects import Catalogue, PayloadLimits, load_all
from mooring.identity.account import Quota
from mooring.identity.actor import Actor
from mooring.identity.throttle import Throttles
from mooring.later import later
from mooring.link.protocol import Endpoint
from mooring.parts import PARTS
from mooring.secrets.instance import Instance, open_instance
from mooring.settings import Settings
from mooring.store import clock, migrate
from mooring.store.engine import Database, open_database
from mooring.store.tally import Tally
from mooring.supervisor import registry

with later():
    from mooring.broker import connection
    from mooring.broker import service as broker
    from mooring.bulk import service as bulk
    from mooring.credentials import service as credentials
    from mooring.credentials.claims import service as claims
    from mooring.credentials.rotation import service as rotation
    from mooring.devices import state
    from mooring.devices.attributes import service as attributes
    from mooring.discovery import admission
    from mooring.doctor import service as doctor
    from mooring.downlink import service as downlink
    from mooring.downlink.desired import service as desired
    from mooring.ingest import projection
    from mooring.jobs import kinds
    from mooring.limits import service as limits
    from mooring.people import service as people
    from mooring.pki import model as pki_model
    from mooring.pki import service as pki
    from mooring.pki import store as pki_store
    from mooring.pki.fleet import service as fleet
    from mooring.retention import service as retention
    from mooring.telemetry import export, series
    from mooring.telemetry import service as telemetry

__all__ = ["App", "open_app", "prepare_services"]


T = TypeVar("T")


@dataclass(frozen=True)
class App:
    """The parts of one process."""

    settings: Settings
    database: Database
    instance: Instance
    catalogue: Catalogue
    devices: Devices
    throttles: Throttles
    tally: Tally

    def service(self, kind: type[T]) -> T:
        """The part of that class.

        Raises:
            LookupError: none exists.
        """
        found = _maker(kind)(self)
        assert isinstance(found, kind)
        return found

    def authenticate(self, secret: str, origin: str) -> Actor:
        """The person or program that a login token or API key belongs to.

        Raises:
            Unauthorized: it is not valid.
        """
        return self.people.authenticate(secret, origin=origin)

    @cached_property
    def telemetry(self) -> telemetry.Telemetry:
        """What devices sent."""
        return telemetry.Telemetry(self.database, self.catalogue)

    @property
    def states(self) -> state.DeviceStates:
        """What is known of devices' states."""
        return state.DeviceStates(self.database)

    @property
    def attributes(self) -> attributes.Attributes:
        """Attributes of devices."""
        return attributes.Attributes(self.database, self.devices)

    @cached_property
    def people(self) -> people.People:
        """People and API keys."""
        return people.People(
            self.database, self.instance, self.settings, self.throttles, self.tally
        )

    @property
    def bulk(self) -> bulk.Bulk:
        """Many devices at once."""
        return bulk.Bulk(self.database, self.catalogue, self.instance, self.devices)

    @property
    def limits(self) -> limits.DeviceLimits:
        """What devices and tenants may take of the broker."""
        return limits.DeviceLimits(self.database, self.devices, self.settings)

    @property
    def broker_users(self) -> broker.BrokerUsers:
        """Logins of the broker that are not devices."""
        return broker.BrokerUsers(
            self.database, self.instance, self.service_names, self.settings.broker_users_max
        )

    @property
    def service_names(self) -> tuple[str, ...]:
        """The platform's own usernames, one for each authority."""
        return _service_names(self.settings)

    @property
    def charts(self) -> series.Charts:
        """Metrics over spans of time."""
        return series.Charts(self.database, self.catalogue, self.payload_limits)

    @property
    def exports(self) -> export.Exports:
        return export.Exports(self.database, self.catalogue, self.devices)

    @property
    def retention(self) -> retention.Retention:
        return retention.Retention(self.database, self.settings)

    @property
    def payload_limits(self) -> PayloadLimits:
        """What a payload may be."""
        return PayloadLimits(
            max_bytes=self.settings.payload_max_bytes,
            max_depth=self.settings.payload_max_depth,
            max_metrics=self.settings.payload_max_metrics,
        )

    @property
    def claims(self) -> claims.Claims:
        return claims.Claims(
            self.database,
            self.devices,
            self.instance,
            self.settings,
            self.throttles.claims,
            self.tally,
            self.service(admission.Admission),
        )

    @property
    def rotations(self) -> rotation.Rotations:
        return rotation.Rotations(self.database, self.devices, self.instance, self.settings)

    @cached_property
    def downlinks(self) -> downlink.Downlinks:
        """Messages to devices."""
        return downlink.Downlinks(self.database, self.instance, self.settings)

    @property
    def desired(self) -> desired.Desired:
        """Retained documents of devices."""
        return desired.Desired(self.settings, self.instance)

    def job_kinds(self) -> dict[str, kinds.JobKind]:
        """What can be done for many devices, by name."""
        return {one.name: one for part in PARTS for one in part.jobs(self)}

    def projections(self) -> tuple[projection.Projection, ...]:
        """What follows from messages, in the order in which it is applied."""
        return tuple(one for part in PARTS for one in part.projections(self))

    @property
    def recovery(self) -> credentials.Recovery:
        return credentials.Recovery(
            self.database,
            self.devices,
            self.instance,
            self.settings,
            self.throttles.recoveries,
            self.tally,
        )

    @property
    def certificates(self) -> fleet.DeviceCertificates:
        """Device certificates and the CA's changes, with roles and the audit."""
        ledger = pki_store.SqlLedger(self.database, to_broker=self.settings.authority == "plugin")
        authority = pki.PkiService(
            self.settings.data_dir,
            ledger,
            hosts=self.settings.public_hosts,
            key_type=pki_model.KeyType(self.settings.ca_key_type),
            held=ledger.held,
        )
        return fleet.DeviceCertificates(
            self.database,
            self.devices,
            authority,
            ledger,
            self.settings.certificates_max_per_device,
        )

    @property
    def diagnosis(self) -> doctor.Diagnosis:
        """Why a device cannot connect, or why nothing arrives from it."""
        link = self.endpoint("")
        way = connection.Endpoint(link.host, link.port, link.username, link.password)
        return doctor.Diagnosis(self.database, self.devices, self.settings, way)

    @property
    def pki(self) -> pki.PkiService:
        """The CA itself and the files that follow from it."""
        return self.certificates.pki

    @property
    def ingest_client_id(self) -> str:
        """Of ingest's session, which outlives its process."""
        return self.settings.ingest_client_id or self.instance.ingest_client_id

    def endpoint(self, client_id: str) -> Endpoint:
        """The platform's own way to the broker, under a client id of the caller's."""
        password = self.settings.broker_password
        username = self.settings.broker_username
        if self.settings.authority == "password_file":
            # The first colon of a line ends the name there, so none can hold one.
            username = username.replace(":", ".")
        socket = self.settings.platform_socket
        return Endpoint(
            host=self.settings.mqtt_host if socket is None else str(socket),
            port=self.settings.mqtt_port,
            username=username,
            password=password.get_secret_value() if password else self.instance.service_password,
            client_id=client_id,
        )


@cache
def _names() -> Mapping[type, str]:
    """Class → the attribute of ``App`` that holds its only instance."""
    found = {kind: name for name, kind in get_type_hints(App).items()}
    for name, member in vars(App).items():
        getter = member.func if isinstance(member, cached_property) else member
        getter = getter.fget if isinstance(getter, property) else getter
        if isinstance(member, cached_property | property):
            found[get_type_hints(getter)["return"]] = name
    return found


def _maker(kind: type) -> Callable[[App], object]:
    """How to get the service of that class. The other parts' services are not imported for one
    that its own part brings.

    Raises:
        LookupError: none exists.
    """
    package = kind.__module__.removeprefix("mooring.").partition(".")[0]
    for part in PARTS:
        if part.name == package and (make := part.services().get(kind)):
            return make
    name = _names().get(kind)
    return _makers()[kind] if name is None else attrgetter(name)


@cache
def _makers() -> Mapping[type, Callable[[App], object]]:
    """Class → how to make it, for the services that parts bring."""
    return {kind: make for part in PARTS for kind, make in part.services().items()}


def prepare_services() -> None:
    """Imports every service now: for a process that others are forked from."""
    _names()
    _makers()


def _device_removed(connection: Connection, actor: Actor, device: Device) -> None:
    """What the parts do for a device before it is deleted."""
    for part in PARTS:
        for removed in part.removals():
            removed(connection, actor, device)


def _service_names(settings: Settings) -> tuple[str, ...]:
    # The first colon of a line in a password file ends the name, so none can hold one.
    return (settings.broker_username, settings.broker_username.replace(":", "."))


@contextmanager
def open_app(
    settings: Settings | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    upgrade: bool = False,
) -> Iterator[App]:
    """Opens everything for one process and closes it at the end.

    Args:
        settings: the effective settings; read from ``flags``, environment and file if absent.
        upgrade: run pending migrations (only ``mooring up`` and ``mooring db migrate`` do).

    Raises:
        Conflict: migrations are pending and ``upgrade`` is not given.
        DatabaseUnavailable, InvalidSetting: as their messages say.
    """
    if settings is None:
        settings, _ = settings_module.load(flags)
    for part in PARTS:
        registry.declare(part.workers)
    instance = open_instance(settings.data_dir)
    throttles, tally = Throttles(settings), Tally()
    database = open_database(settings.effective_database_url)
    try:
        if upgrade:
            migrate.upgrade(database)
        else:
            migrate.require_current(database)
        clock.follow(database)
        catalogue = load_all(settings.dialects_dir)
        yield App(
            settings=settings,
            database=database,
            instance=instance,
            catalogue=catalogue,
            devices=Devices(
                database,
                catalogue,
                instance,
                settings.recover_days,
                frozenset({*_service_names(settings), CANARY_USERNAME}),
                settings.authority == "password_file",
                settings.tenants_max,
                settings.devices_max_per_tenant,
                settings.username_is_client_id,
                Room(
                    settings.attributes_max_per_device,
                    settings.attributes_reported_max_per_device,
                ),
                Quota(
                    settings.device_connections_max,
                    settings.device_messages_per_second,
                    settings.device_bytes_in_force,
                ),
                Quota(
                    settings.tenant_connections_max,
                    settings.tenant_messages_per_second,
                    settings.tenant_bytes_per_second,
                ),
                settings.groups_max_per_tenant,
                _device_removed,
            ),
            throttles=throttles,
            tally=tally,
        )
    finally:
        database.close()
