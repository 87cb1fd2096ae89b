"""Choosing the sink for the database in use."""

from __future__ import annotations

from mooring.ingest.projections import Projections
from mooring.ingest.sink import Sink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.later import later
from mooring.settings import Settings
from mooring.store.urls import sqlite_file

with later():
    from mooring.ingest import sink_postgres

__all__ = ["open_sink"]


def open_sink(settings: Settings, projections: Projections) -> Sink:
    """The sink for ``database_url``, which ``open_database`` has accepted before."""
    file = sqlite_file(settings.effective_database_url)
    if file is not None:
        return SqliteSink(
            file,
            dead_letters_max=settings.dead_letters_max,
            strangers_max=settings.strangers_max,
            unknown_max=2 * settings.discovery_max_per_tenant,
            projections=projections,
        )
    return sink_postgres.PostgresSink(
        settings.effective_database_url,
        dead_letters_max=settings.dead_letters_max,
        strangers_max=settings.strangers_max,
        unknown_max=2 * settings.discovery_max_per_tenant,
        projections=projections,
    )
