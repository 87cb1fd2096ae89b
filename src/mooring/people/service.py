"""Operations on people and API keys, and the owner of a token or key.

Each change is one transaction with its audit entry. Passwords and keys are given back once,
to be shown to a person; only their hashes are stored.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.devices.store import ensure_tenant
from mooring.dialects import check_word
from mooring.errors import Conflict, Forbidden, Invalid, NotFound, TooMany, Unauthorized
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.identity.throttle import Throttles
from mooring.people import passwords, store, tokens
from mooring.people.model import ApiKey, IssuedKey, NewKey, NewUser, Session, User
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally

__all__ = ["FIRST_ADMIN", "People"]

FIRST_ADMIN = "admin"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
REPEAT_MS = 10_000  # for which the former refresh token is accepted
NAME_MAX = 128
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@+\-]{{0,{NAME_MAX - 1}}}")


@dataclass(frozen=True, slots=True)
class People:
    """People and keys of one installation.

    Attributes:
        database: where they are.
        instance: its session key signs login tokens.
        settings: how long a login is valid.
        throttles: how often a login may fail.
        tally: counts the rejections.
    """

    database: Database
    instance: Instance
    settings: Settings
    throttles: Throttles
    tally: Tally

    # ------------------------------------------------------------------ who is asking

    def login(self, name: str, password: str, *, address: str = "local") -> Session:
        """A token for somebody who knows their password.

        Raises:
            Unauthorized: name or password is wrong, or the account is disabled; the answer
                does not tell which, and takes as long either way.
            TooMany: too many logins have failed in the last minute.
        """
        found = self._verified(name, password, address)
        at = now_ms()
        session = tokens.new_session()
        ends = at + int(self.settings.login_days * DAY_MS)
        with self.database.write() as connection:
            now = store.login_by_name(connection, name)
            if now is None or now.user.disabled or self._mark(now) != self._mark(found):
                raise _refused()  # changed since the password was checked
            store.insert_session(connection, found.id, session, expires_at=ends, origin=address)
            actor = _actor(found.user, address)
            audit_log.record(connection, actor, "login", found.user.name, tenant=found.user.tenant)
        return self._session(found, tokens.Refresh(session, 0), ends, address)

    def renew(self, token: str, *, address: str = "local") -> Session:
        """A new login token for a refresh token, which is replaced by the next one.

        The one before the newest is accepted for some seconds, because an answer may be lost.
        Later it is in the wrong hands, here or there: the login ends.

        Raises:
            Unauthorized: it is not valid, was used before, or the login has ended.
        """
        given = tokens.read_refresh(self.instance.session_key, token)
        at = now_ms()
        with self.database.write() as connection:
            found = store.renewal(connection, given.session)
            if found is None or found.login.user.disabled or at >= found.expires_at:
                raise _ended()
            stolen = not (
                given.renewals == found.renewals
                or (given.renewals == found.renewals - 1 and 0 <= at - found.at < REPEAT_MS)
            )
            if stolen:
                store.end_session(connection, given.session)
                audit_log.record(
                    connection,
                    _actor(found.login.user, address),
                    "login.refresh_reused",
                    found.login.user.name,
                    tenant=found.login.user.tenant,
                    reason="a refresh token was used twice: the login has ended",
                )
            elif given.renewals == found.renewals:
                store.set_renewals(connection, given.session, given.renewals + 1, at)
        if stolen:
            self.tally.count("logins_refresh_reused")
            raise _ended()
        following = tokens.Refresh(given.session, max(found.renewals, given.renewals + 1))
        return self._session(found.login, following, found.expires_at, address)

    def _session(
        self, login: store.Login, refresh: tokens.Refresh, ends: int, address: str
    ) -> Session:
        at = now_ms()
        expires = min(at + int(self.settings.session_hours * HOUR_MS), ends)
        claims = tokens.Claims(login.id, self._mark(login), refresh.session)
        key = self.instance.session_key
        token = tokens.issue(key, claims, at_ms=at, expires_ms=expires)
        again = tokens.issue_refresh(key, refresh)
        return Session(_actor(login.user, address), token, expires, again, ends)

    def logout(self, actor: Actor, token: str, *, everywhere: bool = False) -> None:
        """Ends the session of a token, or every session of its owner.

        Raises:
            Forbidden: it is an API key, which has no session.
        """
        if token.startswith(tokens.KEY_START):
            raise Forbidden(
                "An API key has no login to end.",
                hint="Revoke the key: DELETE /api/v1/api-keys/{prefix}.",
                code="not_a_person",
            )
        claims = tokens.read(self.instance.session_key, token, at_ms=now_ms())
        with self.database.write() as connection:
            if everywhere:
                store.end_sessions(connection, actor.name)
            else:
                store.end_session(connection, claims.session)
            audit_log.record(
                connection,
                actor,
                "logout",
                actor.name,
                tenant=actor.tenant,
                reason="everywhere" if everywhere else "",
            )

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

    def _verified(self, name: str, password: str, address: str) -> store.Login:
        """The login of somebody who knows their password; see ``login``."""
        with self.throttles.people.attempt(address, name, refuse=self._too_many) as attempt:
            with self.database.read() as connection:
                found = store.login_by_name(connection, name)
            # A password that could not have been set is not worth 64 MiB; the work is still done.
            right = passwords.matches(
                password[: passwords.MAX_CHARACTERS + 1], found.password_hash if found else None
            )
            if found is None or not right or found.user.disabled:
                attempt.failed()
                # A name that is not known may be a password typed into the wrong field.
                self._note(
                    Actor("nobody", Role.VIEWER, origin=address),
                    "login.failed",
                    found.user.name if found else "unknown name",
                    found.user.tenant if found else None,
                )
                raise _refused()
            attempt.succeeded()
            return found

    def _too_many(self, seconds: int) -> TooMany:
        self.tally.count("logins_throttled")
        return TooMany(
            "Too many logins have failed.",
            hint=f"Try again in {seconds} s.",
            code="login_throttled",
            retry_after=seconds,
        )

    def authenticate(self, secret: str, *, origin: str = "local") -> Actor:
        """The owner of a login token or an API key.

        Raises:
            Unauthorized: nobody, or not any more.
        """
        (found,) = self.authenticate_all([secret], origin=origin).values()
        if isinstance(found, Unauthorized):
            raise found
        return found

    def authenticate_all(
        self, secrets: Iterable[str], *, origin: str = "local"
    ) -> dict[str, Actor | Unauthorized]:
        """The owners of many login tokens and API keys, each with its own answer; two statements
        for every 500."""
        answers: dict[str, Actor | Unauthorized] = {}
        claims: dict[str, tokens.Claims] = {}
        prefixes: dict[str, str | None] = {}
        at = now_ms()
        for secret in secrets:
            if secret.startswith(tokens.KEY_START):
                prefixes[secret] = tokens.split_key(secret)
                continue
            try:
                claims[secret] = tokens.read(self.instance.session_key, secret, at_ms=at)
            except Unauthorized as exc:
                answers[secret] = exc
        asked = [(one.user_id, one.session) for one in claims.values()]
        named = [one for one in prefixes.values() if one]
        logins: dict[tuple[int, str], store.Login] = {}
        keys: dict[str, tuple[ApiKey, str]] = {}
        if asked or named:
            with self.database.read(brief=True) as connection:
                logins = store.logins_of_sessions(connection, asked)
                keys = store.keys_by_prefix(connection, named)
        for secret, said in claims.items():
            answers[secret] = self._of_login(said, logins.get((said.user_id, said.session)), origin)
        for secret, prefix in prefixes.items():
            answers[secret] = _of_key(secret, keys.get(prefix or ""), origin, at)
        return answers

    def _of_login(
        self, claims: tokens.Claims, found: store.Login | None, origin: str
    ) -> Actor | Unauthorized:
        if (
            found is None
            or found.user.disabled
            or not hmac.compare_digest(self._mark(found), claims.mark)
        ):
            return Unauthorized(
                "The login is no longer valid.", hint="Log in again.", code="token_void"
            )
        return _actor(found.user, origin)

    # ------------------------------------------------------------------ people

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
        self._store_password(_actor(found.user, actor.origin), found.user, new, "their own")

    def _store_password(self, actor: Actor, user: User, password: str, reason: str) -> None:
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
            Invalid: the name breaks a rule, or it would have expired already.
            NotFound: there is no such tenant.
        """
        actor.require(Role.ADMIN, new.tenant)
        _check_name(new.name, "key's name")
        at = now_ms()
        if new.expires_at is not None and new.expires_at <= at:
            raise Invalid(
                "The key would have expired already.",
                hint="Give a time in the future, or none.",
                code="key_expired_already",
            )
        prefix, secret = tokens.new_key()
        key = ApiKey(prefix, new.name, new.role, new.tenant, at, new.expires_at, None)
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

    def _mark(self, login: store.Login) -> str:
        return tokens.mark_of(self.instance.session_key, login.password_hash)

    def _note(self, actor: Actor, action: str, subject: str, tenant: str | None) -> None:
        with self.database.write() as connection:
            audit_log.record(connection, actor, action, subject, tenant=tenant)

    def _need_tenant(self, connection: Connection, tenant: str | None) -> None:
        if tenant is not None and not store.tenant_exists(connection, tenant):
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


