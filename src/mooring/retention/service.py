"""Operations on retention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.retention import store
from mooring.retention.policy import Policy, Rule, check
from mooring.retention.sweep import Swept, sweep
from mooring.settings import Settings
from mooring.store import clock
from mooring.store.engine import Database

__all__ = ["Retention"]


@dataclass(frozen=True, slots=True)
class Retention:
    """The terms of one installation.

    Attributes:
        database: where rules, messages and roll-ups are.
        settings: what applies where there is no rule.
    """

    database: Database
    settings: Settings

    def policy(self) -> Policy:
        """What applies now; for the platform itself."""
        with self.database.read() as connection:
            rules = store.rules(connection)
        return Policy(
            self.settings.retention_days,
            self.settings.retention_minutes_days,
            self.settings.retention_rollups_days,
            tuple(rules),
        )

    def rules(self, actor: Actor) -> list[Rule]:
        """The rules an actor may see: its tenant's and everybody's."""
        actor.require(Role.VIEWER, actor.tenant)
        return [r for r in self.policy().rules if not r.tenant or actor.sees(r.tenant)]

    def set(self, actor: Actor, *, days: int, tenant: str = "", kind: str = "") -> Rule:
        """Makes or changes a rule. The keeper looks at everything again after that.

        Args:
            days: 0: indefinitely.
            tenant: whose; empty: every tenant's.
            kind: a kind of message, ``rollup_minutes`` or ``rollups``; empty: messages of
                every kind.

        Raises:
            Invalid: the kind or the term.
        """
        actor.require(Role.ADMIN, tenant or None)
        check(kind, days)
        rule = Rule(tenant, kind, days)
        with self.database.write() as connection:
            store.set_rule(connection, rule)
            store.forget_progress(connection)
            self._record(connection, actor, "retention.set", rule, f"{days} days")
        return rule

    def unset(self, actor: Actor, *, tenant: str = "", kind: str = "") -> None:
        """Takes a rule back.

        Raises:
            NotFound: none exists.
        """
        actor.require(Role.ADMIN, tenant or None)
        with self.database.write() as connection:
            if not store.remove_rule(connection, tenant, kind):
                raise NotFound(
                    "This rule does not exist.",
                    hint="`mooring retention list` shows all rules.",
                    code="rule_not_found",
                )
            store.forget_progress(connection)
            self._record(connection, actor, "retention.unset", Rule(tenant, kind, 0), "")

    def run(self, actor: Actor) -> Iterator[Swept]:
        """Takes away what is older than its term; yields after every small transaction.

        Raises:
            Conflict: the machine's clock is in doubt.
        """
        actor.require(Role.ADMIN)
        at = self.deletion_time()
        if at is None:
            raise Conflict(
                "Nothing is deleted, because this machine's clock may be wrong.",
                hint="See `mooring clock show`. If the clock is correct, run `mooring clock "
                "confirm`.",
                code="clock_in_doubt",
            )
        yield from sweep(self.database, self.policy(), at)

    def deletion_time(self) -> int | None:
        """The time from which terms count back, in epoch milliseconds; ``None``: the machine's
        clock is in doubt, and nothing may be deleted."""
        with self.database.read() as connection:
            return clock.deletion_time(connection)

    @staticmethod
    def _record(connection: Connection, actor: Actor, action: str, rule: Rule, why: str) -> None:
        audit_log.record(
            connection,
            actor,
            action,
            f"{rule.tenant or 'every tenant'}/{rule.kind or 'messages'}",
            tenant=rule.tenant or None,
            reason=why,
        )
