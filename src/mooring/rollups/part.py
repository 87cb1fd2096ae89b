"""The part rollups: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.settings import rollups as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "rollups",
    tables=lambda: (
        schema.metrics,
        schema.metrics_refused,
        schema.device_metrics,
        schema.rollups,
        schema.rollup_open,
        schema.rollup_queue,
        schema.rollup_state,
    ),
    workers=(Entry("roll-ups", "keeper", "computes roll-ups"),),
    settings=lambda: settings.RollupSettings,
)
