"""The part retention: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.settings import retention as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "retention",
    tables=lambda: (
        schema.retention,
        schema.retention_progress,
        schema.removed_devices,
        schema.tenant_dead_letters,
        schema.tenant_usage,
        schema.tenant_usage_days,
    ),
    workers=(
        Entry("retention", "keeper", "deletes data older than its retention period"),
        Entry("tidying", "keeper", "deletes records that are no longer needed"),
    ),
    counters=("messages_displaced", "dead_letters_displaced"),
    settings=lambda: settings.RetentionSettings,
    nouns=(noun("retention"),),
)