def _refused() -> Unauthorized:
    return Unauthorized(
        "The name or password is wrong.",
        hint="An administrator can set a new password: `mooring user password NAME`.",
        code="login_failed",
    )


def _of_key(
    secret: str, found: tuple[ApiKey, str] | None, origin: str, at: int
) -> Actor | Unauthorized:
    if found is None or not hmac.compare_digest(tokens.digest(secret), found[1]):
        return Unauthorized("The API key is not valid.", hint="Make a new one.", code="key_invalid")
    key = found[0]
    if key.revoked_at is not None:
        return Unauthorized(
            "The API key has been revoked.", hint="Make a new one.", code="key_revoked"
        )
    if key.expires_at is not None and at >= key.expires_at:
        return Unauthorized("The API key has expired.", hint="Make a new one.", code="key_expired")
    return Actor(f"key:{key.name}", key.role, key.tenant, origin)


def _ended() -> Unauthorized:
    return Unauthorized("The login has ended.", hint="Log in again.", code="refresh_void")


def _actor(user: User, origin: str) -> Actor:
    return Actor(user.name, user.role, user.tenant, origin)


def _found(user: User | None, name: str) -> User:
    if user is None:
        raise NotFound(
            f"There is no user {name}.",
            hint="`mooring user list` shows every user.",
            code="user_not_found",
        )
    return user


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"The {what} {name[:64]!a} cannot be used.",
            hint=f"Use up to {NAME_MAX} letters, digits and . _ - + @, a letter or digit first.",
            code="invalid_name",
        )
