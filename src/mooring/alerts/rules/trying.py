"""Trying rules on stored readings, as an operation of people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mooring.alerts.rules.model import Rule, Trial
from mooring.alerts.rules.parse import definition_of
from mooring.alerts.rules.service import Rules
from mooring.alerts.rules.trial import DAY_MS, DAYS_MAX, try_rule
from mooring.dialects import PayloadLimits
from mooring.errors import Invalid
from mooring.identity.actor import Actor, Role
from mooring.store.engine import now_ms

__all__ = ["Trials"]


@dataclass(frozen=True, slots=True)
class Trials:
    """See ``mooring.alerts.rules.trial``."""

    rules: Rules
    limits: PayloadLimits

    def of_stored(
        self, actor: Actor, name: str, *, days: float, tenant: str | None = None
    ) -> Trial:
        """Of a rule that was added.

        Raises:
            NotFound: ``alert_rule_not_found``.
            Invalid: ``invalid_duration``.
        """
        return self._try(self.rules.get(actor, name, tenant=tenant), days)

    def of_document(
        self,
        actor: Actor,
        document: Mapping[str, Any],
        *,
        days: float,
        tenant: str | None = None,
    ) -> Trial:
        """Of one that was not.

        Raises:
            NotFound: the actor does not see the tenant, or the scope names what does not exist.
            Invalid: ``invalid_rule``, ``invalid_duration``.
        """
        tenant = tenant or actor.tenant or "default"
        actor.require(Role.VIEWER, tenant)
        complete = self.rules.checked(actor, tenant, document)
        rule = Rule(1, tenant, "trial", True, 1, 0, 0, definition_of(complete), complete)
        return self._try(rule, days)

    def _try(self, rule: Rule, days: float) -> Trial:
        if not 0 < days <= DAYS_MAX:
            raise Invalid(
                f"{days:g} days of readings cannot be evaluated.",
                hint=f"Use at most {DAYS_MAX} days.",
                code="invalid_duration",
            )
        now = now_ms()
        return try_rule(
            self.rules.database,
            self.rules.catalogue,
            rule,
            since=now - int(days * DAY_MS),
            now=now,
            limits=self.limits,
        )
