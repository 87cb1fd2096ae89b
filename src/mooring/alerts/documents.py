"""Alerts and rules as CLI and REST show them: written once."""

from __future__ import annotations

from typing import Any

from mooring.alerts.model import Alert, Severity
from mooring.alerts.rules.model import Rule, Trial
from mooring.alerts.rules.words import condition
from mooring.dialects import iso

__all__ = ["alert_document", "alert_json", "rule_document", "trial_document"]


def alert_document(alert: Alert) -> dict[str, Any]:
    """An alert as CLI and REST show it."""
    same = ("tenant", "device", "name", "message", "value", "late", "count", "assignee")
    times = ("raised_at", "updated_at", "acknowledged_at", "cleared_at", "snoozed_until")
    return {
        "number": alert.id,
        "source": str(alert.source),
        "rule": alert.rule_id,
        "severity": alert.severity.word,
        "state": str(alert.state),
        "acknowledged_by": alert.acknowledged_by,
        "cleared_by": alert.cleared_by,
        **{name: getattr(alert, name) for name in (*same, *times)},
        "history": [
            {
                "at": entry.at,
                "event": str(entry.event),
                "by": entry.actor,
                "severity": Severity(entry.severity).word,
                "detail": entry.detail,
                "late": entry.late,
            }
            for entry in alert.history
        ],
    }


def alert_json(alert: Alert) -> dict[str, Any]:
    """The same with times as JSON has them: what ``--json`` prints."""
    document = alert_document(alert)
    times = ("raised_at", "updated_at", "acknowledged_at", "cleared_at", "snoozed_until")
    return {
        **document,
        **{key: document[key] and iso(document[key]) for key in times},
        "history": [{**one, "at": iso(one["at"])} for one in document["history"]],
    }


def rule_document(rule: Rule) -> dict[str, Any]:
    """A rule as CLI and REST show it."""
    same = ("tenant", "name", "enabled", "version", "created_at", "updated_at")
    return {
        "number": rule.id,
        **{name: getattr(rule, name) for name in same},
        "condition": condition(rule.definition),
        "rule": rule.document,
    }


def trial_document(trial: Trial) -> dict[str, Any]:
    """What a trial found, as CLI and REST show it."""
    same = ("devices", "messages", "late", "raised", "devices_raised", "complete")
    return {
        **{name: getattr(trial, name) for name in same},
        "fired": [
            {name: getattr(one, name) for name in one.__dataclass_fields__} for one in trial.fired
        ],
    }
