"""Operations on people and API keys; logins are in ``people.logins``.

Each change is one transaction with its audit entry. Passwords and keys are given back once,
to be shown to a person; only their hashes are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.devices.store import ensure_tenant
from mooring.dialects import check_word
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.people import passwords, store, tokens
from mooring.people.logins import NAME, NAME_MAX, Logins, actor_of
from mooring.people.model import ApiKey, IssuedKey, NewKey, NewUser, User
from mooring.store.engine import now_ms
from mooring.store.tenants import tenant_exists

__all__ = ["FIRST_ADMIN", "People"]

FIRST_ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class People(Logins):
    """People and keys of one installation, and their logins."""

    # ------------------------------------------------------------------ people

    def end_sessions(self, actor: Actor, name: str, *, reason: str = "") -> None:
        """Ends every login of somebody; they may log in again.

        Raises:
            NotFound: nobody by that name whom the actor may see.
        """
        user = self.user(actor, name)
        with self.database.write() as connection:
            store.end_sessions(connection, name)
            audit_log.record(
                connection, actor, "user.logout", name, tenant=user.tenant, reason=reason
            )

    def ensure_admin(self) -> str | None:
        """Adds the first administrator where there is nobody at all.

        Returns:
            The generated password, the one time it is made; ``None`` otherwise.
        """
        with self.database.read() as connection:
            if store.any_user(connection):
                return None
        password = passwords.generate()
        hashed = passwords.hash_new(password)
        user = User(FIRST_ADMIN, Role.ADMIN, None, False, now_ms())
        try:
            with self.database.write() as connection:
                if store.any_user(connection):
                    return None
                store.insert_user(connection, user, hashed)
                audit_log.record(connection, SYSTEM, "user.add", user.name, reason="the first one")
        except IntegrityError:  # another process was quicker and has shown its password
            return None
        return password

    def add(self, actor: Actor, new: NewUser, *, reason: str = "") -> tuple[User, str | None]:
        """Adds a person. Returns them, and the password when one was generated.

        Raises:
            Invalid: the name or password breaks a rule.
            NotFound: there is no such tenant.
            Conflict: the name is taken.
        """
        actor.require(Role.ADMIN, new.tenant)
        _check_name(new.name, "user name")
        generated = passwords.generate() if new.password is None else None
        password = generated or new.password or ""
        passwords.check_new(password)
        hashed = passwords.hash_new(password)
        user = User(new.name, new.role, new.tenant, False, now_ms())
        try:
            with self.database.write() as connection:
                self._need_tenant(connection, new.tenant)
                store.require_user_room(connection, new.tenant, self.settings.users_max_per_tenant)
                store.insert_user(connection, user, hashed)
                audit_log.record(
                    connection, actor, "user.add", user.name, tenant=user.tenant, reason=reason
                )
        except IntegrityError as exc:
            raise Conflict(
                f"The user {new.name} already exists.",
                hint="Choose another name.",
                code="user_exists",
            ) from exc
        return user, generated

    def users(self, actor: Actor, *, limit: int = 50, after: str = "") -> list[User]:
        """By name, from the one after ``after``."""
        actor.require(Role.ADMIN, actor.tenant)
        with self.database.read() as connection:
            return store.user_page(connection, actor, limit=limit, after=after)

    def user(self, actor: Actor, name: str) -> User:
        """Raises ``NotFound`` when there is nobody by that name whom the actor may see."""
        actor.require(Role.ADMIN, actor.tenant)
        with self.database.read() as connection:
            return _found(store.user_by_name(connection, actor, name), name)

    def set_disabled(self, actor: Actor, name: str, *, disabled: bool, reason: str = "") -> User:
        """Enables or disables a user; a disabled user's tokens are rejected immediately.

        Raises:
            Conflict: nobody else could administer the installation then.
        """
        user = self.user(actor, name)
        with self.database.write() as connection:
            if disabled:
                self._keep_an_admin(connection, user)
            store.set_disabled(connection, name, disabled=disabled)
            store.end_sessions(connection, name)  # enabling must not revive old logins
            audit_log.record(
                connection,
                actor,
                "user.disable" if disabled else "user.enable",
                name,
                tenant=user.tenant,
                reason=reason,
            )
        return replace(user, disabled=disabled)

    def remove(self, actor: Actor, name: str, *, reason: str = "") -> None:
        """Raises ``Conflict`` when nobody else could administer the installation then."""
        user = self.user(actor, name)
        with self.database.write() as connection:
            self._keep_an_admin(connection, user)
            store.delete_user(connection, name)
            audit_log.record(
                connection, actor, "user.remove", name, tenant=user.tenant, reason=reason
            )

    def set_password(
        self, actor: Actor, name: str, password: str | None = None, *, reason: str = ""
    ) -> str | None:
        """Gives somebody a new password; their tokens are void from then on.

        Returns:
            The password when it was generated, because none was given.
        """
        user = self.user(actor, name)
        generated = passwords.generate() if password is None else None
        self._store_password(actor, user, generated or password or "", reason)
        return generated

    def change_own_password(self, actor: Actor, current: str, new: str) -> None:
        """Changes the own password; needs the old one. Open to every role.

        Raises:
            Unauthorized: the current password is wrong.
            TooMany: it has been wrong too often.
        """
        found = self._verified(actor.name, current, actor.origin)
        self._store_password(actor_of(found.user, actor.origin), found.user, new, "their own")

    def _store_password(self, actor: Actor, user: User, password: str, reason: str) -> None:
        if user.issuer is not None:
            raise Conflict(
                f"{user.name} signs in with a provider and has no password here.",
                hint="Disable the user here, or change the account at the provider.",
                code="user_of_provider",
            )
        passwords.check_new(password)
        hashed = passwords.hash_new(password)
        with self.database.write() as connection:
            store.set_password_hash(connection, user.name, hashed)
            store.end_sessions(connection, user.name)
            audit_log.record(
                connection, actor, "user.password", user.name, tenant=user.tenant, reason=reason
            )

    # ------------------------------------------------------------------ keys

    def add_key(self, actor: Actor, new: NewKey, *, reason: str = "") -> IssuedKey:
        """Makes an API key; its secret is in the answer and nowhere else.

        Raises:
            Invalid: the name breaks a rule, it would have expired already, or a scope needs a
                higher role.
            NotFound: there is no such tenant.
            Forbidden: the actor is itself a key with fewer scopes.
        """
        actor.require(Role.ADMIN, new.tenant)
        _check_name(new.name, "key's name")
        _check_scopes(actor, new)
        at = now_ms()
        if new.expires_at is not None and new.expires_at <= at:
            raise Invalid(
                "The key would have expired already.",
                hint="Give a time in the future, or none.",
                code="key_expired_already",
            )
        prefix, secret = tokens.new_key()
        key = ApiKey(prefix, new.name, new.role, new.tenant, at, new.expires_at, None, new.scopes)
        with self.database.write() as connection:
            self._need_tenant(connection, new.tenant)
            store.require_key_room(
                connection, new.tenant, self.settings.api_keys_max_per_tenant, at
            )
            store.insert_key(connection, key, tokens.digest(secret))
            audit_log.record(
                connection,
                actor,
                "key.add",
                f"{key.name} ({prefix})",
                tenant=key.tenant,
                reason=reason,
            )
        return IssuedKey(key, secret)

    def keys(
        self, actor: Actor, *, limit: int = 50, before: int | None = None
    ) -> list[tuple[int, ApiKey]]:
        """The newest first, each with its number; ``before`` continues below that number."""
        actor.require(Role.ADMIN, actor.tenant)
        with self.database.read() as connection:
            return store.key_page(connection, actor, limit=limit, before=before)

    def revoke_key(self, actor: Actor, prefix: str, *, reason: str = "") -> None:
        """Ends a key immediately; one that is revoked already stays so.

        Raises:
            NotFound: there is no such key that the actor may see.
        """
        actor.require(Role.ADMIN, actor.tenant)
        with self.database.write() as connection:
            found = store.key_by_prefix(connection, prefix)
            if found is None or not actor.sees(found[0].tenant):
                raise NotFound(
                    f"There is no API key {prefix}.",
                    hint="`mooring key list` shows every key.",
                    code="key_not_found",
                )
            store.revoke(connection, prefix)
            audit_log.record(
                connection,
                actor,
                "key.revoke",
                f"{found[0].name} ({prefix})",
                tenant=found[0].tenant,
                reason=reason,
            )

    # ------------------------------------------------------------------ tenants

    def tenants(self, actor: Actor, *, limit: int | None = None, after: str = "") -> list[str]:
        """The names of the tenants the actor sees, from the one after ``after``."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return store.tenant_page(connection, actor, limit=limit, after=after)

    def add_tenant(self, actor: Actor, name: str, *, reason: str = "") -> None:
        """Adds an owner of devices, before its first device.

        Raises:
            Conflict: it is there.
        """
        actor.require(Role.ADMIN, None)
        check_word(name, "tenant")
        with self.database.write() as connection:
            if not ensure_tenant(connection, name, self.settings.tenants_max):
                raise Conflict(
                    f"The tenant {name} already exists.",
                    hint="Choose another name.",
                    code="tenant_exists",
                )
            audit_log.record(connection, actor, "tenant.add", name, tenant=name, reason=reason)

    # ------------------------------------------------------------------ rules

    def _need_tenant(self, connection: Connection, tenant: str | None) -> None:
        if tenant is not None and not tenant_exists(connection, tenant):
            raise NotFound(
                f"There is no tenant {tenant}.",
                hint="Adding a device creates its tenant, or use `mooring tenant add`.",
                code="tenant_not_found",
            )

    def _keep_an_admin(self, connection: Connection, user: User) -> None:
        last = user.role is Role.ADMIN and user.tenant is None
        if last and not store.admins_left(connection, without=user.name):
            raise Conflict(
                f"{user.name} is the only administrator of the whole installation.",
                hint="Add another administrator first.",
                code="last_admin",
            )


