"""The part broker: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.settings import broker as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "broker",
    tables=lambda: (
        schema.broker_users,
        schema.broker_changes,
        schema.broker_requests,
        schema.leftovers,
    ),
    workers=(
        Entry("changes", "up", "applies committed changes to the broker and compares accounts"),
        Entry("guard", "up", "stops the broker if this process was killed and is not restarted"),
        Entry("broker", "up", "restarts the broker when it ended"),
        Entry("connections", "up", "counts the connections to the broker"),
    ),
    settings=lambda: settings.BrokerSettings,
    nouns=(noun("broker"),),
)
