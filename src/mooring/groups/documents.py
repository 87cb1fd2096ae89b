"""What the command line and HTTP answer of groups. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso
from mooring.groups.model import GroupView, MembersChanged

__all__ = ["document", "members_document"]


def document(view: GroupView) -> dict[str, Any]:
    """A group."""
    group = view.group
    return {
        "group": group.name,
        "tenant": group.tenant,
        "dynamic": group.query is not None,
        "query": group.query,
        "description": group.description,
        "priority": group.priority,
        "devices": view.devices,
        "created_at": iso(group.created_at),
        "created_by": group.created_by,
    }


def members_document(changed: MembersChanged) -> dict[str, Any]:
    """What a change of members did, or would do."""
    return {
        "devices": changed.devices,
        "rights_changed": changed.rights,
        "sessions_ended": changed.sessions,
    }
