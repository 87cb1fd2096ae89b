"""What people can do with alerts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.alerts import store
from mooring.alerts.changes import Happened, record
from mooring.alerts.model import HISTORY_MAX, Alert, Event, Severity, Source
from mooring.alerts.rules import store as rule_store
from mooring.alerts.states import follow
from mooring.alerts.store import Wanted
from mooring.audit import log as audit_log
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import Conflict, Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.store import versions
from mooring.store.engine import Database, now_ms
from mooring.store.tally import add_to_counter

__all__ = ["COMMENT_MAX", "SNOOZE_MAX_MS", "Alerts"]

COMMENT_MAX = 1000
"""Characters of a comment."""
SNOOZE_MAX_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts of devices and of the platform."""

    database: Database
    devices: Devices

    # ------------------------------------------------------------------ asking

    def listed(self, actor: Actor, wanted: Wanted, *, device: str | None = None) -> list[Alert]:
        """The newest first, without their history.

        Args:
            device: only alerts of this one, by its reference.

        Raises:
            NotFound: the actor does not see the tenant or the device.
        """
        actor.require(Role.VIEWER, wanted.tenant or actor.tenant)
        if device is not None:
            wanted = replace(wanted, device_id=self.devices.get(actor, device).id)
        with self.database.read() as connection:
            return store.listed(connection, actor, wanted)

    def get(self, actor: Actor, number: int) -> Alert:
        """One alert with its history.

        Raises:
            NotFound: ``alert_not_found``.
        """
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return self._whole(connection, actor, number)

    def open_by_severity(self, actor: Actor, device: Device | None = None) -> dict[Severity, int]:
        """How many are open, the most severe first."""
        actor.require(Role.VIEWER, actor.tenant if device is None else device.tenant)
        with self.database.read() as connection:
            return store.open_by_severity(connection, actor, None if device is None else device.id)

    # ------------------------------------------------------------------ changing

    def acknowledge(self, actor: Actor, number: int, *, reason: str = "") -> Alert:
        """Notes that somebody looks after it. An acknowledged one stays as it is.

        Raises:
            NotFound: ``alert_not_found``.
            Conflict: ``alert_cleared``.
        """
        return self._change(actor, number, Event.ACKNOWLEDGED, {}, reason)

    def clear(self, actor: Actor, number: int, *, reason: str = "") -> Alert:
        """Clears it. If its cause still exists, the next reading raises a new one.

        Raises:
            As ``acknowledge``.
        """
        return self._change(actor, number, Event.CLEARED, {}, reason)

    def snooze(self, actor: Actor, number: int, ms: int, *, reason: str = "") -> Alert:
        """Notifies nobody of it for a time; 0 ends that.

        Raises:
            Invalid: ``invalid_duration``.
            As ``acknowledge``.
        """
        if not 0 <= ms <= SNOOZE_MAX_MS:
            raise Invalid(
                f"An alert cannot be snoozed for {ms / 1000:g} s.",
                hint="Use at most 30d; 0 ends a snooze.",
                code="invalid_duration",
            )
        until = now_ms() + ms if ms else None
        said = f"for {ms / 1000:g} s" if ms else "ended"
        values = {"snoozed_until": until}
        return self._change(actor, number, Event.SNOOZED, values, reason, said=said)

    def assign(self, actor: Actor, number: int, assignee: str, *, reason: str = "") -> Alert:
        """Makes somebody responsible; an empty name: nobody.

        Raises:
            As ``acknowledge``.
        """
        values = {"assignee": assignee}
        return self._change(
            actor, number, Event.ASSIGNED, values, reason, said=assignee or "nobody"
        )

    def set_severity(
        self, actor: Actor, number: int, severity: Severity, *, reason: str = ""
    ) -> Alert:
        """Gives it another severity, until its source finds another one.

        Raises:
            As ``acknowledge``.
        """
        values = {"severity": int(severity)}
        return self._change(actor, number, Event.SEVERITY, values, reason, said=severity.word)

    def comment(self, actor: Actor, number: int, text: str) -> Alert:
        """Adds a comment, also to a cleared one.

        Raises:
            NotFound: ``alert_not_found``.
            Invalid: ``invalid_comment``: it is empty or too long.
            Conflict: ``limit_reached``: its history is full.
        """
        if not 0 < len(text.strip()) <= COMMENT_MAX:
            raise Invalid(
                f"A comment of {len(text)} characters is not valid.",
                hint=f"Use 1 to {COMMENT_MAX} characters.",
                code="invalid_comment",
            )
        return self._change(actor, number, Event.COMMENT, {}, "", said=text)

    # ------------------------------------------------------------------ inside

    def _change(
        self,
        actor: Actor,
        number: int,
        event: Event,
        values: dict[str, Any],
        reason: str,
        *,
        said: str = "",
    ) -> Alert:
        at = now_ms()
        with self.database.write() as connection:
            alert = self._locked(connection, actor, number)
            self._require_operator(actor, alert)
            if event is not Event.COMMENT and not alert.open:
                raise Conflict(
                    f"Alert {number} is cleared.",
                    hint="A cleared alert only takes comments.",
                    code="alert_cleared",
                )
            after = follow(alert.state, event)
            if event is Event.ACKNOWLEDGED:
                if after is None:
                    return self._whole(connection, actor, number)
                values = {"acknowledged_at": at, "acknowledged_by": actor.name}
            elif event is Event.CLEARED:
                values = {"cleared_at": at, "cleared_by": actor.name}
                self._rearm(connection, alert)
            if store.entries_of(connection, number) >= 2 * HISTORY_MAX:
                raise Conflict(
                    f"The history of alert {number} has {2 * HISTORY_MAX} entries, the maximum.",
                    hint="Clear the alert, or comment on a newer one.",
                    code="limit_reached",
                )
            state = {} if after is None else {"state": str(after)}
            store.change(connection, number, {**values, **state, "updated_at": at})
            severity = Severity(values.get("severity", alert.severity))
            detail = ": ".join(filter(None, (said, reason)))
            record(connection, [Happened(number, event, at, severity, detail, actor.name)])
            audit_log.record(
                connection,
                actor,
                f"alert.{event}",
                str(number),
                tenant=alert.tenant,
                reason=reason,
            )
            return self._whole(connection, actor, number)

    def _rearm(self, connection: Connection, alert: Alert) -> None:
        """What evaluates the rule learns that its alert is gone."""
        add_to_counter(connection, "alerts_cleared", 1)
        if (
            alert.source is Source.RULE
            and alert.rule_id is not None
            and alert.device_id is not None
        ):
            rule_store.rearm(connection, alert.rule_id, alert.device_id)
            versions.bump(connection, rule_store.HELD)

    def _require_operator(self, actor: Actor, alert: Alert) -> None:
        actor.require(Role.OPERATOR, alert.tenant if alert.tenant is not None else actor.tenant)

    def _locked(self, connection: Connection, actor: Actor, number: int) -> Alert:
        found = store.one(connection, actor, number, lock=True)
        if found is None:
            raise _missing(number)
        return found

    def _whole(self, connection: Connection, actor: Actor, number: int) -> Alert:
        found = store.one(connection, actor, number)
        if found is None:
            raise _missing(number)
        return replace(found, history=tuple(store.history(connection, number)))


def _missing(number: int) -> NotFound:
    return NotFound(
        f"There is no alert {number}.",
        hint="`mooring alert list` shows them.",
        code="alert_not_found",
    )
