"""SQL of devices, their groups and credentials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.problem_store import mentions
from mooring.devices.group_store import add_members
from mooring.devices.model import Device, Login
from mooring.identity.actor import Actor, Walled, walled
from mooring.store.engine import now_ms
from mooring.store.keyed import Keyed, Matches
from mooring.store.room import limit_reached, require_room
from mooring.store.schema import (
    certificates,
    credentials,
    device_groups,
    device_limits,
    device_state,
    devices,
    latest,
    limit_disconnects,
    metrics_refused,
    removed_devices,
    rotations,
    sequences,
    sightings,
    strangers,
    tenants,
)

__all__ = [
    "by_number",
    "by_numbers",
    "by_username",
    "by_usernames",
    "conditions",
    "count_devices",
    "delete",
    "enabled_usernames",
    "ensure_tenant",
    "find",
    "insert",
    "page",
    "scope",
    "set_enabled",
    "set_verifier",
    "span",
    "tenant_names",
    "twin",
    "verifiers",
    "with_logins",
]

# What is derived from one device and is removed with it.
_OF_ONE = (
    *(latest, device_state, sequences, metrics_refused, credentials, device_groups),
    device_limits,
    limit_disconnects,
)

_COLUMNS = (
    devices.c.id,
    devices.c.tenant,
    devices.c.name,
    devices.c.label,
    devices.c.dialect,
    devices.c.mac,
    devices.c.username,
    devices.c.client_id,
    devices.c.enabled,
    devices.c.created_at,
)


# What every change needs is put together once: that costs more than running it.
_TENANT = sa.select(tenants.c.name).where(tenants.c.name == sa.bindparam("tenant"))
_ADDING = sa.bindparam("adding", type_=sa.BigInteger)
_COUNT = (
    sa.update(tenants)
    .where(
        tenants.c.name == sa.bindparam("tenant"),
        tenants.c.devices + _ADDING <= sa.bindparam("most", type_=sa.BigInteger),
    )
    .values(devices=tenants.c.devices + _ADDING)
)
_INSERT = sa.insert(devices).returning(devices.c.id)
_CREDENTIAL = sa.insert(credentials)


_DEVICE = sa.bindparam("device", type_=sa.BigInteger)
_DELETE_OF_ONE = [sa.delete(table).where(table.c.device_id == _DEVICE) for table in _OF_ONE]
_DELETE_SIGHTINGS = sa.delete(sightings).where(sightings.c.username == sa.bindparam("username"))
_DELETE = sa.delete(devices).where(devices.c.id == _DEVICE)
_GONE = sa.bindparam("gone", type_=sa.BigInteger)
_DISCOUNT = (
    sa.update(tenants)
    .where(tenants.c.name == sa.bindparam("tenant"), tenants.c.devices >= _GONE)
    .values(devices=tenants.c.devices - _GONE)
)
_REMOVED = sa.insert(removed_devices)
_DELETE_STRANGER = sa.delete(strangers).where(
    strangers.c.dialect == sa.bindparam("dialect"), strangers.c.name == sa.bindparam("name")
)
_SET_ENABLED = (
    sa.update(devices).where(devices.c.id == _DEVICE).values(enabled=sa.bindparam("to_be"))
)
_SCOPE = sa.select(devices.c.scope).where(devices.c.id == _DEVICE)
_BY_NUMBER = sa.select(*_COLUMNS).where(devices.c.id == _DEVICE)


def _finding(*, by_mac: bool, in_tenant: bool) -> Walled:
    """The statement of ``find``."""
    names = [devices.c.name == sa.bindparam("word"), devices.c.username == sa.bindparam("word")]
    if by_mac:
        names.append(devices.c.mac_key == sa.bindparam("mac_key"))
    statement = sa.select(*_COLUMNS).where(sa.or_(*names)).order_by(devices.c.id)
    if in_tenant:
        statement = statement.where(devices.c.tenant == sa.bindparam("tenant"))
    return Walled(statement, devices.c.tenant)


_FIND = {
    (by_mac, in_tenant): _finding(by_mac=by_mac, in_tenant=in_tenant)
    for by_mac in (False, True)
    for in_tenant in (False, True)
}


def _logins(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Devices with their verifiers."""
    return (
        sa.select(*_COLUMNS, credentials.c.verifier)
        .outerjoin(credentials, credentials.c.device_id == devices.c.id)
        .where(which)
        .order_by(devices.c.id)
        .limit(sa.bindparam("most"))
    )


