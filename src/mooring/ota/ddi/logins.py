"""Which device a request of hawkBit's DDI comes from.

``TargetToken`` is the device's own password; ``GatewayToken`` is an API key with the scope ``ddi``,
for all devices of its tenant.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.devices import store as device_store
from mooring.devices.login import find_device, guarded_login
from mooring.devices.model import Device
from mooring.errors import NotFound, Unauthorized
from mooring.identity.actor import Role
from mooring.identity.scopes import Scope
from mooring.identity.throttle import Throttle
from mooring.ota.ddi import store
from mooring.ota.ddi.polls import Polls
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally
from mooring.web.services import Platform

__all__ = ["Logins", "tenant_of"]

HAWKBIT_TENANT = "DEFAULT"


def tenant_of(word: str) -> str:
    """The tenant that an address names. Clients of hawkBit are delivered with ``DEFAULT``."""
    return "default" if word == HAWKBIT_TENANT else word


@dataclass(frozen=True, slots=True)
class Logins:
    """What finding a device needs.

    Attributes:
        audience: of tokens that devices sign themselves.
    """

    platform: Platform
    database: Database
    throttle: Throttle
    tally: Tally
    audience: str
    polls: Polls

    def device(self, authorization: str, tenant: str, controller: str, origin: str) -> Device:
        """The device that a request comes from.

        Args:
            authorization: the header.
            tenant, controller: as the address names them.
            origin: where the request came from.

        Raises:
            Unauthorized: ``ddi_login_needed``, or the credentials are not valid; it does not say
                whether the device exists.
            Forbidden: an API key without the scope.
            NotFound: ``ddi_controller_not_found``: the API key is valid, and its tenant has no
                such device.
            TooMany: too many wrong passwords.
        """
        kind, _, secret = authorization.partition(" ")
        secret = secret.strip()
        tenant = tenant_of(tenant)
        if kind.lower() == "targettoken" and secret and "\0" not in secret:
            return self._target(tenant, controller, secret, origin)
        if kind.lower() == "gatewaytoken" and secret:
            return self._through_gateway(tenant, controller, secret, origin)
        raise Unauthorized(
            "This request needs a login.",
            hint="Send `Authorization: TargetToken PASSWORD` with the device's password, or "
            "`Authorization: GatewayToken KEY` with an API key of the scope ddi.",
            code="ddi_login_needed",
        )

    def _target(self, tenant: str, controller: str, password: str, origin: str) -> Device:
        named = f"{tenant}:{controller}"

        def find(connection: Connection) -> Device | None:
            found = store.number_of(connection, tenant, controller)
            # An unknown controller costs as much as a wrong password, and counts as one.
            username = named if found is None else found[1]
            device = find_device(connection, [(username, password)], self.audience)
            return None if found is None or device is None or device.id != found[0] else device

        return guarded_login(
            self.database,
            find,
            account=named,
            throttle=self.throttle,
            tally=self.tally,
            origin=origin,
        )

    def _through_gateway(self, tenant: str, controller: str, secret: str, origin: str) -> Device:
        actor = self.platform.authenticate(secret, origin)
        actor.require_scope(Scope.DDI)
        if not actor.sees(tenant):
            raise _not_found(controller)
        actor.require(Role.OPERATOR, tenant)
        with self.database.read() as connection:
            found = store.number_of(connection, tenant, controller)
            device = None if found is None else device_store.by_number(connection, found[0])
        if device is None:
            self.polls.note_unknown(tenant, controller, now_ms())
            raise _not_found(controller)
        if not device.enabled:
            raise Unauthorized(
                "The device is disabled.",
                hint="`mooring device enable` enables it.",
                code="device_login_refused",
            )
        return device


def _not_found(controller: str) -> NotFound:
    return NotFound(
        f"There is no device {controller!a}.",
        hint="`mooring discovery list` shows devices that ask and are not known.",
        code="ddi_controller_not_found",
    )
