"""Exchanging a token for a password, and the end of such passwords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.credentials import ending
from mooring.devices import password_store as passwords
from mooring.devices.keys import store as key_store
from mooring.devices.keys.login import token_login
from mooring.devices.keys.model import Token
from mooring.devices.keys.service import audience_of
from mooring.devices.login import require_own
from mooring.devices.model import Credentials, Device
from mooring.devices.service import Devices
from mooring.errors import TooMany, Unauthorized
from mooring.identity.actor import Actor, Role
from mooring.identity.throttle import Throttle
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally

__all__ = ["DevicePasswords", "Exchanged", "end_expired"]

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
AGAIN_SECONDS = 5  # between two passwords of one device: each is a change of the broker
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Exchanged:
    """``changes``: change numbers to wait for."""

    credentials: Credentials
    expires_at: int
    changes: list[int]


@dataclass(frozen=True, slots=True)
class DevicePasswords:
    """Passwords for tokens, of one installation."""

    database: Database
    devices: Devices
    settings: Settings
    throttle: Throttle
    tally: Tally

    def exchange(
        self, reference: str, logins: Sequence[tuple[str, str]], *, origin: str = "local"
    ) -> Exchanged:
        """A password for a token that one of the device's keys signed. The former one ends.

        Args:
            reference: the device, as it was named in the request.
            logins: usernames with tokens; the first that is valid counts.

        Raises:
            Unauthorized: no token of an enabled device, not valid now, or older than one that
                was exchanged before (``device_token_refused``).
            Forbidden: another device is named.
            TooMany: too many wrong tokens, or the last password is a few seconds old.
        """
        account = logins[0][0] if logins else ""
        with self.throttle.attempt(origin, account, refuse=self._too_many) as attempt:
            try:
                # A wrong token must not cost a write transaction, which others wait for.
                with self.database.read() as connection:
                    self._checked(connection, reference, logins)
                with self.database.write() as connection:
                    device, token = self._checked(connection, reference, logins)
                    found = self._exchange(connection, device, token, origin)
            except Unauthorized:
                attempt.failed()
                self.tally.count("device_tokens_refused")
                raise
            attempt.succeeded()
            return found

    def _checked(
        self, connection: Connection, reference: str, logins: Sequence[tuple[str, str]]
    ) -> tuple[Device, Token]:
        audience = audience_of(self.settings, self.devices.instance)
        found = token_login(connection, logins, audience)
        if found is None:
            raise _refused()
        device, token = found
        return require_own(reference, device), token

    def _exchange(
        self, connection: Connection, device: Device, token: Token, origin: str
    ) -> Exchanged:
        at = now_ms()
        held = passwords.credential(connection, device.id)
        age = AGAIN_SECONDS * 1000 if held is None else at - held.created_at
        if held is not None and held.expires_at is not None and 0 <= age < AGAIN_SECONDS * 1000:
            raise TooMany(
                "The device got a password a moment ago.",
                hint=f"Ask again in {AGAIN_SECONDS} s.",
                code="device_token_throttled",
                retry_after=AGAIN_SECONDS,
            )
        if not key_store.exchanged(connection, token.key, token.issued_at):
            raise _refused()
        ends = min(token.expires_at, at + int(self.settings.device_token_hours * HOUR_MS))
        password = verifiers.new_password()
        until = at + self.settings.recover_days * DAY_MS
        ending.supersede(connection, device, "the device got a password for a token", until)
        made = verifiers.make(password)
        passwords.set_password(connection, device.id, made, expires_at=ends)
        sealed = self.devices.instance.seal(password)
        change = change_queue.enqueue(connection, "put", device.username, sealed_secret=sealed)
        audit_log.record(
            connection,
            Actor(f"device:{device.username}", Role.VIEWER, device.tenant, origin),
            "device.token",
            device.reference,
            tenant=device.tenant,
            reason=f"key {token.key.id}",
        )
        return Exchanged(self.devices.credentials_of(device, password), ends, [change])

    def _too_many(self, seconds: int) -> TooMany:
        self.tally.count("device_logins_throttled")
        return TooMany(
            "Too many tokens were not valid.",
            hint=f"Try again in {seconds} s.",
            code="device_token_throttled",
            retry_after=seconds,
        )


def end_expired(database: Database, at: int) -> int:
    """Withdraws passwords whose time is over; how many at most ``AT_ONCE``."""
    with database.read() as connection:
        if not passwords.expired(connection, at, 1):
            return 0
    with database.write() as connection:
        found = passwords.expired(connection, at, AT_ONCE)
        passwords.withdraw(connection, [number for number, _ in found])
        for _, username in found:
            change_queue.enqueue(connection, "put", username)
    return len(found)


def _refused() -> Unauthorized:
    return Unauthorized(
        "The token is not valid.",
        hint="It must be signed with a key of the device, name its username (sub) and this "
        "installation (aud), be valid now for 24 h at most, and be newer than the last one.",
        code="device_token_refused",
    )