def _groups(these: Matches) -> sa.Select[Any]:
    return (
        sa.select(device_groups.c.device_id, device_groups.c.group_name)
        .where(these(device_groups.c.device_id))
        .order_by(device_groups.c.group_name)
    )


def _rotations(these: Matches) -> sa.Select[Any]:
    return sa.select(
        rotations.c.device_id, rotations.c.old_verifier, rotations.c.new_verifier
    ).where(rotations.c.finished_at.is_(None), these(rotations.c.device_id))


def _certificates(these: Matches) -> sa.Select[Any]:
    return (
        # A later device of the same username does not inherit what an earlier one was given.
        sa.select(certificates.c.device_id, certificates.c.serial)
        .join(devices, devices.c.id == certificates.c.device_id)
        .where(
            certificates.c.revoked_at.is_(None),
            devices.c.username == certificates.c.username,
            these(certificates.c.device_id),
        )
        .order_by(certificates.c.id)
    )


def _in_span(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return column.between(sa.bindparam("first"), sa.bindparam("last"))


_OF_DEVICES = (_groups, _rotations, _certificates)
_LOGINS_NAMED = Keyed(lambda match: _logins(match(devices.c.username)))
_NUMBERED = [Keyed(make) for make in _OF_DEVICES]
_GROUPS_OF = _NUMBERED[0]
_LOGINS_AFTER = _logins(devices.c.id > sa.bindparam("after"))
_SPANNED = [make(_in_span) for make in _OF_DEVICES]
_EVERY_GROUP = _groups(lambda _: sa.true())


def _members(connection: Connection, numbers: Sequence[int]) -> Iterable[Any]:
    """Numbers and groups of these devices, or of every device where they are many."""
    if len(numbers) <= 500:
        return _GROUPS_OF.execute(connection, numbers)
    return connection.execute(_EVERY_GROUP)


def _with_groups(connection: Connection, rows: Iterable[Sequence[Any]]) -> list[Device]:
    found = [tuple(row) for row in rows]
    groups: dict[int, list[str]] = defaultdict(list)
    if found:
        numbers = [row[0] for row in found]
        for device_id, group in _members(connection, numbers):
            groups[device_id].append(group)
    return [_device(row, tuple(groups.get(row[0], ()))) for row in found]


def _device(row: Sequence[Any], groups: tuple[str, ...]) -> Device:
    number, tenant, name, label, dialect, mac, username, client_id, enabled, created_at = row
    return Device(
        number,
        tenant,
        name,
        label,
        dialect,
        mac,
        username,
        client_id,
        bool(enabled),
        created_at,
        groups,
    )


def ensure_tenant(connection: Connection, name: str, most: int) -> bool:
    """Adds a tenant that does not exist yet; returns whether it did.

    Args:
        most: how many tenants there may be.

    Raises:
        Conflict: ``limit_reached``.
    """
    exists = connection.execute(_TENANT, {"tenant": name}).first()
    if exists is None:
        require_room(connection, tenants, most, what="tenants", setting="tenants_max")
        connection.execute(sa.insert(tenants).values(name=name, created_at=now_ms()))
    return exists is None


def count_devices(connection: Connection, tenant: str, most: int, adding: int = 1) -> None:
    """Counts more devices of a tenant, in the transaction that adds them.

    Raises:
        Conflict: ``limit_reached``: the tenant has ``most`` devices.
    """
    counted = connection.execute(_COUNT, {"tenant": tenant, "most": most, "adding": adding})
    if counted.rowcount == 0:
        raise limit_reached(f"devices of the tenant {tenant}", most, "devices_max_per_tenant")


def tenant_names(connection: Connection, actor: Actor) -> list[str]:
    statement = walled(sa.select(tenants.c.name).order_by(tenants.c.name), tenants.c.name, actor)
    return list(connection.execute(statement).scalars())


def insert(  # one row, its credential and its groups
    connection: Connection,
    device: Device,
    *,
    scope: str,
    mac_key: str | None,
    verifier: str | None,
) -> Device:
    """Adds the device in the caller's transaction and returns it with its number.

    Raises:
        sqlalchemy.exc.IntegrityError: a name, username or MAC address is taken.
    """
    row = {
        "tenant": device.tenant,
        "name": device.name,
        "scope": scope,
        "label": device.label,
        "dialect": device.dialect,
        "mac": device.mac,
        "mac_key": mac_key,
        "username": device.username,
        "client_id": device.client_id,
        "enabled": device.enabled,
        "created_at": device.created_at,
    }
    number = connection.execute(_INSERT, row).scalar_one()
    connection.execute(
        _CREDENTIAL,
        {"device_id": number, "verifier": verifier, "created_at": device.created_at},
    )
    add_members(connection, [(number, device.tenant, group) for group in device.groups])
    return Device(
        number,
        device.tenant,
        device.name,
        device.label,
        device.dialect,
        device.mac,
        device.username,
        device.client_id,
        device.enabled,
        device.created_at,
        device.groups,
    )


def find(
    connection: Connection,
    actor: Actor,
    *,
    word: str,
    tenant: str | None = None,
    mac_key: str | None = None,
) -> list[Device]:
    """Devices that go by ``word``: name, username or MAC address."""
    asked: dict[str, Any] = {"word": word}
    if mac_key:
        asked["mac_key"] = mac_key
    if tenant is not None:
        asked["tenant"] = tenant
    statement = _FIND[bool(mac_key), tenant is not None]
    return _with_groups(connection, statement.execute(connection, actor, asked))


def by_number(connection: Connection, number: int) -> Device | None:
    found = _with_groups(connection, connection.execute(_BY_NUMBER, {"device": number}))
    return found[0] if found else None


def scope(connection: Connection, device_id: int) -> str | None:
    """Within what the device's name is unique."""
    return connection.execute(_SCOPE, {"device": device_id}).scalar()


def twin(connection: Connection, device: Device, mac_key: str | None) -> Device | None:
    """The device of the same tenant that has something this one wants: name, login, MAC."""
    same = [
        devices.c.name == device.name,
        devices.c.username == device.username,
        devices.c.client_id == device.client_id,
        *([devices.c.mac_key == mac_key] if mac_key else []),
    ]
    statement = (
        sa.select(*_COLUMNS)
        .where(devices.c.tenant == device.tenant, sa.or_(*same))
        .order_by(devices.c.id)
        .limit(1)
    )
    found = _with_groups(connection, connection.execute(statement))
    return found[0] if found else None


def by_username(connection: Connection, username: str) -> Device | None:
    found = by_usernames(connection, [username])
    return found[0] if found else None


def by_usernames(connection: Connection, usernames: Sequence[str]) -> list[Device]:
    """The devices with these usernames, at most 500."""
    statement = sa.select(*_COLUMNS).where(devices.c.username.in_(usernames))
    return _with_groups(connection, connection.execute(statement))


def page(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    after: int = 0,
    tenant: str | None = None,
    dialect: str | None = None,
    search: str | None = None,
) -> list[Device]:
    """Devices in the order they were added, from the one after number ``after``."""
    which = conditions(actor, tenant=tenant, dialect=dialect, search=search)
    statement = sa.select(*_COLUMNS).where(devices.c.id > after, *which)
    rows = connection.execute(statement.order_by(devices.c.id).limit(limit))
    return _with_groups(connection, rows)


def conditions(
    actor: Actor, *, tenant: str | None, dialect: str | None, search: str | None
) -> list[sa.ColumnElement[bool]]:
    """What narrows a list of devices, the wall between tenants included."""
    found: list[sa.ColumnElement[bool]] = []
    if actor.tenant is not None:
        found.append(devices.c.tenant == actor.tenant)
    if tenant is not None:
        found.append(devices.c.tenant == tenant)
    if dialect is not None:
        found.append(devices.c.dialect == dialect)
    if search:
        found.append(mentions(search.lower()))
    return found


def by_numbers(connection: Connection, numbers: Sequence[int]) -> list[Device]:
    """The devices with these numbers, in their order; at most 500."""
    statement = sa.select(*_COLUMNS).where(devices.c.id.in_(numbers))
    found = {d.id: d for d in _with_groups(connection, connection.execute(statement))}
    return [found[number] for number in numbers if number in found]


def enabled_usernames(connection: Connection) -> set[str]:
    """Usernames of the enabled devices of every tenant."""
    statement = sa.select(devices.c.username).where(devices.c.enabled)
    return set(connection.execute(statement).scalars())


def span(connection: Connection, first: int, last: int | None, *, limit: int) -> list[Device]:
    """Devices from one number to another (``None``: to the end), the lowest first."""
    statement = sa.select(*_COLUMNS).where(devices.c.id >= first)
    if last is not None:
        statement = statement.where(devices.c.id <= last)
    return _with_groups(
        connection, connection.execute(statement.order_by(devices.c.id).limit(limit))
    )


def verifiers(connection: Connection, usernames: Sequence[str] | None = None) -> dict[str, str]:
    """Username → verifier of devices that have one."""
    statement = (
        sa.select(devices.c.username, credentials.c.verifier)
        .join(credentials, credentials.c.device_id == devices.c.id)
        .where(
            credentials.c.verifier.is_not(None),
            sa.or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > now_ms()),
        )
    )
    if usernames is not None:
        statement = statement.where(devices.c.username.in_(usernames))
    return {username: verifier or "" for username, verifier in connection.execute(statement)}


