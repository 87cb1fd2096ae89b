"""The part system topics: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.settings import system_topics as settings
    from mooring.system_topics import worker

__all__ = ["PART"]

PART = Part(
    "system_topics",
    workers=(
        Entry(
            "system topics",
            "worker",
            "publishes the platform's own figures",
            lambda app: worker.run(app),  # noqa: PLW0108 - imported when it is called
        ),
    ),
    counters=("fleet_status_left_out",),
    settings=lambda: settings.SystemTopicSettings,
)
