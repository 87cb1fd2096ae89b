"""Operations on claim codes, and what a device gets for one.

A claim is one transaction: the device, its credential, the broker's pending change, the used code
and the audit entry are all there or none is.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.credentials import ending
from mooring.credentials.claims import code as codes
from mooring.credentials.claims import store
from mooring.credentials.claims.model import (
    ClaimCode,
    Claimed,
    FleetCodes,
    Issued,
    NewClaim,
)
from mooring.devices import group_store
from mooring.devices import password_store as passwords
from mooring.devices import store as devices
from mooring.devices.attributes.model import Source
from mooring.devices.model import Credentials, Device, NewDevice
from mooring.devices.service import GROUPS_MAX, LABEL_MAX, Devices
from mooring.dialects import check_word
from mooring.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TooMany,
)
from mooring.identity.actor import Actor, Role
from mooring.identity.throttle import Throttle
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally

__all__ = ["Claims"]

DAY_MS = 86_400_000
LONGEST_SECONDS = 10 * 365 * 86_400
_COUNTED = (Gone, Forbidden, NotFound)  # what a guess can run into
_TAKEN = frozenset({"device_exists", "username_taken", "mac_taken", "client_id_taken"})


@dataclass(frozen=True, slots=True)
class Claims:
    """Claim codes of one installation.

    Attributes:
        fleet: codes that many devices have.
    """

    database: Database
    devices: Devices
    instance: Instance
    settings: Settings
    throttle: Throttle
    tally: Tally
    fleet: FleetCodes | None = None

    # ------------------------------------------------------------------ for people

    def new(self, actor: Actor, wanted: NewClaim, *, reason: str = "") -> Issued:
        """A code, shown this once.

        Raises:
            NotFound: no such dialect.
            Conflict: ``limit_reached``, or a group is dynamic.
            Invalid: a word that no topic takes, a label too long, a time out of range, an
                attribute that is not valid.
        """
        while True:
            try:
                with self.database.write() as connection:
                    return self.issue(connection, actor, wanted, reason=reason)
            except IntegrityError:  # one in 2**40 codes there has ever been: take another
                continue

    def issue(
        self, connection: Connection, actor: Actor, wanted: NewClaim, *, reason: str = ""
    ) -> Issued:
        """``new``, in the caller's transaction.

        Raises:
            IntegrityError: the code exists already; the transaction can be done again.
        """
        actor.require(Role.OPERATOR, wanted.tenant)
        self._check(wanted)
        claim = self._unused(wanted, actor.name)
        code = codes.new()
        devices.ensure_tenant(connection, wanted.tenant, self.settings.tenants_max)
        group_store.ensure(
            connection,
            wanted.tenant,
            claim.groups,
            most=self.settings.groups_max_per_tenant,
            actor=actor.name,
        )
        store.require_code_room(
            connection,
            wanted.tenant,
            self.settings.claim_codes_max_per_tenant,
            claim.created_at,
        )
        claim = store.insert(connection, claim, self._digest(code))
        audit_log.record(
            connection, actor, "claim.new", f"claim {claim.id}", tenant=claim.tenant, reason=reason
        )
        return Issued(claim, codes.shown(code))

    def _unused(self, wanted: NewClaim, created_by: str) -> ClaimCode:
        at = now_ms()
        lasting = (
            self.settings.claim_days * DAY_MS
            if wanted.seconds is None
            else int(wanted.seconds * 1000)
        )
        return ClaimCode(
            id=0,
            tenant=wanted.tenant,
            dialect=wanted.dialect,
            label=wanted.label,
            name=wanted.name,
            groups=tuple(dict.fromkeys(wanted.groups)),
            attributes=wanted.attributes,
            created_at=at,
            created_by=created_by,
            expires_at=at + lasting,
            revoked_at=None,
            claimed_at=None,
            hardware_id=None,
            device_id=None,
        )

    def page(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        before: int | None = None,
        tenant: str | None = None,
    ) -> list[ClaimCode]:
        """The newest first; without the codes, which are not stored."""
        actor.require(Role.OPERATOR, tenant or actor.tenant)
        with self.database.read() as connection:
            return store.page(connection, actor, limit=limit, before=before, tenant=tenant)

    def revoke(self, actor: Actor, number: int, *, reason: str = "") -> ClaimCode:
        """Ends a code immediately. The device that has used it keeps its credentials.

        Raises:
            NotFound: no such claim code.
        """
        actor.require(Role.OPERATOR, actor.tenant)
        at = now_ms()
        with self.database.write() as connection:
            claim = store.by_id(connection, actor, number)
            if claim is None:
                raise NotFound(
                    f"There is no claim code number {number}.",
                    hint="`mooring claim list` shows all numbers.",
                    code="claim_not_found",
                )
            store.revoke(connection, number, at)
            audit_log.record(
                connection,
                actor,
                "claim.revoke",
                f"claim {number}",
                tenant=claim.tenant,
                reason=reason,
            )
            return store.by_id(connection, actor, number) or claim

    def withdraw(self, connection: Connection, number: int) -> None:
        """Revokes a code that nobody has used, in the caller's transaction. The caller checks
        permissions and writes the audit entry."""
        store.withdraw(connection, number, now_ms())

    # ------------------------------------------------------------------ for devices

    def claim(self, text: str, hardware_id: str, *, origin: str = "local") -> Claimed:
        """Credentials for a code; for the same device again until it has used them.

        Raises:
            NotFound: no such code; the answer is the same for anything that is none.
            Gone: revoked or expired, or the device has been removed since.
            Forbidden: another device has used it.
            Conflict: this device has used its credentials already, or a name is taken.
            Invalid: the hardware id is none, or not a MAC address where the dialect needs one.
            TooMany: too many wrong codes.
        """
        hardware = codes.hardware_key(hardware_id)
        code = codes.read(text)
        fleet = self.fleet.read(text) if self.fleet is not None else None
        digest = self._digest(code if code is not None else "")
        with self.throttle.attempt(origin, refuse=self._too_many) as attempt:
            try:
                if fleet is not None:
                    return self._claim_of_fleet(fleet, hardware_id.strip(), hardware, origin)
                # A wrong code must not cost a write transaction, which others wait for.
                with self.database.read() as connection:
                    self._checked(connection, code and digest, hardware)
                with self.database.write() as connection:
                    claim = self._checked(connection, code and digest, hardware, lock=True)
                    if claim.claimed_at is not None:
                        return self._again(connection, claim, origin)
                    return self._first(connection, claim, hardware_id.strip(), hardware, origin)
            except _COUNTED:
                attempt.failed()
                self.tally.count("claims_refused")
                raise

    def _claim_of_fleet(self, code: str, hardware_id: str, hardware: str, origin: str) -> Claimed:
        """Credentials for a device that has a fleet code. For each device that uses it a claim
        code is stored that only this device can use again. It never gives an existing device new
        credentials: many devices have the code."""
        assert self.fleet is not None
        digest = self._digest(f"fleet:{code}/{hardware}")
        with self.database.read() as connection:
            if not self.fleet.known(connection, code, lock=False):
                raise _not_valid()
        with self.database.write() as connection:
            if not self.fleet.known(connection, code, lock=True):
                raise _not_valid()
            if store.by_digest(connection, digest) is not None:
                claim = self._checked(connection, digest, hardware, lock=True)
                return self._again(connection, claim, origin)
            admitted = self.fleet.admit(connection, code, codes.device_name(hardware_id))
            if admitted is None:
                raise _not_valid()
            claim = self._unused(admitted.wanted, admitted.by)
            if self._named(connection, claim) is not None:
                raise _not_valid()
            claim = store.insert(connection, claim, digest)
            try:
                return self._first(connection, claim, hardware_id, hardware, origin)
            except Conflict as exc:
                if exc.slug not in _TAKEN:
                    raise
                # A device that has the code must not learn which other devices exist.
                raise _not_valid() from exc

    def _checked(
        self, connection: Connection, digest: str | None, hardware: str, *, lock: bool = False
    ) -> ClaimCode:
        """The claim code, if this device may use it now."""
        claim = store.by_digest(connection, digest, lock=lock) if digest is not None else None
        if claim is None:
            raise _not_valid()
        if claim.revoked_at is not None:
            raise Gone("This claim code has been revoked.", code="claim_revoked")
        if now_ms() >= claim.expires_at:
            raise Gone(
                "This claim code has expired.", hint="Create a new one.", code="claim_expired"
            )
        if claim.claimed_at is not None and claim.hardware_id != hardware:
            raise Forbidden(
                "Another device has used this claim code.",
                hint="Create a new one.",
                code="claim_taken",
            )
        return claim

    def _too_many(self, seconds: int) -> TooMany:
        self.tally.count("claims_throttled")
        return TooMany(
            "Too many wrong claim codes.",
            hint=f"Try again in {seconds} s.",
            code="claim_throttled",
            retry_after=seconds,
        )

    def _first(
        self, connection: Connection, claim: ClaimCode, hardware_id: str, hardware: str, origin: str
    ) -> Claimed:
        password = verifiers.new_password()
        existing = self._named(connection, claim)
        if existing is not None:
            device, change = self._renew(connection, existing, hardware, password)
            self.devices.give(connection, device, claim.attributes, Source.CLAIM, _called(claim))
        else:
            is_mac = codes.mac_of(hardware_id) is not None
            new = NewDevice(
                claim.name or codes.device_name(hardware_id),
                claim.dialect,
                claim.tenant,
                claim.label,
                hardware_id if is_mac else None,
                claim.groups,
                attributes=claim.attributes,
            )
            with self.devices.refusing_twins(new):
                device, change = self.devices.insert(
                    connection,
                    new,
                    password,
                    keep_sealed=True,
                    source=Source.CLAIM,
                    actor=_called(claim),
                )
        store.use(connection, claim.id, hardware=hardware, device_id=device.id, at=now_ms())
        self._note(connection, "claim", device, claim, origin)
        return Claimed(self._answer(device, password), [change])

    def _named(self, connection: Connection, claim: ClaimCode) -> Device | None:
        """The device that is there already and that the code was made for by name."""
        if claim.name is None:
            return None
        found = devices.find(connection, _of(claim), word=claim.name, tenant=claim.tenant)
        return next((d for d in found if d.name == claim.name and d.dialect == claim.dialect), None)

    def _renew(
        self, connection: Connection, device: Device, hardware: str, password: str
    ) -> tuple[Device, int]:
        if device.mac is not None and codes.hardware_key(device.mac) != hardware:
            raise Conflict(
                f"{device.reference} is another device with a different MAC address.",
                hint="Create a code with another --device name, or remove the old device first.",
                code="hardware_differs",
            )
        if not device.enabled:
            raise Conflict(f"{device.reference} is disabled.", code="device_disabled")
        ending.supersede(connection, device, "claimed again", self._until())
        current = passwords.credential(connection, device.id)
        sealed = self.instance.seal(password)
        passwords.retire(
            connection, device, current.verifier if current else None, until=self._until()
        )
        passwords.set_password(
            connection, device.id, verifiers.make(password), sealed_secret=sealed
        )
        return device, change_queue.enqueue(
            connection, "put", device.username, sealed_secret=sealed
        )

    def _again(self, connection: Connection, claim: ClaimCode, origin: str) -> Claimed:
        """The answer may have been lost: the same password, until it was used once."""
        device = (
            devices.by_number(connection, claim.device_id) if claim.device_id is not None else None
        )
        if device is None or not device.enabled:
            raise Gone("The device of this claim code was removed or disabled.", code="claim_gone")
        held = passwords.credential(connection, device.id)
        if held is None or held.sealed_secret is None or held.proved_at is not None:
            raise Conflict(
                "This device has already used its credentials.",
                hint="If the device has lost them, create a new claim code.",
                code="claim_used",
            )
        change = change_queue.enqueue(
            connection, "put", device.username, sealed_secret=held.sealed_secret
        )
        self._note(connection, "claim.again", device, claim, origin)
        password = self.instance.unseal(held.sealed_secret)
        return Claimed(self._answer(device, password), [change], again=True)

    def _answer(self, device: Device, password: str) -> Credentials:
        return self.devices.credentials_of(device, password)

    def _note(
        self, connection: Connection, action: str, device: Device, claim: ClaimCode, origin: str
    ) -> None:
        audit_log.record(
            connection,
            Actor(f"device:{device.username}", Role.VIEWER, device.tenant, origin),
            action,
            device.reference,
            tenant=device.tenant,
            reason=_called(claim),
        )

    def _digest(self, code: str) -> str:
        return codes.digest(code, self.instance.instance_key)

    def _until(self) -> int:
        return now_ms() + self.settings.recover_days * DAY_MS

    def _check(self, wanted: NewClaim) -> None:
        self.devices.catalogue.get(wanted.dialect)
        check_word(wanted.tenant, "tenant")
        if wanted.name is not None:
            check_word(wanted.name, "device name")
        if len(set(wanted.groups)) > GROUPS_MAX:
            raise Invalid(
                f"The code names {len(set(wanted.groups))} groups; {GROUPS_MAX} are allowed.",
                hint="Name fewer groups.",
            )
        for group in wanted.groups:
            check_word(group, "group")
        if len(wanted.label) > LABEL_MAX:
            raise Invalid(
                f"The label has {len(wanted.label)} characters; {LABEL_MAX} are allowed.",
                hint="Choose a shorter one.",
            )
        self.devices.check_attributes(wanted.attributes, "the claim code")
        if wanted.seconds is not None and not 1 <= wanted.seconds <= LONGEST_SECONDS:
            raise Invalid(
                "A claim code must be valid for one second to ten years.", code="invalid_expiry"
            )


def _not_valid() -> NotFound:
    return NotFound(
        "This claim code is not valid.",
        hint="Check it, or create a new one with `mooring claim new`.",
        code="claim_refused",
    )


def _called(claim: ClaimCode) -> str:
    return f"claim {claim.id}"


def _of(claim: ClaimCode) -> Actor:
    return Actor("claim", Role.OPERATOR, claim.tenant)
