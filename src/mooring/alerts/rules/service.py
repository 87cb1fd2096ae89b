"""Adds, changes and removes rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.alerts.changes import apply
from mooring.alerts.model import Bounds, Clear
from mooring.alerts.rules import store
from mooring.alerts.rules.model import Rule
from mooring.alerts.rules.parse import definition_of, document_of
from mooring.alerts.rules.selecting import selector_of
from mooring.audit import log as audit_log
from mooring.devices.service import Devices
from mooring.dialects import Catalogue
from mooring.dialects.ids import check_name
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.store import versions
from mooring.store.engine import Database, now_ms
from mooring.store.room import require_room
from mooring.store.schema import rules
from mooring.store.tenants import tenant_exists

__all__ = ["NAME_MAX", "Rules"]

NAME_MAX = 128


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of tenants."""

    database: Database
    devices: Devices
    catalogue: Catalogue
    most: int
    bounds: Bounds

    # ------------------------------------------------------------------ asking

    def listed(
        self, actor: Actor, *, tenant: str | None = None, after: int = 0, limit: int = 50
    ) -> list[Rule]:
        """In the order in which they were added.

        Raises:
            NotFound: the actor does not see the tenant.
        """
        actor.require(Role.VIEWER, actor.tenant if tenant is None else tenant)
        with self.database.read() as connection:
            return store.listed(connection, actor, tenant=tenant, after=after, limit=limit)

    def get(self, actor: Actor, name: str, *, tenant: str | None = None) -> Rule:
        """The rule of this name or number.

        Raises:
            NotFound: ``alert_rule_not_found``.
            Conflict: ``ambiguous_rule``: several tenants have one.
        """
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return self._one(connection, actor, name, tenant)

    # ------------------------------------------------------------------ changing

    def add(
        self,
        actor: Actor,
        name: str,
        document: Mapping[str, Any],
        *,
        tenant: str | None = None,
        reason: str = "",
    ) -> Rule:
        """Adds a rule, which is evaluated from the next message on.

        Raises:
            Invalid: ``invalid_rule``: the document does not describe a rule.
            Conflict: ``rule_exists``, or ``limit_reached``: the tenant has as many as it may.
            NotFound: the actor does not see the tenant, or the scope names what does not exist.
        """
        tenant = tenant or actor.tenant or "default"
        actor.require(Role.OPERATOR, tenant)
        check_name(name, "rule", most=NAME_MAX)
        complete = self._checked(actor, tenant, document)
        at = now_ms()
        with self.database.write() as connection:
            if not tenant_exists(connection, tenant):
                raise NotFound(f"There is no tenant {tenant}.", code="tenant_not_found")
            require_room(
                connection,
                rules,
                self.most,
                rules.c.tenant == tenant,
                what=f"rules of the tenant {tenant}",
                setting="rules_max_per_tenant",
            )
            if store.find(connection, actor, name=name, tenant=tenant):
                raise _exists(tenant, name)
            try:
                store.insert(connection, tenant=tenant, name=name, document=complete, at=at)
            except IntegrityError as exc:
                raise _exists(tenant, name) from exc
            self._changed(connection, actor, "rule.add", (tenant, name), reason)
            return self._one(connection, actor, name, tenant)

    def change(
        self,
        actor: Actor,
        name: str,
        *,
        document: Mapping[str, Any] | None = None,
        enabled: bool | None = None,
        tenant: str | None = None,
        reason: str = "",
    ) -> Rule:
        """Replaces what a rule says, or switches it on and off. Its open alerts are cleared; what
        still holds raises new ones.

        Args:
            document: the whole rule; ``None``: as it is.

        Raises:
            As ``get`` and ``add``.
        """
        with self.database.write() as connection:
            rule = self._one(connection, actor, name, tenant, lock=True)
            actor.require(Role.OPERATOR, rule.tenant)
            complete = (
                rule.document if document is None else self._checked(actor, rule.tenant, document)
            )
            on = rule.enabled if enabled is None else enabled
            store.replace(connection, rule.id, enabled=on, document=complete, at=now_ms())
            self._end(connection, rule, "The rule was changed." if on else "The rule is off.")
            self._changed(connection, actor, "rule.change", (rule.tenant, rule.name), reason)
            return self._one(connection, actor, str(rule.id), rule.tenant)

    def remove(
        self, actor: Actor, name: str, *, tenant: str | None = None, reason: str = ""
    ) -> Rule:
        """Removes a rule and clears its alerts, which stay in the list.

        Raises:
            As ``get``.
        """
        with self.database.write() as connection:
            rule = self._one(connection, actor, name, tenant, lock=True)
            actor.require(Role.OPERATOR, rule.tenant)
            self._end(connection, rule, "The rule was removed.")
            store.delete(connection, rule.id)
            self._changed(connection, actor, "rule.remove", (rule.tenant, rule.name), reason)
        return rule

    # ------------------------------------------------------------------ inside

    def checked(self, actor: Actor, tenant: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """The complete document.

        Raises:
            Invalid: ``invalid_rule``.
            NotFound: the scope names what does not exist.
        """
        return self._checked(actor, tenant, document)

    def _checked(self, actor: Actor, tenant: str, document: Mapping[str, Any]) -> dict[str, Any]:
        definition = definition_of(document)
        scope = definition.scope
        if scope.dialect:
            self.catalogue.get(scope.dialect)
        for kind, text in (("group", scope.group), ("where", scope.where)):
            if text:
                selector = selector_of(tenant, kind, text)
                with self.database.read() as connection:
                    selector.check(connection)
        complete = document_of(definition)
        if scope.device:
            device = self.devices.get(actor, _in_tenant(scope.device, tenant))
            if device.tenant != tenant:
                raise NotFound(
                    f"There is no device {scope.device} in the tenant {tenant}.",
                    code="device_not_found",
                )
            complete["scope"]["device"] = device.name
        return complete

    def _one(
        self,
        connection: Connection,
        actor: Actor,
        name: str,
        tenant: str | None,
        *,
        lock: bool = False,
    ) -> Rule:
        found = store.find(connection, actor, name=name, tenant=tenant, lock=lock)
        exact = [rule for rule in found if rule.name == name] or found
        if not exact:
            raise NotFound(
                f"There is no rule {name!a:.140}.",
                hint="`mooring rule list` shows them.",
                code="alert_rule_not_found",
            )
        if len(exact) > 1:
            raise Conflict(
                f"{len(exact)} tenants have a rule {name!a:.140}.",
                hint="Name the tenant, or use the rule's number: "
                + ", ".join(f"{rule.id} ({rule.tenant})" for rule in exact),
                code="ambiguous_rule",
            )
        return exact[0]

    def _end(self, connection: Connection, rule: Rule, why: str) -> None:
        keys = store.open_keys(connection, rule.id)
        at = now_ms()
        apply(connection, [Clear(key, at, why) for key in keys], self.bounds)
        store.delete_states(connection, rule.id)

    def _changed(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        rule: tuple[str, str],
        reason: str,
    ) -> None:
        tenant, name = rule
        versions.bump(connection, "rules")
        audit_log.record(
            connection, actor, action, f"{tenant}:{name}", tenant=tenant, reason=reason
        )


def _in_tenant(reference: str, tenant: str) -> str:
    return reference if ":" in reference else f"{tenant}:{reference}"


def _exists(tenant: str, name: str) -> Conflict:
    return Conflict(
        f"The tenant {tenant} has a rule {name!a:.140}.",
        hint="Use another name, or `mooring rule set` to change it.",
        code="rule_exists",
    )
