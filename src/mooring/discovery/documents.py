"""What the command line and HTTP answer of unknown devices and of rules. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso, iso_or_none
from mooring.discovery.model import Accepted, Rule, Unknown
from mooring.store.engine import now_ms

__all__ = ["accepted", "rule", "unknown"]


def unknown(one: Unknown) -> dict[str, Any]:
    """A device that was heard and is not known."""
    return {
        "name": one.name,
        "dialect": one.dialect,
        "tenant": one.tenant,
        "state": str(one.state),
        "heard": str(one.heard),
        "first_seen_at": iso(one.first_seen_at),
        "last_seen_at": iso(one.last_seen_at),
        "registered_at": iso_or_none(one.registered_at),
        "messages": one.messages,
        "last_topic": one.last_topic,
        "about": dict(one.about),
        "decided_at": iso_or_none(one.decided_at),
        "until": iso_or_none(one.until),
        "actor": one.actor,
        "reason": one.reason,
    }


def accepted(made: Accepted) -> dict[str, Any]:
    """An accepted device, with the claim code that is shown only once."""
    claim = made.issued.claim
    return {
        "device": made.name,
        "tenant": claim.tenant,
        "dialect": claim.dialect,
        "claim": claim.id,
        "code": made.issued.code,
        "expires_at": iso(claim.expires_at),
    }


def rule(one: Rule) -> dict[str, Any]:
    """A rule, without its fleet code."""
    return {
        "id": one.id,
        "tenant": one.tenant,
        "dialect": one.dialect,
        "pattern": one.pattern,
        "action": str(one.action),
        "per_day": one.per_day,
        "used_today": one.today(now_ms()),
        "used": one.used,
        "created_at": iso(one.created_at),
        "created_by": one.created_by,
    }
