"""Recovery: a device that still knows an old password gets working credentials.

A hardware address proves nothing and is never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.credentials import ending
from mooring.devices import password_store as store
from mooring.devices import store as devices
from mooring.devices.model import Credentials, Device
from mooring.devices.service import Devices
from mooring.errors import Gone, Invalid, TooMany, Unauthorized
from mooring.identity.actor import Actor, Role
from mooring.identity.throttle import Throttle
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.schema import rotations
from mooring.store.tally import Tally

__all__ = ["Recovered", "Recovery"]

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Recovered:
    """``changes``: change numbers to wait for."""

    credentials: Credentials
    changes: list[int]


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a secret is to its device.

    Attributes:
        device, secret: which and which.
        held: the credential in force.
        known: the verifier in hand that the secret fits; ``None`` for one that was given up.
        moving: whether a rotation is under way.
    """

    device: Device
    secret: str = field(repr=False)
    held: store.Credential | None
    known: str | None = field(repr=False)
    moving: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovery of one installation's devices."""

    database: Database
    devices: Devices
    instance: Instance
    settings: Settings
    throttle: Throttle
    tally: Tally

    def recover(
        self, reference: str, logins: Sequence[tuple[str, str]], *, origin: str = "local"
    ) -> Recovered:
        """Working credentials for a device that proves who it is.

        A secret that is in force, or was about to be, is put into force again. For one that
        was given up the device gets a fresh password, and the same one each time it asks
        until it has used it: a lost answer strands nobody.

        Args:
            reference: the device, as it was named in the request.
            logins: what its username and secret may be; the first that fits counts.

        Raises:
            Unauthorized: the secret is none of this device's; so, too, for an unknown device.
            Gone: the device is disabled or was removed.
            TooMany: too many wrong secrets.
        """
        at = now_ms()
        account = logins[0][0] if logins else ""
        with self.throttle.attempt(origin, account, refuse=self._too_many) as attempt:
            try:
                # A wrong secret must not cost a write transaction, which others wait for.
                with self.database.read() as connection:
                    self._proved(connection, reference, logins, at)
                with self.database.write() as connection:
                    proof = self._proved(connection, reference, logins, at)
                    found = self._recover(connection, proof, origin, at)
            except Unauthorized:
                attempt.failed()
                self.tally.count("recoveries_refused")
                raise
            attempt.succeeded()
            return found

    def _proved(
        self, connection: Connection, reference: str, logins: Sequence[tuple[str, str]], at: int
    ) -> _Proof:
        removed = False
        for username, secret in logins:
            device = devices.by_username(connection, username)
            if device is not None and reference in _names(device):
                proof = _proof(connection, device, secret, at)
                if proof is not None:
                    return proof
            removed = removed or any(
                one.removed and _fits(secret, one.verifier)
                for one in store.former(connection, username, at)
            )
        if removed:
            raise Gone("This device was removed.", code="device_removed")
        raise Unauthorized(
            "The username or password is wrong.",
            hint="Claim the device again with a new code.",
            code="recovery_refused",
        )

    def _too_many(self, seconds: int) -> TooMany:
        self.tally.count("recoveries_throttled")
        return TooMany(
            "Too many wrong passwords.",
            hint=f"Try again in {seconds} s.",
            code="recovery_throttled",
            retry_after=seconds,
        )

    def issue(self, actor: Actor, reference: str, *, reason: str = "") -> Recovered:
        """A fresh password at a person's wish, to be brought to the device by hand.

        The old one is rejected from then on, but proves for ``recover_days`` who the device is.

        Raises:
            NotFound, Conflict: no such device, or several.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        until = now_ms() + self.settings.recover_days * DAY_MS
        password = verifiers.new_password()
        sealed = self.instance.seal(password)
        with self.database.write() as connection:
            held = store.credential(connection, device.id)
            ending.supersede(connection, device, "fresh credentials were issued", until)
            store.retire(connection, device, _lasting(held), until=until)
            store.set_password(connection, device.id, verifiers.make(password))
            change = change_queue.enqueue(connection, "put", device.username, sealed_secret=sealed)
            audit_log.record(
                connection,
                actor,
                "credentials.issue",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
        return Recovered(self.devices.credentials_of(device, password), [change])

    def _recover(self, connection: Connection, proof: _Proof, origin: str, at: int) -> Recovered:
        device, secret, held, known = proof.device, proof.secret, proof.held, proof.known
        if not device.enabled:
            raise Gone("This device is disabled.", code="device_revoked")
        until = at + self.settings.recover_days * DAY_MS
        if known is not None:
            password, sealed = secret, self.instance.seal(secret)
            how = "with its password"
            if proof.moving:
                ending.supersede(connection, device, "the device asked for credentials", until)
            if held is None or known != held.verifier:
                store.set_password(connection, device.id, known)
        else:
            how = "with a former password"
            ending.supersede(connection, device, "the device asked for credentials", until)
            if held is not None and held.sealed_secret is not None and held.proved_at is None:
                sealed, password = held.sealed_secret, self.instance.unseal(held.sealed_secret)
            else:
                password = verifiers.new_password()
                sealed = self.instance.seal(password)
                store.retire(connection, device, _lasting(held), until=until)
                store.set_password(
                    connection, device.id, verifiers.make(password), sealed_secret=sealed
                )
        change = change_queue.enqueue(connection, "put", device.username, sealed_secret=sealed)
        audit_log.record(
            connection,
            Actor(f"device:{device.username}", Role.VIEWER, device.tenant, origin),
            "recover",
            device.reference,
            tenant=device.tenant,
            reason=how,
        )
        return Recovered(self.devices.credentials_of(device, password), [change])


def _lasting(held: store.Credential | None) -> str | None:
    """The verifier in force, unless it ends by itself: such a password proves nothing later."""
    return held.verifier if held is not None and held.expires_at is None else None


def _proof(connection: Connection, device: Device, secret: str, at: int) -> _Proof | None:
    """What the secret is to the device; ``None``: nothing."""
    held = store.credential(connection, device.id)
    moving = connection.execute(
        sa.select(rotations.c.old_verifier, rotations.c.new_verifier).where(
            rotations.c.device_id == device.id, rotations.c.finished_at.is_(None)
        )
    ).first()
    in_hand = [held.verifier if held else None, *(moving or ())]
    known = next((v for v in in_hand if v and _fits(secret, v)), None)
    given_up = [
        one.verifier
        for one in store.former(connection, device.username, at)
        if not one.removed and one.device_id == device.id
    ]
    if known is None and not any(_fits(secret, verifier) for verifier in given_up):
        return None
    return _Proof(device, secret, held, known, moving is not None)


def _names(device: Device) -> set[str]:
    return {device.name, device.reference, device.username, f"{device.tenant}:{device.name}"}


def _fits(secret: str, verifier: str) -> bool:
    try:
        return bool(secret) and verifiers.check(secret, verifier)
    except Invalid:  # brought in from a broker that took other kinds of hashes
        return False
