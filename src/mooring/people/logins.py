"""Logins: who is asking, and for how long that is believed.

Each change is one transaction with its audit entry. Tokens and refresh tokens are not stored: what
counts is the row of the session, which a logout deletes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.errors import Conflict, Forbidden, NotFound, TooMany, Unauthorized
from mooring.identity.actor import KEY, Actor, Role
from mooring.identity.throttle import Throttles
from mooring.people import passwords, store, tokens
from mooring.people.model import ApiKey, Session, User, Vouched
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally
from mooring.store.tenants import tenant_exists

__all__ = ["NAME", "NAME_MAX", "Logins", "actor_of"]

NAME_MAX = 128
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@+\-]{{0,{NAME_MAX - 1}}}")

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
REPEAT_MS = 10_000  # for which the former refresh token is accepted


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins of one installation.

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
            actor = actor_of(found.user, address)
            audit_log.record(connection, actor, "login", found.user.name, tenant=found.user.tenant)
        return self._session(found, tokens.Refresh(session, 0), ends, address)

    def sign_in(self, vouched: Vouched, *, address: str = "local") -> Session:
        """A token for somebody whom a sign-in provider vouches for.

        Who it is depends on issuer and subject alone: a user of the same name or e-mail address is
        another one. A new one is added; role and tenant follow the provider at every login.

        Raises:
            Forbidden: the user is disabled here.
            NotFound: there is no such tenant.
            Conflict: ``limit_reached``.
        """
        at = now_ms()
        session = tokens.new_session()
        hours = min(self.settings.login_days * 24, self.settings.oidc_login_hours)
        ends = at + int(hours * HOUR_MS)
        try:
            with self.database.write() as connection:
                found = self._vouched(connection, vouched, address)
                actor = actor_of(found.user, address)
                store.insert_session(connection, found.id, session, expires_at=ends, origin=address)
                audit_log.record(
                    connection,
                    actor,
                    "login",
                    found.user.name,
                    tenant=found.user.tenant,
                    reason="with the sign-in provider",
                )
        except IntegrityError as exc:  # the same person, or the same name, in another process
            raise Conflict(
                "Two logins added the same user.", hint="Sign in again.", code="user_exists"
            ) from exc
        except Forbidden:
            self._note(
                Actor("nobody", Role.VIEWER, origin=address),
                "login.failed",
                "a disabled user",
                None,
            )
            raise
        return self._session(found, tokens.Refresh(session, 0), ends, address)

    def _vouched(self, connection: Connection, vouched: Vouched, address: str) -> store.Login:
        found = store.login_by_subject(connection, vouched.issuer, vouched.subject)
        if found is not None and found.user.disabled:
            raise Forbidden(
                "This user is disabled.",
                hint="An administrator can enable it: `mooring user enable NAME`.",
                code="user_disabled",
            )
        role, tenant = vouched.role, vouched.tenant
        now = None if found is None else (found.user.role, found.user.tenant)
        if found is not None and now == (role, tenant):
            return found
        if tenant is not None and not tenant_exists(connection, tenant):
            raise NotFound(
                f"There is no tenant {tenant}.",
                hint="Add it, or correct the setting oidc_roles.",
                code="tenant_not_found",
            )
        words = f"{role.name.lower()}, tenant {tenant or 'all'}, of the sign-in provider"
        if found is None:
            store.require_user_room(connection, tenant, self.settings.users_max_per_tenant)
            name = _free_name(connection, vouched)
            user = User(name, role, tenant, False, now_ms(), vouched.issuer)
            # No password fits this, and it is another one for each user: tokens carry its mark.
            unusable = f"!{tokens.new_session()}"
            store.insert_user(connection, user, unusable, subject=vouched.subject)
        else:
            name = found.user.name
            store.set_role(connection, name, role, tenant)
        actor = Actor(name, role, tenant, address)
        action = "user.add" if found is None else "user.role"
        audit_log.record(connection, actor, action, name, tenant=tenant, reason=words)
        now_found = store.login_by_subject(connection, vouched.issuer, vouched.subject)
        assert now_found is not None
        return now_found

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
                    actor_of(found.login.user, address),
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
        return Session(actor_of(login.user, address), token, expires, again, ends)

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
        return actor_of(found.user, origin)

    def _mark(self, login: store.Login) -> str:
        return tokens.mark_of(self.instance.session_key, login.password_hash)

    def _note(self, actor: Actor, action: str, subject: str, tenant: str | None) -> None:
        with self.database.write() as connection:
            audit_log.record(connection, actor, action, subject, tenant=tenant)


def _free_name(connection: Connection, vouched: Vouched) -> str:
    """The name that the provider gives, where it can be used and is nobody's; otherwise one that
    is made of issuer and subject. An administrator of another tenant can have taken both."""
    who = hashlib.sha256(f"{vouched.issuer}\0{vouched.subject}".encode()).hexdigest()
    for name in (vouched.name, f"oidc-{who[:16]}"):
        if NAME.fullmatch(name) and not store.name_taken(connection, name):
            return name
    return f"oidc-{tokens.new_session()}"


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
    return Actor(f"{KEY}{key.name}", key.role, key.tenant, origin, key.scopes)


def _ended() -> Unauthorized:
    return Unauthorized("The login has ended.", hint="Log in again.", code="refresh_void")


def actor_of(user: User, origin: str) -> Actor:
    return Actor(user.name, user.role, user.tenant, origin)