def with_logins(
    connection: Connection, usernames: Sequence[str] | None = None, *, after: int = 0, limit: int
) -> list[tuple[Device, Login]]:
    """Devices and what they may log in with, in the order they were added.

    Args:
        usernames: these, at most 500; ``None``: whichever come after number ``after``.
        limit: how many at most.
    """
    # One statement for each kind of row, however many devices there are.
    if usernames is None:
        found = connection.execute(_LOGINS_AFTER, {"after": after, "most": limit}).all()
    else:
        found = _LOGINS_NAMED.execute(connection, usernames, most=limit).all()
    rows = [tuple(row) for row in found]
    if not rows:
        return []
    if usernames is None:
        span = {"first": rows[0][0], "last": rows[-1][0]}
        of_each = [connection.execute(one, span).all() for one in _SPANNED]
    else:
        numbers = [row[0] for row in rows]
        of_each = [one.execute(connection, numbers).all() for one in _NUMBERED]
    if not any(of_each):  # the usual case, of which a fleet has 100,000
        return [(_device(row[:-1], ()), Login(row[-1])) for row in rows]
    groups: dict[int, list[str]] = defaultdict(list)
    for number, group in of_each[0]:
        groups[number].append(group)
    rotating = {number: (old, new) for number, old, new in of_each[1]}
    serials: dict[int, list[str]] = defaultdict(list)
    for number, serial in of_each[2]:
        serials[number].append(serial)
    return [
        (
            _device(row[:-1], tuple(groups.get(row[0], ()))),
            _login(row[-1], rotating.get(row[0]), serials.get(row[0], ())),
        )
        for row in rows
    ]