def _found(user: User | None, name: str) -> User:
    if user is None:
        raise NotFound(
            f"There is no user {name}.",
            hint="`mooring user list` shows every user.",
            code="user_not_found",
        )
    return user


def _check_scopes(actor: Actor, new: NewKey) -> None:
    """A key is never of more use than its role, nor than the key that makes it."""
    if new.scopes is not None and not new.scopes:
        raise Invalid(
            "A key without any scope could not be used.",
            hint="Name at least one scope, or none for all that the role allows.",
            code="no_scopes",
        )
    beyond = sorted((new.scopes or frozenset()) - new.role.scopes)
    if beyond:
        raise Invalid(
            f"The scope {beyond[0]} is of no use to a key with the role {new.role.name.lower()}.",
            hint="Give the key a higher role, or leave the scope out.",
            code="scope_beyond_role",
            scope=str(beyond[0]),
        )
    for scope in sorted(new.role.scopes if new.scopes is None else new.scopes):
        actor.require_scope(scope)


def _check_name(name: str, what: str) -> None:
    if not NAME.fullmatch(name):
        raise Invalid(
            f"The {what} {name[:64]!a} cannot be used.",
            hint=f"Use up to {NAME_MAX} letters, digits and . _ - + @, a letter or digit first.",
            code="invalid_name",
        )
