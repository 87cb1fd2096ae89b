"""SQL of people and API keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, Role, walled
from mooring.identity.scopes import parse, written
from mooring.people.model import ApiKey, User
from mooring.store.engine import now_ms
from mooring.store.room import require_room
from mooring.store.schema import api_keys, sessions, tenants, users

__all__ = [
    "SESSIONS_MAX",
    "Login",
    "Renewal",
    "admins_left",
    "any_user",
    "delete_user",
    "end_session",
    "end_sessions",
    "insert_key",
    "insert_session",
    "insert_user",
    "key_by_prefix",
    "key_page",
    "keys_by_prefix",
    "login_by_name",
    "login_by_subject",
    "logins_of_sessions",
    "name_taken",
    "renewal",
    "require_key_room",
    "require_user_room",
    "revoke",
    "set_disabled",
    "set_password_hash",
    "set_renewals",
    "set_role",
    "tenant_page",
    "user_by_name",
    "user_page",
]

SESSIONS_MAX = 100  # of one person; the oldest are ended

_USER = (
    users.c.name,
    users.c.role,
    users.c.tenant,
    users.c.disabled,
    users.c.created_at,
    users.c.issuer,
)
_KEY = (
    api_keys.c.prefix,
    api_keys.c.name,
    api_keys.c.role,
    api_keys.c.tenant,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
    api_keys.c.scopes,
)


# What every request needs is put together once: that costs more than running it.
_KEY_BY_PREFIX = sa.select(*_KEY, api_keys.c.digest).where(
    api_keys.c.prefix == sa.bindparam("prefix")
)
_LOGIN = sa.select(*_USER, users.c.id, users.c.password_hash)
_LOGIN_BY_NAME = _LOGIN.where(users.c.name == sa.bindparam("login"))
_LOGIN_OF_SESSION = _LOGIN.where(
    users.c.id == sa.bindparam("number"),
    users.c.id.in_(
        sa.select(sessions.c.user_id).where(sessions.c.token_id == sa.bindparam("session"))
    ),
)
_LOGINS_OF_SESSIONS = (
    _LOGIN.add_columns(sessions.c.user_id, sessions.c.token_id)
    .join(sessions, sessions.c.user_id == users.c.id)
    .where(sessions.c.token_id.in_(sa.bindparam("sessions", expanding=True)))
)
_KEYS = sa.select(*_KEY, api_keys.c.digest).where(
    api_keys.c.prefix.in_(sa.bindparam("prefixes", expanding=True))
)
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Login:
    """A user with what proves that it is them."""

    id: int
    user: User
    password_hash: str = field(repr=False)


def _user(row: Sequence[Any]) -> User:
    return User(row[0], Role.of(row[1]), row[2], bool(row[3]), row[4], row[5])


def _key(row: Sequence[Any]) -> ApiKey:
    prefix, name, role, tenant, created_at, expires_at, revoked_at, scopes = row[:8]
    return ApiKey(
        prefix, name, Role.of(role), tenant, created_at, expires_at, revoked_at, parse(scopes)
    )


def tenant_page(
    connection: Connection, actor: Actor, *, limit: int | None, after: str
) -> list[str]:
    """By name, from the one after ``after``."""
    statement = (
        sa.select(tenants.c.name)
        .where(tenants.c.name > after)
        .order_by(tenants.c.name)
        .limit(limit)
    )
    return list(connection.execute(walled(statement, tenants.c.name, actor)).scalars())


# ------------------------------------------------------------------ people


def any_user(connection: Connection) -> bool:
    return connection.execute(sa.select(users.c.id).limit(1)).first() is not None


def insert_user(
    connection: Connection, user: User, password_hash: str, *, subject: str | None = None
) -> None:
    """Raises ``sqlalchemy.exc.IntegrityError`` when the name is taken."""
    connection.execute(
        sa.insert(users).values(
            name=user.name,
            password_hash=password_hash,
            role=user.role.name.lower(),
            tenant=user.tenant,
            disabled=user.disabled,
            created_at=user.created_at,
            issuer=user.issuer,
            subject=subject,
        )
    )


def name_taken(connection: Connection, name: str) -> bool:
    found = connection.execute(sa.select(users.c.id).where(users.c.name == name))
    return found.first() is not None


def login_by_subject(connection: Connection, issuer: str, subject: str) -> Login | None:
    """The user whom a provider calls that."""
    statement = _LOGIN.where(users.c.issuer == issuer, users.c.subject == subject)
    return _login(connection.execute(statement).first())


def set_role(connection: Connection, name: str, role: Role, tenant: str | None) -> None:
    connection.execute(
        sa.update(users).where(users.c.name == name).values(role=role.name.lower(), tenant=tenant)
    )


def user_by_name(connection: Connection, actor: Actor, name: str) -> User | None:
    statement = sa.select(*_USER).where(users.c.name == name)
    row = connection.execute(walled(statement, users.c.tenant, actor)).first()
    return _user(row) if row is not None else None


def user_page(connection: Connection, actor: Actor, *, limit: int, after: str) -> list[User]:
    """By name, from the one after ``after``."""
    statement = sa.select(*_USER).where(users.c.name > after).order_by(users.c.name).limit(limit)
    return [_user(row) for row in connection.execute(walled(statement, users.c.tenant, actor))]


def _login(row: Sequence[Any] | None) -> Login | None:
    return Login(row[6], _user(row), row[7]) if row is not None else None


def login_by_name(connection: Connection, name: str) -> Login | None:
    return _login(connection.execute(_LOGIN_BY_NAME, {"login": name}).first())


def logins_of_sessions(
    connection: Connection, wanted: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], Login]:
    """The users of sessions, given as the user's number and the session, while they exist."""
    if len(wanted) == 1:
        number, session = wanted[0]
        found = _login(
            connection.execute(_LOGIN_OF_SESSION, {"number": number, "session": session}).first()
        )
        return {} if found is None else {wanted[0]: found}
    every: dict[tuple[int, str], Login] = {}
    for start in range(0, len(wanted), AT_ONCE):
        some = [session for _, session in wanted[start : start + AT_ONCE]]
        for row in connection.execute(_LOGINS_OF_SESSIONS, {"sessions": some}):
            every[row.user_id, row.token_id] = Login(row[6], _user(row), row[7])
    return every


