"""The part groups: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part

with later():
    from mooring.settings import groups as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "groups",
    tables=lambda: (schema.groups, schema.device_groups),
    settings=lambda: settings.GroupSettings,
)
