"""Choosing the sink for the database in use."""

from __future__ import annotations

from mooring.ingest.sink import Sink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.settings import Settings

__all__ = ["open_sink"]


def open_sink(settings: Settings) -> Sink:
    return SqliteSink(
        settings.sqlite_path,
        dead_letters_max=settings.dead_letters_max,
        strangers_max=settings.strangers_max,
    )
