"""Recipients and notifications as CLI and REST show them: written once."""

from __future__ import annotations

from typing import Any

from mooring.dialects import iso
from mooring.notify.model import Notification, Recipient
from mooring.notify.options import document_of
from mooring.notify.service import Added

__all__ = [
    "added_document",
    "notification_document",
    "notification_json",
    "recipient_document",
    "recipient_json",
]

_TIMES_OF_RECIPIENT = ("last_failed_at", "last_sent_at", "created_at", "updated_at")
_TIMES_OF_NOTIFICATION = ("created_at", "finished_at", "next_at")


def recipient_document(found: Recipient) -> dict[str, Any]:
    """A recipient as CLI and REST show it; no secret is in it."""
    same = ("tenant", "name", "target", "enabled", "private", "platform", "why_off", "failures")
    return {
        "number": found.id,
        "kind": str(found.kind),
        **{name: getattr(found, name) for name in (*same, "last_error", *_TIMES_OF_RECIPIENT)},
        "options": document_of(found.options),
    }


def recipient_json(found: Recipient) -> dict[str, Any]:
    """The same with times as JSON has them: what ``--json`` prints."""
    document = recipient_document(found)
    return document | {key: document[key] and iso(document[key]) for key in _TIMES_OF_RECIPIENT}


def added_document(added: Added) -> dict[str, Any]:
    """A recipient with its secret, which is shown once; null for other kinds than webhooks."""
    return {**recipient_document(added.recipient), "secret": added.secret or None}


def notification_document(found: Notification) -> dict[str, Any]:
    """A notification as CLI and REST show it."""
    same = ("title", "alerts", "attempts", "unanswered", "last_error", "message_id")
    return {
        "number": found.id,
        "state": str(found.state),
        **{name: getattr(found, name) for name in (*same, *_TIMES_OF_NOTIFICATION)},
    }


def notification_json(found: Notification) -> dict[str, Any]:
    """The same with times as JSON has them: what ``--json`` prints."""
    document = notification_document(found)
    return document | {key: document[key] and iso(document[key]) for key in _TIMES_OF_NOTIFICATION}
