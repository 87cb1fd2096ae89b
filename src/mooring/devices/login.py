"""Who a device is, by the same username and password that the broker accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection

from mooring.devices import store
from mooring.devices.keys.login import token_login
from mooring.devices.model import Device
from mooring.errors import Forbidden, TooMany, Unauthorized
from mooring.identity.throttle import Throttle
from mooring.secrets import verifiers
from mooring.store.engine import Database
from mooring.store.tally import Tally

__all__ = ["device_login", "find_device", "guarded_login", "require_own"]

# Compared against when there is no such device, so that the answer takes as long.
_NOBODY = verifiers.make(verifiers.new_password())


def device_login(
    database: Database,
    logins: Sequence[tuple[str, str]],
    *,
    throttle: Throttle,
    tally: Tally,
    audience: str,
    origin: str = "local",
) -> Device:
    """The device behind these credentials: its password, or a token that one of its keys signed.

    Args:
        logins: usernames with passwords, of which one has to be right: a header may be read
            in several ways (``mooring.web.basic``).
        audience: of tokens.
        origin: the address the request came from.

    Raises:
        Unauthorized: unknown, disabled, or another password; it does not say which.
        TooMany: too many wrong passwords.
    """

    return guarded_login(
        database,
        lambda connection: find_device(connection, logins, audience),
        account=logins[0][0] if logins else "",
        throttle=throttle,
        tally=tally,
        origin=origin,
    )


def guarded_login(
    database: Database,
    find: Callable[[Connection], Device | None],
    *,
    account: str,
    throttle: Throttle,
    tally: Tally,
    origin: str,
) -> Device:
    """A device that ``find`` knows by its credentials; nothing is read for too many attempts.

    Args:
        account: what counts as one, besides the address.
        find: ``None``: the credentials are not valid.

    Raises:
        As ``device_login``.
    """

    def too_many(seconds: int) -> TooMany:
        tally.count("device_logins_throttled")
        return TooMany(
            "Too many wrong passwords.",
            hint=f"Try again in {seconds} s.",
            code="device_login_throttled",
            retry_after=seconds,
        )

    with throttle.attempt(origin, account, refuse=too_many) as attempt:
        with database.read() as connection:
            device = find(connection)
        if device is None:
            attempt.failed()
            tally.count("device_logins_refused")
            raise Unauthorized(
                "The broker would not accept this username and password.",
                hint="Send the device's own credentials, as returned by its claim.",
                code="device_login_refused",
            )
        attempt.succeeded()
        return device


def require_own(named: str, known: Device) -> Device:
    """The device that has logged in, which must be the one that is named.

    Raises:
        Forbidden: another one is named.
    """
    if named not in {known.name, known.reference, known.username}:
        raise Forbidden(
            f"These are the credentials of {known.name}, not of {named}.",
            hint="A device asks for itself only.",
            code="another_device",
        )
    return known


def find_device(
    connection: Connection, logins: Sequence[tuple[str, str]], audience: str
) -> Device | None:
    """The device behind these credentials; see ``device_login``. It takes as long for an
    unknown device."""
    found = token_login(connection, logins, audience)
    if found is not None:
        return found[0]
    known = store.verifiers(connection, [username for username, _ in logins])
    for username, password in logins:
        if username not in known or not verifiers.check(password, known[username]):
            continue
        device = store.by_username(connection, username)
        if device is not None and device.enabled:
            return device
    if not known:
        verifiers.check("", _NOBODY)
    return None
