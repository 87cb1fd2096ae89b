"""Operations on unknown devices: list, accept, refuse, and rules that do so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.credentials.claims.model import NewClaim
from mooring.credentials.claims.service import Claims
from mooring.devices import store as devices_store
from mooring.devices.service import Devices
from mooring.dialects import Catalogue, check_word
from mooring.discovery import answers, store
from mooring.discovery.admission import Admission, new_code, shown_code
from mooring.discovery.model import (
    Accepted,
    Action,
    Heard,
    NewRule,
    Rule,
    RuleMade,
    State,
    Unknown,
)
from mooring.discovery.rules import about, check_pattern, device_name, key_of
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Discovery", "Key"]

Key = Sequence[int | str]
HOUR_MS = 3_600_000
PER_DAY_MAX = 100_000  # devices that one rule may accept in a day
ATTEMPTS = 5  # at one decision, when others decide at the same moment


@dataclass(frozen=True, slots=True)
class Discovery:
    """Unknown devices of one installation."""

    database: Database
    devices: Devices
    claims: Claims
    downlinks: Downlinks
    admission: Admission
    settings: Settings

    @property
    def _catalogue(self) -> Catalogue:
        return self.devices.catalogue

    # ------------------------------------------------------------------ looking

    def page(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        after: Key | None = None,
        tenant: str | None = None,
        dialect: str | None = None,
        state: State | None = None,
    ) -> list[Unknown]:
        """Unknown devices; the one that was heard last comes first."""
        actor.require(Role.VIEWER, tenant or actor.tenant)
        with self.database.read() as connection:
            rows = store.page(
                connection,
                actor,
                at=now_ms(),
                limit=limit,
                after=after,
                tenant=tenant,
                dialect=dialect,
                state=state,
            )
        return [self._unknown(row) for row in rows]

    def get(
        self, actor: Actor, name: str, *, dialect: str | None = None, tenant: str | None = None
    ) -> Unknown:
        """The unknown device of that name.

        Raises:
            NotFound: ``discovery_not_found``.
            Conflict: ``discovery_ambiguous``: several dialects or tenants have one.
        """
        actor.require(Role.VIEWER, tenant or actor.tenant)
        with self.database.read() as connection:
            return self._find(connection, actor, name, dialect, tenant)

    # ------------------------------------------------------------------ deciding

    def accept(
        self,
        actor: Actor,
        name: str,
        *,
        dialect: str | None = None,
        tenant: str | None = None,
        into: str | None = None,
        label: str = "",
        groups: tuple[str, ...] = (),
        seconds: float | None = None,
        reason: str = "",
    ) -> Accepted:
        """A claim code with which the device gets credentials under its name. A code that it got
        before and has not used is revoked.

        Args:
            into: the tenant that is to own the device, where its topics name none.
            seconds: how long the code is valid; the setting's time when ``None``.

        Raises:
            NotFound, Conflict: as ``get``.
            Conflict: ``device_exists``.
            Invalid: no device can have that name, or its topics name another tenant.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self.database.write() as connection:
                    found = self._find(connection, actor, name, dialect, tenant)
                    owner = self._owner(actor, found, into)
                    wanted = NewClaim(
                        found.dialect, owner, label, device_name(found.name), groups, seconds
                    )
                    return self._accept(connection, actor, found, wanted, reason)
            except IntegrityError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def refuse(
        self,
        actor: Actor,
        name: str,
        *,
        dialect: str | None = None,
        tenant: str | None = None,
        reason: str = "",
    ) -> Unknown:
        """The device is not listed as pending for ``discovery_refused_hours``, and no rule accepts
        it meanwhile. A code that it was accepted with is revoked.

        Raises:
            NotFound, Conflict: as ``get``.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self.database.write() as connection:
                    found = self._find(connection, actor, name, dialect, tenant)
                    actor.require(Role.OPERATOR, found.tenant)
                    until = now_ms() + self.settings.discovery_refused_hours * HOUR_MS
                    self._decide(
                        connection, actor, found, State.REFUSED, until=until, reason=reason
                    )
                    store.trim_refused(
                        connection, found.tenant, self.settings.discovery_max_per_tenant
                    )
                    return self._find(connection, actor, name, found.dialect, found.tenant)
            except IntegrityError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _accept(
        self, connection: Connection, actor: Actor, found: Unknown, wanted: NewClaim, reason: str
    ) -> Accepted:
        name = wanted.name or found.name
        of_owner = Actor("discovery", Role.OPERATOR, wanted.tenant)
        if devices_store.find(connection, of_owner, word=name, tenant=wanted.tenant):
            raise Conflict(
                f"A device named {name} already exists in the tenant {wanted.tenant}.",
                hint="`mooring device show` shows it. `mooring claim new --device` gives it new "
                "credentials.",
                code="device_exists",
            )
        issued = self.claims.issue(connection, actor, wanted, reason=reason)
        until = issued.claim.expires_at
        self._decide(
            connection,
            actor,
            found,
            State.ACCEPTED,
            until=until,
            reason=reason,
            claim_id=issued.claim.id,
        )
        device = self._find(connection, actor, found.name, found.dialect, found.tenant)
        return Accepted(device, name, issued)

    def _decide(
        self,
        connection: Connection,
        actor: Actor,
        found: Unknown,
        state: State,
        *,
        until: int,
        reason: str,
        claim_id: int | None = None,
    ) -> None:
        at = now_ms()
        if found.claim_id is not None:
            self.claims.withdraw(connection, found.claim_id)
        store.decide(
            connection,
            (found.dialect, found.tenant, found.name),
            {
                "key": key_of(found.name),
                "state": str(state),
                "decided_at": at,
                "until": until,
                "actor": actor.name,
                "reason": reason,
                "claim_id": claim_id,
            },
        )
        audit_log.record(
            connection,
            actor,
            "discovery.accept" if state is State.ACCEPTED else "discovery.refuse",
            f"{found.tenant}:{found.name} ({found.dialect})"[:300],
            tenant=found.tenant,
            reason=reason,
        )
        if found.registered_at is not None and found.dialect in self._catalogue.names():
            dialect = self._catalogue.get(found.dialect)
            asked = answers.Asked(dialect, found.tenant, found.name)
            answers.put(connection, self.downlinks, asked, state, at)

    def _owner(self, actor: Actor, found: Unknown, into: str | None) -> str:
        actor.require(Role.OPERATOR, found.tenant)
        if into is None or into == found.tenant:
            return found.tenant
        actor.require(Role.OPERATOR, into)
        if self._catalogue.get(found.dialect).tenanted:
            raise Invalid(
                f"The topics of {found.name} name the tenant {found.tenant}.",
                hint="Leave the tenant out.",
                code="other_tenant",
            )
        return into

    def _find(
        self,
        connection: Connection,
        actor: Actor,
        name: str,
        dialect: str | None,
        tenant: str | None,
    ) -> Unknown:
        rows = store.find(connection, actor, at=now_ms(), name=name, dialect=dialect, tenant=tenant)
        if not rows:
            raise NotFound(
                f"There is no unknown device {name!a}.",
                hint="`mooring discovery list` shows all of them.",
                code="discovery_not_found",
            )
        if len(rows) > 1:
            places = ", ".join(f"{row.tenant} ({row.dialect})" for row in rows)
            raise Conflict(
                f"There are several unknown devices {name!a}: {places}.",
                hint="Name the dialect and the tenant.",
                code="discovery_ambiguous",
            )
        return self._unknown(rows[0])

    def _unknown(self, row: store.Row) -> Unknown:
        heard = Heard.MESSAGE if row.messages else Heard.LOGIN
        said = {}
        if row.registered_at is not None:
            heard = Heard.REGISTRATION
            if row.dialect in self._catalogue.names():
                said = dict(about(self._catalogue.get(row.dialect), row.registration or b""))
        return Unknown(
            row.dialect,
            row.tenant,
            row.name,
            heard,
            State(row.state or "pending"),
            row.first_seen_at,
            row.last_seen_at,
            row.messages,
            row.last_topic,
            row.registered_at,
            said,
            row.decided_at,
            row.until,
            row.actor or "",
            row.reason or "",
            row.claim_id,
        )

    # ------------------------------------------------------------------ rules

    def rules(self, actor: Actor, *, limit: int = 50, after: int = 0) -> list[Rule]:
        """Rules, the oldest first."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return store.rules_page(connection, actor, limit=limit, after=after)

    def add_rule(self, actor: Actor, new: NewRule, *, reason: str = "") -> RuleMade:
        """Adds a rule. One that accepts has a fleet code, shown this once.

        Raises:
            NotFound: no such dialect or tenant.
            Invalid: ``invalid_pattern``, ``invalid_quota``.
            Conflict: ``limit_reached``.
        """
        actor.require(Role.ADMIN, new.tenant)
        dialect = self._catalogue.get(new.dialect)
        check_word(new.tenant, "tenant")
        check_pattern(new.pattern)
        accepts = new.action is Action.ACCEPT
        if accepts and not 1 <= new.per_day <= PER_DAY_MAX:
            raise Invalid(
                f"{new.per_day} devices a day is not a valid quota.",
                hint=f"A rule that accepts needs a quota of 1 to {PER_DAY_MAX} devices a day.",
                code="invalid_quota",
            )
        code = new_code() if accepts else None
        at = now_ms()
        with self.database.write() as connection:
            devices_store.ensure_tenant(connection, new.tenant, self.settings.tenants_max)
            rule = store.add_rule(
                connection,
                {
                    "tenant": new.tenant,
                    "dialect": dialect.name,
                    "pattern": new.pattern,
                    "action": str(new.action),
                    "digest": None if code is None else self.admission.digest(code),
                    "per_day": new.per_day if accepts else 0,
                    "created_at": at,
                    "created_by": actor.name,
                },
                self.settings.discovery_rules_max_per_tenant,
            )
            self._note(connection, actor, "discovery.rule_add", rule, reason)
        return RuleMade(rule, None if code is None else shown_code(code))

    def remove_rule(self, actor: Actor, number: int, *, reason: str = "") -> Rule:
        """Ends a rule and its fleet code. Devices that it has accepted keep their credentials.

        Raises:
            NotFound: ``discovery_rule_not_found``.
        """
        with self.database.write() as connection:
            rule = store.rule_by_id(connection, actor, number)
            if rule is None:
                raise NotFound(
                    f"There is no discovery rule {number}.",
                    hint="`mooring discovery rule list` shows all of them.",
                    code="discovery_rule_not_found",
                )
            actor.require(Role.ADMIN, rule.tenant)
            store.remove_rule(connection, number)
            self._note(connection, actor, "discovery.rule_remove", rule, reason)
        return rule

    def _note(
        self, connection: Connection, actor: Actor, action: str, rule: Rule, reason: str
    ) -> None:
        what = f"rule {rule.id}: {rule.action} {rule.dialect} {rule.pattern}"
        audit_log.record(connection, actor, action, what, tenant=rule.tenant, reason=reason)
