"""The logins the broker is to know, worked out from devices and broker users.

One login is asked for by name, all of them come in pages: neither holds 100,000 of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from mooring.broker import leftovers
from mooring.broker import store as broker
from mooring.broker.protocol import Current
from mooring.devices import limit_store, store
from mooring.devices.model import Device, Login
from mooring.dialects import Catalogue
from mooring.dialects.model import Dialect
from mooring.identity.account import NO_QUOTA, Account, Quota, Rights, SharedRights
from mooring.identity.policy import DEVICE, MAC, TENANT, pattern_of, rights_of
from mooring.store.engine import Database

__all__ = ["Accounts", "scope_of"]

log = logging.getLogger(__name__)

PAGE = 500
NO_LOGIN = Login(None)
BLOCKED = "The broker still has data of the former device."

_SPECIAL = re.compile(r"[\x00-\x1f\x7f+#$/]")
"""What a value of a pattern must not hold: there it would not be what it is in a filter."""


def scope_of(dialect: Dialect, tenant: str) -> str:
    """Within what a device's name must be unique: its topics tell no more apart."""
    return f"{dialect.name}/{tenant}" if dialect.tenanted else dialect.name


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the broker is to accept.

    Attributes:
        database, catalogue: where it follows from.
        reserved: usernames no device may have: the platform's own.
        username_is_client_id: the broker takes a client's username for its client id.
        quota, tenant_quota: what a device, and all devices of a tenant, may take of the broker
            where nothing else is said of them; 0: no limit.
    """

    database: Database
    catalogue: Catalogue
    reserved: frozenset[str] = frozenset()
    username_is_client_id: bool = False
    quota: Quota = NO_QUOTA
    tenant_quota: Quota = NO_QUOTA

    def stream(self) -> Iterator[Account]:
        """Every login the broker is to accept or to keep locked, but the platform's own.

        Read a page at a time: a login that changes meanwhile is as it was or as it is.
        """
        with self.database.read() as connection:
            users = broker.accounts(connection)
            pending = leftovers.pending(connection)
            quotas = self._quotas(limit_store.of_tenants(connection))
            quotas.disconnected = limit_store.disconnected(connection)
        for user in users:
            if user.username not in pending.usernames:
                yield self._user(user)
        dialects = set(self.catalogue.names())
        after = 0
        while True:
            with self.database.read() as connection:
                page = store.with_logins(connection, after=after, limit=PAGE)
                if page:
                    span = (page[0][0].id, page[-1][0].id)
                    quotas.own = limit_store.of_devices(connection, span=span)
            for device, login in page:
                # The platform may have taken that name later.
                if device.dialect not in dialects or device.username in self.reserved:
                    continue
                try:
                    blocked = bool(pending) and self._blocked(pending, device)
                    account = None if blocked else self._account(device, login, quotas)
                except Exception:
                    log.exception("the rights of %s cannot be determined", device.username)
                    account = _without_rights(device, login, quotas)
                if account is not None:
                    yield account
            if len(page) < PAGE:
                return
            after = page[-1][0].id

    def current(self, usernames: Sequence[str]) -> Current:
        """These logins as they are now, in as many statements for one as for 500."""
        accounts: list[Account] = []
        waiting: dict[str, str] = {}
        for start in range(0, len(usernames), PAGE):
            self._some(usernames[start : start + PAGE], accounts, waiting)
        return Current(accounts, waiting)

    def account(self, username: str) -> Account | None:
        """One login, or ``None`` when the broker is not to know it."""
        with self.database.read() as connection:
            users = broker.accounts(connection, [username])
            found = store.with_logins(connection, [username], limit=1)
            quotas = self._quotas_of(connection, [device for device, _ in found])
        if users:
            return self._user(users[0])
        if not found or found[0][0].dialect not in self.catalogue.names():
            return None
        return self._account(*found[0], quotas)

    def blocked(self, username: str) -> bool:
        """Whether a login has to wait until what another one left on the broker is cleared."""
        return self.current([username]).waiting.get(username) == BLOCKED

    # ------------------------------------------------------------------ inside

    def _some(
        self, usernames: Sequence[str], accounts: list[Account], waiting: dict[str, str]
    ) -> None:
        with self.database.read() as connection:
            users = {user.username: user for user in broker.accounts(connection, usernames)}
            found = store.with_logins(connection, usernames, limit=len(usernames))
            quotas = self._quotas_of(connection, [device for device, _ in found])
            pending = leftovers.pending(
                connection,
                leftovers.Concerning(
                    usernames,
                    [device.client_id for device, _ in found],
                    [device.name for device, _ in found],
                ),
            )
        dialects = set(self.catalogue.names())
        devices = {d.username: (d, login) for d, login in found if d.dialect in dialects}
        for username in dict.fromkeys(usernames):
            user, entry = users.get(username), devices.get(username)
            try:
                if username in pending.usernames and (user is not None or entry is not None):
                    waiting[username] = BLOCKED
                elif user is not None:
                    accounts.append(self._user(user))
                elif entry is not None and self._blocked(pending, entry[0]):
                    waiting[username] = BLOCKED
                elif entry is not None:
                    accounts.append(self._account(*entry, quotas))
            except Exception as exc:  # noqa: BLE001 - one login does not hold up the others
                waiting[username] = f"{type(exc).__name__}: {exc}"[:500]

    def _quotas(self, of_tenants: Mapping[str, Quota]) -> _Quotas:
        return _Quotas(self.quota, self.tenant_quota, of_tenants)

    def _quotas_of(self, connection: Connection, devices: Sequence[Device]) -> _Quotas:
        tenants = sorted({device.tenant for device in devices})
        quotas = self._quotas(limit_store.of_tenants(connection, tenants))
        numbers = [device.id for device in devices]
        quotas.own = limit_store.of_devices(connection, numbers)
        quotas.disconnected = limit_store.disconnected(connection, numbers)
        return quotas

    def _account(self, device: Device, login: Login, quotas: _Quotas) -> Account:
        dialect = self.catalogue.get(device.dialect)
        client_id = device.client_id if dialect.client_id_fixed else None
        if self.username_is_client_id:
            client_id = device.username
        return Account(
            device.username,
            login.verifier,
            _rights(dialect, device),
            locked=quotas.locked(device),
            client_id=client_id,
            next_verifier=login.next_verifier,
            certificates=login.certificates,
            tenant=device.tenant,
            values=(device.name, device.tenant, device.mac or "", *_groups(dialect, device)),
            quota=quotas.of(device),
            tenant_quota=quotas.of_tenant(device.tenant),
        )

    def _blocked(self, pending: leftovers.Pending, device: Device) -> bool:
        dialect = self.catalogue.get(device.dialect)
        return pending.blocks(
            device.username, device.client_id, scope_of(dialect, device.tenant), device.name
        )

    def _user(self, user: Account) -> Account:
        return replace(user, client_id=user.username) if self.username_is_client_id else user


class _Quotas:
    """What devices and tenants may take; each that is the same is one object."""

    def __init__(self, each: Quota, all_of_tenant: Quota, of_tenants: Mapping[str, Quota]) -> None:
        self._each, self._all_of_tenant = each, all_of_tenant
        self._default = limit_store.in_force(NO_QUOTA, each)
        self._of_tenants = of_tenants
        self._tenants: dict[str, Quota] = {}
        self.own: Mapping[int, Quota] = {}
        """Device number → its own values."""
        self.disconnected: Mapping[int, int] = {}
        """Device number → until when it is rejected because of a limit."""

    def of(self, device: Device) -> Quota:
        own = self.own.get(device.id)
        return self._default if own is None else limit_store.in_force(own, self._each)

    def locked(self, device: Device) -> bool:
        """Whether its login is rejected for now."""
        return not device.enabled or device.id in self.disconnected

    def of_tenant(self, name: str) -> Quota:
        found = self._tenants.get(name)
        if found is None:
            own = self._of_tenants.get(name, NO_QUOTA)
            found = self._tenants[name] = limit_store.in_force(own, self._all_of_tenant)
        return found


def _groups(dialect: Dialect, device: Device) -> tuple[str, ...]:
    """The groups that decide about its topics: elsewhere a change of groups changes no account."""
    return device.groups if device.groups and dialect.has_groups else ()


def _rights(dialect: Dialect, device: Device) -> Rights:
    mac = device.mac or ""
    if _groups(dialect, device) or _SPECIAL.search(f"{device.name}{device.tenant}{mac}"):
        return rights_of(dialect, device.identity)
    values = {DEVICE: device.name, TENANT: device.tenant, MAC: mac}
    return SharedRights(pattern_of(dialect, with_mac=bool(mac)), values)


def _without_rights(device: Device, login: Login, quotas: _Quotas) -> Account:
    """It keeps its login and may use no topic; the others keep their rights."""
    return Account(
        device.username,
        login.verifier,
        Rights(),
        locked=quotas.locked(device),
        client_id=device.client_id,
        next_verifier=login.next_verifier,
        certificates=login.certificates,
        tenant=device.tenant,
        quota=quotas.of(device),
        tenant_quota=quotas.of_tenant(device.tenant),
    )
