"""Operations on broker users. Each function is one transaction.

As with devices, a change commits together with its pending change and its audit entry, and the
broker follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.broker import leftovers, store
from mooring.broker.users import BrokerUser, check_new, check_password
from mooring.changes import queue as change_queue
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.secrets import verifiers
from mooring.secrets.instance import Instance
from mooring.store.engine import Database
from mooring.store.room import require_room
from mooring.store.schema import broker_users, devices

__all__ = ["BrokerUsers", "taken_by_device"]


@dataclass(frozen=True, slots=True)
class BrokerUsers:
    """Broker users of one installation.

    Attributes:
        service: the platform's own usernames, which nobody else may have.
        most: how many there may be.
    """

    database: Database
    instance: Instance
    service: tuple[str, ...] = ()
    most: int = 10_000

    def create(
        self, actor: Actor, user: BrokerUser, *, password: str | None = None, reason: str = ""
    ) -> tuple[str, list[int]]:
        """Adds a user; generates its password unless one is given.

        Returns:
            The password, shown this once, and the change numbers to wait for.

        Raises:
            Invalid: the name, a filter or the given password breaks a rule.
            Conflict: the name is taken by another user or by a device.
        """
        actor.require(Role.ADMIN)
        check_new(user, service=self.service)
        secret = _secret(password)
        try:
            with self.database.write() as connection:
                if taken_by_device(connection, user.username):
                    raise Conflict(
                        f"{user.username} is the username of a device.",
                        hint="Choose another name.",
                        code="username_taken",
                    )
                require_room(
                    connection,
                    broker_users,
                    self.most,
                    what="broker users",
                    setting="broker_users_max",
                )
                store.insert_many(connection, [(user, verifiers.make(secret))])
                change = self._put(connection, user.username, secret)
                audit_log.record(
                    connection, actor, "broker_user.create", user.username, reason=reason
                )
        except IntegrityError as exc:
            raise Conflict(
                f"The broker user {user.username} already exists.",
                hint="Choose another name, or delete the existing user first.",
                code="username_taken",
            ) from exc
        return secret, [change]

    def set_password(
        self, actor: Actor, username: str, *, password: str | None = None, reason: str = ""
    ) -> tuple[str, list[int]]:
        """Gives a user a new password; its sessions end. Returns as ``create`` does.

        Raises:
            NotFound: no such user.
        """
        actor.require(Role.ADMIN)
        secret = _secret(password)
        with self.database.write() as connection:
            if not store.set_verifier(connection, username, verifiers.make(secret)):
                raise _unknown(username)
            change = self._put(connection, username, secret)
            audit_log.record(connection, actor, "broker_user.password", username, reason=reason)
        return secret, [change]

    def delete(self, actor: Actor, username: str, *, reason: str = "") -> list[int]:
        """Deletes a user; its sessions end. Returns the change numbers to wait for.

        Raises:
            NotFound: no such user.
        """
        actor.require(Role.ADMIN)
        with self.database.write() as connection:
            if not store.delete(connection, username):
                raise _unknown(username)
            leftovers.note(connection, username)
            change = change_queue.enqueue(connection, "remove", username)
            audit_log.record(connection, actor, "broker_user.delete", username, reason=reason)
        return [change]

    def get(self, actor: Actor, username: str) -> BrokerUser:
        """Raises ``NotFound`` when there is no such user."""
        actor.require(Role.VIEWER)
        with self.database.read() as connection:
            user = store.find(connection, username)
        if user is None:
            raise _unknown(username)
        return user

    def page(self, actor: Actor, *, limit: int = 50, after: str = "") -> list[BrokerUser]:
        """Users by name, from the one after ``after``."""
        actor.require(Role.VIEWER)
        with self.database.read() as connection:
            return store.listed(connection, limit=limit, after=after)

    def _put(self, connection: Connection, username: str, secret: str) -> int:
        return change_queue.enqueue(
            connection, "put", username, sealed_secret=self.instance.seal(secret)
        )


def taken_by_device(connection: Connection, username: str) -> bool:
    """Whether a device logs in under this name."""
    statement = sa.select(devices.c.id).where(devices.c.username == username)
    return connection.execute(statement).first() is not None


def _secret(password: str | None) -> str:
    if password is None:
        return verifiers.new_password()
    check_password(password)
    return password


def _unknown(username: str) -> NotFound:
    return NotFound(
        f"There is no broker user {username}.",
        hint="`mooring broker users list` shows all broker users, `mooring device list` all "
        "devices.",
        code="broker_user_not_found",
    )
