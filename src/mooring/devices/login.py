"""Who a device is, by the same username and password that the broker accepts."""

from __future__ import annotations

from mooring.access import verifiers
from mooring.access.actor import SYSTEM
from mooring.devices import store
from mooring.devices.model import Device
from mooring.errors import Unauthorized
from mooring.store.engine import Database

__all__ = ["device_login"]

# Compared against when there is no such device, so that the answer takes as long.
_NOBODY = verifiers.make(verifiers.new_password())


def device_login(database: Database, username: str, password: str) -> Device:
    """The device behind these credentials.

    Raises:
        Unauthorized: unknown, disabled, or another password; it does not say which.
    """
    with database.read() as connection:
        found = [d for d in store.find(connection, SYSTEM, word=username) if d.username == username]
        known = store.verifiers(connection, [username]).get(username)
    right = verifiers.check(password, known or _NOBODY) if password else False
    if not found or not found[0].enabled or known is None or not right:
        raise Unauthorized(
            "The broker would not accept this username and password.",
            hint="Send the device's own credentials, as in its claim's answer.",
            code="device_login_refused",
        )
    return found[0]