def _login(
    verifier: str | None,
    rotating: tuple[str | None, str | None] | None,
    serials: Sequence[str],
) -> Login:
    other = None
    if verifier is not None and rotating is not None:  # whichever of the two is not in force
        old, new = rotating
        other = old if verifier == new else new
    return Login(verifier, other, tuple(serials))


def set_verifier(connection: Connection, username: str, verifier: str) -> None:
    device = sa.select(devices.c.id).where(devices.c.username == username).scalar_subquery()
    connection.execute(
        sa.update(credentials).where(credentials.c.device_id == device).values(verifier=verifier)
    )


def set_enabled(connection: Connection, device_id: int, *, enabled: bool) -> None:
    connection.execute(_SET_ENABLED, {"device": device_id, "to_be": enabled})


def delete(connection: Connection, device: Device) -> None:
    """Removes the device and what is derived from it. Its messages stay until retention
    takes them: their number is never given to another device."""
    for statement in _DELETE_OF_ONE:
        connection.execute(statement, {"device": device.id})
    connection.execute(_DELETE_SIGHTINGS, {"username": device.username})
    gone = connection.execute(_DELETE, {"device": device.id}).rowcount
    connection.execute(_DISCOUNT, {"tenant": device.tenant, "gone": gone})
    if gone:
        said = {"device_id": device.id, "tenant": device.tenant, "removed_at": now_ms()}
        connection.execute(_REMOVED, said)
    connection.execute(_DELETE_STRANGER, {"dialect": device.dialect, "name": device.name})