def insert_session(
    connection: Connection, user_id: int, session: str, *, expires_at: int, origin: str
) -> None:
    """Adds a session, and deletes those that have expired or are too many."""
    at = now_ms()
    newest = (
        sa.select(sessions.c.id)
        .where(sessions.c.user_id == user_id)
        .order_by(sessions.c.id.desc())
        .limit(SESSIONS_MAX - 1)
    )
    connection.execute(
        sa.delete(sessions).where(
            sa.or_(
                sessions.c.expires_at <= at,
                sa.and_(sessions.c.user_id == user_id, sessions.c.id.not_in(newest)),
            )
        )
    )
    connection.execute(
        sa.insert(sessions).values(
            token_id=session,
            user_id=user_id,
            created_at=at,
            expires_at=expires_at,
            origin=origin[:64],
        )
    )


class Renewal(NamedTuple):
    """What is known of a session that is to be renewed."""

    login: Login
    expires_at: int
    renewals: int
    at: int  # of the last one


def renewal(connection: Connection, session: str) -> Renewal | None:
    """A session, locked until the transaction ends; ``None``: it has ended."""
    row = connection.execute(
        _LOGIN.add_columns(sessions.c.expires_at, sessions.c.renewals, sessions.c.renewed_at)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(sessions.c.token_id == session)
        .with_for_update(of=sessions)
    ).first()
    if row is None:
        return None
    return Renewal(
        Login(row.id, _user(row), row.password_hash),
        row.expires_at,
        row.renewals,
        row.renewed_at,
    )


def set_renewals(connection: Connection, session: str, number: int, at: int) -> None:
    connection.execute(
        sa.update(sessions)
        .where(sessions.c.token_id == session)
        .values(renewals=number, renewed_at=at)
    )


