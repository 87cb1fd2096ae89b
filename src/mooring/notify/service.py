"""Adds, changes, tests and removes recipients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.dialects.ids import check_name
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.notify import apprise, message, store
from mooring.notify.model import Kind, Notification, Recipient
from mooring.notify.options import document_of, options_of
from mooring.notify.planner import new_message_id
from mooring.notify.signing import new_secret
from mooring.notify.targets import check_target, shown_target
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached, require_room
from mooring.store.schema import recipients
from mooring.store.tenants import tenant_exists

__all__ = ["NAME_MAX", "Added", "Recipients"]

NAME_MAX = 128
DEFAULT = "default"


class Added(NamedTuple):
    """A recipient, and the secret that signs what a webhook gets: shown once, empty for others."""

    recipient: Recipient
    secret: str


@dataclass(frozen=True, slots=True)
class Recipients:
    """Recipients of notifications of alerts."""

    database: Database
    instance: Instance
    settings: Settings

    # ------------------------------------------------------------------ asking

    def listed(
        self, actor: Actor, *, tenant: str | None = None, after: int = 0, limit: int = 50
    ) -> list[Recipient]:
        """In the order in which they were added.

        Raises:
            NotFound: the actor does not see the tenant.
        """
        actor.require(Role.VIEWER, actor.tenant if tenant is None else tenant)
        with self.database.read() as connection:
            return store.listed(connection, actor, tenant=tenant, after=after, limit=limit)

    def get(self, actor: Actor, name: str, *, tenant: str | None = None) -> Recipient:
        """The recipient of this name or number.

        Raises:
            NotFound: ``recipient_not_found``.
            Conflict: ``ambiguous_recipient``: several tenants have one.
        """
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return self._one(connection, actor, name, tenant)

    def history(
        self,
        actor: Actor,
        name: str,
        *,
        tenant: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Notification]:
        """Notifications of a recipient, the newest first.

        Raises:
            As ``get``.
        """
        found = self.get(actor, name, tenant=tenant)
        with self.database.read() as connection:
            return store.history(connection, found.id, before=before, limit=limit)

    def notification(self, actor: Actor, recipient: Recipient, number: int) -> Notification:
        """One notification.

        Raises:
            NotFound: ``notification_not_found``: it was deleted.
        """
        actor.require(Role.VIEWER, recipient.tenant)
        with self.database.read() as connection:
            found = store.notification(connection, recipient.id, number)
        if found is None:
            raise NotFound(f"There is no notification {number}.", code="notification_not_found")
        return found

    def figures(self) -> dict[str, int]:
        """For ``/metrics``, of the whole installation."""
        with self.database.read() as connection:
            return store.figures(connection)

    # ------------------------------------------------------------------ changing

    def add(
        self,
        actor: Actor,
        name: str,
        kind: Kind,
        target: str,
        *,
        options: Mapping[str, Any] | None = None,
        private: bool = False,
        platform: bool = False,
        tenant: str | None = None,
        reason: str = "",
    ) -> Added:
        """Adds a recipient. It gets alerts that are raised from then on.

        Args:
            private: the target may have an address of a private network. Only an administrator
                of the whole installation may allow that.
            platform: it also gets alerts of the platform itself; the same.

        Raises:
            Invalid: ``invalid_target``, ``invalid_recipient`` or ``invalid_name``.
            Conflict: ``recipient_exists``, or ``limit_reached``.
            Forbidden, NotFound: the actor may not do that.
        """
        tenant = tenant or actor.tenant or DEFAULT
        actor.require(Role.ADMIN, tenant)
        if private or platform:
            actor.require(Role.ADMIN, None)
        check_name(name, "recipient", most=NAME_MAX)
        parsed = options_of(options or {})
        target = self._checked(kind, target, private=private)
        secret = new_secret() if kind is Kind.WEBHOOK else ""
        at = now_ms()
        with self.database.write() as connection:
            # The first device makes this tenant.
            if tenant != DEFAULT and not tenant_exists(connection, tenant):
                raise NotFound(f"There is no tenant {tenant}.", code="tenant_not_found")
            require_room(
                connection,
                recipients,
                self.settings.recipients_max_per_tenant,
                recipients.c.tenant == tenant,
                what=f"recipients of the tenant {tenant}",
                setting="recipients_max_per_tenant",
            )
            if store.find(connection, actor, name=name, tenant=tenant):
                raise _exists(tenant, name)
            values = {
                "tenant": tenant,
                "name": name,
                "kind": str(kind),
                **self._sealed(kind, target, secret),
                "private": private,
                "platform": platform,
                "created_at": at,
                "updated_at": at,
            }
            try:
                number = store.insert(connection, values, parsed)
            except IntegrityError as exc:
                raise _exists(tenant, name) from exc
            self._record(connection, actor, "recipient.add", (tenant, name), reason)
            return Added(self._one(connection, actor, str(number), tenant), secret)

    def change(
        self,
        actor: Actor,
        name: str,
        *,
        target: str | None = None,
        options: Mapping[str, Any] | None = None,
        enabled: bool | None = None,
        private: bool | None = None,
        platform: bool | None = None,
        renew_secret: bool = False,
        tenant: str | None = None,
        reason: str = "",
    ) -> Added:
        """Changes a recipient; what is ``None`` stays. One that is switched off forgets what it
        was to be sent.

        Args:
            options: those that are named replace the former ones.
            renew_secret: makes another secret for a webhook; the former one signs nothing more.

        Raises:
            As ``add`` and ``get``.
        """
        with self.database.write() as connection:
            before = self._one(connection, actor, name, tenant, lock=True)
            actor.require(Role.ADMIN, before.tenant)
            allowed = before.private if private is None else private
            # Where alerts of the platform go is the decision of those who see them.
            guarded = allowed or (before.platform if platform is None else platform)
            if private or platform or (target is not None and guarded):
                actor.require(Role.ADMIN, None)
            at = now_ms()
            values: dict[str, Any] = {"updated_at": at, "private": allowed}
            secret = ""
            if target is not None or private is not None:
                held = self._target(connection, before) if target is None else target
                target = self._checked(before.kind, held, private=allowed)
                values |= self._sealed(before.kind, target, "")
            if renew_secret:
                secret = self._renewed(before)
                values["sealed_secret"] = self.instance.seal(secret)
            if platform is not None:
                values["platform"] = platform
            parsed = None
            if options is not None:
                parsed = options_of({**document_of(before.options), **options})
            if enabled is not None:
                values |= {"enabled": enabled, "why_off": "", "failures": 0}
            store.change(connection, before.id, values, parsed)
            if enabled is False:
                store.forget(connection, before.id)
            store.look_again(connection, before.id, at)
            subject = (before.tenant, before.name)
            self._record(connection, actor, "recipient.change", subject, reason)
            return Added(self._one(connection, actor, str(before.id), before.tenant), secret)

    def remove(
        self, actor: Actor, name: str, *, tenant: str | None = None, reason: str = ""
    ) -> Recipient:
        """Removes a recipient with its history; what waits is not sent.

        Raises:
            As ``get``.
        """
        with self.database.write() as connection:
            found = self._one(connection, actor, name, tenant, lock=True)
            actor.require(Role.ADMIN, found.tenant)
            store.delete(connection, found.id)
            subject = (found.tenant, found.name)
            self._record(connection, actor, "recipient.remove", subject, reason)
        return found

    def test(
        self, actor: Actor, name: str, *, tenant: str | None = None, reason: str = ""
    ) -> tuple[Recipient, Notification]:
        """Has `mooring worker` send a test notification.

        Raises:
            As ``get``.
            Conflict: ``recipient_off``, or ``limit_reached``: too many wait already.
        """
        with self.database.write() as connection:
            found = self._one(connection, actor, name, tenant, lock=True)
            actor.require(Role.OPERATOR, found.tenant)
            if not found.enabled:
                raise Conflict(
                    f"The recipient {found.name} is switched off.",
                    hint="`mooring notify set NAME --on` switches it on.",
                    code="recipient_off",
                )
            most = self.settings.notifications_waiting_max_per_recipient
            if store.waiting(connection, found.id, most) >= most:
                what = f"waiting notifications of the recipient {found.name}"
                raise limit_reached(what, most, "notifications_waiting_max_per_recipient")
            document = message.document([], tenant=found.tenant, group="test")
            number = store.add_notification(
                connection,
                found.id,
                message_id=new_message_id(),
                title=message.title(document),
                document=document,
                at=now_ms(),
            )
            subject = (found.tenant, found.name)
            self._record(connection, actor, "recipient.test", subject, reason)
            made = store.notification(connection, found.id, number)
        assert made is not None
        return found, made

    # ------------------------------------------------------------------ inside

    def _checked(self, kind: Kind, target: str, *, private: bool) -> str:
        schemes = self.settings.notify_schemes
        found = check_target(kind, target, private=private, schemes=schemes)
        if kind is Kind.APPRISE and not apprise.is_installed():
            raise Invalid(
                "Apprise is not installed.",
                hint="Install it with: pip install 'mooring[notify]'",
                code="invalid_target",
            )
        return found

    def _sealed(self, kind: Kind, target: str, secret: str) -> dict[str, Any]:
        """Columns of a target, and of a secret if there is a new one."""
        values: dict[str, Any] = {
            "sealed_target": self.instance.seal(target),
            "target": shown_target(kind, target),
        }
        if secret:
            values["sealed_secret"] = self.instance.seal(secret)
        return values

    def _target(self, connection: Connection, found: Recipient) -> str:
        return self.instance.unseal(store.sealed_target(connection, found.id))

    @staticmethod
    def _renewed(found: Recipient) -> str:
        if found.kind is not Kind.WEBHOOK:
            raise Invalid(
                f"The recipient {found.name} is not a webhook and has no secret.",
                code="invalid_recipient",
            )
        return new_secret()

    def _one(
        self,
        connection: Connection,
        actor: Actor,
        name: str,
        tenant: str | None,
        *,
        lock: bool = False,
    ) -> Recipient:
        found = store.find(connection, actor, name=name, tenant=tenant, lock=lock)
        exact = [one for one in found if one.name == name] or found
        if not exact:
            raise NotFound(
                f"There is no recipient {name!a:.140}.",
                hint="`mooring notify list` shows them.",
                code="recipient_not_found",
            )
        if len(exact) > 1:
            raise Conflict(
                f"{len(exact)} tenants have a recipient {name!a:.140}.",
                hint="Name the tenant, or use the recipient's number: "
                + ", ".join(f"{one.id} ({one.tenant})" for one in exact),
                code="ambiguous_recipient",
            )
        return exact[0]

    @staticmethod
    def _record(
        connection: Connection, actor: Actor, action: str, subject: tuple[str, str], reason: str
    ) -> None:
        tenant, name = subject
        audit_log.record(
            connection, actor, action, f"{tenant}:{name}", tenant=tenant, reason=reason
        )


def _exists(tenant: str, name: str) -> Conflict:
    return Conflict(
        f"The tenant {tenant} has a recipient {name!a:.140}.",
        hint="Use another name, or `mooring notify set` to change it.",
        code="recipient_exists",
    )
