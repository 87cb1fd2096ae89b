"""What one can do with devices. Each function is one transaction.

A change to who may connect is committed together with its outbox row and its audit entry;
the reconciler (``mooring.broker.reconcile``) then makes the broker follow.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from mooring.access import store as access
from mooring.access import verifiers
from mooring.access.actor import SYSTEM, Actor, Role
from mooring.access.instance import Instance
from mooring.access.policy import rights_of
from mooring.broker.protocol import Account, Rights
from mooring.devices import store
from mooring.devices.model import Credentials, Device, NewDevice
from mooring.dialects import Catalogue, check_word, normal_mac
from mooring.dialects.model import Dialect, Identity
from mooring.errors import Conflict, Invalid, NotFound
from mooring.store.engine import Database, now_ms

__all__ = ["Devices"]

LABEL_MAX = 200


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices of one installation.

    Attributes:
        database: where they are.
        catalogue: the dialects they speak.
        instance: seals a password on its way to the broker.
    """

    database: Database
    catalogue: Catalogue
    instance: Instance

    # ------------------------------------------------------------------ changing

    def add(
        self, actor: Actor, new: NewDevice, *, reason: str = ""
    ) -> tuple[Credentials, list[int]]:
        """Creates a device with a generated password.

        Returns:
            The credentials, shown this once, and the outbox numbers to wait for.

        Raises:
            Invalid: an id, MAC address or label breaks a rule, or the dialect needs a MAC.
            NotFound: no such dialect.
            Conflict: the name, username or MAC address is taken.
        """
        device, scope, mac_key = self._checked(new)
        actor.require(Role.OPERATOR, device.tenant)
        password = verifiers.new_password()
        dialect = self.catalogue.get(device.dialect)
        try:
            with self.database.write() as connection:
                store.ensure_tenant(connection, device.tenant)
                device = store.insert(
                    connection,
                    device,
                    scope=scope,
                    mac_key=mac_key,
                    verifier=verifiers.make(password),
                )
                change = access.enqueue(
                    connection,
                    "put",
                    device.username,
                    sealed_secret=self.instance.seal(password),
                )
                access.record(
                    connection,
                    actor,
                    "device.add",
                    device.reference,
                    tenant=device.tenant,
                    reason=reason,
                )
                access.bump(connection, "devices")
        except IntegrityError as exc:
            raise self._taken(device, exc) from exc
        return Credentials(device, password, dialect.topics(device.identity)), [change]

    def remove(self, actor: Actor, reference: str, *, reason: str = "") -> list[int]:
        """Deletes a device; its session ends and its login is refused from then on.

        Returns the outbox numbers to wait for.
        """
        device = self.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            store.delete(connection, device)
            change = access.enqueue(connection, "remove", device.username)
            access.record(
                connection,
                actor,
                "device.remove",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
            access.bump(connection, "devices")
        return [change]

    # ------------------------------------------------------------------ asking

    def get(self, actor: Actor, reference: str) -> Device:
        """The device behind a name, ``tenant:name``, username or MAC address.

        Raises:
            NotFound: nothing goes by it.
            Conflict: several do; the message lists them.
        """
        mac_key = _mac_or_none(reference)
        with self.database.read() as connection:
            found = store.find(connection, actor, word=reference, mac_key=mac_key)
            if not found and ":" in reference:
                tenant, _, name = reference.partition(":")
                found = store.find(connection, actor, word=name, tenant=tenant)
        exact = [d for d in found if d.username == reference] or found
        if not exact:
            raise NotFound(
                f"There is no device {reference}.",
                hint="`mooring device list` shows every device.",
                code="device_not_found",
            )
        if len(exact) > 1:
            names = ", ".join(f"{d.tenant}:{d.name}" for d in exact)
            raise Conflict(
                f"{reference} is the name of several devices: {names}.",
                hint="Say which one: tenant:name.",
                code="device_ambiguous",
            )
        return exact[0]

    def page(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        after: int = 0,
        tenant: str | None = None,
        dialect: str | None = None,
        search: str | None = None,
    ) -> list[Device]:
        actor.require(Role.VIEWER, tenant or actor.tenant)
        with self.database.read() as connection:
            return store.page(
                connection,
                actor,
                limit=limit,
                after=after,
                tenant=tenant,
                dialect=dialect,
                search=search,
            )

    def every(self) -> list[Device]:
        """Every device of every tenant: for ingest's registry."""
        with self.database.read() as connection:
            return store.all_devices(connection)

    def topics(self, device: Device) -> dict[str, str]:
        """Kind → topic, from the device's dialect."""
        return self.catalogue.get(device.dialect).topics(device.identity)

    def accounts(self) -> list[Account]:
        """Every login the broker is to accept, but the platform's own."""
        with self.database.read() as connection:
            known = store.all_devices(connection)
            secrets = store.verifiers(connection)
        return [
            Account(d.username, secrets.get(d.username), self._rights(d))
            for d in known
            if d.enabled and d.dialect in self.catalogue.names()
        ]

    def account(self, username: str) -> Account | None:
        """One login, or ``None`` when the broker is to refuse it."""
        with self.database.read() as connection:
            found = [
                d for d in store.find(connection, SYSTEM, word=username) if d.username == username
            ]
            secrets = store.verifiers(connection, [username])
        if not found or not found[0].enabled:
            return None
        return Account(username, secrets.get(username), self._rights(found[0]))

    # ------------------------------------------------------------------ rules

    def _rights(self, device: Device) -> Rights:
        return rights_of(self.catalogue.get(device.dialect), device.identity)

    def _checked(self, new: NewDevice) -> tuple[Device, str, str | None]:
        dialect = self.catalogue.get(new.dialect)
        check_word(new.name, "device name")
        check_word(new.tenant, "tenant")
        for group in new.groups:
            check_word(group, "group")
        if len(new.label) > LABEL_MAX:
            raise Invalid(
                f"The label has {len(new.label)} characters; {LABEL_MAX} are allowed.",
                hint="Choose a shorter one.",
            )
        mac_key = normal_mac(new.mac) if new.mac else None
        if dialect.needs_mac and not new.mac:
            raise Invalid(
                f"Devices of the dialect {dialect.name} log in with their MAC address.",
                hint="Give it: --mac AA:BB:CC:DD:EE:FF.",
                code="mac_needed",
            )
        identity = Identity(new.tenant, new.name, new.mac, new.groups)
        device = Device(
            id=0,
            tenant=new.tenant,
            name=new.name,
            label=new.label,
            dialect=dialect.name,
            mac=new.mac,
            username=dialect.username_of(identity),
            client_id=dialect.client_id_of(identity),
            enabled=True,
            created_at=now_ms(),
            groups=tuple(dict.fromkeys(new.groups)),
        )
        return device, _scope(dialect, new.tenant), mac_key

    def _taken(self, device: Device, exc: IntegrityError) -> Conflict:
        text = str(exc.orig)
        if "mac_key" in text:
            return Conflict(
                f"A device with the MAC address {device.mac} exists already.",
                hint="`mooring device show MAC` shows it; remove it first to add it anew.",
                code="mac_taken",
            )
        if "username" in text:
            return Conflict(
                f"The username {device.username} is taken by another device.",
                hint="Choose another name.",
                code="username_taken",
            )
        return Conflict(
            f"A device named {device.name} exists already in the tenant {device.tenant}.",
            hint="Choose another name, or `mooring device show` the existing one.",
            code="device_exists",
        )


def _scope(dialect: Dialect, tenant: str) -> str:
    """Within what a device's name must be unique: its topics tell no more apart."""
    return f"{dialect.name}/{tenant}" if dialect.tenanted else dialect.name


def _mac_or_none(word: str) -> str | None:
    try:
        return normal_mac(word)
    except Invalid:
        return None
