"""The part ingest: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, verb
from mooring.supervisor.registry import Entry

with later():
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "ingest",
    tables=lambda: (
        schema.messages,
        schema.latest,
        schema.channels,
        schema.dead_letters,
        schema.message_numbers,
        schema.strangers,
        schema.ingest_attempts,
        schema.ingest_filters,
        schema.ingest_ledger,
    ),
    workers=(
        Entry("heartbeat", "ingest", "reports that the process runs"),
        Entry("dialects", "ingest", "follows changes of devices and dialects"),
        Entry("subscriptions", "ingest", "subscribes to the topics of changed dialects"),
        Entry(
            "former session", "ingest", "stores messages queued in a session of an older version"
        ),
    ),
    settings=(
        "ingest_client_id",
        "ingest_in_flight",
        "ingest_batch_max",
        "ingest_linger_ms",
        "payload_max_bytes",
        "payload_max_depth",
        "payload_max_metrics",
        "dead_letter_max_bytes",
        "dead_letters_max",
        "dead_letters_max_per_device",
        "dead_letters_max_bytes",
        "strangers_max",
    ),
    nouns=(verb("ingest", "runtime"),),
)