def end_session(connection: Connection, session: str) -> None:
    connection.execute(sa.delete(sessions).where(sessions.c.token_id == session))


def end_sessions(connection: Connection, name: str) -> None:
    """All of one user's."""
    who = sa.select(users.c.id).where(users.c.name == name)
    connection.execute(sa.delete(sessions).where(sessions.c.user_id.in_(who)))


def set_disabled(connection: Connection, name: str, *, disabled: bool) -> None:
    connection.execute(sa.update(users).where(users.c.name == name).values(disabled=disabled))


def set_password_hash(connection: Connection, name: str, password_hash: str) -> None:
    connection.execute(
        sa.update(users).where(users.c.name == name).values(password_hash=password_hash)
    )


def delete_user(connection: Connection, name: str) -> None:
    connection.execute(sa.delete(users).where(users.c.name == name))


def admins_left(connection: Connection, without: str) -> bool:
    """Whether somebody else can still administer the whole installation.

    The rows are locked where the engine can (SQLite has one writer anyway), so that two
    administrators cannot remove each other at once.
    """
    statement = (
        sa.select(users.c.name)
        .where(users.c.role == "admin", users.c.tenant.is_(None), ~users.c.disabled)
        .with_for_update()
    )
    return any(row[0] != without for row in connection.execute(statement))


# ------------------------------------------------------------------ keys


def require_user_room(connection: Connection, tenant: str | None, most: int) -> None:
    """Raises ``Conflict`` (``limit_reached``) where a tenant has ``most`` people."""
    require_room(
        connection,
        users,
        most,
        users.c.tenant.is_not_distinct_from(tenant),
        what="people with a login",
        setting="users_max_per_tenant",
    )


def require_key_room(connection: Connection, tenant: str | None, most: int, at: int) -> None:
    """Raises ``Conflict`` (``limit_reached``) where a tenant has ``most`` valid keys."""
    require_room(
        connection,
        api_keys,
        most,
        api_keys.c.tenant.is_not_distinct_from(tenant),
        api_keys.c.revoked_at.is_(None),
        sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > at),
        what="valid API keys",
        setting="api_keys_max_per_tenant",
    )


def insert_key(connection: Connection, key: ApiKey, digest: str) -> None:
    connection.execute(
        sa.insert(api_keys).values(
            prefix=key.prefix,
            digest=digest,
            name=key.name,
            role=key.role.name.lower(),
            tenant=key.tenant,
            created_at=key.created_at,
            expires_at=key.expires_at,
            scopes=written(key.scopes),
        )
    )


def key_by_prefix(connection: Connection, prefix: str) -> tuple[ApiKey, str] | None:
    """A key and its digest."""
    row = connection.execute(_KEY_BY_PREFIX, {"prefix": prefix}).first()
    return (_key(row), row[8]) if row is not None else None


def keys_by_prefix(
    connection: Connection, prefixes: Sequence[str]
) -> dict[str, tuple[ApiKey, str]]:
    """Keys and their digests, by prefix."""
    found: dict[str, tuple[ApiKey, str]] = {}
    for start in range(0, len(prefixes), AT_ONCE):
        some = prefixes[start : start + AT_ONCE]
        if len(some) == 1:
            one = key_by_prefix(connection, some[0])
            found |= {} if one is None else {some[0]: one}
            continue
        for row in connection.execute(_KEYS, {"prefixes": some}):
            found[row[0]] = (_key(row), row[8])
    return found


def key_page(
    connection: Connection, actor: Actor, *, limit: int, before: int | None
) -> list[tuple[int, ApiKey]]:
    """The newest first, each with its number; ``before`` continues below that number."""
    statement = sa.select(*_KEY, api_keys.c.id).order_by(api_keys.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(api_keys.c.id < before)
    rows = connection.execute(walled(statement, api_keys.c.tenant, actor))
    return [(row[8], _key(row)) for row in rows]


def revoke(connection: Connection, prefix: str) -> None:
    connection.execute(
        sa.update(api_keys)
        .where(api_keys.c.prefix == prefix, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now_ms())
    )
