"""Operations on devices. Each function is one transaction.

A change to who may connect is committed together with its pending change and its audit entry;
the reconciler (``mooring.broker.reconcile``) then makes the broker follow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.broker import leftovers
from mooring.broker import store as broker
from mooring.broker.access_rules import AccountFacts, Action, RightsVerdict, may
from mooring.broker.password_lines import check_username
from mooring.broker.users import RESERVED_PREFIXES, check_password
from mooring.broker.users import check_username as check_own_username
from mooring.changes import queue as change_queue
from mooring.devices import changes, group_store, store
from mooring.devices import password_store as passwords
from mooring.devices.accounts import Accounts, scope_of
from mooring.devices.attributes import store as attributes
from mooring.devices.attributes.merge import ROOM, Room, merge
from mooring.devices.attributes.model import FOLLOWED, NAMED, Held, Source, Value
from mooring.devices.attributes.rules import checked_all
from mooring.devices.model import Credentials, Device, Login, NewDevice
from mooring.dialects import Catalogue, check_text, check_word, device_shape, normal_mac
from mooring.dialects.model import Identity
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.account import NO_QUOTA, Account, Quota
from mooring.identity.actor import Actor, Role
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached

__all__ = ["Devices", "Removal"]

log = logging.getLogger(__name__)

PLATFORM = "mooring"
LABEL_MAX = 200
GROUPS_MAX = 64
NO_LOGIN = Login(None)

Removal = Callable[[Connection, Actor, Device], None]
"""Something another part does for a device that is about to be deleted."""

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices of one installation.

    Attributes:
        database: where they are.
        catalogue: the dialects they speak.
        instance: seals a password on its way to the broker.
        reserved: usernames no device may have: the platform's own.
        for_password_file: usernames must fit into one.
        username_is_client_id: the broker takes a client's username for its client id.
        quota, tenant_quota: what a device, and all devices of a tenant, may take of the broker
            where nothing else is said of them; 0: no limit.
        recover_days: how long a removed device gets the answer that it was removed.
        tenants_max, devices_max, groups_max: how many tenants, and devices and groups of one
            tenant, there may be.
        room: how many free attributes a device may have.
        removed: what other parts do for a device before it is deleted.
    """

    database: Database
    catalogue: Catalogue
    instance: Instance
    recover_days: int = 30
    reserved: frozenset[str] = frozenset()
    for_password_file: bool = False
    tenants_max: int = 10_000
    devices_max: int = 200_000
    username_is_client_id: bool = False
    room: Room = ROOM
    quota: Quota = NO_QUOTA
    tenant_quota: Quota = NO_QUOTA
    groups_max: int = 1000
    removed: Removal | None = None

    # ------------------------------------------------------------------ changing

    def add(
        self, actor: Actor, new: NewDevice, *, password: str | None = None, reason: str = ""
    ) -> tuple[Credentials, list[int]]:
        """Creates a device. Its password is generated unless it has one.

        Usernames are shared by all tenants, so only an administrator of the whole installation
        gives a device one of his choice: it may be what another tenant's next device needs.

        Returns:
            The credentials, shown this once, and the change numbers to wait for.

        Raises:
            Invalid: an id, MAC address, label, username or password breaks a rule, or the dialect
                needs a MAC.
            NotFound: no such dialect.
            Conflict: the name, username or MAC address is taken.
        """
        actor.require(Role.OPERATOR, new.tenant)
        if new.username is not None:
            actor.require(Role.ADMIN)
        if password is None:
            password = verifiers.new_password()
        else:
            check_password(password)
        with self.refusing_twins(new), self.database.write() as connection:
            device, change = self.insert(connection, new, password, actor=actor.name)
            audit_log.record(
                connection,
                actor,
                "device.add",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
        return self.credentials_of(device, password), [change]

    def insert(
        self,
        connection: Connection,
        new: NewDevice,
        password: str,
        *,
        keep_sealed: bool = False,
        source: Source = Source.PERSON,
        actor: str = "",
    ) -> tuple[Device, int]:
        """Device, credential and pending change in the caller's transaction. The caller checks
        permissions.

        Args:
            keep_sealed: the sealed password stays until it has proved itself.
            source, actor: who said the attributes.

        Returns:
            The device and its change number.

        Raises:
            Invalid, NotFound: as ``add``.
            IntegrityError: a name is taken; ``refusing_twins`` says which.
        """
        device, scope, mac_key = self.checked(new)
        held = self.attributes_of(new, source, actor)
        if broker.find(connection, device.username) is not None:
            raise _unavailable(device.name)
        sealed = self.instance.seal(password)
        store.ensure_tenant(connection, device.tenant, self.tenants_max)
        store.count_devices(connection, device.tenant, self.devices_max)
        group_store.ensure(
            connection, device.tenant, device.groups, most=self.groups_max, actor=actor
        )
        device = store.insert(
            connection, device, scope=scope, mac_key=mac_key, verifier=verifiers.make(password)
        )
        attributes.insert_many(connection, [(device.id, device.tenant, held)])
        passwords.begin(connection, device.id, sealed_secret=sealed if keep_sealed else None)
        change = change_queue.enqueue(connection, "put", device.username, sealed_secret=sealed)
        changes.note(connection, device.id)
        changes.note_dialects(connection, [self.catalogue.get(device.dialect)])
        return device, change

    @contextmanager
    def refusing_twins(self, new: NewDevice) -> Iterator[None]:
        """Turns the database's rejection of a second device of a name into ``Conflict``."""
        try:
            yield
        except IntegrityError as exc:
            raise self._taken(self.checked(new)[0], exc) from exc

    def set_enabled(
        self, actor: Actor, reference: str, *, enabled: bool, reason: str = ""
    ) -> tuple[Device, list[int]]:
        """Locks a device out, or accepts it again with the password it has.

        A live session ends immediately, and new ones are rejected, by password and certificate.
        Doing it twice is not an error, and tells the broker again.

        Returns:
            The device as it is now, and the change numbers to wait for.
        """
        device = self.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            store.set_enabled(connection, device.id, enabled=enabled)
            change = change_queue.enqueue(connection, "put", device.username)
            audit_log.record(
                connection,
                actor,
                "device.enable" if enabled else "device.disable",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
            changes.note(connection, device.id)
        return replace(device, enabled=enabled), [change]

    def remove(self, actor: Actor, reference: str, *, reason: str = "") -> tuple[Device, list[int]]:
        """Deletes a device; its session ends and its login is rejected from then on.

        Returns:
            The device as it was, and the change numbers to wait for.
        """
        device = self.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            passwords.bury(connection, device, until=now_ms() + self.recover_days * DAY_MS)
            leftovers.note(
                connection,
                device.username,
                client_id=device.client_id,
                name=device.name,
                scope=store.scope(connection, device.id),
                filters=self._own_filters(device),
            )
            if self.removed is not None:
                self.removed(connection, actor, device)
            store.delete(connection, device)
            change = change_queue.enqueue(connection, "remove", device.username)
            audit_log.record(
                connection,
                actor,
                "device.remove",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
            changes.note(connection, device.id)
        return device, [change]

    # ------------------------------------------------------------------ asking

    def get(self, actor: Actor, reference: str) -> Device:
        """The device behind a name, ``tenant:name``, username or MAC address.

        Raises:
            NotFound: nothing goes by it.
            Conflict: several do; the message lists them.
        """
        mac_key = _mac_or_none(reference)
        with self.database.read(brief=True) as connection:
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
                f"{reference} matches several devices: {names}.",
                hint="Use tenant:name.",
                code="device_ambiguous",
            )
        return exact[0]

    def numbered(self, actor: Actor, number: int) -> Device | None:
        """The device with this number, if it is there and the actor sees it."""
        with self.database.read() as connection:
            found = store.by_number(connection, number)
        return found if found is not None and actor.sees(found.tenant) else None

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

    def enabled_usernames(self) -> set[str]:
        """Usernames of the enabled devices of every tenant."""
        with self.database.read() as connection:
            return store.enabled_usernames(connection)

    def topics(self, device: Device) -> dict[str, str]:
        """Kind → topic, from the device's dialect."""
        return self.catalogue.get(device.dialect).topics(device.identity)

    def shape(self, device: Device) -> dict[str, Any]:
        """How the device speaks, for the SDK."""
        return device_shape(self.catalogue.get(device.dialect), device.identity)

    def credentials_of(self, device: Device, password: str) -> Credentials:
        """What the device needs to connect with this password."""
        return Credentials(device, password, self.topics(device), self.shape(device))

    @property
    def logins(self) -> Accounts:
        """What the broker is to accept."""
        return Accounts(
            self.database,
            self.catalogue,
            self.reserved,
            self.username_is_client_id,
            self.quota,
            self.tenant_quota,
        )

    def accounts(self) -> list[Account]:
        """Every login at once; see ``Accounts.stream``."""
        return list(self.logins.stream())

    def account(self, username: str) -> Account | None:
        """One login, or ``None`` when the broker is not to know it."""
        return self.logins.account(username)

    def may(self, device: Device, action: Action, topic: str) -> RightsVerdict:
        """Whether the broker accepts a topic of a device, and which filter decides."""
        account = self.account(device.username)
        facts = None
        if account is not None:
            facts = AccountFacts(
                account.username,
                locked=account.locked,
                publish=account.rights.publish,
                subscribe=account.rights.subscribe,
            )
        return may(facts, action, topic)

    # ------------------------------------------------------------------ rules

    def attributes_of(self, new: NewDevice, source: Source, actor: str) -> dict[str, Held]:
        """The attributes of a new device.

        Raises:
            Invalid: ``invalid_attribute``: a name or a value is not valid.
            Conflict: ``limit_reached``: too many free attributes.
        """
        given = self.check_attributes(new.attributes, new.name)
        return dict(merge({}, given, source, now_ms(), actor=actor, room=self.room).held)

    def check_attributes(self, values: Mapping[str, object], whose: str) -> dict[str, Value]:
        """Attributes for a new device, as they are stored.

        Args:
            whose: for the message.

        Raises:
            Invalid, Conflict: as ``attributes_of``.
        """
        given = checked_all(values)
        if sum(name not in NAMED for name in given) > self.room.most:
            raise limit_reached(
                f"free attributes of {whose}", self.room.most, "attributes_max_per_device"
            )
        return given

    def give(
        self,
        connection: Connection,
        device: Device,
        values: Mapping[str, object],
        source: Source,
        actor: str,
    ) -> None:
        """Merges attributes into those of a device, in the caller's transaction. Those that do not
        fit next to its others are left out.

        Raises:
            Invalid: ``invalid_attribute``: a name or a value is not valid.
        """
        if not values or device.id not in attributes.lock(connection, [device.id]):
            return
        old = attributes.of_device(connection, device.id)
        given = checked_all(values)
        merged = merge(old, given, source, now_ms(), actor=actor, room=self.room)
        if merged.changed:
            change = attributes.Change(device.id, device.tenant, merged.changed, merged.held)
            attributes.write(connection, [change])
            if not FOLLOWED.isdisjoint(merged.changed):
                changes.note(connection, device.id)

    def _own_filters(self, device: Device) -> tuple[str, ...]:
        if device.dialect not in self.catalogue.names():
            return ()
        return leftovers.own_filters(self.catalogue.get(device.dialect), device.identity)

    def checked(self, new: NewDevice) -> tuple[Device, str, str | None]:
        """The device as it would be, the scope of its name, and its MAC as a key.

        Raises:
            Invalid, NotFound: as ``add``.
        """
        dialect = self.catalogue.get(new.dialect)
        check_word(new.name, "device name")
        check_word(new.tenant, "tenant")
        if len(set(new.groups)) > GROUPS_MAX:
            raise Invalid(
                f"The device is in {len(set(new.groups))} groups; {GROUPS_MAX} are allowed.",
                hint="Name fewer groups.",
            )
        for group in new.groups:
            check_word(group, "group")
        if len(new.label) > LABEL_MAX:
            raise Invalid(
                f"The label has {len(new.label)} characters; {LABEL_MAX} are allowed.",
                hint="Choose a shorter one.",
            )
        check_text(new.label, "label")
        if new.name == PLATFORM or new.name.startswith(RESERVED_PREFIXES):
            raise Invalid(
                f"The device name {new.name} is reserved for the platform.",
                hint="Choose another name.",
                code="invalid_id",
            )
        mac_key = normal_mac(new.mac) if new.mac else None
        if dialect.needs_mac and not new.mac:
            raise Invalid(
                f"Devices of the dialect {dialect.name} log in with their MAC address.",
                hint="Use --mac AA:BB:CC:DD:EE:FF.",
                code="mac_needed",
            )
        if dialect.names_by_mac_too and _mac_or_none(new.name) not in (None, mac_key):
            raise Invalid(
                f"The device name {new.name} is a MAC address, but not that of the device.",
                hint="Its topics could be those of another device. Choose another name.",
                code="name_is_mac",
            )
        identity = Identity(new.tenant, new.name, new.mac, new.groups)
        device = Device(
            id=0,
            tenant=new.tenant,
            name=new.name,
            label=new.label,
            dialect=dialect.name,
            mac=new.mac,
            username=dialect.username_of(identity) if new.username is None else new.username,
            client_id=dialect.client_id_of(identity),
            enabled=True,
            created_at=now_ms(),
            groups=tuple(dict.fromkeys(new.groups)),
        )
        if new.username is not None:
            check_own_username(new.username, service=self.reserved)
        if self.for_password_file:
            check_username(device.username)
        if device.username in self.reserved:
            raise Invalid(
                f"The username {device.username} is reserved for the platform.",
                hint="Choose another name.",
                code="invalid_id",
            )
        return device, scope_of(dialect, new.tenant), mac_key

    def _taken(self, device: Device, exc: IntegrityError) -> Conflict:
        with self.database.read() as connection:
            mac_key = normal_mac(device.mac) if device.mac else None
            twin = store.twin(connection, device, mac_key)
        text = str(exc.orig)
        if twin is None:
            # Nothing of this tenant: what another one has is not told.
            return _unavailable(device.name)
        if "mac_key" in text:
            return Conflict(
                f"A device with the MAC address {device.mac} already exists.",
                hint="`mooring device show MAC` shows it. Remove it first to add it again.",
                code="mac_taken",
            )
        if twin.name == device.name:
            return Conflict(
                f"A device named {device.name} already exists in the tenant {device.tenant}.",
                hint="Choose another name, or `mooring device show` the existing one.",
                code="device_exists",
            )
        if twin.username == device.username:
            return Conflict(
                f"The username {device.username} is taken by the device {twin.name}.",
                hint="Choose another name.",
                code="username_taken",
            )
        return Conflict(
            f"The client id {device.client_id} is taken by the device {twin.name}.",
            hint="Choose another name.",
            code="client_id_taken",
        )


def _unavailable(name: str) -> Conflict:
    return Conflict(
        f"The device name {name} cannot be used: its username is taken.",
        hint="Choose another name.",
        code="username_taken",
    )


def _mac_or_none(word: str) -> str | None:
    try:
        return normal_mac(word)
    except Invalid:
        return None
