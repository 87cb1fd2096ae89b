"""Choosing the sink for the database in use."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url

from mooring.ingest.sink import Sink
from mooring.ingest.sink_postgres import PostgresSink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.settings import Settings

__all__ = ["open_sink"]


def open_sink(settings: Settings) -> Sink:
    """The sink for ``database_url``, which ``open_database`` has accepted before."""
    url = make_url(settings.effective_database_url)
    if url.get_backend_name() == "sqlite":
        return SqliteSink(
            Path(url.database or settings.sqlite_path),
            dead_letters_max=settings.dead_letters_max,
            strangers_max=settings.strangers_max,
        )
    return PostgresSink(
        settings.effective_database_url,
        dead_letters_max=settings.dead_letters_max,
        strangers_max=settings.strangers_max,
    )
